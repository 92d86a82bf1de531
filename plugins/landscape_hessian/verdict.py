"""What the numbers of a spectrum allow to be said, in words."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from landscape.curvature.density import SpectralDensity
from landscape.curvature.lanczos import End, ExtremeEigenpairs
from landscape_hessian.measuring import Spectrum
from landscape_hessian.options import HessianOptions

__all__ = ["messages", "negative_count", "negative_mass"]

# Nodes of the density nearer to zero than this, relative to the farthest, are rounding: they have no sign.
ZERO = {torch.float32: 1e-5, torch.float64: 1e-12}

TELLING = 0.2
"""Bounds of a fraction that lie farther apart leave it unsaid."""

SPACING = 3.0
"""In residuals: neighbours at least so far apart are two eigenvalues, each of them one."""


def negative_count(pairs: ExtremeEigenpairs, options: HessianOptions) -> int | None:
    """How many (distinct) eigenvalues are negative; None unless a converged end shows all of them.

    The bottom end does if it reaches past zero, either end if it holds the whole space, fewer values than were asked
    for. Each sign has to be certain: no residual may reach across zero. And each negative value has to stand by itself:
    a Ritz vector that mixes several eigenvectors, with a residual near the spacing, counts once for all of them.
    """
    for end, wanted, reaches_up in ((pairs.bottom, options.bottom, True), (pairs.top, options.top, False)):
        if end.converged and bool((end.values.abs() > end.residuals).all()):
            count = int((end.values < 0).sum())
            if len(end.values) < wanted or (reaches_up and count < len(end.values) and _apart(end, count + 1)):
                return count
    return None


def _apart(end: End, count: int) -> bool:
    """Whether the outermost values are farther from each other than residuals could explain."""
    reach = torch.maximum(end.residuals[: count - 1], end.residuals[1:count])
    return bool((end.values[:count].diff().abs() >= SPACING * reach).all())


def negative_mass(density: SpectralDensity, dtype: torch.dtype) -> tuple[float | None, float, float]:
    """The fraction of eigenvalues below zero, by more than rounding, and its bounds; None where these are far apart.

    Trained networks crowd most eigenvalues around zero: a probe sees them as one node, on one side or the other.
    """
    threshold = -ZERO[dtype] * float(density.nodes.abs().max())
    lower, upper = density.bounds_below(threshold)
    return density.mass_below(threshold)[0] if upper - lower <= TELLING else None, lower, upper


def messages(spectrum: Spectrum, options: HessianOptions) -> tuple[str, ...]:
    """What the reader has to know, the gravest first."""
    return (*_doubts(spectrum, options), *_indefinite(spectrum, options), *_ends(spectrum, options), *spectrum.notes)


def _doubts(spectrum: Spectrum, options: HessianOptions) -> Iterator[str]:
    name = "Hessian" if options.matrix == "hessian" else options.matrix
    found = spectrum.soundness
    if found.repeatability > found.tolerance:
        yield (
            f"two products of the {name} with one vector differ by {found.repeatability:.1e}: something in the model "
            "is random (dropout left on?); do not trust these numbers"
        )
    elif found.asymmetry > found.tolerance:
        yield (
            f"the {name} is not symmetric (relative asymmetry {found.asymmetry:.1e}, rounding explains "
            f"{found.tolerance:.0e}): an operation in the model has a wrong second derivative, as weight_norm does, or "
            "the loss is too small for this precision: try --dtype float64, and do not trust these numbers"
        )


def _indefinite(spectrum: Spectrum, options: HessianOptions) -> Iterator[str]:
    """These matrices have no negative eigenvalue where the loss is convex in the outputs."""
    if options.matrix in ("hessian", "remainder") or spectrum.pairs is None or not len(spectrum.pairs.bottom.values):
        return
    smallest = float(spectrum.pairs.bottom.values[0])
    if smallest < -spectrum.soundness.tolerance * spectrum.pairs.scale:
        yield (
            f"the {options.matrix} has a negative eigenvalue, {smallest:.4g}: the loss is not convex in the model's "
            "outputs, so this is no Gauss-Newton matrix; take the hessian"
        )


def _ends(spectrum: Spectrum, options: HessianOptions) -> Iterator[str]:
    pairs = spectrum.pairs
    if pairs is None:
        return
    for name, end, wanted in (("top", pairs.top, options.top), ("bottom", pairs.bottom, options.bottom)):
        if not end.converged:
            met = int((end.residuals <= options.rtol * pairs.scale).sum())
            doubt = ", but not the next one: one may have been missed" if met == wanted else ""
            yield (
                f"{met} of the {wanted} {name} eigenvalues converged, with residuals of at most {options.rtol:g} x "
                f"{pairs.scale:.4g}{doubt}; {_advice(spectrum.dtype, options)}"
            )
        elif len(end.values) < wanted:
            yield (
                f"{len(end.values)} {name} eigenvalues instead of {wanted}: {_reached(options)} no other distinct ones "
                f"(the Krylov space closed after {pairs.num_products} products)"
            )
    yield from _sign_of_the_smallest(pairs.bottom, options)


def _advice(dtype: torch.dtype, options: HessianOptions) -> str:
    if options.rtol < 2 * torch.finfo(dtype).eps:
        return f"{dtype} products cannot tell residuals so small: raise --hessian.rtol, or take --dtype float64"
    return f"raise --hessian.max-hvps (now {options.max_hvps})"


def _reached(options: HessianOptions) -> str:
    return "a random vector reaches" if options.block_size == 1 else f"{options.block_size} random vectors reach"


def _sign_of_the_smallest(end: End, options: HessianOptions) -> Iterator[str]:
    if len(end.values) and abs(float(end.values[0])) <= float(end.residuals[0]):
        yield (
            f"the smallest eigenvalue is {float(end.values[0]):.2g} with a residual of {float(end.residuals[0]):.2g}: "
            f"lower --hessian.rtol (now {options.rtol:g}) to learn its sign"
        )

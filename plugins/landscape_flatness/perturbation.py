"""By how much random perturbations of the weights raise the loss and the error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.analysis import Cost
from landscape.curvature.memory import spare_bytes
from landscape.errors import AnalysisError, UsageError
from landscape.labels import number
from landscape.landscapes.protocol import Landscape
from landscape.neighbourhood.around import Neighbourhood
from landscape.parameters import Point
from landscape_flatness.cost import counted
from landscape_flatness.measure import Found, Measure
from landscape_flatness.options import FlatnessOptions

__all__ = [
    "ADAPTIVE_AVERAGE_SHARPNESS",
    "AVERAGE_SHARPNESS",
    "LOCAL_ENERGY",
    "LocalEnergyCurve",
    "Rise",
    "Rises",
    "adaptive_average_sharpness",
    "adaptive_neighbourhood",
    "average_sharpness",
    "error_rise",
    "local_energy",
    "local_energy_curve",
    "mean_rises",
]

AVERAGE_SHARPNESS = Measure(
    "average_sharpness",
    "E[L(w + σz)] - L(w), z standard normal in each of D coordinates: |σz| ~ σ√D (Andriushchenko et al. 2023)",
    invariant=False,
)
ADAPTIVE_AVERAGE_SHARPNESS = Measure(
    "adaptive_average_sharpness",
    "E[L(w + σ z∘|w|)] - L(w), z standard normal (Andriushchenko et al. 2023); confounded by the norm of w",
    invariant=True,
)
LOCAL_ENERGY = Measure(
    "local_energy",
    "E[error(w + σ z∘|w|)] - error(w), z standard normal (Pittorino et al. 2021); confounded by the norm of w",
    invariant=True,
    units="error",
)

_HOST_MEMORY = 1 << 30  # bytes for perturbations where the device does not say what it has
_ROWS = 12  # parameter vectors for each pair: the draw, then both signs of it, scaled, moved, and in the network

Rise = Callable[[Tensor], Tensor]
"""By how much something is larger at displacements x, shape ``(K, P)``, than at w: shape ``(K,)``, float64."""


@dataclass(frozen=True, eq=False)
class Rises:
    """Mean rises at perturbations σ z, the same z for all σ.

    Attributes
    ----------
    sigmas
        σ, shape ``(S,)``.
    values, standard_errors
        The mean over z, shape ``(S,)``, and the standard deviation of that mean: zero where all z gave the same, as to
        an error rate at small σ. Errors of different σ go together.
    """

    sigmas: Float[Tensor, " S"]
    values: Float[Tensor, " S"]
    standard_errors: Float[Tensor, " S"]


@dataclass(frozen=True, eq=False)
class LocalEnergyCurve:
    """Rises of loss and error against σ, for perturbations σ z ∘ |w|.

    Attributes
    ----------
    loss, error
        Both at the same places; no error where the objective has none.
    cost
        What both took.
    """

    loss: Rises
    error: Rises | None
    cost: Cost = field(default_factory=Cost)


def average_sharpness(landscape: Landscape, point: Point, options: FlatnessOptions, seed: int) -> Found:
    """E[L(w + σz)] - L(w) for z ~ N(0, 1), with the standard error over pairs ±z.

    The linear term of the loss cancels in each pair. On a quadratic it is σ²/2 tr H. Costs ``draws`` energies.

    Raises
    ------
    AnalysisError
        If the loss is not finite at a perturbation.
    """
    spent = counted(landscape.work)
    around = Neighbourhood.of(landscape, point)
    rises = mean_rises(around.rises, around, [options.sigma], options.draws, seed)
    return _found(AVERAGE_SHARPNESS, rises, spent(), "--flatness.sigma")


def adaptive_average_sharpness(landscape: Landscape, point: Point, options: FlatnessOptions, seed: int) -> Found:
    """E[L(w + σ z∘|w|)] - L(w) for z ~ N(0, 1), with the standard error over pairs ±z.

    On a quadratic it is σ²/2 Σ Hᵢᵢ wᵢ². Costs ``draws`` energies.

    Raises
    ------
    AnalysisError
        If the loss is not finite at a perturbation.
    UsageError
        If all weights are zero: nothing moves.
    """
    spent = counted(landscape.work)
    around = adaptive_neighbourhood(landscape, point)
    rises = mean_rises(around.rises, around, [options.adaptive_sigma], options.draws, seed)
    return _found(ADAPTIVE_AVERAGE_SHARPNESS, rises, spent(), "--flatness.adaptive-sigma")


def local_energy(landscape: Landscape, point: Point, options: FlatnessOptions, seed: int) -> Found:
    """E[error(w + σ z∘|w|)] - error(w) for z ~ N(0, 1), with the standard error over pairs ±z.

    Costs ``draws`` energies.

    Raises
    ------
    UsageError
        If the objective knows no error, or all weights are zero.
    """
    spent = counted(landscape.work)
    around = adaptive_neighbourhood(landscape, point)
    rises = mean_rises(error_rise(around), around, [options.adaptive_sigma], options.draws, seed)
    return _found(LOCAL_ENERGY, rises, spent(), "--flatness.adaptive-sigma")


def local_energy_curve(landscape: Landscape, point: Point, options: FlatnessOptions, seed: int) -> LocalEnergyCurve:
    """Loss and, where there is one, error against σ, at ``sigmas`` values from σ/10 to 2σ in equal ratios.

    Costs ``sigmas`` x ``draws`` energies, twice that with an error. Raises as ``adaptive_average_sharpness`` does.
    """
    spent = counted(landscape.work)
    around = adaptive_neighbourhood(landscape, point)
    sigmas = [options.adaptive_sigma / 10 * 20 ** (k / (options.sigmas - 1)) for k in range(options.sigmas)]
    loss = mean_rises(around.rises, around, sigmas, options.draws, seed)
    error = None
    if around.landscape.errors(around.point.vector[None]) is not None:
        error = mean_rises(error_rise(around), around, sigmas, options.draws, seed)
    return LocalEnergyCurve(loss, error, spent())


def adaptive_neighbourhood(landscape: Landscape, point: Point) -> Neighbourhood:
    """The loss around w in units of |w|, where weights of zero stay; refused where all are zero."""
    around = Neighbourhood.of(landscape, point, "weights")
    if not around.dim:
        raise UsageError(f"{point.id}: all weights are zero, so that adaptive measures move none: take another point")
    return around


def error_rise(around: Neighbourhood) -> Rise:
    """The error at a displacement less that at w, under one batch-norm policy; refused where there is no error."""
    at_w = _errors(around.landscape, around.point.vector[None])
    return lambda x: _errors(around.landscape, around.places(x)) - at_w


def _errors(landscape: Landscape, points: Float[Tensor, "K P"]) -> Float[Tensor, " K"]:
    errors = landscape.errors(points)
    if errors is None:
        raise UsageError(
            f"local_energy, pac_bayes_sigma and pac_bayes_sigma_magnitude need an error rate, and the objective "
            f"{landscape.info.objective!r} has none: take cross_entropy, bce or an Objective with an error"
        )
    return errors


def mean_rises(rise: Rise, around: Neighbourhood, sigmas: Sequence[float], draws: int, seed: int) -> Rises:
    """E[rise(σz)] for z ~ N(0, 1) in each coordinate, from ``draws``/2 pairs ±z.

    The draws depend on the seed alone: all σ, and all points of one dimension, share them. Costs ``draws`` rises for
    each σ.

    Raises
    ------
    AnalysisError
        If a rise is not finite.
    """
    rng = torch.Generator().manual_seed(seed)
    blocks = [torch.stack([_paired(rise, s * z) for s in sigmas], dim=1) for z in _normals(around, draws // 2, rng)]
    pairs = torch.cat(blocks).cpu()
    finite = pairs.isfinite().all(dim=0)
    if not finite.all():
        failed = sigmas[int(finite.to(torch.int8).argmin())]
        raise AnalysisError(
            f"the loss is not finite at perturbations of sigma {number(failed)}: lower --flatness.sigma, or for "
            "adaptive measures --flatness.adaptive-sigma"
        )
    errors = pairs.std(dim=0) / sqrt(len(pairs))
    return Rises(torch.tensor(sigmas, dtype=torch.float64), pairs.mean(dim=0), errors)


def _paired(rise: Rise, x: Float[Tensor, "K P"]) -> Float[Tensor, " K"]:
    """The mean of the rises at x and -x."""
    return rise(torch.cat([x, -x])).reshape(2, -1).mean(dim=0)


def _normals(around: Neighbourhood, count: int, rng: torch.Generator) -> Iterator[Float[Tensor, "K P"]]:
    """Normal vectors, as many at a time as memory holds; drawn one by one, so that it does not matter how many."""
    like = around.point.vector
    memory = spare_bytes(like.device, _HOST_MEMORY)
    most = max(1, memory // (_ROWS * len(like) * like.element_size()))
    for start in range(0, count, most):
        rows = like.new_empty(min(most, count - start), len(like))
        for row in rows:
            row.copy_(torch.randn(len(row), generator=rng, dtype=torch.float64))
        yield rows


def _found(measure: Measure, rises: Rises, cost: Cost, flag: str) -> Found:
    """The measure of the first σ; says so where all draws gave the same."""
    value, error = float(rises.values[0]), float(rises.standard_errors[0])
    quiet = f"{measure.name}: no draw changed the {measure.units}, so that its error bar means nothing: raise {flag}"
    return Found(measure, value, error, cost, () if error else (quiet,))

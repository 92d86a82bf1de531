"""Extreme eigenpairs of a symmetric operator by block Lanczos, both ends of the spectrum from one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from landscape.curvature.krylov import BREAKDOWN, Krylov, init, restart, resumed, ritz, state, step
from landscape.curvature.operator import SymmetricOperator
from landscape.errors import UsageError

__all__ = [
    "BREAKDOWN",
    "End",
    "ExtremeEigenpairs",
    "Krylov",
    "extreme_eigenpairs",
    "extremes",
    "init",
    "least_basis",
    "restart",
    "resumed",
    "ritz",
    "state",
    "step",
]


@dataclass(frozen=True, eq=False)
class End:
    """Ritz pairs at one end of the spectrum, from the outermost inwards.

    Attributes
    ----------
    values
        Ritz values, float64 on the CPU.
    residuals
        |A y - θ y| of each unit Ritz vector y: an eigenvalue of A lies within it of θ.
    vectors
        The Ritz vectors, if asked for.
    converged
        Whether as many as were wanted and one more, and none of them at both ends, or all that the Krylov space holds,
        are within the tolerance.
    """

    values: Float[Tensor, " k"]
    residuals: Float[Tensor, " k"]
    vectors: Float[Tensor, "k P"] | None
    converged: bool


@dataclass(frozen=True, eq=False)
class ExtremeEigenpairs:
    """Both ends of a spectrum and what they took.

    Attributes
    ----------
    top, bottom
        The largest values, descending, and the smallest, ascending. In a small space they overlap.
    scale
        The largest absolute Ritz value: residuals are compared with ``rtol * scale``.
    num_products
        Products with the operator.
    exhausted
        Whether the Krylov space was closed. An end that is shorter than wanted then holds all eigenvalues that the
        start reaches, each as often as it has vectors.
    """

    top: End
    bottom: End
    scale: float
    num_products: int
    exhausted: bool

    @property
    def converged(self) -> bool:
        """Whether both ends are."""
        return self.top.converged and self.bottom.converged


def extremes(space: Krylov, *, top: int, bottom: int, rtol: float, vectors: bool = False) -> ExtremeEigenpairs:
    """The ends of the spectrum as far as the space knows them, after a step or more. Costs no product."""
    values, residuals, s = ritz(space)
    scale = float(values.abs().max())

    enough = len(values) >= _guarded(top) + _guarded(bottom) or space.exhausted

    def end(inwards: Tensor, wanted: int) -> End:
        within = bool((residuals[inwards[: _guarded(wanted)]] <= rtol * scale).all())
        order = inwards[:wanted]
        pairs = s[:, order].T.to(space.buffer) @ space.basis if vectors else None
        return End(values[order], residuals[order], pairs, within and enough)

    ascending = torch.arange(len(values))
    return ExtremeEigenpairs(
        top=end(ascending.flip(0), top),
        bottom=end(ascending, bottom),
        scale=scale,
        num_products=space.num_products,
        exhausted=space.exhausted,
    )


def extreme_eigenpairs(
    operator: SymmetricOperator,
    space: Krylov,
    *,
    top: int,
    bottom: int,
    rtol: float,
    max_products: int,
    max_basis: int | None = None,
    vectors: bool = False,
    progress: Callable[[ExtremeEigenpairs], None] | None = None,
) -> ExtremeEigenpairs:
    """The ``top`` largest and ``bottom`` smallest eigenpairs, with residuals at most ``rtol`` times the largest |θ|.

    One pair more than wanted has to converge at either end, as a guard. Without it a value that the space has not met
    yet is missed now and then, and the next one taken for it: 5 times in 100 for GOE matrices of 300 at a tolerance of
    1e-3, never with it.

    Starts from ``init(start)``, or goes on where an earlier call left ``space``, which grows until both ends have
    converged, the space is exhausted or ``max_products`` products leave none for another block. The verdict says which.

    A start of b vectors sees each eigenvalue up to b times: a single one finds the *distinct* eigenvalues (rounding may
    bring in second copies late), and an eigenvector orthogonal to the start is not found. Fewer values than wanted come
    back without padding. An eigenvalue lies within each residual; its error is of second order, residual² / gap.

    Parameters
    ----------
    max_products
        Budget of all calls together. The first block is always multiplied.
    max_basis
        The most vectors that the basis may hold, for the sake of memory; beyond it Lanczos restarts with the best, and
        takes more products to converge.
    progress
        Called with what is known, after each tenth of the products so far.

    Raises
    ------
    UsageError
        If the basis is too small for what is wanted.

    Sources: Parlett, The Symmetric Eigenvalue Problem, chapter 13; Wu & Simon 2000 for the restart.
    """
    least = least_basis(top, bottom, space.width)
    if max_basis is not None and max_basis < min(least, operator.dim):
        raise UsageError(
            f"Lanczos: memory for {max_basis} basis vectors, {top} + {bottom} eigenvalues take at least {least}; "
            "allow more memory or ask for fewer eigenvalues"
        )
    space.max_basis = operator.dim if max_basis is None else min(max_basis, operator.dim)
    found = extremes(space, top=top, bottom=bottom, rtol=rtol) if space.size else None
    while found is None or not (found.converged or found.exhausted or _spent(space, max_products)):
        # eigh(T) costs m³: look at every tenth of the length so far, and not before there can be enough
        missing = _guarded(top) + _guarded(bottom) - space.size
        for _ in range(max(1, -(-missing // space.width), space.size // (10 * space.width))):
            if space.full:
                restart(space, _worth_keeping(space, top, bottom))
            step(operator, space)
            if space.exhausted or _spent(space, max_products):
                break
        found = extremes(space, top=top, bottom=bottom, rtol=rtol)
        if progress:
            progress(found)
    return extremes(space, top=top, bottom=bottom, rtol=rtol, vectors=True) if vectors else found


def _guarded(wanted: int) -> int:
    """How many values of an end have to converge."""
    return wanted + 1 if wanted else 0


def least_basis(top: int, bottom: int, width: int) -> int:
    """Vectors that a basis has to hold: both ends, one at least of each for the scale, two blocks to advance with."""
    return max(_guarded(top), 1) + max(_guarded(bottom), 1) + 2 * width


def _spent(space: Krylov, max_products: int) -> bool:
    return space.num_products + space.width > max_products


def _worth_keeping(space: Krylov, top: int, bottom: int) -> Int[Tensor, " k"]:
    """The wanted Ritz pairs, one at least of each end for the scale, and their neighbours in half of what is left.

    Neighbours keep the ends converging as fast as before. They are shared equally: the slower end is not known.
    """
    low, high = max(_guarded(bottom), 1), max(_guarded(top), 1)
    spare = (space.max_basis - space.width - low - high) // 2
    share = spare // 2 if top and bottom else spare
    order = torch.arange(space.size)
    low += share if bottom else 0
    high += share if top else 0
    return order[(order < low) | (order >= len(order) - high)]

"""Extreme eigenpairs of a symmetric operator by Lanczos' method, both ends of the spectrum from one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.operator import SymmetricOperator
from landscape.errors import AnalysisError

__all__ = ["End", "ExtremeEigenpairs", "Krylov", "extreme_eigenpairs", "extremes", "init", "ritz", "step"]

# A new basis vector shorter than this, relative to the operator, is rounding noise. eps * sqrt(P) was found too tight.
BREAKDOWN = {torch.float64: 1e-12, torch.float32: 1e-6}


@dataclass(eq=False)
class Krylov:
    """An orthonormal basis V of a Krylov space and the tridiagonal T = V A Vᵀ in it, in the order they were found.

    ``step`` lengthens it in place. Memory: one vector of the operator's dtype per product.

    Attributes
    ----------
    buffer
        Rows hold V and, last, the vector that the next step multiplies.
    diagonal, off_diagonal
        Of T, as many as products were made; the last off-diagonal couples to the next vector, beyond T.
    project
        Keeps vectors in the subspace that A acts in (a tangent space), by the identity if that is all of R^P.
        Without it rounding leaks out of the subspace and grows into Ritz values that are none of A's.
    exhausted
        Whether the space is closed: A maps it to itself and another step would add rounding noise only.
    """

    buffer: Float[Tensor, "rows P"]
    diagonal: list[float]
    off_diagonal: list[float]
    project: Callable[[Tensor], Tensor]
    exhausted: bool = False

    @property
    def num_products(self) -> int:
        """m, the dimension of the space and the number of products that it took."""
        return len(self.diagonal)

    @property
    def basis(self) -> Float[Tensor, "m P"]:
        """V, rows orthonormal."""
        return self.buffer[: self.num_products]

    @property
    def trace(self) -> float:
        """tr T = tr VAVᵀ, the sum of all Ritz values."""
        return float(sum(self.diagonal))


@dataclass(frozen=True, eq=False)
class End:
    """Ritz pairs at one end of the spectrum, from the outermost inwards.

    Attributes
    ----------
    values
        Ritz values, float64 on the CPU.
    residuals
        |A y - θ y| of each unit Ritz vector y, as |β_m s_mi|: an eigenvalue of A lies within it of θ.
    vectors
        The Ritz vectors, if asked for.
    converged
        Whether as many as were wanted, and none of them at both ends, or all that the Krylov space holds, are within
        the tolerance.
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
        Whether the Krylov space was closed. The ends then hold all distinct eigenvalues that the start vector reaches,
        which may be fewer than were wanted.
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


def _everywhere(vector: Tensor) -> Tensor:
    return vector


def init(start: Float[Tensor, " P"], project: Callable[[Tensor], Tensor] = _everywhere) -> Krylov:
    """The Krylov space of a start vector alone. Device and dtype are those of the start."""
    start = project(start)
    return Krylov((start / torch.linalg.vector_norm(start))[None], [], [], project)


def step(operator: SymmetricOperator, space: Krylov) -> Krylov:
    """The space, one dimension larger. Costs one product and 8 m P flops; nothing if it is exhausted.

    The new vector is made orthogonal to all others by two passes of classical Gram-Schmidt: matrix products, and enough
    to keep V orthonormal to rounding (Giraud, Langou & Rozložník 2005).
    """
    if space.exhausted:
        return space
    m = space.num_products
    basis = space.buffer[: m + 1]
    image = operator.matmat(basis[m:])[0]
    coefficients = basis @ image
    image = space.project(image - coefficients @ basis)
    image = image - (basis @ image) @ basis
    alpha = float(coefficients[m])
    beta = float(torch.linalg.vector_norm(image, dtype=torch.float64))
    if not torch.isfinite(image).all():
        raise AnalysisError(f"Lanczos: product {m + 1} with the operator is not finite; try --dtype float64")
    space.diagonal.append(alpha)
    space.off_diagonal.append(beta)
    scale = max(map(abs, [*space.diagonal, *space.off_diagonal]))
    space.exhausted = beta <= BREAKDOWN[image.dtype] * scale
    if not space.exhausted:
        _append(space, image / beta)
    return space


def _append(space: Krylov, vector: Tensor) -> None:
    """One more row, doubling the memory when it is full."""
    rows = space.num_products
    if rows == len(space.buffer):
        space.buffer = torch.cat([space.buffer, torch.empty_like(space.buffer)])
    space.buffer[rows] = vector


def ritz(space: Krylov) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"], Float[Tensor, "m m"]]:
    """Ritz values θ, ascending, their residuals |β_m s_mi|, and the s as columns: y = sᵀV. float64 on the CPU."""
    diagonal = torch.tensor(space.diagonal, dtype=torch.float64)
    coupling = torch.tensor(space.off_diagonal, dtype=torch.float64)
    values, s = torch.linalg.eigh(diagonal.diag() + coupling[:-1].diag(1) + coupling[:-1].diag(-1))
    return values, (coupling[-1] * s[-1]).abs(), s


def extremes(space: Krylov, *, top: int, bottom: int, rtol: float, vectors: bool = False) -> ExtremeEigenpairs:
    """The ends of the spectrum as far as the space knows them. Costs no product."""
    values, residuals, s = ritz(space)
    scale = float(values.abs().max())

    def end(order: Tensor) -> End:
        within = bool((residuals[order] <= rtol * scale).all())
        enough = len(values) >= top + bottom or space.exhausted
        pairs = s[:, order].T.to(space.buffer) @ space.basis if vectors else None
        return End(values[order], residuals[order], pairs, within and enough)

    ascending = torch.arange(len(values))
    return ExtremeEigenpairs(
        top=end(ascending.flip(0)[:top]),
        bottom=end(ascending[:bottom]),
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
    vectors: bool = False,
    progress: Callable[[ExtremeEigenpairs], None] | None = None,
) -> ExtremeEigenpairs:
    """The ``top`` largest and ``bottom`` smallest eigenpairs, with residuals at most ``rtol`` times the largest |θ|.

    Starts from ``init(start)``, or goes on where an earlier call left ``space``, which grows until both ends have
    converged, the space is exhausted or it took ``max_products`` products. The verdict says which.

    A single start vector sees each *distinct* eigenvalue: multiplicities are not counted (rounding may bring in second
    copies late), and an eigenvector orthogonal to the start is not found. Fewer distinct values than wanted come back
    without padding. An eigenvalue lies within each residual; its error is of second order, residual² / gap.

    Source: Parlett, The Symmetric Eigenvalue Problem, chapter 13.
    """
    found = None
    while found is None or not (found.converged or found.exhausted or found.num_products >= max_products):
        # eigh(T) costs m³: look at every tenth of the length so far
        for _ in range(max(1, min(space.num_products // 10, max_products - space.num_products))):
            step(operator, space)
        found = extremes(space, top=top, bottom=bottom, rtol=rtol)
        if progress:
            progress(found)
    return extremes(space, top=top, bottom=bottom, rtol=rtol, vectors=True) if vectors else found

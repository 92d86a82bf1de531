"""What a few products say of a matrix exactly, so that random probes need only estimate the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from landscape.curvature.krylov import BREAKDOWN, Krylov
from landscape.curvature.operator import SymmetricOperator, everywhere

__all__ = ["KnownPart", "independent", "known_in_krylov", "nothing_known", "sketch"]

CHUNK_ELEMENTS = 2**24  # the images of a basis are made for so many numbers at a time


@dataclass(frozen=True, eq=False)
class KnownPart:
    """An orthonormal basis Q and all of A = Aᵀ but N A N, where N = 1 - QᵀQ projects out of its span.

    Attributes
    ----------
    basis
        Q, rows orthonormal; there may be none.
    diagonal
        The diagonal of A - N A N = QᵀQA + AQᵀQ - QᵀQAQᵀQ.
    square
        |A - N A N|_F² = |QAQᵀ|_F² + 2 |NAQᵀ|_F².
    num_products
        Products that were made for this alone: none where an earlier computation left them behind.
    project
        Into the subspace that A acts in (a tangent space), which holds Q; the identity if that is all of R^P.
    """

    basis: Float[Tensor, "k P"]
    diagonal: Float[Tensor, " P"]
    square: float
    num_products: int
    project: Callable[[Tensor], Tensor]

    def outside(self, vectors: Float[Tensor, "K P"]) -> Float[Tensor, "K P"]:
        """N v of each row v, in the subspace that A acts in."""
        vectors = self.project(vectors)
        return vectors - (vectors @ self.basis.T) @ self.basis


def nothing_known(like: Float[Tensor, " P"], project: Callable[[Tensor], Tensor] = everywhere) -> KnownPart:
    """An empty basis: all of A is left to the probes."""
    return KnownPart(like.new_empty(0, len(like)), torch.zeros_like(like), 0.0, 0, project)


def known_in_krylov(space: Krylov) -> KnownPart:
    """What a Krylov space V knows. Costs no product, since A Vᵀ = VᵀT + FᵀC is known too, and 2 m² P flops.

    F is orthogonal to V: |NAVᵀ|_F = |C|_F, and a coordinate's diagonal entry is the sum over rows of V ∘ (TV + 2CᵀF).
    """
    basis, frontier = space.basis, space.frontier
    projected, coupling = space.projected.to(basis), space.coupling.to(basis)

    def diagonal(columns: slice) -> Tensor:
        v = basis[:, columns]
        return (v * (projected @ v + 2 * coupling.T @ frontier[:, columns])).sum(dim=0)

    square = float(space.projected.square().sum() + 2 * space.coupling.square().sum())
    return KnownPart(basis, _by_columns(diagonal, basis), square, 0, space.project)


def sketch(
    operator: SymmetricOperator, vectors: Float[Tensor, "K P"], project: Callable[[Tensor], Tensor] = everywhere
) -> KnownPart:
    """What the span Q of the images A v of K random vectors knows. Costs K products for Q and at most K for A Q.

    Images that depend on the earlier ones to rounding are dropped: where the rank of A is below K, Q is its range and
    all of A is known.

    Source: Meyer, Musco, Musco & Woodruff 2021, algorithm 1, steps 1 and 2.
    """
    columns, r = torch.linalg.qr(project(operator.matmat(project(vectors))).T)
    basis = columns.T[independent(r)].contiguous()
    images = operator.matmat(basis)
    within = (images @ basis.T).double()
    within = (within + within.T) / 2

    def diagonal(columns: slice) -> Tensor:
        q = basis[:, columns]
        return (q * (2 * images[:, columns] - within.to(q) @ q)).sum(dim=0)

    total = torch.linalg.vector_norm(images, dtype=torch.float64).square().cpu()
    square = float(2 * total - within.square().sum().cpu())
    return KnownPart(basis, _by_columns(diagonal, basis), square, len(vectors) + len(basis), project)


def independent(r: Float[Tensor, "r k"]) -> Bool[Tensor, " r"]:
    """Which columns of a QR factorisation do not depend on the earlier ones to rounding."""
    sizes = r.diagonal().abs()
    return sizes > BREAKDOWN[r.dtype] * sizes.max() if len(sizes) else sizes > 0


def _by_columns(diagonal: Callable[[slice], Tensor], basis: Tensor) -> Tensor:
    """A diagonal, made for some columns at a time: nothing as large as the basis is held beside it."""
    width = max(1, CHUNK_ELEMENTS // max(1, len(basis)))
    starts = range(0, basis.shape[1], width)
    return torch.cat([diagonal(slice(start, start + width)) for start in starts])

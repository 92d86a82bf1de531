"""The one thing a Krylov method needs to know of a Hessian."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

__all__ = ["SymmetricOperator", "everywhere"]


@runtime_checkable
class SymmetricOperator(Protocol):
    """A linear map A = A^T on R^P, known by its products with blocks of vectors."""

    @property
    def dim(self) -> int:
        """P."""
        ...

    def matmat(self, vectors: Float[Tensor, "K P"]) -> Float[Tensor, "K P"]:
        """A v for each row v of a block. Costs K products."""
        ...


def everywhere(vectors: Tensor) -> Tensor:
    """The projection into the subspace that an operator acts in, where that is all of R^P."""
    return vectors

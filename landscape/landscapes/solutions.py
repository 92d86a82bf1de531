"""All solutions of a problem over binary configurations, and how far they lie from each other."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor

__all__ = ["Solutions"]


@dataclass(frozen=True, eq=False)
class Solutions:
    """The solutions among the 2^N vertices of {-1, 1}^N.

    Attributes
    ----------
    indicator
        Whether vertex k is a solution, shape ``(2^N,)``: x_i = 1 where bit i of k is set, else -1.
    """

    indicator: Bool[Tensor, " vertices"]

    @property
    def dim(self) -> int:
        """N."""
        return len(self.indicator).bit_length() - 1

    @property
    def number(self) -> int:
        """How many solutions there are."""
        return int(self.indicator.sum())

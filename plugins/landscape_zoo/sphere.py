"""The sphere that spherical spin glasses live on."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Sphere"]


@dataclass(frozen=True)
class Sphere:
    """|x|² = N in R^N.

    Attributes
    ----------
    n
        N.
    """

    n: int

    @property
    def radius(self) -> float:
        """√N."""
        return sqrt(self.n)

    def project(self, x: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
        """The nearest point of the sphere."""
        return x * (self.radius / torch.linalg.vector_norm(x))

    def tangent(self, x: Float[Tensor, " N"], vector: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
        """A vector without its part along x."""
        return vector - x * ((x @ vector) / (x @ x))

    def start(self, rng: torch.Generator) -> Float[Tensor, " N"]:
        """A point drawn uniformly, float64 on the CPU."""
        return self.project(torch.randn(self.n, generator=rng, dtype=torch.float64))

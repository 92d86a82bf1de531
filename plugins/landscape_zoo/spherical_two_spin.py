"""The spherical 2-spin glass: a curved space, and disorder whose barriers are known."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from landscape_zoo.rotation import check_seed
from landscape_zoo.system import System

__all__ = ["SphericalTwoSpin"]


@dataclass(frozen=True)
class SphericalTwoSpin:
    """E(x) = -xᵀJx/2 on the sphere |x|² = N, with J = (A + Aᵀ)/√(2N) and A Gaussian.

    Known answers, with λ₁ > λ₂ > ... the eigenvalues of J and v₁, v₂, ... its eigenvectors: the critical points are the
    pairs ±√N v_k at energy -Nλ_k/2, of index k - 1, where the Riemannian Hessian has eigenvalues λ_k - λ_j (j ≠ k). The
    minima are ±√N v₁ and the barrier between them is N(λ₁ - λ₂)/2: 5.7086735447 for n=16, seed=0.

    Attributes
    ----------
    n
        N, at least 2.
    seed
        Of A, drawn by ``numpy.random.default_rng``.
    """

    n: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n < 2:
            raise ValueError(f"n must be at least 2, got {self.n}")
        check_seed(self.seed)

    def couplings(self) -> Float[Tensor, "N N"]:
        """J, float64."""
        a = np.random.default_rng(self.seed).normal(size=(self.n, self.n))
        return torch.from_numpy((a + a.T) / sqrt(2 * self.n))

    def build(self, device: torch.device, dtype: torch.dtype) -> System:
        couplings = self.couplings()
        j, radius = couplings.to(device, dtype), sqrt(self.n)

        def energy(x: Tensor) -> Tensor:
            return -(x @ j @ x) / 2

        def start(rng: torch.Generator) -> Tensor:
            return on_sphere(torch.randn(self.n, generator=rng, dtype=torch.float64))

        def on_sphere(x: Tensor) -> Tensor:
            return x * (radius / torch.linalg.vector_norm(x))

        def tangent(x: Tensor, vector: Tensor) -> Tensor:
            return vector - x * ((x @ vector) / (x @ x))

        v1 = torch.linalg.eigh(couplings).eigenvectors[:, -1]
        ground_state = radius * v1 * torch.sign(v1[v1.abs().argmax()])  # eigh leaves the sign open
        minima = {"+v1": ground_state, "-v1": -ground_state}
        return System(energy, self.n, start, minima, on_sphere, tangent)

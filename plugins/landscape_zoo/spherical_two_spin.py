"""The spherical 2-spin glass: a curved space, and disorder whose barriers are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from landscape_zoo.disorder import check_entries, gaussian_orthogonal
from landscape_zoo.rotation import check_seed
from landscape_zoo.sphere import Sphere
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
        check_entries(self.n**2, f"n={self.n}")
        check_seed(self.seed)

    def couplings(self) -> Float[Tensor, "N N"]:
        """J, float64."""
        return gaussian_orthogonal(self.n, np.random.default_rng(self.seed))

    def build(self, device: torch.device, dtype: torch.dtype) -> System:
        couplings, sphere = self.couplings(), Sphere(self.n)
        j = couplings.to(device, dtype)

        def energy(x: Tensor) -> Tensor:
            return -(x @ j @ x) / 2

        v1 = torch.linalg.eigh(couplings).eigenvectors[:, -1]
        ground_state = sphere.radius * v1 * torch.sign(v1[v1.abs().argmax()])  # eigh leaves the sign open
        minima = {"+v1": ground_state, "-v1": -ground_state}
        return System(energy, self.n, sphere.start, minima, sphere.project, sphere.tangent)

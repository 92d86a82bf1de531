"""Quadratics whose Hessian is a random matrix with a known limiting spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from landscape_zoo.disorder import check_entries, gaussian_orthogonal
from landscape_zoo.rotation import check_seed
from landscape_zoo.system import System

__all__ = ["Goe", "SpikedGoe", "Wishart"]


@dataclass(frozen=True)
class Goe:
    """E(x) = xᵀAx/2 with A of the Gaussian orthogonal ensemble: entries of variance 1/n, 2/n on the diagonal.

    Known answers as n grows: the Hessian's spectrum is the semicircle √(4 - λ²)/2π on [-2, 2], with mean λ² = 1 and
    mean λ⁴ = 2. The known point is the origin, a saddle with half of its directions going down.

    Attributes
    ----------
    n
        P, at least 2.
    seed
        Of A, drawn by ``numpy.random.default_rng``.
    """

    n: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        _check_size(self.n, self.seed)

    def matrix(self) -> Float[Tensor, "P P"]:
        """A, float64."""
        return gaussian_orthogonal(self.n, np.random.default_rng(self.seed))

    def build(self, device: torch.device, dtype: torch.dtype) -> System:
        return _quadratic(self.matrix(), device, dtype)


@dataclass(frozen=True)
class SpikedGoe:
    """E(x) = xᵀ(A + θvvᵀ)x/2 with A as in ``Goe`` and a random direction v, |v| = 1.

    Known answers as n grows: the semicircle on [-2, 2] and, for |θ| > 1, an outlier at θ + 1/θ whose eigenvector has
    the squared overlap 1 - 1/θ² with v (Benaych-Georges & Nadakuditi, Adv. Math. 227, 494 (2011)). The known point is
    the origin, a saddle.

    Attributes
    ----------
    n
        P, at least 2.
    theta
        θ, the strength of the spike.
    seed
        Of A and v, drawn in this order by ``numpy.random.default_rng``: A is that of ``Goe`` with the same seed.
    """

    n: int = 1000
    theta: float = 3.0
    seed: int = 0

    def __post_init__(self) -> None:
        _check_size(self.n, self.seed)
        if not isfinite(self.theta):
            raise ValueError(f"theta must be a finite number, got {self.theta}")

    def matrix_and_spike(self) -> tuple[Float[Tensor, "P P"], Float[Tensor, " P"]]:
        """A + θvvᵀ and v, float64."""
        rng = np.random.default_rng(self.seed)
        a, v = gaussian_orthogonal(self.n, rng), torch.from_numpy(rng.normal(size=self.n))
        v = v / torch.linalg.vector_norm(v)
        return a + self.theta * torch.outer(v, v), v

    def build(self, device: torch.device, dtype: torch.dtype) -> System:
        matrix, _ = self.matrix_and_spike()
        return _quadratic(matrix, device, dtype)


@dataclass(frozen=True)
class Wishart:
    """E(x) = xᵀ(XXᵀ/m)x/2 with X standard Gaussian, n rows, m = n/q columns: least squares on m random samples.

    Known answers as n grows (Marchenko & Pastur 1967): the spectrum is √((λ₊ - λ)(λ - λ₋))/2πqλ between the edges
    λ± = (1 ± √q)², with mean λ = 1 and mean λ² = 1 + q; for q > 1 a fraction 1 - 1/q of the eigenvalues is zero
    besides. The known point is the origin, a minimum.

    Attributes
    ----------
    n
        P, at least 2.
    q
        n/m; m is rounded to a whole number.
    seed
        Of X, drawn by ``numpy.random.default_rng``.
    """

    n: int = 400
    q: float = 0.25
    seed: int = 0

    def __post_init__(self) -> None:
        _check_size(self.n, self.seed)
        if not 0 < self.q <= self.n:
            raise ValueError(f"q must be above 0 and at most n = {self.n} (one sample), got {self.q}")
        check_entries(self.n**2 / self.q, f"n={self.n} and q={self.q}")

    @property
    def num_samples(self) -> int:
        """m."""
        return round(self.n / self.q)

    def matrix(self) -> Float[Tensor, "P P"]:
        """XXᵀ/m, float64."""
        x = torch.from_numpy(np.random.default_rng(self.seed).normal(size=(self.n, self.num_samples)))
        return x @ x.T / self.num_samples

    def build(self, device: torch.device, dtype: torch.dtype) -> System:
        return _quadratic(self.matrix(), device, dtype)


def _check_size(n: int, seed: int) -> None:
    if n < 2:
        raise ValueError(f"n must be at least 2, got {n}")
    check_entries(n**2, f"n={n}")
    check_seed(seed)


def _quadratic(matrix: Float[Tensor, "P P"], device: torch.device, dtype: torch.dtype) -> System:
    """xᵀAx/2, its origin and standard Gaussian starts."""
    dim, a = len(matrix), matrix.to(device, dtype)

    def energy(x: Tensor) -> Tensor:
        return (x @ a @ x) / 2

    def start(rng: torch.Generator) -> Tensor:
        return torch.randn(dim, generator=rng, dtype=torch.float64)

    return System(energy, dim, start, {"origin": torch.zeros(dim, dtype=torch.float64)})

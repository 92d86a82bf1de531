"""A quadratic bowl with a wide spectrum, and all that is known of the volume around its minimum."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, lgamma, log, log10, pi, sqrt

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import brentq
from torch import Tensor

from landscape_zoo.quadratic import Quadratic
from landscape_zoo.rotation import check_rotation
from landscape_zoo.system import System

__all__ = ["Bowl"]

LAST_NODE = 10.0  # of the contour: there its integrand has fallen to exp(-50) of its largest value


@dataclass(frozen=True)
class Bowl:
    """E(x) = xᵀ R diag(λ) Rᵀ x / 2 with λ_i log-spaced from 1 to 1/condition.

    Known answers: the origin is the minimum, at energy 0. Around it, with Gaussian displacements of variance 1/γ as the
    reference, the local entropy is Φ(β, γ) = -½ Σ ln(1 + βλ_i/γ) and the learning coefficient
    -∂Φ/∂ln β = ½ Σ βλ_i/(βλ_i + γ); the volume where E is at most ε and the entropy at a distance are methods too. For
    β = 1e3, γ = 1, ε = .01, distance 1:

    ===== ========= =============== =============== ============== =============
      dim condition               Φ      log volume  Franz-Parisi    coefficient
    ===== ========= =============== =============== ============== =============
        2       1e4     -3.50203248      1.83787707    -3.72911794    0.54495504
       10       1e4    -14.20213318      4.40189359    -8.40029062    3.59794887
      100       1e4  -138.290325845   -56.583913631  -25.417401934  36.890298280
     1000       1e2  -2313.08750615  -2843.68447175   -94.93894011  489.74759503
     1000       1e4  -1379.52160392  -1692.39192526   -46.33185628  369.78274002
    ===== ========= =============== =============== ============== =============

    Attributes
    ----------
    dim
        P.
    condition
        The largest eigenvalue, which is 1, over the smallest one.
    seed
        Of the rotation R; without one the Hessian is diagonal.
    """

    dim: int = 100
    condition: float = 1e4
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise ValueError(f"dim must be at least 1, got {self.dim}")
        if not (isfinite(self.condition) and self.condition >= 1):
            raise ValueError(f"condition must be a number of at least 1, got {self.condition}")
        check_rotation(self.dim, self.seed)

    def spectrum(self) -> Float[Tensor, " P"]:
        """λ, the largest first, float64."""
        return torch.from_numpy(np.logspace(0, -log10(self.condition), self.dim))

    def build(self, device: torch.device, dtype: torch.dtype) -> System:
        return Quadratic(tuple(self.spectrum().tolist()), seed=self.seed).build(device, dtype)

    def phi(self, beta: float, gamma: float) -> float:
        """Φ(β, γ) = ln E exp(-βE(x)) for x of variance 1/γ around the minimum."""
        return -float(torch.log1p(beta / gamma * self.spectrum()).sum()) / 2

    def learning_coefficient(self, beta: float, gamma: float) -> float:
        """-∂Φ/∂ln β = β⟨E⟩."""
        stiffness = beta * self.spectrum()
        return float((stiffness / (stiffness + gamma)).sum()) / 2

    def log_volume(self, epsilon: float) -> float:
        """Log of the volume of {E ≤ ε}, an ellipsoid with half axes √(2ε/λ_i)."""
        log_ball = self.dim / 2 * log(pi) - lgamma(self.dim / 2 + 1)
        return log_ball + self.dim / 2 * log(2 * epsilon) - float(self.spectrum().log().sum()) / 2

    def franz_parisi(self, beta: float, distance: float) -> float:
        """Log of the mean of exp(-βE) over the sphere of that radius around the minimum, to 1e-12 or so.

        The mean is Γ(P/2) s^(1-P/2) times the inverse Laplace transform of Π (t + βλ_i/2)^(-1/2) at s = distance² (it
        normalises Bingham's distribution). The contour is the parabola t = -βλ_min/2 + μ(1 + iu)², which passes through
        the saddle point of the integrand and around all its cuts: on it the trapezoidal rule converges exponentially
        (as in Weideman & Trefethen, Math. Comp. 76, 1341 (2007)). Costs 400 nodes, and as √P beyond P = 50 or so.
        """
        square = distance**2
        cuts = beta / 2 * (self.spectrum() - self.spectrum()[-1]).numpy()  # t + βλ_i/2 is this + μ(1 + iu)²
        lowest = 1 / (2 * square)
        mu = brentq(lambda m: (1 / (m + cuts)).sum() / 2 - square, lowest / 2, 2 * self.dim * lowest)
        width = 1 / (mu * sqrt(2 * (1 / (mu + cuts) ** 2).sum()))
        nodes = 1 + 1j * np.arange(-LAST_NODE, LAST_NODE, min(0.05, width / 4))
        logs = np.array([mu * node**2 * square - np.log(mu * node**2 + cuts).sum() / 2 for node in nodes])
        highest = logs.real.max()
        integral = mu / pi * (np.exp(logs - highest) * nodes).real.sum() * (nodes[1] - nodes[0]).imag
        saddle = highest + log(integral) - beta / 2 * float(self.spectrum()[-1]) * square
        return lgamma(self.dim / 2) + (1 - self.dim / 2) * log(square) + saddle

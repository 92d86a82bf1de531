"""The parabola that osculates the loss at the point: its entropy, and whether the point is a minimum."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

import torch
from jaxtyping import Float
from scipy.optimize import brentq
from torch import Tensor

from landscape.curvature.density import SpectralDensity
from landscape.curvature.known import nothing_known
from landscape.curvature.trace import estimate_trace
from landscape.errors import AnalysisError
from landscape.neighbourhood.around import Neighbourhood
from landscape.neighbourhood.hessian import movable, scaled_density, scaled_hessian
from landscape.neighbourhood.laplace import laplace, spectral_sum

__all__ = ["Osculating", "osculating"]

ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class Osculating:
    """Gradient and Hessian of ΔL(x) at x = 0.

    Attributes
    ----------
    gradient
        ∇ΔL.
    diagonal
        Of the Hessian, by Hutchinson's estimator.
    density
        The Hessian's spectral density on the D coordinates that can move.
    dim
        D.
    """

    gradient: Float[Tensor, " P"]
    diagonal: Float[Tensor, " P"]
    density: SpectralDensity
    dim: int

    def laplace(self, beta: float, gamma: float) -> tuple[float, float]:
        """Φ of the parabola without its linear term, and its standard error."""
        return laplace(self.density, self.dim, beta, gamma)

    @property
    def gradient_norm(self) -> float:
        """|∇ΔL|."""
        return float(torch.linalg.vector_norm(self.gradient, dtype=torch.float64))

    @property
    def trace(self) -> tuple[float, float]:
        """The Hessian's trace and its standard error."""
        return spectral_sum(self.density, self.dim, lambda eigenvalues: eigenvalues)

    @property
    def eigenvalue_max(self) -> float:
        """The largest Ritz value."""
        return float(self.density.nodes[self.density.weights > 0].max())

    def stiffness_at(self, distance: float, beta: float) -> float:
        """γ at which the parabola's √⟨|x|²⟩ is a given distance: Σᵢ 1/(βλᵢ + γ) = r²."""

        def excess(log_gamma: float) -> float:
            square, _ = spectral_sum(self.density, self.dim, lambda e: 1 / (beta * e.clamp(min=0) + exp(log_gamma)))
            return square - distance**2

        highest = log(self.dim / distance**2)  # where the loss adds no stiffness
        lowest = highest - 1
        while excess(lowest) < 0:
            lowest -= 1
        return exp(brentq(excess, lowest, highest + ROUNDING))

    def drift(self, beta: float, gamma: float) -> float:
        """By how much the gradient raises Φ, in nats: β²/2 gᵀ(βH + γ)⁻¹g with H's diagonal. 0 at a minimum."""
        stiffness = beta * self.diagonal.clamp(min=0) + gamma
        return beta**2 / 2 * float((self.gradient.square() / stiffness).sum(dtype=torch.float64))


def osculating(around: Neighbourhood, rng: torch.Generator, num_probes: int) -> Osculating:
    """The parabola at the point. Costs a gradient, ``num_probes`` products for the diagonal and those of the density.

    Raises
    ------
    AnalysisError
        If gradient or Hessian are not finite there, or no coordinate can move.
    """
    hessian, project = scaled_hessian(around), movable(around)
    (gradient,) = around.slopes(torch.zeros_like(around.scales)[None])[1]
    known = nothing_known(around.scales, project)
    found = estimate_trace(hessian, known, num_probes, rng, around.landscape.space.sizes)
    if not (gradient.isfinite().all() and found.diagonal.isfinite().all()):
        raise AnalysisError(f"{around.point.id}: gradient or Hessian are not finite there; try --dtype float64")
    density = scaled_density(around, rng, num_probes=num_probes)
    return Osculating(gradient, found.diagonal, density, around.dim)

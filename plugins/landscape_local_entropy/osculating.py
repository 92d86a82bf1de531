"""The parabola that osculates the loss at the point: its entropy, and whether the point is a minimum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log

import torch
from jaxtyping import Float
from scipy.optimize import brentq
from torch import Tensor

from landscape.curvature.density import SpectralDensity
from landscape.curvature.trace import rademacher
from landscape.errors import AnalysisError
from landscape.neighbourhood.around import Neighbourhood
from landscape.neighbourhood.hessian import (
    ScaledHessian,
    dense_hessian,
    scaled_density,
    scaled_hessian,
    whole_spectrum,
)
from landscape.neighbourhood.laplace import laplace, spectral_sum

__all__ = ["Osculating", "osculating"]

QUADRATURE_STEPS = 64  # of Lanczos, for each probe of the density


@dataclass(frozen=True, eq=False)
class Osculating:
    """Gradient and Hessian of ΔL(x) at x = 0.

    Attributes
    ----------
    gradient
        ∇ΔL.
    diagonal
        Of the Hessian, or what ``_shrunk_diagonal`` knows of it.
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

    def stiffness_at(self, distance: float, beta: float, softest: float, stiffest: float) -> float | None:
        """γ at which the parabola's √⟨|x|²⟩ is a given distance, Σᵢ 1/(βλᵢ + γ) = r²; None if not between the two."""

        def excess(log_gamma: float) -> float:
            square, _ = spectral_sum(self.density, self.dim, lambda e: 1 / (beta * e.clamp(min=0) + exp(log_gamma)))
            return square - distance**2

        low, high = log(softest), log(stiffest)
        return exp(brentq(excess, low, high)) if excess(low) > 0 > excess(high) else None

    def drift(self, beta: float, gamma: float) -> float:
        """By how much the gradient raises Φ, in nats: β²/2 gᵀ(βH + γ)⁻¹g with H's diagonal. 0 at a minimum."""
        stiffness = beta * self.diagonal.clamp(min=0) + gamma
        return beta**2 / 2 * float((self.gradient.square() / stiffness).sum(dtype=torch.float64))


def osculating(
    around: Neighbourhood, rng: torch.Generator, num_probes: int, progress: Callable[[int], None] | None = None
) -> Osculating:
    """The parabola at the point, from the whole Hessian where that is cheap.

    Costs a gradient, and D products, or where D is large ``num_probes`` for the diagonal and those of the density.
    ``progress`` is called with the number of the latter that are done.

    Raises
    ------
    AnalysisError
        If gradient or Hessian are not finite there, or no coordinate can move.
    """
    hessian = scaled_hessian(around)
    (gradient,) = around.slopes(torch.zeros_like(around.scales)[None])[1]
    if not gradient.isfinite().all():
        raise AnalysisError(f"{around.point.id}: the gradient is not finite there; try --dtype float64")
    if around.dim <= num_probes * QUADRATURE_STEPS:
        matrix = dense_hessian(around, progress)
        diagonal = torch.zeros_like(gradient)
        diagonal[around.scales > 0] = matrix.diagonal().to(gradient)
        return Osculating(gradient, diagonal, whole_spectrum(torch.linalg.eigvalsh(matrix)), around.dim)
    diagonal = _shrunk_diagonal(hessian, rademacher(num_probes, gradient, rng) * (around.scales > 0))
    density = scaled_density(around, rng, num_probes=num_probes, num_steps=QUADRATURE_STEPS, progress=progress)
    return Osculating(gradient, diagonal, density, around.dim)


def _shrunk_diagonal(hessian: ScaledHessian, probes: Float[Tensor, "K P"]) -> Float[Tensor, " P"]:
    """Hutchinson's estimate of the diagonal, drawn to its mean as far as the noise of the probes makes up its scatter.

    In a mass matrix noise costs more than a diagonal that is too even: on a rotated bowl some five times as many
    gradients for an independent draw.
    """
    samples = probes * hessian.matmat(probes)
    movable = probes[0] != 0
    found, noise = samples.mean(dim=0)[movable], samples.var(dim=0)[movable] / len(probes)
    trusted = (1 - noise.mean() / found.var()).nan_to_num(0).clamp(min=0)
    diagonal = torch.zeros_like(probes[0])
    diagonal[movable] = found.mean() + trusted * (found - found.mean())
    return diagonal

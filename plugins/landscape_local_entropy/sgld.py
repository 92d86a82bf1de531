"""Stochastic-gradient Langevin dynamics: mini-batches, no acceptance, and the bias that follows."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.density import SpectralDensity
from landscape.curvature.lanczos import extreme_eigenpairs
from landscape.curvature.lanczos import init as krylov
from landscape.errors import AnalysisError
from landscape.neighbourhood.around import Neighbourhood
from landscape.neighbourhood.hessian import movable, scaled_hessian
from landscape_local_entropy.hmc import Info
from landscape_local_entropy.tilted import State, Streams, Tilted

__all__ = ["init", "largest_curvature", "sgld_bias", "step"]

RTOL, MOST_PRODUCTS = 1e-2, 60  # of the largest eigenvalue: the step is a fraction of its inverse


def init(tilted: Tilted, x: Float[Tensor, "R P"]) -> State:
    """Chains at x. Costs a gradient for each row."""
    return tilted.at(x)


def step(tilted: Tilted, state: State, step_size: Float[Tensor, " R"], streams: Streams) -> tuple[State, Info]:
    """One pass over the data: for each mini-batch x <- x - (ε/2)(β∇ΔL_b + γx) + √ε ξ, then ΔL and its gradient anew.

    Each chain has its own order of the mini-batches. A row that would be no longer finite stays where it is, and that
    is counted. Costs a gradient of the full data for the steps and one for the measurement; with one mini-batch the
    measured gradient is that of the next step, and there is no further one.

    Source: Welling & Teh, Bayesian learning via stochastic gradient Langevin dynamics (2011), at a constant step.
    """
    num_batches = tilted.around.landscape.num_batches
    x, movable_mask = state.x, tilted.around.scales > 0
    epsilon, beta, gamma = (row.to(x)[:, None] for row in (step_size, tilted.beta, tilted.gamma))
    for batches in streams.orders(num_batches).T:
        slope = state.slope if num_batches == 1 else _slopes(tilted.around, x, batches)
        noise = epsilon.sqrt() * streams.normal() * movable_mask
        x = x - epsilon / 2 * (beta * slope + gamma * x) + noise
    end = tilted.at(x)
    finite = end.rise.isfinite() & end.slope.isfinite().all(dim=1)
    return end.where(finite, state), Info(torch.ones_like(end.rise), ~finite)


def _slopes(around: Neighbourhood, x: Float[Tensor, "R P"], batches: Tensor) -> Float[Tensor, "R P"]:
    """∇ΔL of each row on its own mini-batch: a call for each batch that is met."""
    slopes = torch.empty_like(x)
    for batch in sorted(set(batches.tolist())):
        rows = (batches == batch).nonzero()[:, 0].to(x.device)
        slopes[rows] = around.slopes(x[rows], batch)[1]
    return slopes


def largest_curvature(around: Neighbourhood, rng: torch.Generator) -> float:
    """λ_max of the Hessian of ΔL(x) at x = 0, to 1 %, at least 0. Costs 60 products or fewer."""
    start = torch.randn(len(around.scales), generator=rng, dtype=torch.float64).to(around.scales)
    found = extreme_eigenpairs(
        scaled_hessian(around), krylov(start, movable(around)), top=1, bottom=0, rtol=RTOL, max_products=MOST_PRODUCTS
    )
    largest = float(found.top.values[0])
    if not found.top.values.isfinite().all():
        raise AnalysisError(f"{around.point.id}: the Hessian is not finite there; try --dtype float64")
    return max(0.0, largest)


def sgld_bias(density: SpectralDensity, dimension: int, beta: float, gamma: float, step_size: float) -> float:
    """By how much the LLC of Langevin steps of size ε on a bowl exceeds that of the bowl: ½ Σ βλᵢ(1/ãᵢ - 1/aᵢ).

    aᵢ = βλᵢ + γ is the curvature of the exponent and ãᵢ = aᵢ(1 - εaᵢ/4) that of the Gaussian that the steps sample, to
    all orders in ε; the noise of mini-batches comes on top. Exact for a quadratic loss with full gradients.

    Parameters
    ----------
    density
        Of the Hessian of ΔL in x; the mean of its probes is taken.
    dimension
        D, the number of its eigenvalues.

    Raises
    ------
    AnalysisError
        If εa reaches 4, where the steps diverge.
    """
    stiffness = beta * density.nodes + gamma
    counted = density.weights > 0
    if float((step_size * stiffness[counted]).max()) >= 4:
        raise AnalysisError(
            f"steps of {step_size:.3g} diverge where the curvature is {float(stiffness[counted].max()):.3g}; "
            "lower --local-entropy.sgld-step"
        )
    excess = torch.where(counted, beta * density.nodes * step_size / (4 - step_size * stiffness), 0)
    return dimension / 2 * float((density.weights * excess).sum(dim=1).mean())

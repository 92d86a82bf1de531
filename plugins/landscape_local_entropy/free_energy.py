"""Φ(β, γ) from the chains: integrals over ln β and ln γ of what they average."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, expm1, log, sqrt

import numpy as np
import torch
from jaxtyping import Float
from numpy.polynomial import chebyshev
from scipy.optimize import brentq
from torch import Tensor

from landscape.errors import AnalysisError
from landscape.neighbourhood.around import Neighbourhood

__all__ = [
    "Curve",
    "FreeEnergy",
    "Quadrature",
    "along_gamma",
    "free_energy",
    "gamma_nodes",
    "lowest_beta",
    "reference_rises",
    "reweighted",
]

LOWEST_LLC = 0.05  # where the quadrature begins: the reference's own draws still represent the tilted measure there
LOWEST_RATIO = 10.0  # it spans this much of β at least
ROWS = 256


@dataclass(frozen=True, eq=False)
class Quadrature:
    """Clenshaw-Curtis in ln β: nodes at the extrema of a Chebyshev polynomial, both ends among them.

    The curve LLC(ln β) of a bowl is a sum of logistic functions, analytic within π of the real axis, so that the error
    falls geometrically with the number of nodes: 1e-7 of Φ with 16 intervals where 8 leave up to 3e-4.

    Attributes
    ----------
    betas
        The nodes, ascending.
    cumulative
        Row k integrates the interpolating polynomial over d ln β from the first node to node k.
    coarse
        Weights of the rule with every second node, zero elsewhere.

    Source: Trefethen, Is Gauss quadrature better than Clenshaw-Curtis?, SIAM Review 50, 2008.
    """

    betas: Float[np.ndarray, " nodes"]
    cumulative: Float[np.ndarray, "nodes nodes"]
    coarse: Float[np.ndarray, " nodes"]

    @property
    def weights(self) -> Float[np.ndarray, " nodes"]:
        """Those of the whole integral."""
        return self.cumulative[-1]

    @classmethod
    def between(cls, lowest: float, beta: float, intervals: int) -> Quadrature:
        """From one β to another, with an even number of intervals."""
        if intervals < 2 or intervals % 2:
            raise ValueError(f"want an even number of intervals, 2 or more, got {intervals}")
        betas = np.exp(_extrema(log(lowest), log(beta), intervals))
        betas[[0, -1]] = lowest, beta
        half = log(beta / lowest) / 2
        coarse = np.zeros(intervals + 1)
        coarse[::2] = half * _integrals(intervals // 2, since=-1, until=np.ones(1))[0]
        return cls(betas, half * _integrals(intervals, since=-1, until=_extrema(-1, 1, intervals)), coarse)


@dataclass(frozen=True, eq=False)
class FreeEnergy:
    """Φ(β, γ) at one γ.

    Attributes
    ----------
    phi, standard_error
        Φ at the last node; nodes are sampled independently of each other.
    quadrature_error
        |Φ_K - Φ_K/2|: what half the nodes would have added to the error, far more than all of them leave. The noise of
        the nodes is in it too.
    phi_beta, phi_beta_stderr
        Φ up to each node.
    """

    phi: float
    standard_error: float
    quadrature_error: float
    phi_beta: Float[np.ndarray, " nodes"]
    phi_beta_stderr: Float[np.ndarray, " nodes"]


@dataclass(frozen=True, eq=False)
class Curve:
    """Φ(β, γ) at one β.

    Attributes
    ----------
    phi, standard_error
        At each γ.
    quadrature_error
        The largest |Φ_K - Φ_K/2| along the curve, as in ``FreeEnergy``.
    """

    phi: Float[np.ndarray, " nodes"]
    standard_error: Float[np.ndarray, " nodes"]
    quadrature_error: float


def reference_rises(
    around: Neighbourhood, gamma: float, num_draws: int, rng: torch.Generator
) -> Float[Tensor, " draws"]:
    """ΔL at independent draws of the reference measure, x ~ N(0, 1/γ); float64 on the CPU. Costs an energy each.

    Raises
    ------
    AnalysisError
        If ΔL is not finite at some of them.
    """
    scales = around.scales
    rises = []
    for start in range(0, num_draws, ROWS):
        normal = torch.randn(min(ROWS, num_draws - start), len(scales), generator=rng, dtype=torch.float64)
        rises.append(around.rises(normal.to(scales) / sqrt(gamma)).cpu())
    found = torch.cat(rises)
    if bad := int((~found.isfinite()).sum()):
        raise AnalysisError(
            f"{around.point.id}: the loss is not finite at {bad} of {num_draws} random points at distance 1/√gamma per "
            f"coordinate; take a gamma above {gamma:g}"
        )
    return found


def lowest_beta(rises: Float[Tensor, " draws"], beta: float) -> float:
    """β_min <= β/10, where the quadrature begins: where β⟨|ΔL|⟩_β is .05, or β/10 if that is lower.

    By reweighting a few hundred exact draws of the reference. The absolute value counts what is below the point too;
    heavy tails of ΔL do no harm, as the tilted measure has none.
    """
    scale = float(rises.abs().mean())
    upper = beta / LOWEST_RATIO

    def excess(log_beta: float) -> float:
        weights = torch.softmax(-exp(log_beta) * rises, dim=0)
        return float(exp(log_beta) * (weights * rises.abs()).sum()) - LOWEST_LLC

    if not scale or excess(log(upper)) <= 0:
        return upper
    lower = log(min(LOWEST_LLC / scale, upper))
    while excess(lower) > 0:  # draws below the point weigh more than the others
        lower -= 1
    return exp(brentq(excess, lower, log(upper))) if lower < log(upper) else upper


def reweighted(rises: Float[Tensor, " draws"], beta: float) -> tuple[float, float]:
    """Φ(β, γ) = ln E_ref exp(-βΔL) and its standard error, from draws of the reference: right where β is small.

    Where ΔL >= 0 the exponential is bounded, so that heavy tails of ΔL leave neither bias nor noise. (An expansion in
    cumulants at β_min is 16 % of Φ off for the loss (w₁w₂)⁶.)
    """
    count = len(rises)
    value = float(torch.logsumexp(-beta * rises, dim=0)) - log(count)
    square = float(torch.logsumexp(-2 * beta * rises, dim=0)) - log(count)
    return value, sqrt(max(0.0, expm1(square - 2 * value)) / (count - 1))


def free_energy(
    quadrature: Quadrature, llc: Sequence[float], errors: Sequence[float], lowest: tuple[float, float]
) -> FreeEnergy:
    """Φ(β, γ) = Φ(β_min, γ) - ∫ LLC d ln β.

    Parameters
    ----------
    llc, errors
        β⟨ΔL⟩ at each node and its standard error.
    lowest
        Φ at the first node and its standard error: see ``reweighted``.
    """
    values, variances = np.asarray(llc, dtype=float), np.square(np.asarray(errors, dtype=float))
    phi = lowest[0] - quadrature.cumulative @ values
    stderr = np.sqrt(lowest[1] ** 2 + np.square(quadrature.cumulative) @ variances)
    difference = abs(float((quadrature.weights - quadrature.coarse) @ values))
    return FreeEnergy(float(phi[-1]), float(stderr[-1]), difference, phi, stderr)


def gamma_nodes(gamma: float, span: float, count: int) -> tuple[float, ...]:
    """γ of the curve, ascending: extrema of a Chebyshev polynomial in ln γ, the given γ in the middle."""
    if count == 1:
        return (gamma,)
    nodes = np.exp(_extrema(log(gamma / span), log(gamma * span), count - 1))
    nodes[count // 2] = gamma
    return tuple(nodes.tolist())


def along_gamma(
    gammas: Sequence[float],
    slopes: Sequence[float],
    errors: Sequence[float],
    middle: tuple[float, float],
    wanted: Sequence[float] | None = None,
) -> Curve:
    """Φ at all γ from that at the middle one: ∂Φ/∂ln γ = (β/2)⟨x·∇ΔL⟩, integrated as its interpolating polynomial.

    The other form of the slope, D/2 - γ⟨|x|²⟩/2, is a small difference of large numbers.

    Parameters
    ----------
    gammas
        From ``gamma_nodes``.
    slopes, errors
        (β/2)⟨x·∇ΔL⟩ at each and its standard error.
    middle
        Φ at the middle γ and its standard error. It is taken to be independent of the slopes: the one node that both
        know counts next to nothing in Φ.
    wanted
        The γ of the curve, between the first and the last node; the nodes by default.
    """
    values, variances = np.asarray(slopes, dtype=float), np.square(np.asarray(errors, dtype=float))
    if len(gammas) == 1:
        return Curve(np.array([middle[0]]), np.array([middle[1]]), 0.0)
    intervals, half = len(gammas) - 1, log(gammas[-1] / gammas[0]) / 2
    ends = np.log(np.asarray(gammas if wanted is None else wanted) / gammas[intervals // 2]) / half
    weights = half * _integrals(intervals, since=0, until=ends)
    coarse = half * _integrals(intervals // 2, since=0, until=ends) @ values[::2]
    phi = weights @ values
    stderr = np.sqrt(middle[1] ** 2 + np.square(weights) @ variances)
    return Curve(middle[0] + phi, stderr, float(np.abs(phi - coarse).max()))


def _extrema(low: float, high: float, intervals: int) -> Float[np.ndarray, " nodes"]:
    """The extrema of the Chebyshev polynomial of that degree, on [low, high], ascending."""
    return (low + high) / 2 - (high - low) / 2 * np.cos(np.pi * np.arange(intervals + 1) / intervals)


def _integrals(intervals: int, since: float, until: Float[np.ndarray, " ends"]) -> Float[np.ndarray, "ends nodes"]:
    """Weights of the integrals of the polynomial through values at the extrema on [-1, 1]."""
    integrals = chebyshev.chebval(until, chebyshev.chebint(np.eye(intervals + 1), lbnd=since))
    return integrals.T @ np.linalg.inv(chebyshev.chebvander(_extrema(-1, 1, intervals), intervals))

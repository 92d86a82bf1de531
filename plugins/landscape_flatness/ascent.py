"""By how much the loss of a few samples can be raised within a ball around the weights."""

from __future__ import annotations

from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.errors import AnalysisError, UsageError
from landscape.labels import number
from landscape.landscapes.protocol import Landscape
from landscape.neighbourhood.around import Neighbourhood
from landscape.parameters import Point
from landscape_flatness.cost import counted
from landscape_flatness.measure import Found, Measure
from landscape_flatness.options import FlatnessOptions
from landscape_flatness.perturbation import adaptive_neighbourhood

__all__ = [
    "ADAPTIVE_WORST_CASE_SHARPNESS",
    "WORST_CASE_SHARPNESS",
    "adaptive_worst_case_sharpness",
    "highest_rises",
    "worst_case_sharpness",
]

WORST_CASE_SHARPNESS = Measure(
    "worst_case_sharpness",
    "max of L_b(w + δ) - L_b(w) over |δ| <= rho |w|, a lower bound; mean over mini-batches b (Foret et al. 2021)",
    invariant=False,
)
ADAPTIVE_WORST_CASE_SHARPNESS = Measure(
    "adaptive_worst_case_sharpness",
    "max of L_b(w + δ) - L_b(w) over |δ/|w|| <= adaptive_rho, a lower bound; mean over b (Kwon et al. 2021)",
    invariant=True,
)

_NEAR = 1e-3  # of the radius: how far from w, where the gradient may vanish, the first ascent begins
_FIRST_LENGTH = 4.0  # radii: the first steps reach the sphere from anywhere in the ball
_SETTLED = 0.05  # of a rise: what the last quarter of the steps may add to it without a word
_USUAL = 128  # samples of the mini-batches that worst cases are usually looked for on
_ALIKE = 0.1  # of a rise: how far apart two ascents may end without a word


def worst_case_sharpness(landscape: Landscape, point: Point, options: FlatnessOptions, seed: int) -> Found:
    """The mean over mini-batches of the highest L_b(w + δ) - L_b(w) found in the ball |δ| <= ``rho`` |w|.

    The standard error is that over mini-batches; None with one. On a quadratic without slope it is ρ²/2 λ_max. Costs
    2 ``ascent_steps`` + 3 gradients.

    Raises
    ------
    AnalysisError
        If the loss is not finite somewhere on the way.
    UsageError
        If all weights are zero: the ball has no extent.
    """
    around = Neighbourhood.of(landscape, point)
    norm = float(torch.linalg.vector_norm(around.point.vector, dtype=torch.float64))
    if norm == 0:
        raise UsageError(f"{point.id}: all weights are zero, and so is the ball of radius rho |w|: take another point")
    return _mean_over_batches(WORST_CASE_SHARPNESS, around, options.rho * norm, options, seed)


def adaptive_worst_case_sharpness(landscape: Landscape, point: Point, options: FlatnessOptions, seed: int) -> Found:
    """The mean over mini-batches of the highest L_b(w + |w|∘x) - L_b(w) found in the ball |x| <= ``adaptive_rho``.

    Standard error, cost and errors as those of ``worst_case_sharpness``.
    """
    around = adaptive_neighbourhood(landscape, point)
    return _mean_over_batches(ADAPTIVE_WORST_CASE_SHARPNESS, around, options.adaptive_rho, options, seed)


def _mean_over_batches(
    measure: Measure, around: Neighbourhood, radius: float, options: FlatnessOptions, seed: int
) -> Found:
    spent = counted(around.landscape.work)
    starts = _starts(around, radius, seed)
    batches = range(around.landscape.num_batches)
    found = torch.stack([highest_rises(around, starts, radius, options.ascent_steps, batch) for batch in batches]).cpu()
    if not found.isfinite().all():
        raise AnalysisError(
            f"{measure.name}: the loss is not finite within radius {number(radius)}: lower --flatness.rho or "
            "--flatness.adaptive-rho"
        )
    rises = found.amax(dim=2)
    highest = rises[:, -1]
    error = float(highest.std()) / sqrt(len(highest)) if len(highest) > 1 else None
    ends = found[:, -1].mean(dim=0)
    messages = _batch_size(around.landscape), _unsettled(measure, rises), _apart(measure, ends)
    return Found(measure, float(highest.mean()), error, spent(), tuple(filter(None, messages)))


def _starts(around: Neighbourhood, radius: float, seed: int) -> Float[Tensor, "2 P"]:
    """Where the ascents begin: next to w, so that the first step follows the gradient, and somewhere on the sphere.

    Both directions are random in the coordinates that can move, and the same for all points of one dimension.
    """
    rng = torch.Generator().manual_seed(seed)
    z = torch.stack([torch.randn(len(around.scales), generator=rng, dtype=torch.float64) for _ in range(2)])
    z = _unit(z.to(around.scales) * (around.scales > 0))
    return z * z.new_tensor([[_NEAR * radius], [radius]])


def highest_rises(
    around: Neighbourhood, starts: Float[Tensor, "K P"], radius: float, num_steps: int, batch: int
) -> Float[Tensor, "steps K"]:
    """The highest L_b(w + s∘x) - L_b(w) found in the ball |x| <= radius up to each step of K ascents, not below zero.

    Each step goes a length along the gradient and back to the nearest point of the ball. A step that does not rise is
    taken back and halves the length. For a convex loss, whose maximum lies on the sphere, this is a shifted power
    iteration. Not finite once the loss was not. Costs K (``num_steps`` + 1) + 1 gradients on the batch.
    """
    level, _ = around.slopes(torch.zeros_like(starts[:1]), batch)
    places = starts
    heights, slopes = around.slopes(places, batch)
    lengths = torch.full_like(places[:, :1], _FIRST_LENGTH * radius)
    highest = []
    for _ in range(num_steps):
        ahead = _in_ball(places + lengths * _unit(slopes), radius)
        found, found_slopes = around.slopes(ahead, batch)
        higher = (found > heights)[:, None]
        places, slopes = torch.where(higher, ahead, places), torch.where(higher, found_slopes, slopes)
        lengths = torch.where(higher, lengths, lengths / 2)
        heights = torch.maximum(heights, found)
        highest.append(heights)
    return (torch.stack(highest) - level).clamp_min(0.0)


def _unit(vectors: Float[Tensor, "K P"]) -> Float[Tensor, "K P"]:
    norms = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    return vectors / norms.clamp_min(torch.finfo(vectors.dtype).tiny)


def _in_ball(places: Float[Tensor, "K P"], radius: float) -> Float[Tensor, "K P"]:
    """The nearest points of the ball."""
    norms = torch.linalg.vector_norm(places, dim=1, keepdim=True)
    return places * (radius / norms.clamp_min(radius))


def _batch_size(landscape: Landscape) -> str:
    """Says so where the mini-batches that the data are kept in are far from the usual m."""
    if landscape.info.samples is None:
        return ""
    size = round(landscape.info.samples / landscape.num_batches)
    if _USUAL / 2 <= size <= 2 * _USUAL:
        return ""
    return (
        f"worst cases are those of mini-batches of {size} samples, as the data are kept; m is usually {_USUAL}, which "
        f"--batch-size {_USUAL} gives"
    )


def _unsettled(measure: Measure, rises: Float[Tensor, "batches steps"]) -> str:
    """Says so where the last steps still found something higher."""
    means = rises.mean(dim=0).tolist()
    before = means[-1 - -(-len(means) // 4)] if len(means) > 1 else 0.0
    if means[-1] - before <= _SETTLED * means[-1]:
        return ""
    return (
        f"{measure.name}: the last quarter of the steps found {1 - before / means[-1]:.0%} of it, so that the bound is "
        "loose: raise --flatness.ascent-steps"
    )


def _apart(measure: Measure, ends: Float[Tensor, " starts"]) -> str:
    """Says so where the ascents ended at different heights."""
    first, second = ends.tolist()
    if abs(first - second) <= _ALIKE * max(first, second):
        return ""
    return (
        f"{measure.name}: ascents along the gradient and from a random place end at {number(first)} and "
        f"{number(second)} in the mean: there are several maxima, and the highest may not be among them"
    )

"""Curves through parameter space that a few control points fix: points on them, and one fitted to a polyline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from landscape.landscapes.protocol import Landscape
from landscape.paths import points_at

__all__ = ["Family", "across", "fitted", "knots_of", "point_at", "weights_of"]

_SAMPLES = 65  # of a polyline that a curve is fitted to
_BESIDE = 1e-3  # of the time of a curve: how far to either side its direction is taken


@dataclass(frozen=True)
class Family:
    """What tells one kind of curve from another: theta(t) = sum_k w_k(t) c_k, which runs from c_0 to c_{m-1}.

    Attributes
    ----------
    weights
        ``w_0(t), ..., w_{m-1}(t)`` of ``m`` control points, from t and m.
    times
        Where on a curve of ``m`` control points the knots of its polyline are, from 0 to 1.
    """

    weights: Callable[[float, int], Sequence[float]]
    times: Callable[[int], Sequence[float]]


def point_at(landscape: Landscape, controls: Tensor, weights: Sequence[float]) -> Tensor:
    """The point of the curve with these weights, shape ``(1, P)``, put back on the space where that is curved."""
    point = controls[:1] * weights[0]
    for control, weight in zip(controls[1:], weights[1:], strict=True):
        point = torch.add(point, control, alpha=weight)
    return landscape.project(point)


def weights_of(family: Family, times: Sequence[float], controls: int) -> Tensor:
    """The weights at these times, shape ``(n, m)``, float64, on the CPU."""
    return torch.tensor([list(family.weights(time, controls)) for time in times], dtype=torch.float64)


def knots_of(landscape: Landscape, family: Family, controls: Tensor) -> Tensor:
    """The polyline that stands for the curve, its ends exact."""
    weights = weights_of(family, family.times(len(controls))[1:-1], len(controls)).to(controls)
    return torch.cat([controls[:1], landscape.project(weights @ controls), controls[-1:]])


def across(landscape: Landscape, family: Family, controls: Tensor, time: float, gradient: Tensor) -> Tensor:
    """The part of a gradient, shape ``(1, P)``, that is perpendicular to the curve at this time."""
    around = weights_of(family, [max(0.0, time - _BESIDE), min(1.0, time + _BESIDE)], len(controls))
    before, after = landscape.project(around.to(controls) @ controls)
    along = torch.nn.functional.normalize(after - before, dim=0)
    return gradient - (gradient @ along)[:, None] * along


def fitted(landscape: Landscape, family: Family, knots: Tensor, free: int) -> Tensor:
    """Control points, shape ``(free + 2, P)``, of the curve nearest to a polyline, by least squares; the ends are kept.

    Compared are points at equal arc lengths and, as a curve's own knots are not evenly spread over its length, the
    knots at equal parameters; the closer fit is taken.
    """
    even = torch.linspace(0, 1, _SAMPLES, dtype=torch.float64)
    fits = [_fit(family, knots[[0, -1]], points_at(landscape, knots, even), even, free)]
    if len(knots) > free + 2:
        fits.append(_fit(family, knots[[0, -1]], knots, torch.linspace(0, 1, len(knots), dtype=torch.float64), free))
    return min(fits, key=lambda fit: fit[0])[1]


def _fit(family: Family, ends: Tensor, points: Tensor, times: Tensor, free: int) -> tuple[float, Tensor]:
    """Root-mean-square distance of the best curve to points wanted at these times; its control points."""
    weights = weights_of(family, times.tolist(), free + 2)
    rest = points - weights[:, [0, -1]].to(points) @ ends
    inner = torch.linalg.pinv(weights[:, 1:-1]).to(points) @ rest
    missed = (weights[:, 1:-1].to(points) @ inner - rest).square().sum(1).mean().sqrt()
    return float(missed), torch.cat([ends[:1], inner, ends[1:]])

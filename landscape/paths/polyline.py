"""Polylines in parameter space: arc length, points on them, tangents at their knots."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.landscapes.protocol import Landscape

__all__ = ["improved_tangents", "knot_times", "path_length", "points_at", "resampled", "straight"]

_KNOTS_ON_CURVED_SPACE = 33
_NUDGE, _JUMP = 1e-6, 1e-2


def _segment_lengths(knots: Float[Tensor, "m P"]) -> Float[Tensor, " s"]:
    return torch.linalg.vector_norm(knots.diff(dim=0), dim=1, dtype=torch.float64)


def path_length(knots: Float[Tensor, "m P"]) -> float:
    """Euclidean length of the polyline through the knots, summed in float64."""
    return float(_segment_lengths(knots).sum())


def knot_times(knots: Float[Tensor, "m P"]) -> Float[Tensor, " m"]:
    """Normalised arc length of each knot, float64, exactly 0 to exactly 1; evenly spread if all knots coincide."""
    lengths = _segment_lengths(knots)
    reached = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    if reached[-1] == 0:
        return torch.linspace(0, 1, len(knots), dtype=torch.float64, device=knots.device)
    return reached / reached[-1]


def points_at(landscape: Landscape, knots: Float[Tensor, "m P"], times: Float[Tensor, " n"]) -> Float[Tensor, "n P"]:
    """Points of the polyline at normalised arc lengths, put back on the space where that is curved.

    At the time of a knot the result is that knot, to the bit on a flat space.
    """
    reached = knot_times(knots)
    times = times.to(reached)
    segment = (torch.searchsorted(reached, times, right=True) - 1).clamp(0, len(knots) - 2)
    start, width = reached[segment], reached.diff()[segment]
    weight = ((times - start) / torch.where(width > 0, width, 1.0)).to(knots.dtype)
    return landscape.project(torch.lerp(knots[segment], knots[segment + 1], weight[:, None]))


def resampled(landscape: Landscape, knots: Float[Tensor, "m P"], times: Float[Tensor, " n"]) -> Float[Tensor, "n P"]:
    """New knots at these normalised arc lengths, from 0 to 1; the ends are kept to the bit."""
    return torch.cat([knots[:1], points_at(landscape, knots, times[1:-1]), knots[-1:]])


def improved_tangents(knots: Float[Tensor, "m P"], energies: Float[Tensor, " m"]) -> Float[Tensor, "images P"]:
    """Unit tangents at the ``m - 2`` inner knots, taken uphill.

    On a slope the tangent points to the higher neighbour; at an extremum both segments count, weighted by the energy
    differences so that the tangent turns smoothly [1]_: the segment to the higher neighbour carries the larger one.

    References
    ----------
    .. [1] Henkelman and Jónsson, J. Chem. Phys. 113, 9978 (2000), eqs. 8-11.
    """
    backward, forward = knots[1:-1] - knots[:-2], knots[2:] - knots[1:-1]
    before, here, after = energies[:-2], energies[1:-1], energies[2:]
    rises = (after > here) & (here > before)
    falls = (after < here) & (here < before)
    steps = torch.stack([(after - here).abs(), (before - here).abs()])
    larger, smaller = steps.amax(0), steps.amin(0)
    uphill = after > before
    along = torch.where(rises, 1.0, torch.where(falls, 0.0, torch.where(uphill, larger, smaller)))
    back = torch.where(rises, 0.0, torch.where(falls, 1.0, torch.where(uphill, smaller, larger)))
    level = (along == 0) & (back == 0)
    along, back = torch.where(level, 1.0, along), torch.where(level, 1.0, back)
    tangents = along[:, None].to(knots.dtype) * forward + back[:, None].to(knots.dtype) * backward
    return torch.nn.functional.normalize(tangents, dim=1, eps=1e-30)


def straight(
    landscape: Landscape, a: Float[Tensor, " P"], b: Float[Tensor, " P"], rng: torch.Generator
) -> Float[Tensor, "m P"]:
    """Knots of the straight line from ``a`` to ``b``: two on a flat space, 33 on a geodesic of a curved one.

    The geodesic comes from projecting midpoints again and again. Where the projection of the midpoint is not defined
    (between antipodes of a sphere all great circles are equally short) it leaves ``a`` in a direction drawn from
    ``rng``.
    """
    middle = (a + b) / 2
    if torch.equal(landscape.project(middle[None])[0], middle):
        return torch.stack([a, b])
    knots = torch.stack([a, _geodesic_midpoint(landscape, a, b, rng), b])
    while len(knots) < _KNOTS_ON_CURVED_SPACE:
        between = landscape.project((knots[:-1] + knots[1:]) / 2)
        halved = torch.stack([knots[:-1], between], dim=1).reshape(-1, len(a))
        knots = torch.cat([halved, knots[-1:]])
    return knots


def _geodesic_midpoint(
    landscape: Landscape, a: Float[Tensor, " P"], b: Float[Tensor, " P"], rng: torch.Generator
) -> Float[Tensor, " P"]:
    """The projected midpoint, unless a nudge of it sends the projection elsewhere: then one in a random direction."""
    middle, size = (a + b) / 2, torch.linalg.vector_norm(b - a)
    noise = torch.randn(len(a), generator=rng, dtype=torch.float64).to(a)
    aside = torch.nn.functional.normalize(landscape.tangent(a, noise), dim=0)
    trial = landscape.project(torch.stack([middle, middle + _NUDGE * size * aside, middle + size / 2 * aside]))
    jump = torch.linalg.vector_norm(trial[1] - trial[0])
    return trial[0] if jump <= _JUMP * size else trial[2]

"""Beads on a polyline: where it rises above a level, more of them, and their way down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from landscape.landscapes.protocol import Landscape
from landscape.paths import Search, energies_along, energies_of, gradients_of, knot_times, path_length, points_at
from landscape_finders.optimisers import Moments, adam

__all__ = ["Beads", "Descent", "descended", "divided", "examined", "strung"]

_STEPS = 25  # between two measurements of the beads on the full data
_MEASUREMENTS = 8  # before beads that did pass go on without those that did not
_DEEP, _SLOW = 0.5, 0.05  # of the level: a bead below it is left alone if this low, or if it falls by less


@dataclass(frozen=True, eq=False)
class Beads:
    """A polyline through beads and what is known of the energy along it.

    Attributes
    ----------
    knots
        The beads with both ends, shape ``(m, P)``.
    energies
        Their full-data energies, shape ``(m,)``.
    tops, places
        The highest energy met inside each segment and the share of the segment before it, shape ``(m - 1,)``; NaN where
        an end of the segment has moved since.
    depths
        How many divisions each segment comes from, shape ``(m - 1,)``.
    """

    knots: Tensor
    energies: Tensor
    tops: Tensor
    places: Tensor
    depths: Tensor

    @property
    def barrier(self) -> float:
        """Highest energy met over the higher end; NaN where a segment is not examined."""
        return float(torch.cat([self.energies, self.tops]).max() - self.floor)

    @property
    def floor(self) -> float:
        """The energy of the higher end: what levels are counted from."""
        return float(self.energies[[0, -1]].max())

    @property
    def normalised_length(self) -> float:
        """Length of the polyline over the distance of its ends."""
        return path_length(self.knots) / path_length(self.knots[[0, -1]])

    def above(self, level: float) -> Tensor:
        """Which beads are above the floor by more than the level, shape ``(m,)``; the ends are not asked."""
        high = self.energies > self.floor + level
        high[[0, -1]] = False
        return high


def strung(knots: Tensor) -> Search[Beads]:
    """Beads on these knots, no segment examined. Costs one energy each."""
    energies = yield from energies_of(knots)
    unknown = energies.new_full((len(knots) - 1,), torch.nan)
    return Beads(knots, energies, unknown, unknown, torch.zeros(len(knots) - 1, dtype=torch.int64))


def examined(landscape: Landscape, beads: Beads, which: Tensor, inside: int) -> Search[Beads]:
    """The beads with these segments measured at ``inside`` points each, on the full data."""
    if not which.any():
        return beads
    reached = knot_times(beads.knots).cpu()
    parts = torch.arange(1, inside + 1, dtype=torch.float64) / (inside + 1)
    times = reached[:-1][which, None] + reached.diff()[which, None] * parts
    energies = yield from energies_along(landscape, beads.knots, times.reshape(-1))
    highest, place = energies.reshape(times.shape).max(1)
    return replace(
        beads,
        tops=beads.tops.masked_scatter(which, highest),
        places=beads.places.masked_scatter(which, parts[place]),
    )


def divided(landscape: Landscape, beads: Beads, which: Tensor) -> Beads:
    """The beads with a new one at the highest point of each of these segments."""
    if not which.any():
        return beads
    reached = knot_times(beads.knots).cpu()
    times = (reached[:-1] + reached.diff() * beads.places)[which]
    order = torch.cat([torch.arange(len(beads.knots)), which.nonzero()[:, 0] + 0.5]).argsort()
    parts = 1 + which.long()
    return Beads(
        knots=torch.cat([beads.knots, points_at(landscape, beads.knots, times)])[order],
        energies=torch.cat([beads.energies, beads.tops[which]])[order],
        tops=beads.tops.masked_fill(which, torch.nan).repeat_interleave(parts),
        places=beads.places.masked_fill(which, torch.nan).repeat_interleave(parts),
        depths=(beads.depths + which).repeat_interleave(parts),
    )


@dataclass(frozen=True, eq=False)
class Descent:
    """How beads descend.

    Attributes
    ----------
    batch
        The mini-batch of a step.
    rate
        The learning rate after so many gradient evaluations.
    max_gradients
        The budget.
    """

    batch: Callable[[int], int]
    rate: Callable[[int], float]
    max_gradients: int


def descended(
    landscape: Landscape, beads: Beads, level: float, descent: Descent, step: int, spent: int
) -> Search[tuple[Beads, int, int, int]]:
    """The beads that are above the level trained until they are not; then steps, gradients and energies spent.

    All that are above it move at once, by Adam on mini-batches, and are measured on the full data from time to time. A
    bead moves in the hyperplane across the chord between its neighbours as they were: every path crosses that
    somewhere, the lowest one no higher than its barrier, so a bead has no need to slide along the path into a minimum
    (a variant that Freeman and Bruna propose). It is left alone half-way below the level, or once it is below the level
    and hardly falls any more. Those that stay above are given up for now after some time.
    """
    rows = beads.above(level).nonzero()[:, 0]
    points, chords = beads.knots[rows], beads.knots[rows + 1] - beads.knots[rows - 1]
    moments, measured = Moments.none(points), 0
    knots, energies, tops = beads.knots.clone(), beads.energies.clone(), beads.tops.clone()
    tops[rows] = tops[rows - 1] = torch.nan
    for _ in range(_MEASUREMENTS):
        steps = min(_STEPS, (descent.max_gradients - spent) // len(rows))
        for _ in range(steps):
            _, gradients = yield from gradients_of(points, descent.batch(step))
            direction, moments = adam(_across(landscape, points, chords, gradients), moments)
            move = _across(landscape, points, chords, landscape.tangent(points, direction))
            points = landscape.project(points + descent.rate(spent) * move)
            step, spent = step + 1, spent + len(rows)
        now = yield from energies_of(points)
        measured += len(rows)
        fall, height = energies[rows] - now, now - beads.floor
        knots[rows], energies[rows] = points, now
        moving = ~((height <= _DEEP * level) | (height <= level) & (fall <= _SLOW * level))
        if not moving.any() or spent + int(moving.sum()) > descent.max_gradients:
            break
        rows, points, chords = rows[moving], points[moving], chords[moving]
        moments = replace(moments, first=moments.first[moving], second=moments.second[moving])
    return replace(beads, knots=knots, energies=energies, tops=tops), step, spent, measured


def _across(landscape: Landscape, points: Tensor, chords: Tensor, vectors: Tensor) -> Tensor:
    """Vectors without their part along the chords."""
    along = torch.nn.functional.normalize(landscape.tangent(points, chords), dim=1)
    return vectors - (vectors * along).sum(1, keepdim=True) * along

"""Where a string needs another image."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["at_top", "by_excess"]

_EXCESS = 0.1  # of the range of energies over the images: Draxler et al. 2018


def by_excess(times: Tensor, energies: Tensor, inside: int, most: int = 2) -> Tensor:
    """Times of at most ``most`` new images: the points that stand highest over the chord between their segment's ends.

    Takes the dense evaluation of a polyline, knots and ``inside`` points between each two. A point counts if its
    excess is over a tenth of the range of the energies at the knots; each segment offers one.
    """
    excess, place = _above_chords(energies, inside).max(1)
    knots = energies[:: inside + 1]
    worst = excess.argsort(descending=True)[:most]
    worst = worst[excess[worst] > _EXCESS * (knots.max() - knots.min())]
    return times[worst * (inside + 1) + place[worst]]


def at_top(times: Tensor, energies: Tensor, inside: int, most: int = 2) -> Tensor:
    """As ``by_excess``, but the highest point of the whole path comes first, however little it stands over its chord.

    So the images gather around the barrier, where alone the shape of the path matters.
    """
    top = int(energies.argmax())
    if top % (inside + 1) == 0:
        return by_excess(times, energies, inside, most)
    others = by_excess(times, energies, inside, most)
    segment = torch.div(torch.searchsorted(times, others), inside + 1, rounding_mode="floor")
    others = others[segment != top // (inside + 1)]
    return torch.cat([times[top : top + 1], others])[:most]


def _above_chords(energies: Tensor, inside: int) -> Tensor:
    """Energies over the chord between the ends of their segment, shape ``(segments, inside + 1)``."""
    knots = energies[:: inside + 1]
    parts = torch.arange(inside + 1, dtype=energies.dtype) / (inside + 1)
    return energies[:-1].reshape(-1, inside + 1) - (knots[:-1, None] + knots.diff()[:, None] * parts)

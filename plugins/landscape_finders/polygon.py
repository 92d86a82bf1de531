"""A polygon between two minima: Garipov et al., Loss Surfaces, Mode Connectivity, and Fast Ensembling, 2018."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from landscape.analysis import Context
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point
from landscape.paths import Path
from landscape_finders.curve import Family
from landscape_finders.curve_search import CurveSearch, curves
from landscape_finders.options_curve import CurveOptions
from landscape_finders.searching import MiniBatches

__all__ = ["POLYGON", "find", "hats"]


def hats(time: float, controls: int) -> list[float]:
    """The weights that run along the chain of control points, each of its segments in equal time."""
    place = time * (controls - 1)
    return [max(0.0, 1 - abs(place - k)) for k in range(controls)]


def _bends(controls: int) -> list[float]:
    return [k / (controls - 1) for k in range(controls)]


POLYGON = Family(hats, _bends)


def find(
    landscape: Landscape,
    pairs: Sequence[Sequence[Point]],
    options: CurveOptions | None = None,
    *,
    context: Context | None = None,
) -> Iterator[tuple[int, Path | Exception]]:
    """A low polygon between each pair, at most ``max_gradients`` gradient evaluations each.

    Each step moves the bends down the gradient of one point of the polygon on one mini-batch, which all pairs share.
    What falls is the mean of the loss along the polygon. About 250 energies each.
    """
    context = context or Context()
    search = CurveSearch(POLYGON, options or CurveOptions(), MiniBatches(landscape.num_batches, context.seed))
    return curves(landscape, pairs, context, search)

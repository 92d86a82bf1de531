"""A Bezier curve between two minima: Garipov et al., Loss Surfaces, Mode Connectivity, and Fast Ensembling, 2018."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import comb

from landscape.analysis import Context
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point
from landscape.paths import Path
from landscape_finders.curve import Family
from landscape_finders.curve_search import CurveSearch, curves
from landscape_finders.options_curve import CurveOptions
from landscape_finders.searching import MiniBatches

__all__ = ["BEZIER", "bernstein", "find"]

_SEGMENTS = 8  # of the polyline, for each degree of the curve


def bernstein(time: float, controls: int) -> list[float]:
    """The Bernstein polynomials C(n, k) t^k (1 - t)^(n - k), k = 0, ..., n, for n + 1 control points."""
    n = controls - 1
    return [comb(n, k) * time**k * (1 - time) ** (n - k) for k in range(controls)]


def _evenly(controls: int) -> list[float]:
    segments = _SEGMENTS * (controls - 1)
    return [k / segments for k in range(segments + 1)]


BEZIER = Family(bernstein, _evenly)


def find(
    landscape: Landscape,
    pairs: Sequence[Sequence[Point]],
    options: CurveOptions | None = None,
    *,
    context: Context | None = None,
) -> Iterator[tuple[int, Path | Exception]]:
    """A low Bezier curve between each pair, at most ``max_gradients`` gradient evaluations each.

    Each step moves the free control points down the gradient of one point of the curve on one mini-batch, which all
    pairs share. What falls is the mean of the loss along the curve. The result is a polyline of 8 segments for each
    degree, evenly spread over the parameter; about 250 energies each.
    """
    context = context or Context()
    search = CurveSearch(BEZIER, options or CurveOptions(), MiniBatches(landscape.num_batches, context.seed))
    return curves(landscape, pairs, context, search)

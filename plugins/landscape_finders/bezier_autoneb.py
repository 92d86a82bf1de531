"""The default finder: a Bezier curve, and a growing string from it where the curve is not low enough."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from landscape.analysis import Context
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point
from landscape.paths import Path, Search, resampled
from landscape_finders.autoneb import string_search
from landscape_finders.bezier import BEZIER
from landscape_finders.curve_search import CurveSearch, bent
from landscape_finders.options import AutonebOptions, BezierAutonebOptions
from landscape_finders.options_curve import CurveOptions
from landscape_finders.search import grown
from landscape_finders.searching import Beginning, MiniBatches, beginning, each_pair
from landscape_finders.string import is_packed

__all__ = ["find"]

_CONNECTED = 0.01  # of the straight line's barrier


def find(
    landscape: Landscape,
    pairs: Sequence[Sequence[Point]],
    options: BezierAutonebOptions | None = None,
    *,
    context: Context | None = None,
) -> Iterator[tuple[int, Path | Exception]]:
    """A low path between each pair, at most ``max_gradients`` gradient evaluations each.

    A curve with a free point finds the valley of a network for a fraction of what a string takes, and often no more
    is needed; a string bends as it must, and finds the saddle. All pairs advance together.
    """
    options, context = options or BezierAutonebOptions(), context or Context()
    batches = MiniBatches(landscape.num_batches, context.seed)

    def of_pair(between: Landscape, a: Point, b: Point, task: Context) -> Search[Path]:
        begin = yield from beginning(between, a, b, task, options.tolerance)
        return begin.answer or (yield from _searched(between, begin, options, batches, task))

    return each_pair(landscape, pairs, context, of_pair)


def _searched(
    landscape: Landscape, begin: Beginning, options: BezierAutonebOptions, batches: MiniBatches, task: Context
) -> Search[Path]:
    level = _CONNECTED * begin.line.barrier if options.connected_below is None else options.connected_below
    if not begin.given and not is_packed(task.load(), options.max_gradients):
        curve = yield from _curve(landscape, begin, options, batches, task)
        low = curve.barrier <= _enough(begin, level, options) and curve.bracket <= begin.tolerance
        if low and not options.climb:
            text = _connected("a curve", curve, begin, level, options)
            return replace(curve, converged=True, budget_spent=False, messages=(text,))
        begin = _curved(landscape, begin, curve, options)
    string = AutonebOptions(
        max_gradients=options.max_gradients,
        climb=options.climb,
        connected_below=options.connected_below,
        tolerance=begin.tolerance,
        images=options.images,
    )
    path = yield from grown(landscape, begin, string_search(string, batches), task)
    if path.converged or options.climb or path.barrier > level or path.bracket > begin.tolerance:
        return path
    text = _connected("curve and string", path, begin, level, options)
    return replace(path, converged=True, messages=(text, *path.messages))


def _curved(landscape: Landscape, begin: Beginning, curve: Path, options: BezierAutonebOptions) -> Beginning:
    """Where the string begins: a few images on the curve, which is the answer unless they find a lower path."""
    return replace(
        begin,
        knots=resampled(landscape, curve.points, torch.linspace(0, 1, options.images + 2, dtype=torch.float64)),
        given=True,
        path=curve,
        gradient_evaluations=curve.gradient_evaluations,
        energy_evaluations=curve.energy_evaluations,
    )


def _enough(begin: Beginning, level: float, options: BezierAutonebOptions) -> float:
    """The barrier at which a curve is left as it is: where nobody said, it may not rise above twice the higher end."""
    if options.connected_below is not None:
        return level
    return max(min(level, float(begin.line.energies[[0, -1]].max())), begin.tolerance)


def _curve(
    landscape: Landscape, begin: Beginning, options: BezierAutonebOptions, batches: MiniBatches, task: Context
) -> Search[Path]:
    """The best curve of its share of the budget; not even one step of it may fit."""
    bending = CurveOptions(
        max_gradients=max(1, int(options.curve_share * options.max_gradients)),
        connected_below=options.connected_below,
        tolerance=begin.tolerance,
        free_points=options.free_points,
    )
    return bent(landscape, begin, CurveSearch(BEZIER, bending, batches), task)


def _connected(by: str, path: Path, begin: Beginning, level: float, options: BezierAutonebOptions) -> str:
    """The verdict on a path that is below the level, or within the tolerance of none."""
    if path.barrier > level:
        return f"connected by {by}: barrier {path.barrier:.4g} is within the tolerance {begin.tolerance:.4g} of none"
    of = "" if options.connected_below is not None else ", a hundredth of the straight line's"
    return f"connected by {by}: barrier {path.barrier:.4g}, below {level:.4g}{of}"

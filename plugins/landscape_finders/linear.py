"""The straight line between two points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from landscape.analysis import Context
from landscape.errors import LandscapeError
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point
from landscape.paths import Path, measure, straight
from landscape_finders.options import LinearOptions

__all__ = ["find"]


def find(
    landscape: Landscape,
    pairs: Sequence[Sequence[Point]],
    options: LinearOptions | None = None,
    *,
    context: Context | None = None,
) -> Iterator[tuple[int, Path | Exception]]:
    """The line between each pair, or the geodesic of a curved space, its maximum bracketed. About 50 energies each."""
    options, context = options or LinearOptions(), context or Context()
    for index, (a, b) in enumerate(pairs):
        try:
            yield index, _line(landscape.anchored([a, b]), a, b, options, context.task(index))
        except LandscapeError as error:
            yield index, error


def _line(landscape: Landscape, a: Point, b: Point, options: LinearOptions, context: Context) -> Path:
    knots = straight(landscape, a.vector, b.vector, context.rng)
    segments = len(knots) - 1
    profile = measure(landscape, knots, options.tolerance, inside=max(1, (options.points - 2) // segments))
    return Path(knots, profile.times, profile.energies, profile.bracket, energy_evaluations=len(profile.times))

"""The straight line between two points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from landscape.analysis import Context
from landscape.errors import LandscapeError
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point
from landscape.paths import Path, measured_line, straight
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
            between, rng = landscape.anchored([a, b]), context.task(index).rng
            line = straight(between, a.vector, b.vector, rng)
            yield index, measured_line(between, line, options.tolerance, options.points)
        except LandscapeError as error:
            yield index, error

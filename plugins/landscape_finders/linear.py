"""The straight line between two points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from landscape.analysis import Context
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point
from landscape.paths import Path, Search, measuring_line, straight
from landscape_finders.options import LinearOptions
from landscape_finders.searching import each_pair

__all__ = ["find"]


def find(
    landscape: Landscape,
    pairs: Sequence[Sequence[Point]],
    options: LinearOptions | None = None,
    *,
    context: Context | None = None,
) -> Iterator[tuple[int, Path | Exception]]:
    """The line between each pair, or the geodesic of a curved space, its maximum bracketed. About 50 energies each."""
    options = options or LinearOptions()

    def of_pair(between: Landscape, a: Point, b: Point, task: Context) -> Search[Path]:
        return measuring_line(
            between, straight(between, a.vector, b.vector, task.rng), options.tolerance, options.points
        )

    return each_pair(landscape, pairs, context or Context(), of_pair)

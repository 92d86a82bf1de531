"""The ``flatness`` analysis: every measure of flatness at a point, with its error, its cost and its definition."""

from __future__ import annotations

from collections.abc import Sequence

from landscape.analysis import Context, Result
from landscape.errors import UsageError
from landscape.landscapes.protocol import Landscape
from landscape.neighbourhood.flat_space import is_flat
from landscape.parameters import Point
from landscape_flatness.dataset import dataset, summary
from landscape_flatness.options import FlatnessOptions
from landscape_flatness.survey import survey
from landscape_flatness.verdict import doubts, notes

__all__ = ["run"]


def run(landscape: Landscape, points: Sequence[Point], options: FlatnessOptions, *, context: Context) -> Result:
    """The table of measures at one point. One that cannot be taken is left out, with the reason; see ``survey``.

    Raises
    ------
    UsageError
        If the space is curved or discrete: a perturbed point would not lie in it.
    """
    (point,) = points
    point = point.to(landscape.device, landscape.dtype)
    _refuse_other_spaces(landscape, point)
    found = survey(landscape, point, options, context)
    against = doubts(found, options)
    return Result(
        data=dataset(found, landscape.space.dim),
        summary=summary(found, options, landscape.info),
        converged=not against,
        messages=(*against, *notes(found)),
    )


def _refuse_other_spaces(landscape: Landscape, point: Point) -> None:
    """Perturbed weights have to be weights."""
    if is_flat(landscape, point):
        return
    instead = "--plugin local-entropy" + ("" if landscape.solutions() else " or --plugin hessian")
    raise UsageError(
        f"{landscape.info.name} is not a flat space, in which alone these measures are defined: take {instead}"
    )

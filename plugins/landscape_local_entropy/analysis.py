"""The ``local-entropy`` analysis: by chains, by counting, or by splitting, as the space allows."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from landscape.analysis import Context, Result
from landscape.landscapes.protocol import Landscape
from landscape.landscapes.solutions import Solutions
from landscape.parameters import Point
from landscape_local_entropy.counting import count, remarks as counting_remarks
from landscape_local_entropy.dataset import dataset, summary
from landscape_local_entropy.measuring import measure
from landscape_local_entropy.options import LocalEntropyOptions
from landscape_local_entropy.sphere import measure_on_sphere
from landscape_local_entropy.verdict import doubts, remarks

__all__ = ["run"]


def run(
    landscape: Landscape,
    points: Sequence[Point],
    options: LocalEntropyOptions | None = None,
    *,
    context: Context | None = None,
) -> Result:
    """The local entropy of one point.

    In flat space from chains (see ``measuring.measure``); where all solutions can be enumerated, by counting them; on a
    sphere by multilevel splitting.
    """
    options, context = options or LocalEntropyOptions(), context or Context()
    (point,) = points
    point = point.to(landscape.device, landscape.dtype)
    solutions = landscape.solutions()
    if solutions is not None:
        return _counted(landscape, point, solutions)
    if _curved(landscape, point):
        return measure_on_sphere(landscape, point, options, context)
    return _sampled(landscape, point, options, context)


def _curved(landscape: Landscape, point: Point) -> bool:
    """Whether the space is curved: twice as far from the origin is then no point of it."""
    doubled = 2 * point.vector[None]
    return not torch.equal(landscape.project(doubled), doubled)


def _counted(landscape: Landscape, point: Point, solutions: Solutions) -> Result:
    data, numbers = count(landscape, point, solutions)
    return Result(data, numbers, messages=counting_remarks(point, solutions))


def _sampled(landscape: Landscape, point: Point, options: LocalEntropyOptions, context: Context) -> Result:
    found = measure(landscape, point, options, context)
    reasons = list(doubts(found, options))
    return Result(
        data=dataset(found, options),
        summary=summary(found, options),
        converged=not reasons,
        messages=(*reasons, *remarks(found, options)),
        budget_spent=not found.sampled.done,
    )

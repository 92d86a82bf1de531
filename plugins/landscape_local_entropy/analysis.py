"""The ``local-entropy`` analysis: by chains, by counting, or by splitting, as the space allows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import xarray as xr

from landscape.analysis import Context, Result
from landscape.errors import AnalysisError
from landscape.landscapes.protocol import Landscape
from landscape.landscapes.solutions import Solutions
from landscape.neighbourhood.flat_space import is_flat
from landscape.parameters import Point
from landscape_local_entropy.counting import count
from landscape_local_entropy.counting import remarks as counting_remarks
from landscape_local_entropy.dataset import attributes, baselines, dataset, summary, volume_summary
from landscape_local_entropy.draws import BudgetError
from landscape_local_entropy.measuring import Ground, measure, survey
from landscape_local_entropy.options import LocalEntropyOptions
from landscape_local_entropy.sphere import measure_on_sphere
from landscape_local_entropy.verdict import doubts, remarks
from landscape_local_entropy.volume import Stretch, Volume, diagonal_stretch, hessian_stretch, star_volume

__all__ = ["run"]

ROUNDING = 10.0  # in units of the precision: what the mean of a loss is uncertain by


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
    if not is_flat(landscape, point):
        return measure_on_sphere(landscape, point, options, context)
    return _sampled(landscape, point, options, context)


def _counted(landscape: Landscape, point: Point, solutions: Solutions) -> Result:
    data, numbers = count(landscape, point, solutions)
    return Result(data, numbers, messages=counting_remarks(point, solutions))


def _sampled(landscape: Landscape, point: Point, options: LocalEntropyOptions, context: Context) -> Result:
    ground = survey(landscape, point, options, context)
    stretch = _stretch(ground, options)
    try:
        found = measure(ground, options, context)
    except BudgetError as short:
        return _without_chains(ground, options, short)
    volume = _volume(ground, stretch, options, context)
    reasons = list(doubts(found, options))
    unknown = volume.messages if volume is not None else ()
    return Result(
        data=dataset(found, options),
        summary=summary(found, options) | volume_summary(volume),
        converged=not (reasons or unknown),
        messages=(*reasons, *unknown, *remarks(found, options)),
        budget_spent=not found.sampled.done,
    )


def _without_chains(ground: Ground, options: LocalEntropyOptions, short: BudgetError) -> Result:
    """The baselines, where the budget is too small for anything else."""
    known = {"beta": ground.beta, "gamma": options.gamma, **baselines(ground, options)}
    data = xr.Dataset(attrs=attributes(ground, options))
    return Result(data, known, converged=False, messages=(str(short), ground.beta_words), budget_spent=True)


def _stretch(ground: Ground, options: LocalEntropyOptions) -> Stretch | None:
    """Along what rays the volume is measured, where it is asked for: what forbids it is said before any chain runs.

    Raises
    ------
    AnalysisError
        If rounding hides so small a rise of the loss, or the Hessian is not finite.
    UsageError
        If the dense Hessian is too large.
    """
    around, wanted = ground.around, options.volume_loss
    if wanted is None:
        return None
    rounding = ROUNDING * torch.finfo(around.landscape.dtype).eps * abs(around.energy)
    if wanted < rounding:
        raise AnalysisError(
            f"--local-entropy.volume-loss {wanted:g} is lost in the rounding of the loss {around.energy:.3g}: take "
            f"{rounding:.1g} or more, or --dtype float64"
        )
    if options.volume_preconditioner == "hessian":
        return hessian_stretch(around)
    return diagonal_stretch(around, ground.parabola.diagonal)


def _volume(ground: Ground, stretch: Stretch | None, options: LocalEntropyOptions, context: Context) -> Volume | None:
    """The star domain's volume, where it is asked for."""
    if stretch is None or options.volume_loss is None:
        return None

    def progress(rays: int) -> None:
        context.progress(rays, options.rays, "rays of the volume")

    return star_volume(ground.around, options.volume_loss, stretch, options.rays, context.rng, progress)

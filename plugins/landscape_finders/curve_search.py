"""A curve from its start, or from where it was cut short, to a measured path and a verdict."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from landscape.analysis import Context
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point
from landscape.paths import Path, Search
from landscape_finders.bending import (
    Bending,
    CurveState,
    finished,
    is_packed,
    measured_curve,
    pack,
    start,
    step,
    unpack,
)
from landscape_finders.curve import Family, fitted
from landscape_finders.options_curve import CurveOptions
from landscape_finders.searching import Beginning, MiniBatches, beginning, each_pair

__all__ = ["CurveSearch", "bent", "curves"]

_SAVE_EVERY_SECONDS = 5.0
_FEWEST_STEPS = 50  # Adam at the default rate then may carry a control point farther than the ends are apart


@dataclass(frozen=True, eq=False)
class CurveSearch:
    """Which kind of curve is looked for, how, and on which mini-batches."""

    family: Family
    options: CurveOptions
    batches: MiniBatches


def curves(
    landscape: Landscape, pairs: Sequence[Sequence[Point]], context: Context, search: CurveSearch
) -> Iterator[tuple[int, Path | Exception]]:
    """The curve of each pair as it is found; for a pair that fails, why."""

    def of_pair(between: Landscape, a: Point, b: Point, task: Context) -> Search[Path]:
        begin = yield from beginning(between, a, b, task, search.options.tolerance)
        return begin.answer or (yield from bent(between, begin, search, task))

    return each_pair(landscape, pairs, context, of_pair)


def bent(landscape: Landscape, begin: Beginning, search: CurveSearch, task: Context) -> Search[Path]:
    """The lowest path met, with the verdict: the curve when it was measured, or where it began.

    The search is saved on the way, and gone on from if it was. Each step costs a gradient evaluation, each of up to
    four measurements 17 energies, the last one about 40.
    """
    options, low = search.options, search.options.connected_below or 0.0
    rate = options.learning_rate * _distance(begin, options)
    curved = len(begin.line.points) > 2
    method = Bending(search.family, search.batches, rate, options.max_gradients, low, begin.tolerance, curved)
    saved = task.load()
    if is_packed(saved, method):
        state = unpack(saved, begin.knots)
    else:
        state = yield from _begun(landscape, begin, search, task.rng)
    state = yield from _run(landscape, state, method, task)
    path = yield from measured_curve(landscape, state.best_knots, begin.tolerance)
    energies = state.energy_evaluations + path.energy_evaluations
    if path.barrier > state.first_barrier:
        path = yield from measured_curve(landscape, begin.knots, begin.tolerance)
        energies += path.energy_evaluations
    path = replace(path, gradient_evaluations=state.gradient_evaluations, energy_evaluations=energies)
    return _judged(path, state, options, begin.tolerance)


def _distance(begin: Beginning, options: CurveOptions) -> float:
    """Root-mean-square distance of the ends per coordinate, less for a continued search: its path is worth keeping."""
    ends = begin.knots[[0, -1]]
    unspent = max(0.0, 1 - begin.gradient_evaluations / options.max_gradients)
    return unspent * float((ends[1] - ends[0]).norm()) / ends.shape[1] ** 0.5


def _run(landscape: Landscape, state: CurveState, method: Bending, task: Context) -> Search[CurveState]:
    saved_at = time.monotonic()
    while not finished(state, method):
        state = yield from step(landscape, state, method)
        if time.monotonic() - saved_at > _SAVE_EVERY_SECONDS:
            task.save(pack(state, method))
            saved_at = time.monotonic()
            task.progress(state.gradient_evaluations, method.max_gradients, f"barrier {state.best_barrier:.4g}")
    return state


def _begun(landscape: Landscape, begin: Beginning, search: CurveSearch, rng: torch.Generator) -> Search[CurveState]:
    knots, barrier, energies = begin.knots, begin.line.barrier, begin.energy_evaluations
    if begin.given or barrier <= (search.options.connected_below or 0.0):
        path = yield from measured_curve(landscape, knots, begin.tolerance)
        barrier, energies = path.barrier, energies + path.energy_evaluations
    controls = fitted(landscape, search.family, knots, search.options.free_points)
    return start(controls, knots, barrier, rng, begin.gradient_evaluations, energies)


def _judged(path: Path, state: CurveState, options: CurveOptions, tolerance: float) -> Path:
    """The path with the verdict on it."""
    low = options.connected_below
    if low is not None and path.barrier <= low and path.bracket <= tolerance:
        return replace(path, messages=(f"connected: barrier {path.barrier:.4g}, below {low:.4g}",))
    converged, text = _settled(path, state, tolerance)
    return replace(path, converged=converged, messages=(text,), budget_spent=state.last_barrier < torch.inf)


def _settled(path: Path, state: CurveState, tolerance: float) -> tuple[bool, str]:
    """Whether a larger budget would leave the barrier where it is, and why."""
    if state.steps == 0:
        return False, f"no step fitted in the budget; the barrier is {path.barrier:.3g}"
    if state.last_barrier == torch.inf:
        return False, "the curve left for where the loss is not finite; this is the best before: is its rate too high?"
    if path.bracket > tolerance:
        return False, f"the maximum is bracketed only to {path.bracket:.3g}, wanted {tolerance:.3g}"
    if path.barrier <= tolerance:
        return True, f"barrier {path.barrier:.3g} is within the tolerance {tolerance:.3g} of none"
    if state.last_barrier > path.barrier + tolerance:
        last, best = state.last_barrier, path.barrier
        text = f"the search ended at a barrier of {last:.4g}, above the best met ({best:.4g}): is its rate too high?"
        return False, text
    if path.barrier >= state.first_barrier:
        return False, f"no curve below the path that it began with was met (barrier {path.barrier:.4g}): try autoneb"
    fell = state.halfway_barrier - state.best_barrier
    if fell > tolerance:
        return False, f"budget spent; the barrier fell by {fell:.3g} over its second half, more than {tolerance:.3g}"
    if state.steps < _FEWEST_STEPS:
        return False, f"budget spent after {state.steps} steps, too few to say whether the barrier has settled"
    free = len(state.controls) - 2
    return True, (
        f"the barrier fell by {fell:.2g} over the second half, less than {tolerance:.2g}: this is as low as a curve "
        f"with {free} free point{'s' if free > 1 else ''} gets it"
    )

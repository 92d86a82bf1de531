"""A growing string from its start, or from where it was cut short, to a measured path and a verdict."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from landscape.analysis import Context
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point
from landscape.paths import Path, Search, measuring_path, resampled
from landscape_finders.crossing import crossed
from landscape_finders.searching import Beginning, beginning
from landscape_finders.string import Method, StringState, finished, is_packed, pack, start, step, unpack

__all__ = ["StringSearch", "grown", "search_of_pair"]

_SAVE_EVERY_SECONDS = 5.0
_CLIMB_SHARE = 4  # a quarter of the budget
_FEWEST_STEPS = 50  # of an image; Adam at the default rate then may carry it as far as the ends are apart


@dataclass(frozen=True, eq=False)
class StringSearch:
    """What a string looks for, whatever its method.

    Attributes
    ----------
    method
        The method for a pair, from its root-mean-square distance per coordinate, the gradient evaluations it may reach,
        and those it starts at.
    images
        Images between the ends at the start.
    max_gradients, climb, connected_below, tolerance
        As in the options of the finders.
    """

    method: Callable[[float, int, int], Method]
    images: int
    max_gradients: int
    climb: bool
    connected_below: float | None
    tolerance: float | None


def search_of_pair(landscape: Landscape, a: Point, b: Point, task: Context, search: StringSearch) -> Search[Path]:
    """The path of a pair that a string finds from the straight line, from a given path or from a stored one."""
    begin = yield from beginning(landscape, a, b, task, search.tolerance)
    return begin.answer or (yield from grown(landscape, begin, search, task))


def grown(landscape: Landscape, begin: Beginning, search: StringSearch, task: Context) -> Search[Path]:
    """The path that a string finds from where it begins."""
    saved, tolerance = task.load(), begin.tolerance
    if is_packed(saved, search.max_gradients):
        state = unpack(saved, begin.knots, task.rng)
        method = _method(begin, search, state.started_at)
    else:
        method = _method(begin, search, begin.gradient_evaluations)
        state = yield from _begun(landscape, begin, search, method)
    state = yield from _run(landscape, state, method, search.max_gradients, task)
    path = yield from _measured(landscape, state, tolerance)
    low = search.connected_below
    if low is not None and path.barrier <= low and path.bracket <= tolerance:
        return replace(path, messages=(f"connected: barrier {path.barrier:.4g}, below {low:.4g}",))
    if search.climb and path.barrier > tolerance:
        return (yield from crossed(landscape, path, search.method, search.max_gradients, tolerance, task.rng))
    return _settled(path, state, search, tolerance)


def _method(begin: Beginning, search: StringSearch, spent: int) -> Method:
    """The method of a search that starts at so many gradient evaluations."""
    ends = begin.knots[[0, -1]]
    climbing = max(0, search.max_gradients - spent) // _CLIMB_SHARE if search.climb else 0
    distance = float((ends[1] - ends[0]).norm()) / ends.shape[1] ** 0.5
    unspent = max(0.0, 1 - spent / search.max_gradients)  # a continued search moves less: its path is worth keeping
    return search.method(distance * unspent, search.max_gradients - climbing, spent)


def _begun(landscape: Landscape, begin: Beginning, search: StringSearch, method: Method) -> Search[StringState]:
    """The first state, in which the path that was given is the best met, unless its images are lower."""
    images = _images(landscape, begin, search, method)
    state = yield from start(landscape, images, method, begin.gradient_evaluations, begin.energy_evaluations)
    given = begin.path
    if given is None and begin.given and images is not begin.knots:
        given = yield from measuring_path(landscape, begin.knots, begin.tolerance)
        state = replace(state, energy_evaluations=state.energy_evaluations + given.energy_evaluations)
    if given is None or given.barrier >= state.best_barrier:
        return state
    return replace(state, best_knots=given.points, best_barrier=given.barrier, halfway_barrier=given.barrier)


def _images(landscape: Landscape, begin: Beginning, search: StringSearch, method: Method) -> Tensor:
    """The first knots: those of the path that was given, if they are as many as wanted, else points on it."""
    given = len(begin.knots) - 2 if begin.given else 0
    if search.images <= given <= method.max_images:
        return begin.knots
    images = search.images if given < search.images else method.max_images
    return resampled(landscape, begin.knots, torch.linspace(0, 1, images + 2, dtype=torch.float64))


def _run(
    landscape: Landscape, state: StringState, method: Method, max_gradients: int, task: Context
) -> Search[StringState]:
    saved_at, rng = time.monotonic(), task.rng
    while not finished(state, method):
        cycle = state.cycle
        state = yield from step(landscape, state, method, rng)
        if state.cycle > cycle or time.monotonic() - saved_at > _SAVE_EVERY_SECONDS:
            task.save(pack(state, max_gradients, rng))
            saved_at = time.monotonic()
            done = f"barrier {state.best_barrier:.4g}"
            task.progress(state.gradient_evaluations, method.max_gradients, done)
    return state


def _measured(landscape: Landscape, state: StringState, tolerance: float) -> Search[Path]:
    """The best path of the search, its maximum bracketed."""
    path = yield from measuring_path(landscape, state.best_knots, tolerance)
    energies = state.energy_evaluations + path.energy_evaluations
    return replace(path, gradient_evaluations=state.gradient_evaluations, energy_evaluations=energies)


def _settled(path: Path, state: StringState, search: StringSearch, tolerance: float) -> Path:
    """The verdict on a path that was not climbed. Only one that reached ``connected_below`` has budget to spare."""
    path = replace(path, budget_spent=state.best_barrier > (search.connected_below or 0.0))
    fell = state.halfway_barrier - state.best_barrier
    if path.bracket > tolerance:
        text = f"the maximum is bracketed only to {path.bracket:.3g}, wanted {tolerance:.3g}"
        return replace(path, converged=False, messages=(text,))
    if state.gradient_evaluations == state.started_at and path.barrier > tolerance:
        text = f"no step fitted in the budget; the barrier is {path.barrier:.3g}"
        return replace(path, converged=False, budget_spent=True, messages=(text,))
    if path.barrier <= tolerance:
        return replace(path, messages=(f"barrier {path.barrier:.3g} is within the tolerance {tolerance:.3g} of none",))
    if not state.last_barrier <= path.barrier + tolerance:
        text = (
            f"the search ended at a barrier of {state.last_barrier:.4g}, above the best met ({path.barrier:.4g}): "
            "is its rate too high?"
        )
        return replace(path, converged=False, messages=(text,))
    steps = (state.gradient_evaluations - state.started_at) // state.images
    if fell <= tolerance and steps >= _FEWEST_STEPS:
        text = f"the barrier fell by {fell:.2g} over the second half, less than {tolerance:.2g}"
        return replace(path, messages=(text,))
    if fell <= tolerance:
        text = f"budget spent after {steps} steps of each image, too few to say whether the barrier has settled"
        return replace(path, converged=False, messages=(text,))
    text = f"budget spent; the barrier fell by {fell:.3g} over its second half, more than {tolerance:.3g}"
    return replace(path, converged=False, messages=(text,))

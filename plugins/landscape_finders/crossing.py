"""A path made to cross at the saddle: its highest point climbs, then both halves are relaxed below it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from landscape.landscapes.protocol import Landscape
from landscape.paths import Path, Search, energies_of, measuring_path, resampled
from landscape_finders.climb import Climb, climb, through
from landscape_finders.string import Method, finished, start, step

__all__ = ["crossed"]

_IMAGES = 3  # at least, in a half
_CAREFUL = 0.1  # of the learning rate: the halves start close to where they end


def crossed(
    landscape: Landscape,
    path: Path,
    method: Callable[[float, int, int], Method],
    max_gradients: int,
    tolerance: float,
    rng: torch.Generator,
) -> Search[Path]:
    """The path through the saddle above its highest point, as far as what is left of ``max_gradients`` allows.

    Converged if the gradient at the saddle is small and the path is nowhere above it by more than the tolerance. If
    the climb does not get there, the path is returned as it came, and the verdict says so.
    """
    left = (max_gradients - path.gradient_evaluations) // landscape.num_batches
    if left < 1:
        text = "budget spent before the climb to the saddle could begin"
        return replace(path, converged=False, budget_spent=True, messages=(text,))
    top = yield from climb(landscape, path, left)
    path = replace(path, gradient_evaluations=path.gradient_evaluations + top.iterations * landscape.num_batches)
    if not top.converged:
        return replace(path, converged=False, budget_spent=True, messages=(_not_reached(top),))
    knots, place = through(path, top)
    before, path = yield from _relaxed(
        landscape, knots[: place + 1], path, method, (path.gradient_evaluations + max_gradients) // 2, rng
    )
    after, path = yield from _relaxed(landscape, knots[place:], path, method, max_gradients, rng)
    return (yield from _judged(landscape, path, torch.cat([before, after[1:]]), top, tolerance))


def _not_reached(top: Climb) -> str:
    return (
        f"budget spent: the climb ended at gradient norm {top.gradient_norm:.3g}, wanted {top.wanted:.3g}, after "
        f"{top.iterations} full-data gradients; the path is the one before it"
    )


def _relaxed(
    landscape: Landscape,
    knots: Tensor,
    path: Path,
    method: Callable[[float, int, int], Method],
    reach: int,
    rng: torch.Generator,
) -> Search[tuple[Tensor, Path]]:
    """Half a path, moved until nowhere above its ends or until ``reach``; and the path with the cost of that added."""
    distance = _CAREFUL * float((knots[-1] - knots[0]).norm()) / knots.shape[1] ** 0.5
    if len(knots) < 2 + _IMAGES:
        knots = resampled(landscape, knots, torch.linspace(0, 1, 2 + _IMAGES))
    until = replace(method(distance, reach, path.gradient_evaluations), connected_below=0.0)
    state = yield from start(landscape, knots, until, path.gradient_evaluations, path.energy_evaluations)
    while not finished(state, until):
        state = yield from step(landscape, state, until, rng)
    path = replace(path, gradient_evaluations=state.gradient_evaluations, energy_evaluations=state.energy_evaluations)
    return state.best_knots, path


def _loose(path: Path, tolerance: float) -> tuple[str, ...]:
    if path.bracket <= tolerance:
        return ()
    return (f"the maximum is bracketed only to {path.bracket:.3g}, wanted {tolerance:.3g}",)


def _judged(landscape: Landscape, path: Path, knots: Tensor, top: Climb, tolerance: float) -> Search[Path]:
    """The lower of the path as it came and the one through the saddle, with the verdict on it."""
    through_saddle = yield from measuring_path(landscape, knots, tolerance)
    energy = float((yield from energies_of(top.point[None])))
    spent = path.energy_evaluations + through_saddle.energy_evaluations + 1
    lower = through_saddle.max_loss <= max(path.max_loss, energy + tolerance)
    gradients = path.gradient_evaluations
    path = replace(through_saddle if lower else path, gradient_evaluations=gradients, energy_evaluations=spent)
    reached = (
        f"saddle at {energy:.8g}, gradient norm {top.gradient_norm:.2g} after {top.iterations} full-data gradients"
    )
    if path.max_loss < energy - tolerance:
        text = f"{reached}; but the path passes below it, at {path.max_loss:.6g}: the climb led elsewhere"
        return replace(path, converged=False, budget_spent=True, messages=(text,))
    if path.max_loss <= energy + tolerance:
        return replace(path, converged=path.bracket <= tolerance, messages=(reached, *_loose(path, tolerance)))
    text = f"{reached}; but the path rises to {path.max_loss:.6g} elsewhere and the budget is spent"
    return replace(path, converged=False, budget_spent=True, messages=(text,))

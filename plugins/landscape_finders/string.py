"""A string of images between two points: one explicit state, one step.

The string method of E, Ren and Vanden-Eijnden (Phys. Rev. B 66, 052301, 2002): images move down the part of the
gradient that is perpendicular to the path and are put back at their arc lengths, which is the nudged elastic band
with infinitely stiff springs. It grows as AutoNEB does (Kolsbjerg et al. 2016; Draxler et al. 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeGuard

import torch
from torch import Tensor

from landscape.landscapes.protocol import Landscape
from landscape.paths import (
    Search,
    barrier_of,
    dense_times,
    energies_along,
    improved_tangents,
    knot_times,
    points_at,
    resampled,
)
from landscape_finders.optimisers import Moments

__all__ = ["Method", "StringState", "finished", "is_packed", "pack", "start", "step", "unpack"]


_FORMAT = 3  # of packed states; others are started anew


@dataclass(frozen=True, eq=False)
class StringState:
    """Where a search stands.

    Attributes
    ----------
    knots
        The images with both ends, shape ``(m, P)``.
    times
        The normalised arc lengths at which they are kept, shape ``(m,)``.
    end_energies
        Full-data energies of the two ends, shape ``(2,)``.
    moments
        Of the images' gradients.
    cycle, steps_left
        The current cycle, and the steps left in it.
    gradient_evaluations, energy_evaluations
        Spent so far, and before this search began (``started_at``, a continued search).
    best_knots, best_barrier
        The path with the lowest barrier met at the end of a cycle, or before the search.
    halfway_barrier
        ``best_barrier`` when at most half of the cycles and half of the budget were behind.
    last_barrier
        The barrier at the end of the last cycle, whether it is the best or not.
    """

    knots: Tensor
    times: Tensor
    end_energies: Tensor
    moments: Moments
    cycle: int
    steps_left: int
    gradient_evaluations: int
    energy_evaluations: int
    started_at: int
    best_knots: Tensor
    best_barrier: float
    halfway_barrier: float
    last_barrier: float

    @property
    def images(self) -> int:
        """Number of images between the ends."""
        return len(self.knots) - 2


@dataclass(frozen=True, eq=False)
class Method:
    """What tells one growing string from another.

    Attributes
    ----------
    cycles, max_images, points_per_segment
        How often the path is measured and grows, up to where, and how densely it is measured.
    max_gradients, connected_below
        The search ends when a further step would pass the budget, or when the barrier is at most this.
    steps
        Number of steps of the cycle that begins in this state.
    rate
        Learning rate in this state.
    gradients
        Asks for energies and gradients of the images, on the mini-batches of this state or drawn from the generator.
    update
        The optimiser.
    insertions
        Times of the new images, the most needed first, from times and energies of a dense evaluation and its number of
        points inside each segment.
    rebuild
        Whether the optimiser forgets its moments when a cycle begins.
    """

    cycles: int
    max_images: int
    points_per_segment: int
    max_gradients: int
    connected_below: float
    steps: Callable[[StringState], int]
    rate: Callable[[StringState], float]
    gradients: Callable[[StringState, torch.Generator], Search[tuple[Tensor, Tensor]]]
    update: Callable[[Tensor, Moments], tuple[Tensor, Moments]]
    insertions: Callable[[Tensor, Tensor, int], Tensor]
    rebuild: bool = False


def start(
    landscape: Landscape, knots: Tensor, method: Method, gradient_evaluations: int = 0, energy_evaluations: int = 0
) -> Search[StringState]:
    """The state in which a search begins on these knots, their barrier measured, the first cycle about to start."""
    state = StringState(
        knots=knots,
        times=knot_times(knots),
        end_energies=torch.zeros(2, dtype=torch.float64),
        moments=Moments.none(knots[1:-1]),
        cycle=0,
        steps_left=0,
        gradient_evaluations=gradient_evaluations,
        energy_evaluations=energy_evaluations,
        started_at=gradient_evaluations,
        best_knots=knots,
        best_barrier=torch.inf,
        halfway_barrier=torch.inf,
        last_barrier=torch.inf,
    )
    state, _, _ = yield from _measured(landscape, state, method)
    return _begun(replace(state, halfway_barrier=state.best_barrier), method)


def finished(state: StringState, method: Method) -> bool:
    """Whether the search is over: cycles done, budget spent or barrier low enough."""
    return state.best_barrier <= method.connected_below or state.cycle >= method.cycles


def step(landscape: Landscape, state: StringState, method: Method, rng: torch.Generator) -> Search[StringState]:
    """One step of all images; or, where a cycle has none left, its end: measuring, and growing for the next one."""
    if state.steps_left > 0 and state.gradient_evaluations + state.images <= method.max_gradients:
        return (yield from _moved(landscape, state, method, rng))
    return (yield from _next_cycle(landscape, state, method))


def _moved(landscape: Landscape, state: StringState, method: Method, rng: torch.Generator) -> Search[StringState]:
    images = state.knots[1:-1]
    energies, gradients = yield from method.gradients(state, rng)
    ends = state.end_energies.to(energies)
    tangents = improved_tangents(state.knots, torch.cat([ends[:1], energies, ends[1:]]))
    tangents = landscape.tangent(images, tangents)
    tangents = torch.nn.functional.normalize(tangents, dim=1)
    across = gradients - (gradients * tangents).sum(1, keepdim=True) * tangents
    direction, moments = method.update(across, state.moments)
    images = landscape.project(images + method.rate(state) * landscape.tangent(images, direction))
    knots = torch.cat([state.knots[:1], images, state.knots[-1:]])
    return replace(
        state,
        knots=resampled(landscape, knots, state.times),
        moments=moments,
        steps_left=state.steps_left - 1,
        gradient_evaluations=state.gradient_evaluations + state.images,
    )


def _measured(landscape: Landscape, state: StringState, method: Method) -> Search[tuple[StringState, Tensor, Tensor]]:
    """The state knowing its present barrier, the times and the energies of the dense evaluation."""
    times = dense_times(state.knots, method.points_per_segment)
    energies = yield from energies_along(landscape, state.knots, times)
    barrier = barrier_of(energies)
    measured = state.energy_evaluations + len(times)
    state = replace(state, end_energies=energies[[0, -1]], energy_evaluations=measured, last_barrier=barrier)
    if barrier < state.best_barrier:
        state = replace(state, best_knots=state.knots, best_barrier=barrier)
    return state, times, energies


def _next_cycle(landscape: Landscape, state: StringState, method: Method) -> Search[StringState]:
    state, times, energies = yield from _measured(landscape, state, method)
    state = replace(state, cycle=state.cycle + 1)
    spent, left = state.gradient_evaluations - state.started_at, method.max_gradients - state.gradient_evaluations
    if state.cycle <= method.cycles // 2 and spent <= left:
        state = replace(state, halfway_barrier=state.best_barrier)
    if finished(state, method):
        return state
    new = method.insertions(times, energies, method.points_per_segment)
    state = _grown(landscape, state, new[: max(0, method.max_images - state.images)])
    if method.rebuild:
        state = replace(state, moments=Moments.none(state.knots[1:-1]))
    return _begun(state, method)


def _begun(state: StringState, method: Method) -> StringState:
    """The state with the steps of its cycle ahead of it; over, if not even one can be paid for."""
    if state.gradient_evaluations + state.images > method.max_gradients:
        return replace(state, cycle=method.cycles)
    return replace(state, steps_left=max(1, method.steps(state)))


def _grown(landscape: Landscape, state: StringState, new: Tensor) -> StringState:
    """New images at these times; their moments are those of the nearest old image."""
    if len(new) == 0:
        return state
    reached = knot_times(state.knots)
    times, order = torch.cat([reached, new.to(reached)]).sort()
    knots = torch.cat([state.knots, points_at(landscape, state.knots, new)])[order]
    nearest = (times[1:-1, None] - reached[None, 1:-1]).abs().argmin(1)
    moments = replace(state.moments, first=state.moments.first[nearest], second=state.moments.second[nearest])
    return replace(state, knots=knots, times=times, moments=moments)


def pack(state: StringState, max_gradients: int, rng: torch.Generator) -> dict[str, Tensor]:
    """The state of a search with this budget and the generator as tensors, to be stored."""
    counters = [state.moments.updates, state.cycle, state.steps_left]
    counters += [state.gradient_evaluations, state.energy_evaluations, state.started_at]
    return {
        "knots": state.knots,
        "times": state.times,
        "end_energies": state.end_energies,
        "first": state.moments.first,
        "second": state.moments.second,
        "best_knots": state.best_knots,
        "counters": torch.tensor(counters),
        "barriers": torch.tensor([state.best_barrier, state.halfway_barrier, state.last_barrier], dtype=torch.float64),
        "max_gradients": torch.tensor(max_gradients),
        "format": torch.tensor(_FORMAT),
        "rng": rng.get_state(),
    }


def is_packed(tensors: Mapping[str, Tensor] | None, max_gradients: int) -> TypeGuard[Mapping[str, Tensor]]:
    """Whether these are tensors that this version of :func:`pack` made, under the same budget."""
    if tensors is None or "format" not in tensors or int(tensors["format"]) != _FORMAT:
        return False
    return int(tensors["max_gradients"]) == max_gradients


def unpack(tensors: Mapping[str, Tensor], like: Tensor, rng: torch.Generator) -> StringState:
    """The stored state on the device of ``like``; the generator goes on where it was."""
    updates, cycle, steps_left, gradients, energies, started_at = tensors["counters"].tolist()
    best_barrier, halfway_barrier, last_barrier = tensors["barriers"].tolist()
    rng.set_state(tensors["rng"].cpu())
    return StringState(
        knots=tensors["knots"].to(like),
        times=tensors["times"].to(like.device),
        end_energies=tensors["end_energies"].cpu(),
        moments=Moments(tensors["first"].to(like), tensors["second"].to(like), updates),
        cycle=cycle,
        steps_left=steps_left,
        gradient_evaluations=gradients,
        energy_evaluations=energies,
        started_at=started_at,
        best_knots=tensors["best_knots"].to(like),
        best_barrier=best_barrier,
        halfway_barrier=halfway_barrier,
        last_barrier=last_barrier,
    )

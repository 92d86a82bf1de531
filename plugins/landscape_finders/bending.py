"""A curve bent down between two points: one explicit state, one step.

Garipov et al. 2018: the loss at one time t of the curve, on one mini-batch, is a sample of the mean loss along it, and
its gradient with respect to a control point is the gradient at theta(t) times the point's weight there. Many times to a
step are worse at equal cost.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeGuard

import torch
from torch import Tensor

from landscape.landscapes.protocol import Landscape
from landscape.paths import Path, Search, barrier_of, dense_times, energies_of, gradients_of, measuring_path, points_at
from landscape_finders.curve import Family, across, knots_of, point_at
from landscape_finders.optimisers import Moments, adam
from landscape_finders.searching import MiniBatches

__all__ = ["Bending", "CurveState", "finished", "is_packed", "measured_curve", "pack", "start", "step", "unpack"]

_CHECKS = 4  # measurements on the full data, evenly spread over the budget
_CHECKED, _MEASURED = 16, 32  # points at which the loss is taken along the curve then, and at the end
_GOLDEN = (5**0.5 - 1) / 2
_BETA2 = 0.95  # of Adam: gradients along a curve differ in size and fall fast; 0.999 takes twice as many steps
_FORMAT = 1  # of packed states; others are started anew


@dataclass(frozen=True, eq=False)
class CurveState:
    """Where a search stands.

    Attributes
    ----------
    controls
        The control points, both ends among them, shape ``(m, P)``.
    moments
        Of the gradients of the free ones.
    phase
        The time of the first step, from 0 to 1.
    checks
        Shares of the budget after which the curve was measured.
    gradient_evaluations, energy_evaluations
        Spent so far, and before this search began (``started_at``, a continued search).
    first_barrier
        The barrier of the path it began with.
    best_knots, best_barrier
        The lowest polyline met: the one it began with, or the curve when it was measured.
    halfway_barrier
        ``best_barrier`` when half of the budget was spent.
    last_barrier
        The barrier when it was measured last; infinite once the loss on the curve is not finite.
    """

    controls: Tensor
    moments: Moments
    phase: float
    checks: int
    gradient_evaluations: int
    energy_evaluations: int
    started_at: int
    first_barrier: float
    best_knots: Tensor
    best_barrier: float
    halfway_barrier: float
    last_barrier: float

    @property
    def steps(self) -> int:
        """Steps made in this search."""
        return self.gradient_evaluations - self.started_at


@dataclass(frozen=True, eq=False)
class Bending:
    """How a curve is bent.

    Attributes
    ----------
    family
        Which kind of curve.
    batches
        The mini-batch of each step.
    learning_rate
        Of Adam at the first step; it falls to zero over the budget.
    max_gradients, connected_below
        The search ends when the budget is spent, or when the barrier is at most this.
    tolerance
        How close that barrier is bracketed.
    curved
        Whether the space is. There a curve may stay at its ends for as long as it likes and cross in an instant, which
        lowers its mean loss and no barrier; so its points are moved across it alone.
    """

    family: Family
    batches: MiniBatches
    learning_rate: float
    max_gradients: int
    connected_below: float
    tolerance: float
    curved: bool = False

    def rate(self, state: CurveState) -> float:
        """The learning rate, a half cosine over the budget."""
        done = state.steps / (self.max_gradients - state.started_at)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def start(
    controls: Tensor, knots: Tensor, barrier: float, rng: torch.Generator, gradient_evaluations: int, energies: int
) -> CurveState:
    """The state in which a search begins: its first curve, and the path to be bettered, with its barrier."""
    return CurveState(
        controls=controls,
        moments=Moments.none(controls[1:-1]),
        phase=float(torch.rand((), generator=rng, dtype=torch.float64)),
        checks=0,
        gradient_evaluations=gradient_evaluations,
        energy_evaluations=energies,
        started_at=gradient_evaluations,
        first_barrier=barrier,
        best_knots=knots,
        best_barrier=barrier,
        halfway_barrier=barrier,
        last_barrier=barrier,
    )


def finished(state: CurveState, method: Bending) -> bool:
    """Whether the search is over: budget spent, barrier low enough, or the loss no longer finite."""
    lost, spent = state.last_barrier == torch.inf, state.started_at >= method.max_gradients
    return lost or spent or state.checks == _CHECKS or state.best_barrier <= method.connected_below


def step(landscape: Landscape, state: CurveState, method: Bending) -> Search[CurveState]:
    """One step of the control points; or, after each share of the budget, a measurement."""
    due = math.ceil((state.checks + 1) * (method.max_gradients - state.started_at) / _CHECKS)
    if state.steps < due:
        return (yield from _moved(landscape, state, method))
    return (yield from _checked(landscape, state, method))


def _moved(landscape: Landscape, state: CurveState, method: Bending) -> Search[CurveState]:
    """Adam on one time and one mini-batch.

    The times are those of a golden rotation, evenly spread over any stretch of steps, each uniform over the pairs'
    phases; independent ones leave a higher barrier.
    """
    number, family = state.moments.updates, method.family
    time = (state.phase + number * _GOLDEN) % 1
    weights = family.weights(time, len(state.controls))
    point = point_at(landscape, state.controls, weights)
    _, gradient = yield from gradients_of(point, method.batches(number))
    if method.curved:
        gradient = across(landscape, family, state.controls, time, gradient)
    gradients = torch.cat([gradient * weight for weight in weights[1:-1]])
    direction, moments = adam(gradients, state.moments, _BETA2)
    free = torch.add(state.controls[1:-1], direction, alpha=method.rate(state))
    controls = torch.cat([state.controls[:1], free, state.controls[-1:]])
    return replace(state, controls=controls, moments=moments, gradient_evaluations=state.gradient_evaluations + 1)


def _checked(landscape: Landscape, state: CurveState, method: Bending) -> Search[CurveState]:
    """The state knowing the barrier of its curve; one that is low enough is looked at closely."""
    knots = knots_of(landscape, method.family, state.controls)
    times = dense_times(knots, _inside(knots, _CHECKED))
    energies = yield from energies_of(points_at(landscape, knots, times))
    barrier = barrier_of(energies) if bool(torch.isfinite(energies).all()) else torch.inf
    measured = state.energy_evaluations + len(times)
    if barrier <= method.connected_below:
        path = yield from measured_curve(landscape, knots, method.tolerance)
        barrier, measured = path.barrier, measured + path.energy_evaluations
    share = _CHECKS * state.steps // (method.max_gradients - state.started_at)
    state = replace(state, checks=share, energy_evaluations=measured, last_barrier=barrier)
    if barrier < state.best_barrier:
        state = replace(state, best_knots=knots, best_barrier=barrier)
    if share <= _CHECKS // 2:
        state = replace(state, halfway_barrier=state.best_barrier)
    return state


def measured_curve(landscape: Landscape, knots: Tensor, tolerance: float) -> Search[Path]:
    """The polyline of a curve, measured, its maximum bracketed. Costs about 35 energies."""
    return measuring_path(landscape, knots, tolerance, max(1, _inside(knots, _MEASURED)))


def _inside(knots: Tensor, points: int) -> int:
    """How many points inside each segment make at least so many in all."""
    return math.ceil(points / (len(knots) - 1)) - 1


def pack(state: CurveState, method: Bending) -> dict[str, Tensor]:
    """The state as tensors, to be stored."""
    counters = [state.moments.updates, state.checks]
    counters += [state.gradient_evaluations, state.energy_evaluations, state.started_at]
    numbers = [state.phase, state.first_barrier, state.best_barrier, state.halfway_barrier, state.last_barrier]
    return {
        "controls": state.controls,
        "first": state.moments.first,
        "second": state.moments.second,
        "best_knots": state.best_knots,
        "counters": torch.tensor(counters),
        "numbers": torch.tensor(numbers, dtype=torch.float64),
        "max_gradients": torch.tensor(method.max_gradients),
        "curve": torch.tensor(_FORMAT),
    }


def is_packed(tensors: Mapping[str, Tensor] | None, method: Bending) -> TypeGuard[Mapping[str, Tensor]]:
    """Whether these are tensors that this version of :func:`pack` made, under the same budget."""
    if tensors is None or "curve" not in tensors or int(tensors["curve"]) != _FORMAT:
        return False
    return int(tensors["max_gradients"]) == method.max_gradients


def unpack(tensors: Mapping[str, Tensor], like: Tensor) -> CurveState:
    """The stored state on the device of ``like``."""
    updates, checks, gradients, energies, started_at = tensors["counters"].tolist()
    phase, first_barrier, best_barrier, halfway_barrier, last_barrier = tensors["numbers"].tolist()
    return CurveState(
        controls=tensors["controls"].to(like),
        moments=Moments(tensors["first"].to(like), tensors["second"].to(like), updates),
        phase=phase,
        checks=checks,
        gradient_evaluations=gradients,
        energy_evaluations=energies,
        started_at=started_at,
        first_barrier=first_barrier,
        best_knots=tensors["best_knots"].to(like),
        best_barrier=best_barrier,
        halfway_barrier=halfway_barrier,
        last_barrier=last_barrier,
    )

"""The default finder: a curve, the string that goes on from it, and what each may claim."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from landscape_finders import autoneb, bezier_autoneb, polygon
from landscape_finders.climb import Climb
from landscape_finders.crossing import _judged
from landscape_finders.falling import is_packed
from landscape_finders.options import AutonebOptions, BezierAutonebOptions
from landscape_finders.options_curve import CurveOptions
from landscape_finders.searching import beginning
from landscape_zoo.opening import open_zoo

from landscape.analysis import Context, Result
from landscape.landscapes.analytic import AnalyticLandscape
from landscape.landscapes.protocol import LandscapeInfo
from landscape.parameters import ParameterSpace, Point
from landscape.paths import alone, measured_path

CPU = torch.device("cpu")


class InBatches(AnalyticLandscape):
    """Three mini-batches whose gradients differ by a constant force; what is asked of it is counted."""

    force, asked_gradients, asked_energies = 20.0, 0, 0

    @property
    def num_batches(self) -> int:
        return 3

    def energies(self, points):
        self.asked_energies += len(points)
        return super().energies(points)

    def gradients(self, points, batch=None):
        self.asked_gradients += len(points) * (3 if batch is None else 1)
        energies, gradients = super().gradients(points)
        return energies, gradients + (0 if batch is None else self.force * (batch - 1))

    def anchored(self, points):
        return self


class Kept:
    """The storage of one task; with ``dies_after`` the run is killed at that save."""

    def __init__(self, state=None, result=None, dies_after=0):
        self.state, self.result, self.left = state, result, dies_after

    def save(self, key, state):
        self.state, self.left = {name: tensor.clone() for name, tensor in state.items()}, self.left - 1
        if self.left == 0:
            raise KeyboardInterrupt

    def load(self, key):
        return self.state

    def memo(self, key, make):
        return make()

    def previous(self, key):
        return self.result


def opened(name="mueller-brown"):
    plain, points = open_zoo(name, device=CPU)
    return InBatches(plain.energy, plain.space, plain.info, plain.start), points


def found(finder, landscape, pair, options, **fields):
    ((_, path),) = finder.find(landscape, [pair], options, context=Context(**fields))
    if isinstance(path, Exception):
        raise path
    return path


@pytest.mark.parametrize("climb", [False, True])
@pytest.mark.parametrize("budget", [1, 30, 700])
def test_curve_string_and_climb_share_one_budget_and_all_is_counted(budget, climb):
    land, points = opened()
    path = found(bezier_autoneb, land, points[:2], BezierAutonebOptions(max_gradients=budget, climb=climb))
    assert path.gradient_evaluations == land.asked_gradients <= budget
    assert path.energy_evaluations == land.asked_energies


@pytest.mark.parametrize("dies_after", [1, 4])
@pytest.mark.parametrize("climb", [False, True])
def test_killed_in_the_string_it_ends_at_the_same_path(dies_after, climb):
    land, points = opened()
    options = BezierAutonebOptions(max_gradients=700, climb=climb)
    whole = found(bezier_autoneb, land, points[:2], options, storage=Kept())
    killed = Kept(dies_after=dies_after)
    with pytest.raises(KeyboardInterrupt):
        found(bezier_autoneb, land, points[:2], options, storage=killed)
    resumed = found(bezier_autoneb, land, points[:2], options, storage=Kept(killed.state))
    assert torch.equal(resumed.points, whole.points)
    assert (resumed.messages, resumed.converged) == (whole.messages, whole.converged)
    assert resumed.gradient_evaluations == whole.gradient_evaluations
    assert resumed.energy_evaluations == whole.energy_evaluations


def test_killed_and_called_with_a_larger_budget_it_begins_anew():
    land, points = opened()
    killed = Kept(dies_after=2)
    with pytest.raises(KeyboardInterrupt):
        found(bezier_autoneb, land, points[:2], BezierAutonebOptions(max_gradients=400), storage=killed)
    larger = BezierAutonebOptions(max_gradients=700)
    whole = found(bezier_autoneb, land, points[:2], larger)
    again = found(bezier_autoneb, land, points[:2], larger, storage=Kept(killed.state))
    assert torch.equal(again.points, whole.points)


def test_a_continued_search_counts_what_it_takes_and_is_never_higher():
    land, points = opened("curvy-valley")
    first = found(bezier_autoneb, land, points[:2], BezierAutonebOptions(max_gradients=200))
    numbers = {name: getattr(first, name) for name in ("gradient_evaluations", "energy_evaluations")}
    stored = Result(None, numbers, vectors={"path": first.points})
    for budget in (200, 500):
        second = found(
            bezier_autoneb, land, points[:2], BezierAutonebOptions(max_gradients=budget), storage=Kept(result=stored)
        )
        assert second.barrier <= first.barrier + 1e-3
    land.asked_gradients = land.asked_energies = 0
    third = found(
        bezier_autoneb, land, points[:2], BezierAutonebOptions(max_gradients=500), storage=Kept(result=stored)
    )
    assert third.gradient_evaluations == first.gradient_evaluations + land.asked_gradients <= 500
    assert third.energy_evaluations == first.energy_evaluations + land.asked_energies


def bent(*points):
    return torch.tensor(points, dtype=torch.float64)


@pytest.mark.parametrize("knots", [3, 60])
def test_a_start_with_too_few_or_too_many_knots_is_still_the_answer_if_nothing_lower_is_found(knots):
    """A roof with a hole beside it: a polygon through the hole; images at other arc lengths cut its corner."""
    land, points = opened("curvy-valley")
    given = found(polygon, land, points[:2], CurveOptions(max_gradients=300, free_points=knots - 2))
    options = AutonebOptions(max_gradients=given.gradient_evaluations % 7 + 1)
    path = found(autoneb, land, points[:2], options, start=None, starts=(given.points,))
    assert path.barrier <= given.barrier + 1e-3
    assert not path.converged


def test_no_more_images_than_asked_for_are_moved_on_a_start_with_many_knots():
    land, points = opened("curvy-valley")
    line = torch.lerp(points[0].vector, points[1].vector, torch.linspace(0, 1, 62).double()[:, None])
    line[1:-1] += 0.01
    asked = []
    land.gradients = lambda points, batch=None: (
        asked.append(len(points)),
        AnalyticLandscape.gradients(land, points),
    )[1]
    options = AutonebOptions(max_gradients=90, max_images=6)
    found(autoneb, land, points[:2], options, starts=(line,))
    assert set(asked) == {6}


def soft_valley():
    """A valley along y = x² - 1: barrier 0.5 at (0, -1), the line peaks at 1. It is a Bezier curve."""

    def energy(x):
        return 0.5 * (x[0] ** 2 - 1) ** 2 + 0.5 * (x[1] - x[0] ** 2 + 1) ** 2

    space, info = ParameterSpace(("x",), ((2,),)), LandscapeInfo("soft valley", "energy")
    land = InBatches(energy, space, info, lambda rng: torch.zeros(2, dtype=torch.float64))
    land.force = 0.0
    return land, [Point(torch.tensor([side, 0.0], dtype=torch.float64), str(side)) for side in (-1.0, 1.0)]


def test_a_string_that_stays_above_the_curve_has_not_converged(monkeypatch):
    """The curve is the answer then, and the verdict says that the search ended above it."""
    land, pair = soft_valley()
    x = torch.linspace(-1, 1, 33, dtype=torch.float64)

    def parabola(landscape, begin, options, batches, task):
        curve = measured_path(landscape, torch.stack([x, x**2 - 1], 1))
        return replace(curve, gradient_evaluations=5, energy_evaluations=7)
        yield

    monkeypatch.setattr(bezier_autoneb, "_curve", parabola)
    path = found(bezier_autoneb, land, pair, BezierAutonebOptions(max_gradients=25, images=1, tolerance=1e-3))
    assert path.barrier == pytest.approx(0.5, abs=1e-3)
    assert len(path.points) == 33
    assert path.gradient_evaluations == 5 + land.asked_gradients
    assert not path.converged
    assert "above the best met (0.5)" in path.messages[0]


@pytest.mark.parametrize(
    ("below", "said"),
    [
        (None, "connected by a curve: barrier {} is within the tolerance 0.6 of none"),
        (0.55, "connected by a curve: barrier {}, below 0.55"),
        (0.3, "barrier 0.5 is within the tolerance 0.6 of none"),
    ],
)
def test_a_curve_is_enough_below_what_was_asked_for(below, said):
    """By default a curve within the tolerance of none is enough; below a barrier that was named it has to be."""
    land, pair = soft_valley()
    options = BezierAutonebOptions(max_gradients=600, tolerance=0.6, connected_below=below)
    path = found(bezier_autoneb, land, pair, options)
    assert path.messages == (said.format(f"{path.barrier:.4g}"),)
    assert path.converged
    assert (path.gradient_evaluations > 150) == (below == 0.3)
    assert path.budget_spent == (below == 0.3)


def test_a_saddle_above_the_path_is_none_of_it():
    """A climb that led elsewhere proves nothing of a path that passes below."""
    land, points = opened("curvy-valley")
    path = found(autoneb, land, points[:2], AutonebOptions(max_gradients=900))
    high = bent([0.0, 3.0])
    knots = torch.cat([points[0].vector[None], high, points[1].vector[None]])
    top = Climb(high[0], path.saddle_time, 1e-9, 1e-6, 3)
    judged = alone(land, _judged(land, path, knots, top, 1e-3))
    assert judged.max_loss == path.max_loss
    assert not judged.converged
    assert "the climb led elsewhere" in judged.messages[0]
    through = alone(land, _judged(land, path, path.points, replace(top, point=path.points[0] * 0), 0.5))
    assert through.converged
    assert through.messages[0].startswith("saddle at 1")


@pytest.mark.parametrize(("noise", "searched"), [(3e-7, False), (3e-5, True)])
def test_a_barrier_of_rounding_is_none(noise, searched):
    """Single precision cannot tell 1 from 1 + 3e-7 in a sum: no budget is spent on that."""
    space, info = ParameterSpace(("x",), ((1,),)), LandscapeInfo("ripples", "energy")
    land = AnalyticLandscape(lambda x: 1 + noise * torch.sin(40 * x[0]) ** 2, space, info, lambda rng: None)
    ends = [Point(torch.tensor([x]), str(x)) for x in (0.0, 1.0)]
    begin = alone(land, beginning(land, *ends, Context(), None))
    assert (begin.answer is None) == searched
    assert begin.tolerance == 0 if not searched else begin.tolerance >= 10 * torch.finfo(torch.float32).eps


def test_what_an_ended_string_sampling_left_is_not_gone_on_from():
    state = {"string-sampling": torch.tensor(1), "counters": torch.tensor([40, 100, 9])}
    assert is_packed(state)
    assert is_packed(state, 40)
    assert not is_packed(state, 41)

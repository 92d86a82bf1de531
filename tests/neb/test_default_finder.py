"""The default finder: a curve, the string that goes on from it, and what each may claim."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from landscape_finders import autoneb, bezier_autoneb, polygon
from landscape_finders import search as search_module
from landscape_finders.bezier_autoneb import _enough
from landscape_finders.climb import Climb
from landscape_finders.crossing import _judged
from landscape_finders.falling import is_packed
from landscape_finders.options import AutonebOptions, BezierAutonebOptions
from landscape_finders.options_curve import CurveOptions
from landscape_finders.search import StringSearch, _begun, _method
from landscape_finders.searching import Beginning, MiniBatches, beginning
from landscape_zoo.opening import open_zoo
from storing import Kept

from landscape.analysis import Context, Result
from landscape.landscapes.analytic import AnalyticLandscape
from landscape.landscapes.protocol import LandscapeInfo
from landscape.parameters import ParameterSpace, Point
from landscape.paths import alone, measured_path, measuring_path

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
    path = found(bezier_autoneb, land, pair, BezierAutonebOptions(max_gradients=7, images=2, tolerance=1e-3))
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


def test_a_curve_may_rise_to_twice_the_higher_end_and_to_a_hundredth_of_the_line():
    energies, options = torch.tensor([0.02, 9.0, 0.01], dtype=torch.float64), BezierAutonebOptions()
    begin = Beginning(SimpleNamespace(energies=energies), 0.001, energies)
    assert _enough(begin, 0.09, options) == 0.02
    assert _enough(begin, 0.005, options) == 0.005
    assert _enough(begin, 0.0005, options) == 0.001
    assert _enough(begin, 0.0005, BezierAutonebOptions(connected_below=0.0005)) == 0.0005


def noted(max_gradients=1000, climb=False, connected_below=None):
    """A search whose method says what it was made for."""
    return StringSearch(lambda *made: SimpleNamespace(made=made), 3, max_gradients, climb, connected_below, None)


@pytest.mark.parametrize(
    ("spent", "climb", "made"),
    [
        (0, False, (2.0, 1000, 0)),
        (500, False, (1.0, 1000, 500)),
        (600, True, (0.8, 900, 600)),
        (1200, True, (0, 1000, 1200)),
    ],
)
def test_a_continued_search_moves_less_and_keeps_a_quarter_of_what_is_left_for_the_climb(spent, climb, made):
    knots = torch.zeros(2, 4, dtype=torch.float64)
    knots[1] = 2
    assert _method(Beginning(None, 0.1, knots), noted(climb=climb), spent).made == pytest.approx(made)


def test_the_path_that_was_given_is_the_best_until_a_lower_one_is_met():
    land, _ = soft_valley()
    x = torch.linspace(-1, 1, 33, dtype=torch.float64)
    curve = measured_path(land, torch.stack([x, x**2 - 1], 1))
    search = autoneb.string_search(AutonebOptions(), MiniBatches(3, 0))
    begin = Beginning(curve, 1e-3, curve.points[[0, 6, 12, 20, 26, 32]], given=True, path=curve)
    state = alone(land, _begun(land, begin, search, search.method(2.0, 100, 0)))
    assert state.images == 4
    assert state.last_barrier > curve.barrier
    assert state.best_barrier == state.halfway_barrier == curve.barrier
    assert torch.equal(state.best_knots, curve.points)


def test_the_ends_of_a_start_are_the_points_to_the_bit():
    land, pair = soft_valley()
    given = torch.stack([pair[0].vector + 1e-7, torch.zeros(2).double() - 0.9, pair[1].vector - 1e-7])
    path = found(autoneb, land, pair, AutonebOptions(max_gradients=1), starts=(given,))
    assert torch.equal(path.points[0], pair[0].vector)
    assert torch.equal(path.points[-1], pair[1].vector)


def test_every_mini_batch_comes_once_in_each_epoch_and_in_another_order():
    batches = MiniBatches(20, 3)
    epochs = [[batches(20 * epoch + step) for step in range(20)] for epoch in range(3)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert [MiniBatches(20, 3)(step) for step in range(20)] == epochs[0]


@pytest.mark.parametrize("finder", [autoneb, bezier_autoneb])
def test_below_the_level_as_measured_is_not_connected_where_the_maximum_is_not_bracketed(finder, monkeypatch):
    def loosely(*given):
        path = yield from measuring_path(*given)
        return replace(path, bracket=1.0)

    monkeypatch.setattr(search_module, "measuring_path", loosely)
    monkeypatch.setattr("landscape_finders.curve_search.measured_curve", lambda land, knots, _: loosely(land, knots))
    land, pair = soft_valley()
    kind = AutonebOptions if finder is autoneb else BezierAutonebOptions
    path = found(finder, land, pair, kind(max_gradients=400, connected_below=0.8))
    assert path.barrier < 0.8
    assert not path.converged
    assert path.messages[0].startswith("the maximum is bracketed only to 1")


def test_who_asks_for_a_climb_gets_the_string_in_any_case():
    land, pair = soft_valley()
    options = BezierAutonebOptions(max_gradients=600, tolerance=0.1, connected_below=0.55, climb=True)
    assert found(bezier_autoneb, land, pair, options).messages[0].startswith("connected: barrier 0.5")

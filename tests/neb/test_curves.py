"""Bezier curves and polygons: their geometry by hand, landscapes whose valleys they are, searches cut short."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from landscape_finders import bending, bezier, curve_search, polygon
from landscape_finders.bending import Bending, CurveState
from landscape_finders.bezier import BEZIER, bernstein
from landscape_finders.curve import fitted, knots_of, point_at, weights_of
from landscape_finders.options_curve import CurveOptions
from landscape_finders.polygon import POLYGON, hats
from landscape_finders.searching import Beginning, MiniBatches
from landscape_zoo.opening import open_zoo
from storing import Kept

from landscape.analysis import Context, Result
from landscape.landscapes.analytic import AnalyticLandscape
from landscape.landscapes.protocol import LandscapeInfo
from landscape.parameters import ParameterSpace, Point
from landscape.paths import straight
from landscape.paths.asking import Gradients

CPU = torch.device("cpu")
FAMILIES = {"bezier": BEZIER, "polygon": POLYGON}
FINDERS = {"bezier": bezier, "polygon": polygon}


def found(finder, landscape, pair, options, context=None):
    ((index, path),) = finder.find(landscape, [pair], options, context=context or Context())
    assert index == 0
    if isinstance(path, Exception):
        raise path
    return path


def plane(energy, *ends, batches=1):
    """A landscape on R^2 and points of it."""

    class Plane(AnalyticLandscape):
        num_batches = batches

    space, info = ParameterSpace(("x",), ((2,),)), LandscapeInfo("plane", "energy")
    land = Plane(energy, space, info, lambda rng: torch.randn(2, generator=rng, dtype=torch.float64))
    return land, [Point(torch.tensor(end, dtype=torch.float64), id=str(end)) for end in ends]


def roof():
    """A valley at 0 along the two sides y = 1 - |x|; the line between its feet peaks at 1."""
    return plane(lambda x: (x[1] - 1 + x[0].abs()) ** 2, (-1.0, 0.0), (1.0, 0.0))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("controls", [3, 4, 6])
def test_weights_add_up_and_evenly_spread_points_give_the_straight_line(family, controls):
    times = torch.linspace(0, 1, 13, dtype=torch.float64)
    weights = weights_of(FAMILIES[family], times.tolist(), controls)
    assert weights.min() >= 0
    torch.testing.assert_close(weights.sum(1), torch.ones(13).double(), rtol=0, atol=1e-14)
    torch.testing.assert_close(weights @ torch.linspace(0, 1, controls, dtype=torch.float64), times, rtol=0, atol=1e-14)
    torch.testing.assert_close(weights[[0, -1]], torch.eye(controls).double()[[0, -1]], rtol=0, atol=0)


def test_weights_by_hand():
    assert bernstein(0.25, 3) == [0.5625, 0.375, 0.0625]
    assert bernstein(0.5, 4) == [0.125, 0.375, 0.375, 0.125]
    assert hats(0.25, 3) == [0.5, 0.5, 0.0]
    assert hats(0.75, 5) == [0.0, 0.0, 0.0, 1.0, 0.0]


def test_bernstein_polynomials_are_de_casteljaus_construction(rng):
    land, _ = roof()
    controls = torch.randn(5, 2, generator=rng, dtype=torch.float64)
    corners = controls
    while len(corners) > 1:
        corners = torch.lerp(corners[:-1], corners[1:], 0.3)
    torch.testing.assert_close(point_at(land, controls, bernstein(0.3, 5)), corners, rtol=1e-13, atol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_polyline_of_a_curve_lies_on_it(family, rng):
    land, _ = roof()
    controls = torch.randn(4, 2, generator=rng, dtype=torch.float64)
    knots = knots_of(land, FAMILIES[family], controls)
    assert torch.equal(knots[[0, -1]], controls[[0, -1]])
    assert len(knots) == {"bezier": 25, "polygon": 4}[family]
    for time, knot in zip(torch.linspace(0, 1, len(knots)).tolist(), knots, strict=True):
        torch.testing.assert_close(
            point_at(land, controls, FAMILIES[family].weights(time, 4))[0], knot, rtol=0, atol=1e-6
        )


@pytest.mark.parametrize("free", [1, 2, 3])
def test_a_curve_is_fitted_to_its_own_polyline(free, rng):
    """Knots at equal parameters: control points come back, though arc lengths are uneven."""
    land, _ = roof()
    controls = torch.cumsum(torch.rand(free + 2, 2, generator=rng, dtype=torch.float64), 0)
    again = fitted(land, BEZIER, knots_of(land, BEZIER, controls), free)
    torch.testing.assert_close(again, controls, rtol=0, atol=1e-11)


def test_a_polygon_is_fitted_at_equal_arc_lengths():
    land, _ = roof()
    knots = torch.tensor([[0.0, 0.0], [0.25, 0.25], [1.0, 1.0], [1.75, 0.25], [2.0, 0.0]]).double()
    corners = fitted(land, POLYGON, knots, 1)
    torch.testing.assert_close(corners, torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]]).double(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_curve_begins_as_the_line(family):
    land, (a, b) = roof()
    controls = fitted(land, FAMILIES[family], straight(land, a.vector, b.vector, torch.Generator()), 2)
    even = torch.lerp(a.vector, b.vector, torch.linspace(0, 1, 4, dtype=torch.float64)[:, None])
    torch.testing.assert_close(controls, even, rtol=0, atol=1e-12)


def test_on_a_sphere_a_curve_begins_as_the_great_circle_of_the_line():
    land, (a, b, *_) = open_zoo("spherical-2-spin?n=16&seed=0", device=CPU)
    circle = straight(land, a.vector, b.vector, torch.Generator().manual_seed(0))
    controls = fitted(land, BEZIER, circle, 1)
    torch.testing.assert_close(point_at(land, controls, bernstein(0.5, 3))[0], circle[16], rtol=0, atol=1e-10)
    knots = knots_of(land, BEZIER, controls)
    torch.testing.assert_close(knots.square().sum(1), torch.full((17,), 16.0).double(), rtol=1e-13, atol=0)
    off_plane = knots - (knots @ circle[16])[:, None] * circle[16] / 16 - (knots @ a.vector)[:, None] * a.vector / 16
    assert off_plane.abs().max() < 1e-10


def moved(land, state, method):
    """One step's answer made from the exact gradient: what it asked for and the state after it."""
    search = bending.step(land, state, method)
    ask = next(search)
    assert isinstance(ask, Gradients)
    try:
        search.send(land.gradients(ask.points))
    except StopIteration as end:
        return ask, end.value
    raise AssertionError("one step asks once")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_follows_the_gradient_of_the_loss_at_one_time(family, rng):
    """Against autograd through the curve; Adam's first moment after the first step is a tenth of it."""
    land, _ = roof()
    controls = torch.randn(4, 2, generator=rng, dtype=torch.float64)
    method = Bending(FAMILIES[family], MiniBatches(3, 0), 0.1, 100, 0.0, 1e-3)
    state = bending.start(controls, controls, math.inf, rng, 0, 0)
    state = replace(state, last_barrier=1.0)
    ask, after = moved(land, state, method)
    leaves = controls.clone().requires_grad_()
    weights = torch.tensor(FAMILIES[family].weights(state.phase, 4), dtype=torch.float64)
    land.energy(weights @ leaves).backward()
    torch.testing.assert_close(ask.points[0], weights @ controls, rtol=0, atol=1e-12)
    torch.testing.assert_close(after.moments.first, 0.1 * leaves.grad[1:-1], rtol=1e-10, atol=1e-14)
    assert torch.equal(after.controls[[0, -1]], controls[[0, -1]])
    pulled = leaves.grad[1:-1] != 0
    step = (after.controls - controls)[1:-1]
    torch.testing.assert_close(step[pulled], -0.1 * leaves.grad[1:-1][pulled].sign(), rtol=1e-4, atol=0)
    assert (step[~pulled] == 0).all()


def test_times_are_evenly_spread_and_batches_are_those_of_all_pairs(rng):
    """Of any 21 steps in a row two times are never nearer than the golden rotation allows, 1 / (sqrt 5 * 21)."""
    land, _ = roof()
    batches = MiniBatches(5, 7)
    method = Bending(POLYGON, batches, 0.0, 10**6, 0.0, 1e-3)
    controls = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]).double()
    state = bending.start(controls, controls, 1.0, rng, 0, 0)
    times = []
    for number in range(200):
        ask, state = moved(land, state, method)
        times.append(float(ask.points[0, 0]) / 2)
        assert ask.batch == batches(number)
    times = torch.tensor(times)
    for first in range(0, 180, 30):
        gaps = times[first : first + 21].sort().values.diff()
        assert gaps.min() > 1 / (5**0.5 * 21) * 0.98
        assert gaps.max() < 0.13
    assert times.mean() == pytest.approx(0.5, abs=0.01)


# name: finder, gradient evaluations, energy at the saddle or barrier, absolute tolerance
VALLEYS = {
    "double-well?dim=1000&seed=0": ("bezier", 400, 1.0, 5e-3),
    "double-well?dim=2": ("bezier", 400, 1.0, 5e-3),
    "spherical-2-spin?n=16&seed=0": ("bezier", 400, 5.7086735447, 5e-3),
}


@pytest.mark.parametrize("name", VALLEYS)
def test_valleys_that_are_such_curves(name):
    """A parabola is a Bezier curve with one free point, a great circle one that is put back on the sphere."""
    finder, budget, answer, tolerance = VALLEYS[name]
    land, points = open_zoo(name, device=CPU)
    path = found(FINDERS[finder], land, points[:2], CurveOptions(max_gradients=budget))
    assert path.barrier == pytest.approx(answer, abs=tolerance)
    assert path.gradient_evaluations == budget
    assert torch.equal(path.points[[0, -1]], torch.stack([p.vector for p in points[:2]]))
    assert path.bracket <= 0.02


def test_a_valley_with_one_bend():
    """Above 1e-4 only by how well Adam hits the ridge; a parabola at best rises to 1/81 (its height over a roof)."""
    land, pair = roof()
    bent = found(polygon, land, pair, CurveOptions(max_gradients=400))
    assert bent.barrier < 1e-3
    torch.testing.assert_close(bent.points[1], torch.tensor([0.0, 1.0]).double(), rtol=0, atol=0.03)
    assert len(bent.points) == 3
    assert found(bezier, land, pair, CurveOptions(max_gradients=400)).barrier > 0.005


def test_more_free_points_follow_a_valley_that_turns_twice():
    land, pair = plane(
        lambda x: (x[1] - torch.sin(math.pi * x[0])) ** 2 + 0 * x[0],
        (-1.0, 0.0),
        (1.0, 0.0),
    )
    land_line = found(polygon, land, pair, CurveOptions(max_gradients=1))
    one, two = (found(bezier, land, pair, CurveOptions(max_gradients=400, free_points=n)) for n in (1, 2))
    assert land_line.barrier == pytest.approx(1.0, abs=1e-2)
    assert two.barrier < 0.1 * one.barrier


@pytest.mark.parametrize("finder", FINDERS)
def test_the_units_of_the_coordinates_do_not_matter(finder):
    land, points = open_zoo("curvy-valley", device=CPU)
    larger = AnalyticLandscape(lambda x: land.energy(x / 8), land.space, land.info, land.start)
    scaled = [Point(8 * p.vector, id=p.id) for p in points[:2]]
    options = CurveOptions(max_gradients=300)
    path, other = found(FINDERS[finder], land, points[:2], options), found(FINDERS[finder], larger, scaled, options)
    assert other.barrier == pytest.approx(path.barrier, rel=1e-4)
    torch.testing.assert_close(other.points, 8 * path.points, rtol=1e-3, atol=1e-3)


def test_a_pair_among_others_gets_the_same_path():
    land, points = open_zoo("mueller-brown", device=CPU)
    pairs = [points[:2], points[1:3], (points[0], points[2])]
    options = CurveOptions(max_gradients=100)
    together = dict(bezier.find(land, pairs, options, context=Context(keys=("p", "q", "r"))))
    alone = found(bezier, land, pairs[1], options, Context(keys=("q",)))
    torch.testing.assert_close(together[1].points, alone.points, rtol=1e-12, atol=1e-13)
    assert together[1].barrier == pytest.approx(alone.barrier, rel=1e-12)


@pytest.mark.parametrize("connected_below", [None, 0.5], ids=["to the end", "looked at closely"])
def test_evaluations_are_counted(connected_below):
    class Counting(AnalyticLandscape):
        num_batches = 4

        def energies(self, points):
            counted[0] += len(points)
            return super().energies(points)

        def gradients(self, points, batch=None):
            assert batch is not None
            counted[1] += len(points)
            return super().gradients(points)

    counted = [0, 0]
    plain, pair = comb()
    land = Counting(plain.energy, plain.space, plain.info, plain.start)
    options = CurveOptions(max_gradients=83, learning_rate=1e-12, connected_below=connected_below)
    path = found(bezier, land, pair, options)
    assert [path.energy_evaluations, path.gradient_evaluations] == counted
    assert path.gradient_evaluations == 83


@pytest.mark.parametrize("finder", FINDERS)
@pytest.mark.parametrize("dies_after", [1, 37, 160])
def test_a_killed_search_ends_at_the_same_path(finder, dies_after, monkeypatch):
    monkeypatch.setattr(curve_search, "_SAVE_EVERY_SECONDS", -1.0)
    land, points = open_zoo("curvy-valley", device=CPU)
    options = CurveOptions(max_gradients=200)
    whole = found(FINDERS[finder], land, points[:2], options, Context(storage=Kept()))
    killed = Kept(dies_after=dies_after)
    with pytest.raises(KeyboardInterrupt):
        found(FINDERS[finder], land, points[:2], options, Context(storage=killed))
    resumed = found(FINDERS[finder], land, points[:2], options, Context(storage=Kept(state=killed.state)))
    assert torch.equal(resumed.points, whole.points)
    assert torch.equal(resumed.energies, whole.energies)
    assert resumed.gradient_evaluations == whole.gradient_evaluations
    assert resumed.energy_evaluations == whole.energy_evaluations
    assert resumed.messages == whole.messages


def test_what_another_version_stored_is_not_gone_on_from():
    land, points = open_zoo("curvy-valley", device=CPU)
    options = CurveOptions(max_gradients=100)
    whole = found(bezier, land, points[:2], options)
    strange = Kept(state={"knots": torch.zeros(3, 2), "format": torch.tensor(2)})
    assert torch.equal(found(bezier, land, points[:2], options, Context(storage=strange)).points, whole.points)


def test_a_larger_budget_goes_on_from_the_stored_path():
    import xarray as xr

    land, points = open_zoo("curvy-valley", device=CPU)
    first = found(bezier, land, points[:2], CurveOptions(max_gradients=100))
    numbers = {name: getattr(first, name) for name in ("gradient_evaluations", "energy_evaluations")}
    stored = Kept(result=Result(xr.Dataset(), numbers, vectors={"path": first.points}))
    second = found(bezier, land, points[:2], CurveOptions(max_gradients=400), Context(storage=stored))
    assert second.barrier <= first.barrier
    assert second.gradient_evaluations == 400
    assert second.energy_evaluations > first.energy_evaluations
    none_left = found(bezier, land, points[:2], CurveOptions(max_gradients=100), Context(storage=stored))
    assert none_left.barrier == pytest.approx(first.barrier, abs=1e-3)
    assert not none_left.converged
    assert none_left.messages[0].startswith("no step fitted in the budget")


@pytest.mark.parametrize("finder", FINDERS)
def test_it_begins_from_a_given_path_and_never_returns_a_higher_one(finder):
    land, pair = roof()
    over = torch.tensor([[-1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]).double()
    path = found(FINDERS[finder], land, pair, CurveOptions(max_gradients=8), Context(start=over, starts=(over,)))
    assert path.barrier < 1e-3
    detour = torch.tensor([[-1.0, 0.0], [0.0, 0.8], [1.0, 0.0]]).double()
    better = found(polygon, land, pair, CurveOptions(max_gradients=400), Context(starts=(detour,)))
    assert better.barrier < 0.04


def test_it_stops_when_connected():
    land, pair = roof()
    path = found(bezier, land, pair, CurveOptions(max_gradients=400, connected_below=0.2))
    assert path.barrier <= 0.2
    assert path.gradient_evaluations == 100
    assert path.converged
    assert not path.budget_spent
    assert path.messages[0].startswith("connected: barrier")


def test_a_curve_that_never_gets_below_the_line_is_not_returned():
    land, points = open_zoo("mueller-brown", device=CPU)
    line = found(polygon, land, (points[1], points[2]), CurveOptions(max_gradients=1))
    path = found(bezier, land, (points[1], points[2]), CurveOptions(max_gradients=40, learning_rate=30.0))
    assert path.max_loss == pytest.approx(line.max_loss, abs=1e-3)
    assert not path.converged
    assert path.budget_spent
    assert "is its rate too high?" in path.messages[0]


def test_a_loss_without_a_floor():
    """It falls without bound along y and overflows: the path before that is returned, and it is said."""
    land, pair = plane(
        lambda x: (x[0] ** 2 - 1) ** 2 + torch.where(x[1] > 30, -torch.inf, -x[1]), (-1.0, 0.0), (1.0, 0.0)
    )
    path = found(bezier, land, pair, CurveOptions(max_gradients=200, learning_rate=2.0))
    assert torch.isfinite(path.energies).all()
    assert path.barrier == pytest.approx(1.0, abs=1e-3)
    assert not path.converged
    assert not path.budget_spent
    assert path.messages[0].startswith("the curve left for where the loss is not finite")


def comb():
    """High but at every eighth of the line: all 17 knots of a curve that has not moved are low, nothing between is."""
    return plane(lambda x: 1 - torch.cos(16 * math.pi * x[0]) + 0.1 * (1 - x[0] ** 2), (-1.0, 0.0), (1.0, 0.0))


def test_a_curve_that_is_high_between_its_knots_is_not_returned():
    land, pair = comb()
    path = found(bezier, land, pair, CurveOptions(max_gradients=60, learning_rate=1e-12))
    assert path.barrier == pytest.approx(2.1, abs=0.01)
    assert torch.equal(path.points, torch.stack([p.vector for p in pair]))
    assert not path.converged
    assert path.messages[0].startswith("no curve below the path that it began with was met")


def test_connected_is_said_only_of_a_maximum_that_is_bracketed():
    land, pair = comb()
    path = found(bezier, land, pair, CurveOptions(max_gradients=60, learning_rate=1e-12, connected_below=0.5))
    assert path.gradient_evaluations == 60
    assert not path.converged


def test_a_barrier_still_falling_is_said():
    land, pair = roof()
    path = found(polygon, land, pair, CurveOptions(max_gradients=60))
    assert not path.converged
    assert path.budget_spent
    assert path.messages[0].startswith("budget spent; the barrier fell by 0.00")


def test_the_unit_of_the_rate_is_the_distance_per_coordinate_and_what_is_left_of_the_budget():
    line = torch.tensor([[0.0, 0.0, 0.0, 0.0], [2.0, 0.0, 2.0, 2.0]])
    begin = Beginning(line=None, tolerance=0.1, knots=line, gradient_evaluations=25)
    assert curve_search._distance(begin, CurveOptions(max_gradients=100)) == pytest.approx(0.75 * 3**0.5)
    assert curve_search._distance(begin, CurveOptions(max_gradients=20)) == 0


def test_nothing_to_lower():
    land, points = open_zoo("quadratic?eigenvalues=3,1", device=CPU)
    a = points[0]
    same = found(bezier, land, (a, a), CurveOptions())
    assert (same.barrier, same.length, same.gradient_evaluations) == (0, 0, 0)
    assert same.messages == ("both ends are the same point: there is nothing to cross",)


@pytest.mark.parametrize("budget", [1, 2, 3, 10, 49, 100])
@pytest.mark.parametrize("finder", FINDERS)
def test_a_handful_of_steps_settles_nothing(finder, budget):
    land, points = open_zoo("curvy-valley", device=CPU)
    path = found(FINDERS[finder], land, points[:2], CurveOptions(max_gradients=budget))
    assert path.gradient_evaluations == budget
    assert not path.converged
    assert path.budget_spent


STATE = CurveState(
    controls=torch.zeros(3, 2),
    moments=None,
    phase=0.0,
    checks=4,
    gradient_evaluations=100,
    energy_evaluations=0,
    started_at=0,
    first_barrier=2.0,
    best_knots=torch.zeros(3, 2),
    best_barrier=1.0,
    halfway_barrier=1.05,
    last_barrier=1.0,
)


# what differs from a settled search, whether it has converged, how the verdict begins
VERDICTS = {
    "settled": ({}, True, "the barrier fell by 0.05 over the second half, less than 0.1: this is as low as a curve"),
    "no step": ({"gradient_evaluations": 0}, False, "no step fitted in the budget; the barrier is 1"),
    "lost": ({"last_barrier": math.inf}, False, "the curve left for where the loss is not finite"),
    "rising": ({"last_barrier": 1.2}, False, "the search ended at a barrier of 1.2, above the best met (1)"),
    "not below": ({"first_barrier": 1.0}, False, "no curve below the path that it began with was met (barrier 1)"),
    "falling": ({"halfway_barrier": 1.2}, False, "budget spent; the barrier fell by 0.2 over its second half"),
    "few": ({"gradient_evaluations": 49}, False, "budget spent after 49 steps, too few"),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_verdicts(case):
    _, pair = roof()
    changes, converged, words = VERDICTS[case]
    path = curve_search.Path(torch.stack([p.vector for p in pair]), torch.ones(2), torch.zeros(2), 0.01)
    path = replace(path, times=torch.linspace(0, 1, 3), energies=torch.tensor([0.0, 1.0, 0.0]).double())
    said, text = curve_search._settled(path, replace(STATE, **changes), 0.1)
    assert said is converged
    assert text.startswith(words)
    loose, text = curve_search._settled(replace(path, bracket=0.2), STATE, 0.1)
    assert not loose
    assert text == "the maximum is bracketed only to 0.2, wanted 0.1"
    low, text = curve_search._settled(path, STATE, 1.5)
    assert low
    assert text == "barrier 1 is within the tolerance 1.5 of none"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (lambda: CurveOptions(max_gradients=0), "max_gradients must be at least 1, got 0"),
        (lambda: CurveOptions(free_points=0), "free_points must be from 1 to 100, got 0"),
        (lambda: CurveOptions(tolerance=0.0), "tolerance must be above 0"),
        (lambda: CurveOptions(connected_below=-1.0), "connected_below is a barrier"),
        (lambda: CurveOptions(learning_rate=0.0), "learning_rate must be above 0"),
    ],
)
def test_nonsense_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        options()

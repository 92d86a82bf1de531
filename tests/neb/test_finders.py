"""Path finders on landscapes with known saddles."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from landscape_finders import autoneb, draxler2018, linear
from landscape_finders.growth import at_top, by_excess
from landscape_finders.optimisers import Moments, adam, momentum
from landscape_finders.options import AutonebOptions, Draxler2018Options, LinearOptions
from landscape_finders.searching import MiniBatches
from landscape_finders.string import finished, start, step
from landscape_zoo.opening import open_zoo
from storing import Kept

from landscape.analysis import Context, Result
from landscape.landscapes.analytic import AnalyticLandscape
from landscape.landscapes.protocol import LandscapeInfo
from landscape.parameters import ParameterSpace, Point
from landscape.paths import alone, dense_times, points_at

CPU = torch.device("cpu")


def found(finder, landscape, pair, options, context=None):
    ((index, path),) = finder.find(landscape, [pair], options, context=context or Context())
    assert index == 0
    if isinstance(path, Exception):
        raise path
    return path


# name: gradient evaluations, the energy at the saddle (over the ends for the spin glass), absolute tolerance
SADDLES = {
    "mueller-brown": (3000, -40.6648435087, 1e-6),
    "curvy-valley": (3000, 1.0, 1e-6),
    "double-well?dim=1000&seed=0": (1500, 1.0, 1e-3),
    "spherical-2-spin?n=16&seed=0": (3000, 5.7086735447, 1e-6),
}


@pytest.mark.parametrize("name", SADDLES)
def test_climbing_reaches_the_known_saddle(name):
    budget, answer, tolerance = SADDLES[name]
    land, points = open_zoo(name, device=CPU)
    path = found(autoneb, land, points[:2], AutonebOptions(max_gradients=budget, climb=True))
    measured = path.barrier if "spin" in name else path.max_loss
    assert measured == pytest.approx(answer, abs=tolerance)
    assert path.converged, path.messages
    assert path.gradient_evaluations <= budget
    assert torch.equal(path.points[0], points[0].vector)
    assert torch.equal(path.points[-1], points[1].vector)


@pytest.mark.parametrize("name", ["mueller-brown", "curvy-valley", "spherical-2-spin?n=16&seed=0"])
def test_the_reported_maximum_is_that_of_the_curve(name):
    """Against 4,001 samples: no higher than maximum and bracket together, and no lower than the maximum."""
    land, points = open_zoo(name, device=CPU)
    path = found(autoneb, land, points[:2], AutonebOptions(max_gradients=400, cycles=3))
    dense = land.energies(points_at(land, path.points, torch.linspace(0, 1, 4001)))
    assert float(dense.max()) <= path.max_loss + path.bracket + 1e-9
    assert path.barrier < found(linear, land, points[:2], LinearOptions()).barrier


def test_a_path_and_its_reverse_agree():
    land, (a, b, *_) = open_zoo("mueller-brown", device=CPU)
    options = AutonebOptions(max_gradients=2000)
    there, back = found(autoneb, land, (a, b), options), found(autoneb, land, (b, a), options)
    assert back.max_loss == pytest.approx(there.max_loss, abs=0.05)
    assert back.length == pytest.approx(there.length, rel=0.02)


def rotated(landscape: AnalyticLandscape, turn: torch.Tensor) -> AnalyticLandscape:
    return AnalyticLandscape(
        lambda x: landscape.energy(turn @ x), landscape.space, landscape.info, lambda rng: turn.T @ landscape.start(rng)
    )


def test_the_published_schedule_does_not_know_the_axes():
    """SGD is isotropic (Adam is not): rotating a landscape rotates the path."""
    land, (a, b) = soft_valley()
    turn = torch.linalg.qr(torch.randn(2, 2, generator=torch.Generator().manual_seed(3)).double())[0]
    options = Draxler2018Options(max_gradients=800)
    path = found(draxler2018, land, (a, b), options)
    turned = [Point(turn.T @ p.vector, id=p.id) for p in (a, b)]
    other = found(draxler2018, rotated(land, turn), turned, options)
    torch.testing.assert_close(other.points, path.points @ turn, rtol=0, atol=1e-7)
    assert other.barrier == pytest.approx(path.barrier, abs=1e-9)


def soft_valley():
    """A valley along y = x² - 1, soft enough for a rate of 0.1: barrier 0.5 at (0, -1), the line peaks at 1."""

    def energy(x: torch.Tensor) -> torch.Tensor:
        return 0.5 * (x[0] ** 2 - 1) ** 2 + 0.5 * (x[1] - x[0] ** 2 + 1) ** 2

    space, info = ParameterSpace(("x",), ((2,),)), LandscapeInfo("soft valley", "energy")
    land = AnalyticLandscape(energy, space, info, lambda rng: torch.randn(2, generator=rng, dtype=torch.float64))
    return land, [Point(torch.tensor([s, 0.0], dtype=torch.float64), id=str(s)) for s in (-1.0, 1.0)]


def published_cycles(reach):
    """Images, steps and rate of each cycle of a search in which every cycle adds two images; and what it spent."""
    land, pair = soft_valley()
    method = draxler2018._method(Draxler2018Options(), 1, reach)
    ends = torch.stack([p.vector for p in pair])
    thirds = torch.tensor([0.28, 0.72]).double()
    method = replace(method, insertions=lambda times, energies, inside: thirds)
    state = alone(land, start(land, torch.lerp(ends[0], ends[1], torch.linspace(0, 1, 5).double()[:, None]), method))
    cycles = []
    while not finished(state, method):
        cycles.append((state.images, state.steps_left, method.rate(state)))
        spent = state.gradient_evaluations + state.images * state.steps_left
        moments = replace(state.moments, first=state.moments.first + 1)
        state = replace(state, moments=moments, steps_left=0, gradient_evaluations=spent)
        state = alone(land, step(land, state, method, torch.Generator()))
        assert not state.moments.first.any() or finished(state, method)  # the optimiser is rebuilt
    return cycles, state.gradient_evaluations


PUBLISHED_STEPS = [1000] * 4 + [2000] * 2 + [1000] * 8
PUBLISHED_RATES = [0.1] * 6 + [0.01] * 4 + [0.001] * 4


@pytest.mark.parametrize("share", [1, 0.1, 0.02])
def test_the_published_schedule_and_all_its_cycles_shortened_alike(share):
    cycles, spent = published_cycles(round(248_000 * share))
    images, steps, rates = zip(*cycles, strict=True)
    assert spent == 248_000 * share
    assert images == tuple(range(3, 30, 2))
    assert steps == tuple(share * n for n in PUBLISHED_STEPS)
    assert rates == tuple(PUBLISHED_RATES)


def test_momentum_is_that_of_torch(rng):
    """Without dampening: the step is the sum of 0.9^k times the gradient k steps ago."""
    ours, moments = torch.zeros(3, 4), Moments.none(torch.zeros(3, 4))
    theirs = torch.zeros(3, 4, requires_grad=True)
    optimiser = torch.optim.SGD([theirs], lr=0.1, momentum=0.9)
    for gradient in torch.randn(5, 3, 4, generator=rng):
        theirs.grad = gradient
        optimiser.step()
        move, moments = momentum(gradient, moments)
        ours = ours + 0.1 * move
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-6, atol=1e-7)


def test_each_image_of_the_published_schedule_has_its_own_batch():
    class Recording(AnalyticLandscape):
        num_batches = 50

        def gradients(self, points, batch=None):
            batches.append((len(points), batch))
            return super().gradients(points)

    batches: list[tuple[int, int]] = []
    land, pair = soft_valley()
    land = Recording(land.energy, land.space, land.info, land.start)
    images = torch.stack([p.vector for p in pair] * 10)
    alone(land, draxler2018._on_own_batches(images, 50, torch.Generator().manual_seed(0)))
    assert [count for count, _ in batches] == [1] * 20
    assert len({batch for _, batch in batches}) > 10


def test_the_published_schedule_finds_the_valley():
    land, pair = soft_valley()
    path = found(draxler2018, land, pair, Draxler2018Options(max_gradients=2000, climb=True))
    assert found(linear, land, pair, LinearOptions()).barrier == pytest.approx(1.0, abs=1e-3)
    assert path.barrier == pytest.approx(0.5, abs=1e-6)
    assert path.gradient_evaluations <= 2000


def test_the_line_of_a_sphere_is_a_great_circle():
    land, points = open_zoo("spherical-2-spin?n=16&seed=0", device=CPU)
    path = found(linear, land, points[:2], LinearOptions())
    assert path.length == pytest.approx(4 * math.pi, rel=1e-3)
    assert path.gradient_evaluations == 0


def test_too_small_a_budget_is_said():
    land, points = open_zoo("mueller-brown", device=CPU)
    path = found(autoneb, land, points[:2], AutonebOptions(max_gradients=2))
    assert not path.converged
    assert path.budget_spent
    assert path.messages[0].startswith("no step fitted in the budget")


def test_a_climb_that_does_not_arrive_is_said_and_the_path_kept():
    land, points = open_zoo("curvy-valley", device=CPU)
    path = found(autoneb, land, points[:2], AutonebOptions(max_gradients=80, climb=True))
    assert not path.converged
    assert path.messages[0].startswith("budget spent: the climb ended at gradient norm")
    assert path.gradient_evaluations <= 80


def test_a_path_higher_than_its_saddle_is_not_converged():
    land, points = open_zoo("curvy-valley", device=CPU)
    path = found(autoneb, land, points[:2], AutonebOptions(max_gradients=200, climb=True, cycles=2))
    assert path.max_loss > 1.01
    assert not path.converged
    assert path.messages[0].startswith("saddle at 1, gradient norm")
    assert "but the path rises to" in path.messages[0]


def test_a_path_still_falling_is_not_converged():
    land, points = open_zoo("curvy-valley", device=CPU)
    path = found(autoneb, land, points[:2], AutonebOptions(max_gradients=100))
    assert not path.converged
    assert path.budget_spent
    assert "fell by" in path.messages[0]


def test_nothing_to_lower():
    land, points = open_zoo("quadratic?eigenvalues=3,1", device=CPU)
    a = points[0]
    same = found(autoneb, land, (a, a), AutonebOptions())
    assert (same.barrier, same.length, same.gradient_evaluations) == (0, 0, 0)
    assert same.messages == ("both ends are the same point: there is nothing to cross",)
    slope = found(autoneb, land, (a, Point(a.vector + 1, id="up")), AutonebOptions())
    assert slope.gradient_evaluations == 0
    assert slope.barrier == 0
    assert slope.bracket == 0


def test_it_stops_when_connected():
    land, points = open_zoo("curvy-valley", device=CPU)
    path = found(autoneb, land, points[:2], AutonebOptions(max_gradients=2000, connected_below=1.5))
    assert path.barrier <= 1.5
    assert path.gradient_evaluations < 2000
    assert path.converged


class InBatches(AnalyticLandscape):
    """Three mini-batches whose gradients differ by a constant force that adds up to none."""

    @property
    def num_batches(self) -> int:
        return 3

    def gradients(self, points, batch=None):
        energies, gradients = super().gradients(points)
        return energies, gradients + (0 if batch is None else 20.0 * (batch - 1))


@pytest.mark.parametrize("dies_after", [1, 4])
@pytest.mark.parametrize("climb", [False, True])
def test_a_killed_search_ends_at_the_same_path(dies_after, climb):
    plain, points = open_zoo("mueller-brown", device=CPU)
    land = InBatches(plain.energy, plain.space, plain.info, plain.start)
    options = AutonebOptions(max_gradients=600, climb=climb)
    whole = found(autoneb, land, points[:2], options, Context(storage=Kept()))
    killed = Kept(dies_after=dies_after)
    with pytest.raises(KeyboardInterrupt):
        found(autoneb, land, points[:2], options, Context(storage=killed))
    resumed = found(autoneb, land, points[:2], options, Context(storage=Kept(state=killed.state)))
    assert torch.equal(resumed.points, whole.points)
    assert torch.equal(resumed.energies, whole.energies)
    assert resumed.gradient_evaluations == whole.gradient_evaluations
    assert resumed.energy_evaluations == whole.energy_evaluations


def test_a_larger_budget_goes_on_from_the_stored_path():
    import xarray as xr

    land, points = open_zoo("curvy-valley", device=CPU)
    first = found(autoneb, land, points[:2], AutonebOptions(max_gradients=300))
    numbers = {name: getattr(first, name) for name in ("gradient_evaluations", "energy_evaluations")}
    stored = Kept(result=Result(xr.Dataset(), numbers, vectors={"path": first.points}))
    second = found(autoneb, land, points[:2], AutonebOptions(max_gradients=2000), Context(storage=stored))
    assert second.barrier < first.barrier
    assert first.gradient_evaluations < second.gradient_evaluations <= 2000
    none_left = found(autoneb, land, points[:2], AutonebOptions(max_gradients=300), Context(storage=stored))
    assert none_left.barrier == pytest.approx(first.barrier, abs=1e-3)
    assert not none_left.converged


def test_the_units_of_the_coordinates_do_not_matter():
    land, points = open_zoo("curvy-valley", device=CPU)
    larger = AnalyticLandscape(lambda x: land.energy(x / 8), land.space, land.info, land.start)
    scaled = [Point(8 * p.vector, id=p.id) for p in points[:2]]
    options = AutonebOptions(max_gradients=300)
    path, other = found(autoneb, land, points[:2], options), found(autoneb, larger, scaled, options)
    assert other.barrier == pytest.approx(path.barrier, rel=1e-4)


def test_a_failing_pair_leaves_the_others():
    land, points = open_zoo("mueller-brown", device=CPU)
    far = Point(torch.tensor([1e200, 0.0], dtype=torch.float64), id="far")
    out = dict(linear.find(land, [(points[0], far), points[:2]], LinearOptions()))
    assert isinstance(out[0], Exception)
    assert out[1].max_loss == pytest.approx(12.676227, abs=0.2)


def test_growth_by_hand():
    """Three segments with one point inside each: excesses 0, 4 and 1 over their chords, the range of the knots is 3."""
    times = torch.linspace(0, 1, 7, dtype=torch.float64)
    energies = torch.tensor([0, 1, 2, 6.5, 3, 3.5, 2], dtype=torch.float64)
    assert by_excess(times, energies, 1).tolist() == [times[3], times[5]]
    assert by_excess(times, energies, 1, most=1).tolist() == [times[3]]
    low = torch.tensor([0, 1, 2, 2.6, 3, 2.4, 1.5], dtype=torch.float64)
    assert by_excess(times, low, 1).tolist() == []
    faint = torch.tensor([0, 1.5, 3, 3.05, 3, 2, 1], dtype=torch.float64)
    assert by_excess(times, faint, 1).tolist() == []
    assert at_top(times, faint, 1).tolist() == [times[3]]
    assert at_top(times, energies, 1).tolist() == [times[3], times[5]]


def test_adam_is_that_of_torch(rng):
    variable = torch.randn(3, 4, generator=rng, dtype=torch.float64)
    mine, moments = variable.clone(), Moments.none(variable)
    optimiser = torch.optim.Adam([variable], lr=0.01)
    for _ in range(5):
        gradient = torch.randn(3, 4, generator=rng, dtype=torch.float64)
        variable.grad = gradient
        optimiser.step()
        direction, moments = adam(gradient, moments)
        mine = mine + 0.01 * direction
    torch.testing.assert_close(mine, variable, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (lambda: AutonebOptions(max_gradients=0), "max_gradients must be at least 1, got 0"),
        (lambda: AutonebOptions(tolerance=0.0), "tolerance must be above 0"),
        (lambda: AutonebOptions(connected_below=-1.0), "connected_below is a barrier"),
        (lambda: AutonebOptions(max_images=1), "max_images"),
        (lambda: AutonebOptions(learning_rate=0.0), "learning_rate must be above 0"),
        (lambda: LinearOptions(points=2), "points must be at least 3"),
    ],
)
def test_nonsense_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        options()


@pytest.mark.parametrize("budget", [3, 10, 20, 30, 100])
@pytest.mark.parametrize("name", ["mueller-brown", "curvy-valley", "spherical-2-spin?n=16&seed=0"])
def test_a_handful_of_steps_settles_nothing(name, budget):
    """The barrier of a few steps may stand still by chance, or because the budget ended before the second half."""
    land, points = open_zoo(name, device=CPU)
    path = found(autoneb, land, points[:2], AutonebOptions(max_gradients=budget))
    true = {"mueller-brown": -40.6648435087, "curvy-valley": 1.0}.get(name, -10.2714353)
    assert path.max_loss > true + 0.02
    assert not path.converged
    assert path.budget_spent


def test_the_climb_turns_where_the_path_points_elsewhere():
    """Between B and C three images are 27 degrees off the unstable mode: with that direction alone it never arrives."""
    land, (_, b, c, *_) = open_zoo("mueller-brown", device=CPU)
    path = found(autoneb, land, (b, c), AutonebOptions(climb=True))
    assert path.converged
    assert path.max_loss == pytest.approx(-72.2489401123, abs=1e-6)
    assert path.gradient_evaluations < 6200


def test_turning_finds_the_lowest_mode_of_a_plane():
    from landscape_finders.climb import _turned

    land, (a, *_) = open_zoo("quadratic?eigenvalues=7,-3&seed=1", device=CPU)
    x, gradient = a.vector, land.gradients(a.vector[None])[1][0]
    matrix = land.hessian(a).matmat(torch.eye(2).double())
    lowest = torch.linalg.eigh(matrix).eigenvectors[:, 0]
    for along in torch.tensor([[1.0, 0.3], [0.2, -1.0]]).double():
        turned = alone(land, _turned(land, x, gradient, along, reach=0.1))
        assert abs(float(turned @ lowest)) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(("excess", "number"), [(0.19, 0), (0.21, 1)])
def test_a_tenth_of_the_range_is_the_least_excess(excess, number):
    """Knots at 0, 2, 0: a point counts from 0.2 over its chord."""
    energies = torch.tensor([0, 0.5, 1 + excess, 1.5, 2, 1.5, 1, 0.5, 0], dtype=torch.float64)
    assert by_excess(torch.linspace(0, 1, 9), energies, 3).tolist() == [0.25] * number


def test_the_best_path_met_is_kept():
    """With steps as long as the pair is apart the string is thrown about: what is returned only ever gets lower."""
    land, pair = soft_valley()
    ends = torch.stack([p.vector for p in pair])
    method = autoneb._method(AutonebOptions(learning_rate=1.0, cycles=6), MiniBatches(1, 0), 2.0, 300, 0)
    method = replace(method, rate=lambda state: 1.0)
    state = alone(land, start(land, torch.lerp(ends[0], ends[1], torch.linspace(0, 1, 5).double()[:, None]), method))
    best, last = [state.best_barrier], []
    while not finished(state, method):
        cycle, knots = state.cycle, state.knots
        state = alone(land, step(land, state, method, torch.Generator().manual_seed(0)))
        if state.cycle > cycle:
            best.append(state.best_barrier)
            last.append(float(land.energies(points_at(land, knots, dense_times(knots, 9))).max()))
    assert max(last) > best[0]
    assert best == sorted(best, reverse=True)
    highest = land.energies(points_at(land, state.best_knots, dense_times(state.best_knots, 9))).max()
    assert state.best_barrier == pytest.approx(float(highest), abs=1e-12)


@pytest.mark.parametrize("pair", [(0, 1), (1, 2)], ids=["straight up", "turning"])
def test_a_climb_counts_every_mini_batch_of_its_gradients(pair):
    class Counting(InBatches):
        def gradients(self, points, batch=None):
            counted.append(len(points) * (self.num_batches if batch is None else 1))
            return AnalyticLandscape.gradients(self, points)

    counted: list[int] = []
    plain, points = open_zoo("mueller-brown", device=CPU)
    land = Counting(plain.energy, plain.space, plain.info, plain.start)
    options = AutonebOptions(max_gradients=1500, climb=True)
    path = found(autoneb, land, [points[i] for i in pair], options)
    assert path.converged
    assert path.gradient_evaluations == sum(counted) <= 1500


def test_a_maximum_that_is_not_bracketed_is_not_converged():
    from landscape_finders.search import StringSearch, _settled

    from landscape.paths import measured_path

    land, pair = soft_valley()
    path = measured_path(land, torch.stack([p.vector for p in pair]))
    method = replace(autoneb._method(AutonebOptions(), MiniBatches(1, 0), 2.0, 300, 0), connected_below=0.0)
    state = replace(
        alone(land, start(land, path.points[[0, 0, 1]], method)), gradient_evaluations=300, best_barrier=path.barrier
    )
    state = replace(state, halfway_barrier=path.barrier)
    search = StringSearch(lambda distance, reach, spent: method, 1, 300, False, None, None)
    assert _settled(replace(path, bracket=0.01), state, search, tolerance=0.02).converged
    loose = _settled(replace(path, bracket=0.03), state, search, tolerance=0.02)
    assert not loose.converged
    assert loose.messages == ("the maximum is bracketed only to 0.03, wanted 0.02",)

"""Dynamic string sampling on landscapes whose barriers are known, and between trained networks."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from landscape_finders.beads import Beads, Descent, descended, divided, examined, strung
from landscape_finders.falling import Goal, Level, Standing, advanced, is_packed, pack, unpack
from landscape_finders.options_string_sampling import StringSamplingOptions
from landscape_finders.string_sampling import find, sampled
from landscape_zoo.opening import open_zoo
from sklearn.datasets import load_digits
from torch import nn

from landscape.analysis import Context, Result
from landscape.landscapes.analytic import AnalyticLandscape
from landscape.landscapes.batches import Batches
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import cross_entropy
from landscape.landscapes.protocol import LandscapeInfo
from landscape.parameters import ParameterSpace, Point
from landscape.paths import alone, dense_times, energies_at, measured_line, points_at

CPU = torch.device("cpu")
DOUBLE = {"dtype": torch.float64}

# name: barrier of the lowest path over the higher end
BARRIERS = {
    "curvy-valley": 1.0,
    "double-well?dim=1000&seed=0": 1.0,
    "mueller-brown": 108.1667241169 - 40.6648435087,
    "spherical-2-spin?n=16&seed=0": 5.7086735447,
}


def opened(name):
    land, points = open_zoo(name, device=CPU)
    return land, points[0], points[1]


@pytest.mark.parametrize("name", BARRIERS)
def test_connected_a_little_above_the_known_barrier(name):
    land, a, b = opened(name)
    level = 1.05 * BARRIERS[name]
    path, levels = sampled(land, a, b, StringSamplingOptions(max_gradients=1000, connected_below=level))
    assert path.converged, path.messages
    assert not path.budget_spent
    assert BARRIERS[name] - 1e-3 <= path.barrier <= level
    assert path.gradient_evaluations <= 500
    assert levels[-1].level == level
    assert all(reached.connected for reached in levels)
    assert torch.equal(path.points[[0, -1]], torch.stack([a.vector, b.vector]))
    dense = land.energies(points_at(land, path.points, torch.linspace(0, 1, 4001)))
    assert float(dense.max()) <= path.max_loss + path.bracket + 1e-9


@pytest.mark.parametrize("name", BARRIERS)
def test_never_connected_a_little_below_it(name):
    """There is no such path: the search says that it found none within its budget, and gives the lowest it met."""
    land, a, b = opened(name)
    level = 0.95 * BARRIERS[name]
    path, levels = sampled(land, a, b, StringSamplingOptions(max_gradients=400, connected_below=level))
    assert not path.converged
    assert path.budget_spent
    assert BARRIERS[name] - 1e-3 <= path.barrier <= 1.25 * BARRIERS[name]
    assert [reached.connected for reached in levels] == [True] * (len(levels) - 1) + [False]
    assert path.messages[0].startswith("connected below ")
    assert path.messages[0].endswith(f"not below {levels[-1].level:.4g} within the budget")
    assert path.gradient_evaluations <= 400


def test_levels_fall_and_their_paths_are_below_them():
    land, a, b = opened("curvy-valley")
    path, levels = sampled(land, a, b, StringSamplingOptions(max_gradients=1000, connected_below=1.05))
    heights = [reached.level for reached in levels]
    assert heights == sorted(heights, reverse=True)
    assert levels[0].level == pytest.approx(2.97666827, abs=0.02)
    assert levels[0].normalised_length == 1
    assert levels[-1].normalised_length == pytest.approx(path.length / float((b.vector - a.vector).norm()))
    words = [f"below {each.level:.4g} at {each.normalised_length:.3g}" for each in levels]
    assert path.messages == ("connected " + ", ".join(words).replace(" at ", " at length ", 1),)


def test_beads_stay_in_the_hyperplane_they_descend_in():
    """In the double well the middle of the line falls to the saddle and, unlike a free one, no further."""
    land, a, b = opened("double-well?dim=20&seed=0")
    along = b.vector - a.vector
    noise = torch.randn(20, generator=torch.Generator().manual_seed(1), **DOUBLE)
    knots = torch.stack([a.vector, (a.vector + b.vector) / 2 + 0.1 * noise, b.vector])
    beads = alone(land, strung(knots))
    descent = Descent(lambda step: 0, lambda spent: 0.02 * (1 - spent / 400), 400)
    spent = 0
    while spent < 400:
        beads, _, spent, _ = alone(land, descended(land, beads, 0.5, descent, 0, spent))
    assert float((beads.knots[1] - knots[1]) @ along) == pytest.approx(0, abs=1e-9)
    aside = float((knots[1] - knots[0]) @ along / along.norm()) - 1  # s of the hyperplane
    assert float(beads.energies[1]) == pytest.approx((aside**2 - 1) ** 2, abs=1e-4)


def slope() -> AnalyticLandscape:
    """E(x, y) = x² + y."""
    space, info = ParameterSpace(("x",), ((2,),)), LandscapeInfo("slope", "energy")
    return AnalyticLandscape(lambda x: x[0] ** 2 + x[1], space, info, lambda rng: torch.zeros(2, **DOUBLE))


def test_segments_are_examined_and_divided_where_they_are_worst():
    """Knots at x = -2, 0, 3 on the parabola, one point and three points inside each segment; y rises from 0 to 7."""
    land = slope()
    knots = torch.tensor([[-2.0, 0.0], [0.0, 7.0], [3.0, 0.0]], **DOUBLE)
    beads = alone(land, strung(knots))
    assert beads.energies.tolist() == [4, 7, 9]
    assert beads.tops.isnan().all()
    assert beads.floor == 9
    first = alone(land, examined(land, beads, torch.tensor([True, False]), 3))
    assert first.tops[0].item() == pytest.approx(0.25 + 5.25)
    assert first.places[0].item() == 0.75
    assert first.tops[1].isnan()
    both = alone(land, examined(land, first, torch.tensor([False, True]), 1))
    assert both.tops[1].item() == pytest.approx(2.25 + 3.5)
    more = divided(land, both, torch.tensor([True, False]))
    torch.testing.assert_close(more.knots[1], torch.tensor([-0.5, 5.25], **DOUBLE), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(more.knots[[0, 2, 3]], knots, rtol=0, atol=0)
    torch.testing.assert_close(more.energies, land.energies(more.knots), rtol=1e-12, atol=0)
    assert more.tops.isnan().tolist() == [True, True, False]
    assert more.depths.tolist() == [1, 1, 0]
    assert more.above(-4).tolist() == [False, True, True, False]
    assert more.above(-3).tolist() == [False, False, True, False]
    assert more.above(-2).tolist() == [False, False, False, False]


def test_only_high_beads_descend_and_what_lies_beside_them_is_examined_anew():
    """Five knots on x² + y, the middle one high: it moves across the chord, here along y, by Adam's steps."""
    land = slope()
    knots = torch.tensor([[-2.0, 0.0], [-1.0, 0.0], [0.0, 6.0], [1.0, 0.0], [2.0, 0.0]], **DOUBLE)
    beads = alone(land, examined(land, alone(land, strung(knots)), torch.ones(4, dtype=torch.bool), 3))
    descent = Descent(lambda step: 0, lambda spent: 0.05, 1000)
    after, step, spent, measured = alone(land, descended(land, beads, 1.0, descent, 0, 0))
    assert after.tops.isnan().tolist() == [False, True, True, False]
    assert torch.equal(after.tops[[0, 3]], beads.tops[[0, 3]])
    assert torch.equal(after.knots[[0, 1, 3, 4]], knots[[0, 1, 3, 4]])
    torch.testing.assert_close(after.energies, land.energies(after.knots), rtol=1e-12, atol=0)
    torch.testing.assert_close(after.knots[2], torch.tensor([0.0, 6 - 0.05 * step], **DOUBLE), rtol=0, atol=1e-6)
    assert (step, spent, measured) == (
        50,
        50,
        2,
    )  # at 4.75 it is below the level, but still falls; at 3.5 it is far below


def test_beads_leave_one_by_one():
    """On E = (1 + x) y 25 steps of Adam lower y by 1.25: from 5 it takes 4 times that, from 8.2, 7; 44 is given up."""
    plain = slope()
    land = AnalyticLandscape(lambda x: (1 + x[0]) * x[1], plain.space, plain.info, plain.start)
    heights = torch.tensor([0, 5, 0, 8.2, 0, 44, 0], **DOUBLE)
    knots = torch.stack([torch.arange(7, **DOUBLE), heights], dim=1)
    beads = alone(land, strung(knots.clone()))
    descent = Descent(lambda step: 0, lambda spent: 0.05, 1000)
    after, step, spent, measured = alone(land, descended(land, beads, 1.0, descent, 0, 0))
    fallen = 1.25 * torch.tensor([0, 4, 0, 7, 0, 8, 0], **DOUBLE)
    torch.testing.assert_close(after.knots, torch.stack([knots[:, 0], heights - fallen], 1), rtol=0, atol=1e-5)
    torch.testing.assert_close(after.energies, land.energies(after.knots), rtol=1e-12, atol=1e-12)
    assert (step, spent, measured) == (200, 25 * 19, 19)
    assert torch.equal(beads.knots, knots)


def test_a_peak_that_the_examination_missed_is_where_the_next_bead_goes():
    """A bump at 0.7 between knots at 0.5 and 1, said to be flat."""
    plain = slope()
    land = AnalyticLandscape(lambda x: torch.exp(-(((x[0] - 0.7) / 0.1) ** 2)), plain.space, plain.info, plain.start)
    beads = alone(land, strung(torch.tensor([[0.0, 0.0], [0.5, 0.0], [1.0, 0.0]], **DOUBLE)))
    flat = torch.zeros(2, **DOUBLE)
    beads = Beads(beads.knots, beads.energies, flat, flat + 0.5, beads.depths)
    goal = Goal(land, (1.0, 0.1), 1e-6, 9, 5, Descent(lambda step: 0, lambda spent: 0.1, 10))
    after = alone(land, advanced(Standing(beads, 0.1, beads.knots, 1.0, (), 0, 0), goal))
    assert not after.ended
    assert after.levels == ()
    torch.testing.assert_close(after.beads.tops, torch.tensor([0.0, 1.0], **DOUBLE), rtol=0, atol=1e-6)
    torch.testing.assert_close(after.beads.places, torch.tensor([0.5, 0.4], **DOUBLE), rtol=0, atol=1e-3)
    divided_there = alone(land, advanced(after, goal))
    assert divided_there.beads.knots[2, 0].item() == pytest.approx(0.7, abs=1e-3)


@pytest.mark.parametrize("budget", [1, 2, 7, 60])
def test_the_budget_is_held_to_the_gradient(budget):
    counted = []

    class Counting(AnalyticLandscape):
        def gradients(self, points, batch=None):
            counted.append(len(points))
            return super().gradients(points, batch)

    plain, a, b = opened("curvy-valley")
    land = Counting(plain.energy, plain.space, plain.info, plain.start)
    path, _ = sampled(land, a, b, StringSamplingOptions(max_gradients=budget, connected_below=0.5))
    assert path.gradient_evaluations == sum(counted) <= budget
    assert path.gradient_evaluations > budget - 8
    assert path.barrier <= 2.97666827 + 1e-8  # never worse than the line
    assert not path.converged


def test_every_energy_is_counted():
    land, a, b = opened("curvy-valley")
    before = land.work.energies
    path, _ = sampled(land, a, b, StringSamplingOptions(connected_below=1.05))
    assert path.energy_evaluations == land.work.energies - before


def test_the_depth_is_held():
    land, a, b = opened("curvy-valley")
    path, levels = sampled(land, a, b, StringSamplingOptions(connected_below=1.05, max_depth=1))
    assert len(path.points) <= 3
    assert not path.converged
    assert path.budget_spent
    assert path.messages[0].endswith(f"not below {levels[-1].level:.4g} within max_depth")


def test_a_pass_between_samples_that_is_not_one_is_divided_again():
    """One point a segment sees little; what the bracketed maximum shows is what counts."""
    land, a, b = opened("curvy-valley")
    options = StringSamplingOptions(connected_below=1.05, points_per_segment=1, max_gradients=2000)
    path, _ = sampled(land, a, b, options)
    dense = land.energies(points_at(land, path.points, torch.linspace(0, 1, 4001)))
    assert path.converged == (path.barrier <= 1.05)
    assert float(dense.max()) <= path.max_loss + path.bracket + 1e-9


def test_from_a_given_path_and_from_a_stored_one():
    import xarray as xr

    land, a, b = opened("curvy-valley")
    path, _ = sampled(land, a, b, StringSamplingOptions(connected_below=1.05))
    again, levels = sampled(
        land, a, b, StringSamplingOptions(connected_below=1.05), context=Context(starts=(path.points,))
    )
    assert again.gradient_evaluations == 0
    assert torch.equal(again.points, path.points)
    assert [each.level for each in levels] == [pytest.approx(path.barrier, abs=0.01), 1.05]

    first, _ = sampled(land, a, b, StringSamplingOptions(connected_below=1.05, max_gradients=100))
    assert first.budget_spent
    summary = {name: getattr(first, name) for name in ("gradient_evaluations", "energy_evaluations")}
    kept = Kept(result=Result(xr.Dataset(), summary, vectors={"path": first.points}))
    second, _ = sampled(land, a, b, StringSamplingOptions(connected_below=1.05), context=Context(storage=kept))
    assert second.converged
    assert second.barrier <= first.barrier
    assert second.gradient_evaluations >= first.gradient_evaluations
    assert second.energy_evaluations > first.energy_evaluations
    spent, before = StringSamplingOptions(connected_below=1.05, max_gradients=100), land.work.gradients
    none_left, _ = sampled(land, a, b, spent, context=Context(storage=kept))
    assert none_left.gradient_evaluations == first.gradient_evaluations
    assert land.work.gradients == before


@dataclass
class Kept:
    """The storage of one task, in memory; killed at its second save."""

    result: Result | None = None
    states: list = field(default_factory=list)
    dies: bool = False

    def save(self, key, state):
        self.states.append({name: tensor.clone() for name, tensor in state.items()})
        if self.dies and len(self.states) == 2:
            raise KeyboardInterrupt

    def load(self, key):
        return self.states[-1] if self.states else None

    def memo(self, key, make):
        return make()

    def previous(self, key):
        return self.result


def test_a_killed_search_ends_at_the_same_path(monkeypatch):
    monkeypatch.setattr("landscape_finders.string_sampling._SAVE_EVERY_SECONDS", 0.0)
    land, a, b = opened("curvy-valley")
    options = StringSamplingOptions(connected_below=1.05)
    whole, levels = sampled(land, a, b, options)
    killed = Kept(dies=True)
    with pytest.raises(KeyboardInterrupt):
        sampled(land, a, b, options, context=Context(storage=killed))
    resumed, same = sampled(land, a, b, options, context=Context(storage=Kept(states=killed.states)))
    assert torch.equal(resumed.points, whole.points)
    assert resumed.gradient_evaluations == whole.gradient_evaluations
    assert resumed.energy_evaluations == whole.energy_evaluations
    assert same == levels


def test_what_another_finder_stored_is_not_taken():
    assert not is_packed(None)
    assert not is_packed({"format": torch.tensor(2)})


def test_the_length_of_a_great_circle_and_its_beads():
    land, a, b = opened("spherical-2-spin?n=16&seed=0")
    path, _ = sampled(land, a, b, StringSamplingOptions(connected_below=6.0, max_gradients=1000))
    torch.testing.assert_close(path.points.norm(dim=1), torch.full((len(path.points),), 4.0, **DOUBLE))
    assert path.converged


def test_nothing_to_lower():
    land, a, _ = opened("curvy-valley")
    path, levels = sampled(land, a, a)
    assert (path.barrier, levels, path.gradient_evaluations) == (0, (), 0)
    assert path.messages == ("both ends are the same point: there is nothing to cross",)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"max_gradients": 0}, "max_gradients must be at least 1, got 0"),
        ({"levels": 0}, "levels must be at least 1"),
        ({"max_depth": 0}, "max_depth must be at least 1"),
        ({"points_per_segment": 0}, "points_per_segment must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"tolerance": 0.0}, "tolerance must be above 0"),
        ({"connected_below": -1.0}, "connected_below is a barrier"),
    ],
)
def test_nonsense_is_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        StringSamplingOptions(**wrong)


def test_packing_is_lossless():
    knots = torch.arange(6, **DOUBLE).reshape(3, 2)
    numbers = torch.tensor([1.0, torch.nan], **DOUBLE)
    beads = Beads(knots, torch.ones(3, **DOUBLE), numbers, numbers + 1, torch.tensor([0, 3]))
    standing = Standing(beads, 0.5, knots + 1, 0.75, (Level(1.0, True, 1.25), Level(0.5, True, 1.5)), 7, 8, 9)
    back = unpack(pack(standing), knots)
    for name in ("level", "best_barrier", "levels", "gradients", "energies", "step"):
        assert getattr(back, name) == getattr(standing, name)
    torch.testing.assert_close(back.best_knots, standing.best_knots, rtol=0, atol=0)
    for name in ("knots", "energies", "tops", "places", "depths"):
        torch.testing.assert_close(
            getattr(back.beads, name), getattr(beads, name), rtol=0, atol=0, equal_nan=True, msg=name
        )


@pytest.fixture(scope="module")
def digits():
    """Three MLPs trained from their own seeds on 600 digits, and the landscape of their loss."""
    data = load_digits()
    x, y = torch.tensor(data.data[:600] / 16, **DOUBLE), torch.tensor(data.target[:600])

    def trained(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 10)).double()
        optimiser = torch.optim.Adam(model.parameters(), 1e-2)
        for _ in range(120):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimiser.step()
        return model

    models = [trained(seed) for seed in range(3)]
    points = [Point(nn.utils.parameters_to_vector(m.parameters()).detach(), str(k)) for k, m in enumerate(models)]
    batches = Batches(tuple(zip(x.split(100), y.split(100), strict=True)), 600, "digits", "digits")
    return NetworkLandscape(models[0], cross_entropy, batches), points


def test_trained_networks_are_connected_far_below_their_line(digits):
    """All three pairs at once, below a fiftieth of their lines' barriers."""
    land, points = digits
    pairs = [(points[i], points[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    lines = [measured_line(land, torch.stack([a.vector, b.vector])).barrier for a, b in pairs]
    options = StringSamplingOptions(max_gradients=2000, connected_below=0.02 * min(lines))
    found = dict(find(land, pairs, options))
    assert sorted(found) == [0, 1, 2]
    for index, (a, b) in enumerate(pairs):
        path = found[index]
        assert path.converged, path.messages
        assert path.barrier <= 0.02 * min(lines)
        dense = energies_at(land, path.points, dense_times(path.points, 29))
        assert float(dense.max()) <= path.max_loss + path.bracket + 1e-9
        assert torch.equal(path.points[[0, -1]], torch.stack([a.vector, b.vector]))


def test_a_pair_among_others_takes_the_path_it_takes_alone(digits):
    land, (a, b, c) = digits
    options = StringSamplingOptions(max_gradients=150)
    together = dict(find(land, [(a, b), (a, c)], options))
    by_itself, _ = sampled(land, a, c, options)
    torch.testing.assert_close(together[1].points, by_itself.points, rtol=1e-6, atol=1e-8)
    assert together[1].gradient_evaluations == by_itself.gradient_evaluations

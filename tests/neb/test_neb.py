"""The analysis: results, partners, options."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from landscape_finders.hooks import landscape_path_finders
from landscape_neb.analysis import run
from landscape_neb.finding import chosen
from landscape_neb.options import NebOptions
from landscape_neb.partner import complete
from landscape_zoo.opening import open_zoo

import landscape
from landscape.analysis import Context
from landscape.errors import UsageError
from landscape.landscapes.analytic import AnalyticLandscape
from landscape.landscapes.protocol import LandscapeInfo
from landscape.parameters import ParameterSpace, Point

CPU = torch.device("cpu")
ALWAYS = {
    "max_loss",
    "max_loss_linear",
    "barrier",
    "barrier_linear",
    "barrier_above_chord",
    "saddle_time",
    "length",
    "length_linear",
    "gradient_evaluations",
    "energy_evaluations",
    "bracket",
    "finder",
    "align",
    "distance",
    "saddle_gradient_norm",
    "end_gradient_norms",
}


def context(**fields) -> Context:
    return Context(finders={finder.name: finder for finder in landscape_path_finders()}, **fields)


def results(landscape, groups, options, **fields):
    return [result for _, result in run(landscape, groups, options, context=context(**fields))]


def test_mueller_brown():
    land, points = open_zoo("mueller-brown", device=CPU)
    (result,) = results(land, [points[:2]], NebOptions(max_gradients=2000, climb=True))
    assert set(result.summary) == ALWAYS
    assert result.summary["max_loss"] == pytest.approx(-40.6648435087, abs=1e-6)
    assert result.summary["barrier"] == pytest.approx(-40.6648435087 + 108.1667241169, abs=1e-6)
    assert result.summary["max_loss_linear"] == pytest.approx(12.676227, abs=0.13)
    assert result.summary["finder"] == "bezier-autoneb"
    assert result.converged
    data = result.data
    assert float(data["energy"].max()) == result.summary["max_loss"]
    assert float(data["energy"][0]) == pytest.approx(-146.69951721, abs=1e-6)
    assert float(data["energy_linear"][-1]) == pytest.approx(-108.1667241169, abs=1e-6)
    assert {data[name].attrs["units"] for name in ("energy", "energy_linear")} == {"energy"}
    assert "error" not in data
    assert torch.equal(result.vectors["path"][0], points[0].vector)


@pytest.mark.parametrize("name", ["curvy-valley", "spherical-2-spin?n=16&seed=0"])
def test_every_evaluation_is_counted(name):
    land, points = open_zoo(name, device=CPU)
    (result,) = results(land, [points[:2]], NebOptions(max_gradients=1500, climb=True, plane=0))
    evidence = 3  # gradients at both ends and at the saddle, four energies at each end
    assert result.summary["gradient_evaluations"] == land.work.gradients - evidence <= 1500
    assert 0 <= land.work.energies - result.summary["energy_evaluations"] <= 8


def test_saddle_time_lies_between_the_ends_and_turns_with_the_pair():
    land, (a, b, *_) = open_zoo("mueller-brown", device=CPU)
    there, back = results(land, [(a, b), (b, a)], NebOptions(finder="linear"))
    assert there.summary["saddle_time"] == pytest.approx(0.3066, abs=0.02)
    assert back.summary["saddle_time"] == pytest.approx(1 - there.summary["saddle_time"], abs=1e-9)
    assert there.summary["max_loss"] == there.summary["max_loss_linear"]


def test_a_spent_budget_says_what_to_type():
    land, points = open_zoo("curvy-valley", device=CPU)
    (result,) = results(land, [points[:2]], NebOptions(max_gradients=100))
    assert not result.converged
    assert result.budget_spent
    assert result.messages[-1] == "to go on from here: --neb.max-gradients 200"


def test_a_retrained_partner():
    land, points = open_zoo("spherical-2-spin?n=16&seed=0", device=CPU)
    pair = complete(land, points[:1], NebOptions(), context=context())
    assert pair[0] is points[0]
    assert pair[1].id.endswith("~retrained")
    given, made = land.energies(torch.stack([point.vector for point in pair]))
    assert float(made) == pytest.approx(float(given), abs=1e-4)
    assert float(pair[1].vector.norm()) == pytest.approx(4.0, abs=1e-9)
    again = complete(land, points[:1], NebOptions(), context=context())
    assert again[1].hash == pair[1].hash
    (result,) = results(land, [pair], NebOptions(finder="linear"))
    assert result.summary["partner"] == "retrain"
    assert result.messages[0].startswith("one checkpoint: its partner was retrained from a new start to loss")


def test_a_partner_that_is_the_same_minimum_is_said():
    land, _ = open_zoo("quadratic?eigenvalues=3,2,1", device=CPU)
    shifted = type(land)(
        lambda x: land.energy(x - 1), land.space, land.info, lambda rng: torch.randn(3, generator=rng).double()
    )
    pair = complete(shifted, [Point(torch.ones(3).double(), id="a")], NebOptions(), context=context())
    (result,) = results(shifted, [pair], NebOptions(max_gradients=50))
    assert "both ends are the same minimum" in result.messages[1]
    assert result.summary["barrier"] == 0


def test_a_partner_that_falls_short_is_said():
    land, points = open_zoo("mueller-brown", device=CPU)
    pair = complete(land, points[:1], NebOptions(max_partner_gradients=5), context=context())
    assert pair[1].source.endswith("in 5 steps (the given one has -146.7)")


def test_a_partner_from_a_file():
    land, points = open_zoo("mueller-brown", device=CPU)
    options = NebOptions(partner="this is it.pt", finder="linear")
    files = SimpleNamespace(points=lambda name: [points[1]])
    pair = complete(land, points[:1], options, context=context(files=files))
    (result,) = results(land, [pair], options)
    assert result.summary["partner"] == "this is it.pt"
    assert result.messages[0] == "one checkpoint: its partner is this is it.pt"


def test_finders_get_what_they_know():
    asked = NebOptions(finder="autoneb", max_gradients=70, climb=True, finder_options={"images": 5})
    finder, options = chosen(asked, 1, context())
    assert (finder.name, options.max_gradients, options.climb, options.images) == ("autoneb", 70, True, 5)
    assert chosen(NebOptions(preset="draxler2018"), 1, context())[0].name == "draxler2018"
    assert chosen(NebOptions(), 1, context())[0].name == "bezier-autoneb"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (NebOptions(finder="autonep"), r"no path finder 'autonep'\. Did you mean 'autoneb'"),
        (NebOptions(finder="autoneb", finder_options={"cycle": 3}), r"has no option 'cycle'\. Did you mean 'cycles'"),
        (NebOptions(finder="linear", climb=True), "--neb.climb: the finder 'linear' does not offer it"),
        (NebOptions(finder="autoneb", finder_options={"cycles": 0}), "cycles must be at least 1, got 0"),
        (NebOptions(finder="autoneb", finder_options={"cycles": "many"}), "cycles is 'many', wanted a whole number"),
        (NebOptions(finder="autoneb", finder_options={"images": 3.0}), "images is 3.0, wanted a whole number"),
        (NebOptions(finder="bezier", finder_options={"free_points": 1000}), "free_points must be from 1 to 100"),
        (
            NebOptions(finder="autoneb", finder_options={"max_gradients": 5}),
            r"option of neb itself: say --neb\.max_grad",
        ),
    ],
)
def test_what_a_finder_does_not_know_is_refused(options, words):
    with pytest.raises(UsageError, match=words):
        chosen(options, 1, context())


@pytest.mark.parametrize(
    "fields",
    [{"max_gradients": 0}, {"tolerance": 0.0}, {"preset": "none"}, {"preset": "draxler2018", "finder": "linear"}],
)
def test_nonsense_is_refused(fields):
    with pytest.raises(ValueError, match=r"preset|at least|above"):
        NebOptions(**fields)


def test_a_search_that_flies_apart_has_not_converged():
    """Two wells in a plain at 1: images that are thrown out onto the plain never come back."""

    def energy(x):
        return 1 - sum(torch.exp(-((x[0] - side) ** 2 + x[1] ** 2)) for side in (-1.5, 1.5))

    space, info = ParameterSpace(("x",), ((2,),)), LandscapeInfo("wells", "energy", fingerprint="wells")
    scape = AnalyticLandscape(energy, space, info, lambda rng: torch.zeros(2, dtype=torch.float64))
    points = [Point(torch.tensor([side, 0.3], dtype=torch.float64), str(side)) for side in (-1.5, 1.5)]
    wild = {"learning_rate": 100.0}
    result = landscape.analyze(scape, points, "neb", finder="autoneb", max_gradients=2000, finder_options=wild)[0]
    assert not result.converged
    assert "is its rate too high?" in result.messages[0]


def test_a_jump_of_batch_norm_at_the_ends_is_said():
    from torch import nn

    data = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 2
    nets = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        nets.append(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2)))
    scape, points = landscape.load(*nets, data=data, objective="cross_entropy", dtype="float64")
    said = landscape.analyze(scape, points, "neb", max_gradients=60, tolerance=1e-4)[0].messages
    assert any("the loss jumps at the ends" in message for message in said)
    frozen, points = landscape.load(*nets, data=data, objective="cross_entropy", dtype="float64", bn="frozen")
    silent = landscape.analyze(frozen, points, "neb", max_gradients=60, tolerance=1e-4)[0].messages
    assert not any("jumps" in message for message in silent)


def test_next_to_no_barrier_is_no_jump():
    scape, points = landscape.load("zoo:quadratic?eigenvalues=1,1")
    near = Point(points[0].vector + 1e-3, "near")
    messages = landscape.analyze(scape, [points[0], near], "neb", finder="linear")[0].messages
    assert not any("jumps" in message for message in messages)

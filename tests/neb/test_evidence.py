"""What neb says of a path beside its energies: the saddle, the ends, the budgets."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from landscape_finders.hooks import landscape_path_finders
from landscape_neb.analysis import _side, run
from landscape_neb.ends import Ends, Slope, slopes_at
from landscape_neb.options import NebOptions
from landscape_neb.saddle import Saddle, saddle_of
from landscape_neb.verdict import _steep, _verdict
from torch import nn

import landscape
from landscape.analysis import Context
from landscape.errors import UsageError
from landscape.parameters import Point
from landscape.paths import measured_path, points_at
from landscape.symmetry.align import align, pair_rng
from landscape.symmetry.discovery import symmetry_of


def offered(validator):
    return Context(finders={finder.name: finder for finder in landscape_path_finders()}, validator=validator)


def of(name):
    return landscape.load(f"zoo:{name}")


def test_the_saddle_of_mueller_brown_has_index_one():
    """Eigenvalues at S1 from the dense Hessian at the digits of the saddle."""
    scape, points = of("mueller-brown")
    result = landscape.analyze(scape, points[:2], "neb", climb=True, saddle_eigenvalues=2, max_gradients=2500, plane=0)[
        0
    ]
    saddle = torch.tensor([-0.8220015587, 0.6243128028], dtype=torch.float64)
    exact = torch.linalg.eigvalsh(scape.hessian(Point(saddle, "S1")).matmat(torch.eye(2, dtype=torch.float64)))
    torch.testing.assert_close(torch.from_numpy(result.data["saddle_eigenvalue"].values), exact, rtol=1e-4, atol=0)
    assert result.summary["saddle_index"] == 1
    assert result.summary["saddle_gradient_norm"] < 0.01


@pytest.mark.parametrize(("eigenvalues", "index", "wanted"), [("3,-1,-2,5", 2, 3), ("3,-1,-2,5", 2, 2), ("1,2", 0, 1)])
def test_the_index_counts_negative_eigenvalues(eigenvalues, index, wanted):
    scape, (point, *_) = of(f"quadratic?eigenvalues={eigenvalues}&seed=3")
    along = torch.linspace(-1, 1, 3, dtype=torch.float64)[:, None]
    path = measured_path(scape, point.vector + along * torch.ones_like(point.vector))
    path_at_the_middle = type(path)(path.points, torch.tensor([0.5]), torch.tensor([1.0]), 0.0)
    found = saddle_of(scape, path_at_the_middle, wanted, torch.Generator().manual_seed(0))
    assert found.index == index
    assert any("may be higher" in line for line in found.in_words()) == (wanted == index)


def test_the_gradient_across_the_path_leaves_out_what_lies_along_it():
    """On x² + 3 y a path along x has the gradient (2 x, 3) at x: 3 across it, wherever it is."""
    from landscape.landscapes.analytic import AnalyticLandscape
    from landscape.landscapes.protocol import LandscapeInfo
    from landscape.parameters import ParameterSpace

    scape = AnalyticLandscape(
        lambda x: x[0] ** 2 + 3 * x[1],
        ParameterSpace(("x",), ((2,),)),
        LandscapeInfo("slope", "energy"),
        lambda rng: None,
    )
    path = measured_path(scape, torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64))
    middle = type(path)(path.points, torch.tensor([0.25]), torch.tensor([1.0]), 0.0)
    found = saddle_of(scape, middle, 0, torch.Generator())
    assert found.gradient_norm == pytest.approx(3.0, abs=1e-9)


def test_an_end_on_a_slope_is_named():
    scape, points = of("mueller-brown")
    uphill = Point(points[0].vector + 0.2, "uphill")
    messages = landscape.analyze(scape, [uphill, points[1]], "neb", max_gradients=60)[0].messages
    (said,) = [line for line in messages if "not a minimum" in line]
    assert said.startswith("uphill is not a minimum: gradient norm ")
    clean = landscape.analyze(scape, points[:2], "neb", max_gradients=60)[0].messages
    assert not any("not a minimum" in line for line in clean)


def test_the_drop_is_that_of_the_energy_along_the_gradient():
    """E = 2 x: within a tenth of the distance 10 it falls by 2, less what the first millionth takes."""
    from landscape.landscapes.analytic import AnalyticLandscape
    from landscape.landscapes.protocol import LandscapeInfo
    from landscape.parameters import ParameterSpace
    from landscape.paths import alone

    info, space = LandscapeInfo("slope", "energy"), ParameterSpace(("x",), ((1,),))
    scape = AnalyticLandscape(lambda x: 2 * x[0], space, info, lambda rng: None)
    ends = [Point(torch.tensor([x], dtype=torch.float64), str(x)) for x in (0.0, 10.0)]
    for slope in alone(scape, slopes_at(scape, ends)):
        assert slope.gradient_norm == 2
        assert slope.drop == pytest.approx(2 * (1 - 1e-5), rel=1e-9)


def test_a_total_budget_is_shared_by_the_pairs():
    scape, points = of("mueller-brown")
    results = landscape.analyze(scape, points[:3], "neb", max_total_gradients=300, align="none")
    spent = [result.summary["gradient_evaluations"] for result in results if len(result.points) == 2]
    assert len(spent) == 3
    assert all(80 <= each <= 100 for each in spent)
    with pytest.raises(UsageError, match="give at least 3"):
        landscape.analyze(scape, points[:3], "neb", max_total_gradients=2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"align": "weigths"}, "align must be weights, activations or none"),
        ({"plane": 2}, "plane must be 0 or from 3 to 201"),
        ({"tolerance": float("nan")}, "tolerance must be finite, got nan"),
        ({"finder_options": {"learning_rate": float("inf")}}, "learning_rate must be finite, got inf"),
        ({"saddle_eigenvalues": -1}, "saddle_eigenvalues is a number"),
        ({"max_total_gradients": 0}, "max_total_gradients must be at least 1"),
        ({"align": "none", "symmetry": "spec.yaml"}, "of no use with align none"),
    ],
)
def test_nonsense_is_refused_in_one_line(options, words):
    scape, points = of("mueller-brown")
    with pytest.raises(UsageError, match=words):
        landscape.analyze(scape, points[:2], "neb", **options)


def small_nets(**options):
    """Two nets with batch norm on random data, not trained, the second with its own statistics."""
    rng = torch.Generator().manual_seed(0)
    data = torch.randn(40, 3, generator=rng), torch.arange(40) % 2
    nets = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        nets.append(nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2)))
        nets[-1][1].running_mean.normal_(generator=rng)
        nets[-1][1].running_var.uniform_(0.5, 2, generator=rng)
    return landscape.load(*nets, data=data, objective="cross_entropy", dtype="float64", **options)


@pytest.mark.parametrize("policy", ["recalibrate", "frozen", "interpolate"])
def test_validation_data_are_measured_along_path_and_given_line(policy):
    """The ends are the checkpoints' own, and in between batch norm has the statistics of the ends of each curve."""
    scape, points = small_nets(bn=policy)
    rng = torch.Generator().manual_seed(5)
    other = landscape.load(
        nn.Linear(3, 2),
        data=(torch.randn(25, 3, generator=rng), torch.arange(25) % 2),
        objective="cross_entropy",
        dtype="float64",
    )[0]
    unseen = scape.with_data(other.batches)
    ((_, result),) = run(scape, [points], NebOptions(finder="linear", plane=0), context=offered(lambda: unseen))
    assert result.summary["distance_aligned"] < 0.95 * result.summary["distance"]
    symmetry = symmetry_of(scape, rng=torch.Generator().manual_seed(0))
    moved = align(scape, *points, symmetry, rng=pair_rng(0, *points)).point
    for suffix, end in (("", moved), ("_linear", points[1])):
        knots = torch.stack([points[0].vector, end.vector])
        curve = points_at(scape, knots, torch.tensor(result.data[f"time{suffix}"].values))
        wanted = unseen.anchored([points[0], end])
        energies = torch.tensor(result.data[f"energy_val{suffix}"].values)
        torch.testing.assert_close(energies, wanted.energies(curve), rtol=1e-9, atol=1e-12)
        errors = torch.tensor(result.data[f"error_val{suffix}"].values)
        torch.testing.assert_close(errors, wanted.errors(curve), rtol=0, atol=1e-12)
    own = unseen.anchored(points).energies(torch.stack([point.vector for point in points])).numpy()
    assert result.data["energy_val"].values[[0, -1]] == pytest.approx(own, abs=1e-9)


def test_lines_and_path_are_counted_and_the_largest_error_is_reported():
    scape, points = small_nets(bn="frozen")
    result = landscape.analyze(scape, points, "neb", finder="linear", plane=0)[0]
    times = [len(result.data[name]) for name in ("time", "time_linear", "time_linear_aligned")]
    assert 0 <= result.summary["energy_evaluations"] - sum(times) <= 2
    assert result.summary["max_error"] == float(result.data["error"].max()) > float(result.data["error"].min())


def test_a_penalty_on_the_weights_is_no_symmetry():
    """Permuting units does not change it, rescaling them would: the end keeps its loss."""

    def penalised(model, batch):
        inputs, labels = batch
        penalty = 0.1 * sum(parameter.square().sum() for parameter in model.parameters())
        return nn.functional.cross_entropy(model(inputs), labels, reduction="sum") + penalty * len(labels), len(labels)

    data = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 2
    nets = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        nets.append(nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2)))
        nets[-1][0].weight.data *= 3
    for objective, homogeneous in (("cross_entropy", True), (penalised, False)):
        scape, points = landscape.load(*nets, data=data, objective=objective, dtype="float64")
        symmetry = symmetry_of(scape, rng=torch.Generator().manual_seed(0))
        assert [group.homogeneous for group in symmetry.groups] == [homogeneous]
        result = landscape.analyze(scape, points, "neb", finder="linear", plane=0)[0]
        own = scape.energies(torch.stack([point.vector for point in points]))
        assert result.summary["distance_aligned"] < result.summary["distance"]
        torch.testing.assert_close(torch.from_numpy(result.data["energy"].values[[0, -1]]), own, rtol=1e-9, atol=0)


def test_on_a_sphere_the_saddle_lies_in_its_tangent_space():
    """At x = sqrt(N) v₂ the energy -xᵀJx/2 has the curvatures λ₂ - λᵢ along the other eigenvectors of J."""
    scape, points = of("spherical-2-spin?n=16&seed=0")
    result = landscape.analyze(scape, points[:2], "neb", climb=True, saddle_eigenvalues=2, max_gradients=1500, plane=0)[
        0
    ]
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(16, 16))
    levels = np.sort(np.linalg.eigvalsh((matrix + matrix.T) / np.sqrt(32)))[::-1]
    wanted = [levels[1] - levels[0], levels[1] - levels[2]]
    assert result.data["saddle_eigenvalue"].values == pytest.approx(wanted, rel=1e-3)
    assert result.summary["saddle_index"] == 1


@pytest.mark.parametrize(("energy", "barrier", "steep"), [(1.0, 0.0, True), (0.0, 1.0, True), (3.0, 0.0, False)])
def test_a_slope_is_steep_on_the_scale_of_barrier_or_loss(energy, barrier, steep):
    assert Slope(1.0, 0.02).is_steep(energy, barrier) == steep
    assert Slope(1.0, 0.02).is_steep(-energy, barrier) == steep


def test_only_what_has_not_converged_is_to_be_gone_on_from():
    scape, points = of("mueller-brown")
    result = landscape.analyze(scape, points[:2], "neb", finder="autoneb", max_gradients=1000, tolerance=20.0)[0]
    assert result.converged
    assert result.budget_spent
    assert not any("to go on from here" in message for message in result.messages)


def test_ends_that_a_symmetry_brings_together_are_one_minimum():
    a, far, near = (Point(torch.tensor(x, dtype=torch.float64), "x") for x in ([1.0, 2.0], [2.0, 1.0], [1.0, 2.0001]))
    path = SimpleNamespace(messages=("found",))
    same = "both ends are the same minimum to a thousandth of their size"
    assert _verdict(Ends((a, far), (a, near)), path) == (same, "found")
    assert _verdict(Ends((a, near), (a, far)), path) == ("found",)


@pytest.mark.parametrize(("batches", "side"), [(1, 21), (10**4, 0)])
def test_the_plane_is_measured_where_it_is_cheap(batches, side):
    scape = SimpleNamespace(num_batches=batches, space=SimpleNamespace(dim=2))
    assert _side(scape, NebOptions()) == side
    assert _side(scape, NebOptions(plane=9)) == 9


def test_an_eigenvalue_within_its_residual_is_not_counted():
    values, residuals = torch.tensor([-2.0, -1e-3, 1e-3, 5.0]), torch.tensor([0.1, 2e-3, 2e-3, 0.1])
    assert Saddle(0.0, values, residuals).index == 1


def test_a_slope_is_measured_against_the_barrier_of_the_line():
    a, b = (Point(torch.tensor([x]), name) for x, name in ((0.0, "a"), (1.0, "b")))
    path, line = SimpleNamespace(energies=torch.tensor([0.0, 1e-3, 0.0])), SimpleNamespace(barrier=1.0)
    (said,) = _steep(Ends((a, b), (a, b)), [Slope(1.0, 0.009), Slope(2.0, 0.02)], path, line)
    assert said.startswith("b is not a minimum: gradient norm 2")

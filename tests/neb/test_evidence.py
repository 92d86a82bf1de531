"""What neb says of a path beside its energies: the saddle, the ends, the budgets."""

from __future__ import annotations

import pytest
import torch
from landscape_neb.ends import slopes_at
from landscape_neb.saddle import saddle_of

import landscape
from landscape.errors import UsageError
from landscape.parameters import Point
from landscape.paths import measured_path


def of(name):
    return landscape.load(f"zoo:{name}")


def test_the_saddle_of_mueller_brown_has_index_one():
    """Eigenvalues at S1 from the dense Hessian at the digits of the saddle."""
    scape, points = of("mueller-brown")
    result = landscape.analyze(scape, points[:2], "neb", climb=True, saddle_eigenvalues=2)[0]
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
    """E = 2 x: within a hundredth of the distance 10 it falls by 0.2, less what the first millionth takes."""
    from landscape.landscapes.analytic import AnalyticLandscape
    from landscape.landscapes.protocol import LandscapeInfo
    from landscape.parameters import ParameterSpace
    from landscape.paths import alone

    info, space = LandscapeInfo("slope", "energy"), ParameterSpace(("x",), ((1,),))
    scape = AnalyticLandscape(lambda x: 2 * x[0], space, info, lambda rng: None)
    ends = [Point(torch.tensor([x], dtype=torch.float64), str(x)) for x in (0.0, 10.0)]
    for slope in alone(scape, slopes_at(scape, ends)):
        assert slope.gradient_norm == 2
        assert slope.drop == pytest.approx(0.2 * (1 - 1e-4), rel=1e-9)


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
        ({"saddle_eigenvalues": -1}, "saddle_eigenvalues is a number"),
        ({"max_total_gradients": 0}, "max_total_gradients must be at least 1"),
        ({"align": "none", "symmetry": "spec.yaml"}, "of no use with align none"),
    ],
)
def test_nonsense_is_refused_in_one_line(options, words):
    scape, points = of("mueller-brown")
    with pytest.raises(UsageError, match=words):
        landscape.analyze(scape, points[:2], "neb", **options)

"""Average sharpness against landscapes on which it is known."""

import numpy as np
import pytest
import torch
from landscape_sharpness.analysis import run
from landscape_sharpness.options import AverageSharpnessOptions

import landscape

NAME = "average-sharpness"
SIGMAS = (0.01, 0.1, 1.0)
NUM_ERRORS = 4.0  # standard errors: a right answer is outside once in 16,000 cases, and seeds are fixed

QUADRATICS = {
    "minimum": ("10,9,5", 24.0),
    "rotated": ("10,9,5&dim=20&seed=3", 24.0),
    "saddle": ("10,9,-5", 14.0),
    "maximum": ("-1,-2", -3.0),
}


def dense_hessian(scape, point):
    """H, or the Riemannian Hessian on a curved space."""
    eye = torch.eye(scape.space.dim, dtype=torch.float64)
    return scape.hessian(point).matmat(eye)


def draws(seed, num_samples, dim):
    """What ``run`` draws with ``landscape.context(seed)``."""
    rng = landscape.context(seed).rng
    return torch.stack([torch.randn(dim, generator=rng, dtype=torch.float64) for _ in range(num_samples)])


@pytest.mark.parametrize(("query", "trace"), QUADRATICS.values(), ids=QUADRATICS)
def test_quadratic(query, trace):
    """S = σ²/2 Σλ for every σ, whatever the axes."""
    scape, points = landscape.load(f"zoo:quadratic?eigenvalues={query}")
    result = landscape.analyze(scape, points, NAME, sigmas=SIGMAS, num_samples=400, max_energies=10_000)[0]
    sharpness, error = result.data["sharpness"].values, result.data["sharpness_stderr"].values
    exact = np.array(SIGMAS) ** 2 / 2 * trace
    assert result.converged
    assert (np.abs(sharpness - exact) < NUM_ERRORS * error).all()
    assert (error < 0.1 * np.abs(exact)).all()
    assert abs(result.summary["apparent_trace"] - trace) < NUM_ERRORS * result.summary["apparent_trace_stderr"]


def test_draw_by_draw_away_from_the_minimum():
    """The mean of σ²/2 zᵀHz over the very draws: the gradient cancels between z and -z."""
    scape, _ = landscape.load("zoo:quadratic?eigenvalues=10,9,5&seed=1")
    point = scape.initial(torch.Generator().manual_seed(7))
    assert scape.gradients(point.vector[None])[1].norm() > 1
    options = AverageSharpnessOptions(sigmas=SIGMAS, num_samples=30)
    result = run(scape, [point], options, context=landscape.context(5))
    z, hessian = draws(5, 30, 3), dense_hessian(scape, point)
    forms = torch.einsum("ki,ij,kj->k", z, hessian, z)
    for sigma, value, error in zip(
        SIGMAS, result.summary["sharpness"], result.summary["sharpness_stderr"], strict=True
    ):
        assert value == pytest.approx(sigma**2 / 2 * forms.mean().item(), rel=1e-9)
        assert error == pytest.approx(sigma**2 / 2 * forms.std().item() / 30**0.5, rel=1e-9)


def test_standard_error_is_that_of_a_gaussian_quadratic_form():
    """Var zᵀHz = 2 Σλ², so the standard error over n draws is σ²/2 √(2 Σλ² / n)."""
    scape, points = landscape.load("zoo:quadratic?eigenvalues=10,9,5")
    options = {"sigmas": (0.1,), "num_samples": 4000, "max_energies": 10_000}
    result = landscape.analyze(scape, points, NAME, **options)[0]
    exact = 0.1**2 / 2 * (2 * (10**2 + 9**2 + 5**2) / 4000) ** 0.5
    assert result.summary["sharpness_stderr"][0] == pytest.approx(exact, rel=0.1)


def test_sphere_draw_by_draw():
    """2-spin glass: along a great circle in the tangent direction v the rise is σ²/2 vᵀHv / (1 + σ²|v|²/N), exactly."""
    scape, points = landscape.load("zoo:spherical-2-spin?n=16&seed=0")
    options = AverageSharpnessOptions(sigmas=SIGMAS, num_samples=20)
    result = run(scape, points[:1], options, context=landscape.context(3))
    w = points[0].vector
    z = draws(3, 20, 16)
    v = z - torch.outer(z @ w, w) / (w @ w)
    forms = torch.einsum("ki,ij,kj->k", v, dense_hessian(scape, points[0]), v)
    for sigma, value in zip(SIGMAS, result.summary["sharpness"], strict=True):
        exact = (sigma**2 / 2 * forms / (1 + sigma**2 * v.square().sum(1) / 16)).mean()
        assert value == pytest.approx(exact.item(), rel=1e-8)


class Recorded:
    """A landscape that notes at which points its energy is taken."""

    def __init__(self, scape):
        self.scape, self.seen = scape, []

    def __getattr__(self, name):
        return getattr(self.scape, name)

    def energies(self, points):
        self.seen.append(points)
        return self.scape.energies(points)


def test_no_energy_is_taken_off_the_sphere():
    scape, points = landscape.load("zoo:spherical-2-spin?n=16&seed=0")
    recorded = Recorded(scape)
    run(recorded, points[:1], AverageSharpnessOptions(sigmas=SIGMAS), context=landscape.context())
    seen = torch.cat(recorded.seen)
    assert len(seen) == 1 + 2 * len(SIGMAS) * 50
    torch.testing.assert_close(seen.square().sum(1), torch.full((len(seen),), 16.0, dtype=torch.float64))


# A, a, b, c, x0, y0 of the four terms A exp(a x² + b x y + c y²) of the Müller-Brown potential (1979)
GAUSSIANS = (
    (-200.0, -1.0, 0.0, -10.0, 1.0, 0.0),
    (-100.0, -1.0, 0.0, -10.0, 0.0, 0.5),
    (-170.0, -6.5, 11.0, -6.5, -0.5, 1.5),
    (15.0, 0.7, 0.6, 0.7, -1.0, 1.0),
)


FAR = (0.001, 0.1, 0.4)


def mueller_brown_sharpness(place, sigma):
    """Exact: the Gaussian mean of exp(dᵀMd) is exp(dᵀM (1 - 2σ²M)⁻¹ d) / √det(1 - 2σ²M)."""

    def mean(sigma):
        total = 0.0
        for height, a, b, c, x0, y0 in GAUSSIANS:
            d, form = place - np.array([x0, y0]), np.array([[a, b / 2], [b / 2, c]])
            spread = np.eye(2) - 2 * sigma**2 * form
            total += height * np.exp(d @ form @ np.linalg.solve(spread, d)) / np.sqrt(np.linalg.det(spread))
        return total

    return mean(sigma) - mean(0.0)


@pytest.fixture(scope="module")
def mueller_brown():
    scape, points = landscape.load("zoo:mueller-brown")
    options = {"sigmas": FAR, "num_samples": 2000, "max_energies": 20_000}
    return scape, points, landscape.analyze(scape, points, NAME, **options)


def test_gaussian_integral(mueller_brown):
    """Also far from quadratic: at the largest sigma the sharpness is less than half of σ²/2 tr H."""
    scape, points, results = mueller_brown
    for point, result in zip(points, results, strict=False):
        exact = np.array([mueller_brown_sharpness(point.vector.numpy(), s) for s in FAR])
        error = np.array(result.summary["sharpness_stderr"])
        assert (np.abs(result.summary["sharpness"] - exact) < NUM_ERRORS * error).all()
        assert (error < 0.05 * np.abs(exact)).all()
        trace = dense_hessian(scape, point).trace().item()
        assert abs(result.summary["apparent_trace"] - trace) < NUM_ERRORS * result.summary["apparent_trace_stderr"]
        assert exact[-1] < 0.5 * FAR[-1] ** 2 / 2 * trace


def test_ranking(mueller_brown):
    _, points, results = mueller_brown
    *single, combined = results
    assert [result.points for result in single] == [("A",), ("B",), ("C",)]
    exact = {point.id: [mueller_brown_sharpness(point.vector.numpy(), sigma) for sigma in FAR] for point in points}
    order = sorted(exact, key=lambda name: exact[name][-1])
    assert combined.summary["order"] == order == ["C", "A", "B"]
    assert (combined.summary["flattest"], combined.summary["sharpest"]) == ("C", "B")
    assert combined.summary["order_resolved"]
    assert combined.converged
    assert "another sigma puts the points in another order" in combined.messages[0]  # A is sharper than B at 0.1
    assert combined.data["sharpness"].dims == ("point", "sigma")
    for result in single:
        assert combined.data["sharpness"].sel(point=result.points[0]).values.tolist() == result.summary["sharpness"]


def test_ranking_says_when_noise_decides():
    """Two minima that a symmetry maps onto each other have no true order."""
    scape, points = landscape.load("zoo:curvy-valley")
    combined = landscape.analyze(scape, points, NAME, sigmas=(0.001,), num_samples=100)[-1]
    assert not combined.summary["order_resolved"]
    assert not combined.converged
    assert "2 standard errors" in combined.messages[0]


def test_figures(mueller_brown):
    """One line of 2 S / σ² per point, of a single result and of the ranking."""
    _, _, results = mueller_brown
    for result, names in ((results[0], ["A"]), (results[-1], ["A", "B", "C"])):
        axes = result.plot()["sharpness"].axes[0]
        assert [text.get_text() for text in axes.get_legend().get_texts()] == names
        assert "loss / parameter²" in axes.get_ylabel()
        height = axes.containers[0].lines[0].get_ydata()
        assert height[0] == pytest.approx(results[0].summary["apparent_trace"])


def test_units(mueller_brown):
    data = mueller_brown[2][0].data
    assert {name: data[name].attrs["units"] for name in ("sigma", "sharpness", "sharpness_stderr")} == {
        "sigma": "parameter",
        "sharpness": "loss",
        "sharpness_stderr": "loss",
    }

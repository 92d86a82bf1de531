"""Average rises of loss and error against closed forms, and what they do under rescaling."""

from __future__ import annotations

import dataclasses

import landscape_flatness.perturbation as perturbation
import pytest
import torch
from landscape_flatness.options import FlatnessOptions
from landscape_flatness.perturbation import (
    adaptive_average_sharpness,
    average_sharpness,
    local_energy,
    local_energy_curve,
)
from perturbation_cases import formula, perceptron, quadratic, relu_classifier, rescaled, symmetric, zoo_pair
from torch import nn

from landscape.errors import AnalysisError, UsageError
from landscape.landscapes.batches import Batches
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import cross_entropy, mse
from landscape.parameters import Point

DIM = 12
RTOL = 1e-4  # of measures that a rescaled copy must leave unchanged


def bowl(rng, slope=0.0):
    at = torch.randn(DIM, generator=rng, dtype=torch.float64)
    matrix = symmetric(DIM, rng)
    landscape, point = quadratic(matrix, slope * torch.randn(DIM, generator=rng, dtype=torch.float64), at)
    return landscape, point, matrix


def normal_tail(x):
    return torch.special.ndtr(-x)


def error_of(inputs, weights, spread):
    """The mean error of a perceptron whose weights have standard deviations ``spread``."""
    fields = inputs @ weights
    return float(normal_tail(fields / (inputs * spread).norm(dim=1)).mean())


EXACT = {
    "average": (average_sharpness, lambda matrix, w, sigma: sigma**2 / 2 * matrix.trace()),
    "adaptive": (adaptive_average_sharpness, lambda matrix, w, sigma: sigma**2 / 2 * (matrix.diagonal() * w**2).sum()),
}


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("slope", [0.0, 100.0])
def test_a_quadratic_rises_by_half_its_trace_whatever_its_slope(name, slope, rng):
    landscape, point, matrix = bowl(rng, slope)
    measure, exact = EXACT[name]
    options = FlatnessOptions(sigma=0.3, draws=4000)
    found = measure(landscape, point, options, 0)
    wanted = float(exact(matrix, point.vector, options.sigma))
    assert abs(found.value - wanted) < 4 * found.standard_error
    assert found.standard_error < 0.03 * wanted
    assert found.cost.energies == options.draws + 1


@pytest.mark.parametrize("name", EXACT)
def test_standard_errors_are_neither_boasts_nor_excuses(name, rng):
    landscape, point, matrix = bowl(rng)
    measure, exact = EXACT[name]
    options = FlatnessOptions(sigma=0.3, draws=128)
    wanted = float(exact(matrix, point.vector, options.sigma))
    found = [measure(landscape, point, options, seed) for seed in range(200)]
    scores = torch.tensor([(f.value - wanted) / f.standard_error for f in found])
    assert abs(float(scores.mean())) < 0.35
    assert 0.85 < float(scores.std()) < 1.2


def test_one_coordinate_agrees_with_the_draws_written_out():
    """A quartic in one dimension: E[(w + σz)⁴ - w⁴] over the very draws that the seed gives."""
    landscape, point = formula(lambda x: x[0] ** 4, 1), Point(torch.tensor([2.0], dtype=torch.float64), id="w")
    found = average_sharpness(landscape, point, FlatnessOptions(sigma=0.5, draws=8), 7)
    rng = torch.Generator().manual_seed(7)
    z = torch.stack([torch.randn(1, generator=rng, dtype=torch.float64) for _ in range(4)])[:, 0] * 0.5
    pairs = ((2 + z) ** 4 + (2 - z) ** 4) / 2 - 16
    assert found.value == pytest.approx(float(pairs.mean()), rel=1e-12)
    assert found.standard_error == pytest.approx(float(pairs.std()) / 2, rel=1e-12)


def test_the_error_of_one_weight_is_a_normal_tail():
    landscape, point = perceptron(torch.ones(1, 1, dtype=torch.float64), torch.tensor([3.0], dtype=torch.float64))
    found = local_energy(landscape, point, FlatnessOptions(adaptive_sigma=0.8, draws=20000), 0)
    wanted = float(normal_tail(torch.tensor(1 / 0.8, dtype=torch.float64)))
    assert abs(found.value - wanted) < 4 * found.standard_error
    assert found.standard_error < 0.03 * wanted


def test_the_curves_of_a_perceptron_are_known(rng):
    inputs, weights = torch.randn(2, 30, 6, generator=rng, dtype=torch.float64)
    weights = weights[0]
    inputs = inputs * (inputs @ weights).sign()[:, None]
    landscape, point = perceptron(inputs, weights)
    options = FlatnessOptions(adaptive_sigma=1.0, sigmas=5, draws=1000)
    curve = local_energy_curve(landscape, point, options, 0)
    assert curve.error is not None
    assert curve.error.sigmas.tolist() == pytest.approx([0.1 * 20 ** (k / 4) for k in range(5)], rel=1e-12)
    wanted = [error_of(inputs, weights, s * weights.abs()) for s in curve.error.sigmas.tolist()]
    distances = (curve.error.values - torch.tensor(wanted)).abs()
    assert bool((distances <= 4 * curve.error.standard_errors + 1e-4).all())
    assert float(curve.error.standard_errors.max()) < 0.02
    assert bool((curve.loss.values.diff() > 0).all())
    assert curve.cost.energies == 2 * 5 * options.draws + 3


def test_the_measures_are_points_of_the_curve(rng):
    """At its σ, where the curve of half as large a one ends: one set of draws."""
    landscape, point = relu_classifier(rng)
    options = FlatnessOptions(adaptive_sigma=0.2, draws=16)
    half = dataclasses.replace(options, adaptive_sigma=0.1)
    curve = local_energy_curve(landscape, point, half, 3)
    assert curve.error is not None
    assert local_energy(landscape, point, options, 3).value == pytest.approx(float(curve.error.values[-1]), abs=1e-12)
    found = adaptive_average_sharpness(landscape, point, options, 3)
    assert found.value == pytest.approx(float(curve.loss.values[-1]), rel=1e-10)
    assert found.standard_error == pytest.approx(float(curve.loss.standard_errors[-1]), rel=1e-10)


@pytest.mark.parametrize("factors", [[4.0] * 6, [0.3, 3.0, 1.0, 7.0, 0.01, 2.0]], ids=["one", "each"])
def test_a_rescaled_classifier_keeps_the_adaptive_measures_alone(factors, rng):
    landscape, a = relu_classifier(rng)
    b = rescaled(landscape, a, torch.tensor(factors, dtype=torch.float64))
    options = FlatnessOptions(adaptive_sigma=0.3)
    for measure in (average_sharpness, adaptive_average_sharpness, local_energy):
        at_a, at_b = (measure(landscape, point, options, 0) for point in (a, b))
        unchanged = at_b.value == pytest.approx(at_a.value, rel=RTOL)
        assert at_a.value != 0
        assert unchanged == at_a.measure.invariant, at_a.measure.name


def test_the_rescaled_regression_of_the_zoo():
    landscape, a, b = zoo_pair()
    for measure in (average_sharpness, adaptive_average_sharpness):
        at_a, at_b = (measure(landscape, point, FlatnessOptions(), 0) for point in (a, b))
        assert (at_b.value == pytest.approx(at_a.value, rel=RTOL)) == at_a.measure.invariant


def test_batch_norm_makes_no_step_at_the_point(rng):
    """Stored statistics are far from those of the data, which hold at the neighbours: w has to have these too."""
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)).double()
    model[1].running_var.fill_(9.0)
    inputs = torch.randn(40, 3, generator=rng, dtype=torch.float64)
    data = Batches(((inputs, (inputs[:, 0] > 0).long()),), 40, "made up", "made up")
    landscape = NetworkLandscape(model, cross_entropy, data)
    vector = torch.randn(landscape.space.dim, generator=rng, dtype=torch.float64)
    point = Point(vector, id="w", buffers=dict(model.named_buffers()))
    stored = float(landscape.anchored([point]).errors(vector[None])[0])
    assert abs(stored - float(landscape.anchored([]).errors(vector[None])[0])) > 0.02
    options = FlatnessOptions(sigma=1e-7, adaptive_sigma=1e-7)
    assert abs(average_sharpness(landscape, point, options, 0).value) < 1e-9
    assert local_energy(landscape, point, options, 0).value == 0


def test_chunks_do_not_matter(rng, monkeypatch):
    landscape, point = relu_classifier(rng)
    whole = average_sharpness(landscape, point, FlatnessOptions(), 0)
    monkeypatch.setattr(perturbation, "spare_bytes", lambda device, host: 12 * landscape.space.dim * 8 * 3)
    parts = average_sharpness(landscape, point, FlatnessOptions(), 0)
    assert parts.value == pytest.approx(whole.value, rel=1e-10)


def test_a_weight_of_zero_stays(rng):
    matrix = symmetric(2, rng)
    landscape, point = quadratic(matrix, torch.zeros(2).double(), torch.tensor([2.0, 0.0], dtype=torch.float64))
    found = adaptive_average_sharpness(landscape, point, FlatnessOptions(adaptive_sigma=0.5, draws=4000), 0)
    assert abs(found.value - 0.5**2 / 2 * float(matrix[0, 0]) * 4) < 4 * found.standard_error


def test_no_draw_that_changes_the_error_is_said():
    landscape, point = perceptron(torch.ones(1, 1, dtype=torch.float64), torch.tensor([3.0], dtype=torch.float64))
    found = local_energy(landscape, point, FlatnessOptions(adaptive_sigma=0.01), 0)
    assert found.value == 0
    assert found.standard_error == 0
    assert "no draw changed the error" in found.messages[0]
    assert not local_energy(landscape, point, FlatnessOptions(adaptive_sigma=1.0), 0).messages


def test_an_objective_without_an_error_says_which_measures_need_one(rng):
    landscape, point = relu_classifier(rng)
    model = nn.Linear(2, 1).double()
    batch = torch.randn(5, 2, generator=rng, dtype=torch.float64), torch.ones(5, 1, dtype=torch.float64)
    plain = NetworkLandscape(model, mse, Batches((batch,), 5, "made up", "made up"))
    ones = Point(torch.ones(3, dtype=torch.float64), id="w")
    with pytest.raises(UsageError, match=r"local_energy, pac_bayes_sigma .* objective 'mse' has none: take") as caught:
        local_energy(plain, ones, FlatnessOptions(), 0)
    assert "\n" not in str(caught.value)
    assert local_energy_curve(plain, ones, FlatnessOptions(sigmas=2), 0).error is None
    assert local_energy_curve(landscape, point, FlatnessOptions(sigmas=2), 0).error is not None


@pytest.mark.parametrize("measure", [adaptive_average_sharpness, local_energy_curve])
def test_weights_that_are_all_zero_have_no_adaptive_measures(measure):
    nothing = torch.zeros(3, dtype=torch.float64)
    landscape, point = quadratic(torch.eye(3, dtype=torch.float64), nothing, nothing)
    with pytest.raises(UsageError, match="all weights are zero"):
        measure(landscape, point, FlatnessOptions(), 0)


def test_a_loss_that_is_not_finite_is_refused_with_its_sigma():
    landscape, point = formula(lambda x: x.log().sum(), 2), Point(torch.ones(2, dtype=torch.float64), id="w")
    with pytest.raises(AnalysisError, match=r"not finite at perturbations of sigma 3: lower --flatness\.sigma"):
        average_sharpness(landscape, point, FlatnessOptions(sigma=3.0), 0)

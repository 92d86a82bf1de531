"""Worst cases against the exact maxima of quadratic and linear losses over a ball."""

from __future__ import annotations

import pytest
import torch
from landscape_flatness.ascent import adaptive_worst_case_sharpness, highest_rises, worst_case_sharpness
from landscape_flatness.options import FlatnessOptions
from perturbation_cases import formula, quadratic, relu_classifier, rescaled, symmetric, zoo_pair
from torch import nn

from landscape.errors import AnalysisError, UsageError
from landscape.landscapes.batches import Batches
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import Objective
from landscape.neighbourhood.around import Neighbourhood
from landscape.parameters import Point

DIM = 8
RTOL = 1e-4  # of measures that a rescaled copy must leave unchanged


def normal(*shape, rng):
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def maximum_over_ball(matrix, slope, radius):
    """max slope·x + xᵀ matrix x / 2 over |x| <= radius: (shift - matrix) x = slope with the shift that reaches it."""
    values, vectors = torch.linalg.eigh(matrix)
    parts = vectors.T @ slope

    def norm(shift):
        return float((parts / (shift - values)).norm())

    low = max(0.0, float(values[-1]))
    if low == 0 and norm(0.0) < radius:
        shift = 0.0
    else:
        high = low + float(slope.norm()) / radius + 1e-12
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if norm(middle) > radius else (low, middle)
        shift = high
    x = parts / (shift - values)
    return float(parts @ x + (values * x**2).sum() / 2)


def test_a_bowl_rises_by_its_largest_eigenvalue(rng):
    at = normal(DIM, rng=rng)
    landscape, point = quadratic(symmetric(DIM, rng), torch.zeros(DIM).double(), at)
    found = worst_case_sharpness(landscape, point, FlatnessOptions(rho=0.3), 0)
    assert found.value == pytest.approx((0.3 * float(at.norm())) ** 2 / 2 * 4.0, rel=1e-6)
    assert found.standard_error is None
    assert found.messages == ()
    assert found.cost.gradients == 2 * (20 + 1) + 1


def test_a_bowl_in_units_of_the_weights(rng):
    """x = δ/|w| sees the Hessian |w| H |w|."""
    at, matrix = normal(DIM, rng=rng), symmetric(DIM, rng)
    landscape, point = quadratic(matrix, torch.zeros(DIM).double(), at)
    found = adaptive_worst_case_sharpness(landscape, point, FlatnessOptions(adaptive_rho=0.7, ascent_steps=200), 0)
    largest = float(torch.linalg.eigvalsh(at.abs()[:, None] * matrix * at.abs())[-1])
    assert found.value == pytest.approx(0.7**2 / 2 * largest, rel=1e-6)


def test_a_slope_alone_is_followed_to_the_sphere(rng):
    at, slope = normal(2, DIM, rng=rng)
    landscape, point = formula(lambda x: slope @ x, DIM), Point(at, id="w")
    plain = worst_case_sharpness(landscape, point, FlatnessOptions(rho=0.3), 0)
    assert plain.value == pytest.approx(float(0.3 * at.norm() * slope.norm()), rel=1e-9)
    adaptive = adaptive_worst_case_sharpness(landscape, point, FlatnessOptions(adaptive_rho=0.3), 0)
    assert adaptive.value == pytest.approx(float(0.3 * (slope * at).norm()), rel=1e-9)


@pytest.mark.parametrize("definite", [True, False])
@pytest.mark.parametrize("slope", [0.01, 1.0, 100.0])
def test_any_quadratic_is_climbed_to_its_maximum_and_no_higher(definite, slope, rng):
    matrix, gradient, at = symmetric(DIM, rng, definite=definite), slope * normal(DIM, rng=rng), normal(DIM, rng=rng)
    landscape, point = quadratic(matrix, gradient, at)
    found = worst_case_sharpness(landscape, point, FlatnessOptions(rho=0.5, ascent_steps=60), 0)
    exact = maximum_over_ball(matrix, gradient, 0.5 * float(at.norm()))
    assert found.value <= exact * (1 + 1e-12)
    assert found.value == pytest.approx(exact, rel=1e-6)


def test_a_maximum_inside_the_ball_is_found(rng):
    """A concave loss, the slope of which leads to its top at a quarter of the radius."""
    matrix, at = -torch.diag(torch.linspace(1, 3, DIM, dtype=torch.float64)), normal(DIM, rng=rng)
    top = 0.25 * 0.5 * at.norm() * torch.nn.functional.normalize(normal(DIM, rng=rng), dim=0)
    landscape, point = quadratic(matrix, -matrix @ top, at)
    found = worst_case_sharpness(landscape, point, FlatnessOptions(rho=0.5, ascent_steps=100), 0)
    assert found.value == pytest.approx(float(-top @ matrix @ top / 2), rel=1e-6)


def test_at_a_maximum_nothing_rises(rng):
    landscape, point = quadratic(-symmetric(DIM, rng), torch.zeros(DIM).double(), normal(DIM, rng=rng))
    assert worst_case_sharpness(landscape, point, FlatnessOptions(), 0).value == 0


def test_heights_never_fall_and_places_stay_in_the_ball(rng):
    """Outside of the ball the loss is not a number, and would show."""
    w, radius = normal(DIM, rng=rng), 0.5

    def energy(x):
        inside = (x - w).norm() <= radius * (1 + 1e-12)
        return torch.where(inside, torch.sin(5 * x).sum() + x.square().sum(), torch.nan)

    around = Neighbourhood.of(formula(energy, DIM), Point(w, id="w"))
    starts = torch.stack([torch.full((DIM,), 1e-3), torch.full((DIM,), 0.1)]).double()
    heights = highest_rises(around, starts, radius, 30, 0)
    assert heights.shape == (30, 2)
    assert bool((heights.diff(dim=0) >= 0).all())
    assert bool((heights[-1] > heights[0]).all())


def mean_field(sizes, rng):
    """A loss that is linear in w with another slope for each mini-batch, its point, and the slopes."""
    model = nn.Linear(DIM, 1, bias=False).double()
    objective = Objective("field", lambda model, batch: (model(batch[0]).sum(), len(batch[0])))
    parts = [normal(size, DIM, rng=rng) for size in sizes]
    batches = Batches(tuple((part, part) for part in parts), sum(sizes), "made up", "made up")
    slopes = torch.stack([part.mean(dim=0) for part in parts])
    return NetworkLandscape(model, objective, batches), Point(normal(DIM, rng=rng), id="w"), slopes


def test_the_mean_is_over_mini_batches_and_so_is_the_error(rng):
    landscape, point, slopes = mean_field((128, 128, 128), rng)
    found = worst_case_sharpness(landscape, point, FlatnessOptions(rho=0.2), 0)
    each = 0.2 * point.vector.norm() * slopes.norm(dim=1)
    assert found.value == pytest.approx(float(each.mean()), rel=1e-8)
    assert found.standard_error == pytest.approx(float(each.std()) / 3**0.5, rel=1e-8)
    assert found.messages == ()
    assert found.cost.gradients == pytest.approx(2 * (20 + 1) + 1, rel=1e-12)


def test_mini_batches_far_from_the_usual_size_are_said(rng):
    landscape, point, _ = mean_field((16, 15), rng)
    (message,) = worst_case_sharpness(landscape, point, FlatnessOptions(), 0).messages
    assert "mini-batches of 16 samples" in message
    assert "--batch-size 128" in message


@pytest.mark.parametrize("factors", [[4.0] * 6, [0.3, 3.0, 1.0, 7.0, 0.01, 2.0]], ids=["one", "each"])
@pytest.mark.parametrize("radius", [0.5, 3.0])
def test_a_rescaled_classifier_keeps_the_adaptive_worst_case_alone(factors, radius, rng):
    landscape, a = relu_classifier(rng)
    b = rescaled(landscape, a, torch.tensor(factors, dtype=torch.float64))
    for measure in (worst_case_sharpness, adaptive_worst_case_sharpness):
        at_a, at_b = (
            measure(landscape, point, FlatnessOptions(adaptive_rho=radius, ascent_steps=8), 0) for point in (a, b)
        )
        assert at_a.value > 0
        assert (at_b.value == pytest.approx(at_a.value, rel=RTOL)) == at_a.measure.invariant


def test_the_rescaled_regression_of_the_zoo():
    landscape, a, b = zoo_pair()
    for measure in (worst_case_sharpness, adaptive_worst_case_sharpness):
        at_a, at_b = (measure(landscape, point, FlatnessOptions(), 0) for point in (a, b))
        assert (at_b.value == pytest.approx(at_a.value, rel=RTOL)) == at_a.measure.invariant


def test_ascents_that_end_apart_are_said():
    """In one dimension two maxima of a cubic: at the minimum the slope vanishes, and a start decides."""
    landscape, point = (
        formula(lambda x: ((x - 1) ** 2 + 0.3 * (x - 1) ** 3).sum(), 1),
        Point(torch.ones(1).double(), id="w"),
    )
    ends = [worst_case_sharpness(landscape, point, FlatnessOptions(rho=1.0), seed) for seed in range(12)]
    assert {round(found.value, 6) for found in ends} <= {0.7, 1.3}
    apart = [found for found in ends if found.messages]
    assert apart
    assert all(found.value == pytest.approx(1.3) for found in apart)
    assert all("several maxima" in found.messages[0] for found in apart)


def test_an_ascent_that_is_still_rising_says_so(rng):
    matrix = torch.diag(torch.linspace(0, 1, 100, dtype=torch.float64))
    landscape, point = quadratic(matrix, torch.zeros(100).double(), normal(100, rng=rng))
    found = worst_case_sharpness(landscape, point, FlatnessOptions(ascent_steps=2), 0)
    assert any("raise --flatness.ascent-steps" in message for message in found.messages)


def test_weights_of_zero_take_no_part_of_the_ball():
    at = torch.tensor([2.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    landscape, point = formula(lambda x: 3 * x.sum(), 4), Point(at, id="w")
    found = adaptive_worst_case_sharpness(landscape, point, FlatnessOptions(adaptive_rho=0.5, ascent_steps=1), 0)
    assert found.value == pytest.approx(3 * 0.5 * 2, rel=1e-12)


def test_weights_that_are_all_zero_have_no_ball():
    nothing = torch.zeros(3, dtype=torch.float64)
    landscape, point = quadratic(torch.eye(3, dtype=torch.float64), nothing, nothing)
    for measure in (worst_case_sharpness, adaptive_worst_case_sharpness):
        with pytest.raises(UsageError, match="all weights are zero"):
            measure(landscape, point, FlatnessOptions(), 0)


def test_a_loss_that_is_not_finite_is_refused():
    landscape, point = formula(lambda x: -x.log().sum(), 2), Point(torch.ones(2, dtype=torch.float64), id="w")
    with pytest.raises(AnalysisError, match=r"not finite within radius .* lower --flatness\.rho"):
        worst_case_sharpness(landscape, point, FlatnessOptions(rho=2.0), 0)

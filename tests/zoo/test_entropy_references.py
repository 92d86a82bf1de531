"""Bowls, singular minima and linear networks: exact volumes against tables and against integrals done otherwise."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import exp, hypot, log, log1p, pi, sqrt

import numpy as np
import pytest
import torch
from landscape_zoo.bowl import Bowl
from landscape_zoo.deep_linear_loss import DeepLinear
from landscape_zoo.singular import Singular
from scipy.integrate import quad
from scipy.special import i0e
from zoo_cases import dense, opened

from landscape.errors import UsageError
from landscape.landscapes.protocol import Landscape

# (dim, condition): Φ, log volume of {E ≤ 1e-2}, Franz-Parisi at 1, learning coefficient; β = 1e3, γ = 1
BOWLS = {
    (2, 1e4): (-3.50203248, 1.83787707, -3.72911794, 0.54495504),
    (10, 1e4): (-14.20213318, 4.40189359, -8.40029062, 3.59794887),
    (100, 1e4): (-138.290325845, -56.583913631, -25.417401934, 36.890298280),
    (1000, 1e2): (-2313.08750615, -2843.68447175, -94.93894011, 489.74759503),
    (1000, 1e4): (-1379.52160392, -1692.39192526, -46.33185628, 369.78274002),
}


@pytest.mark.parametrize("keys", BOWLS, ids=str)
def test_bowls_have_the_known_values(keys):
    bowl, (phi, volume, franz_parisi, coefficient) = Bowl(*keys), BOWLS[keys]
    assert bowl.phi(1e3, 1.0) == pytest.approx(phi, rel=0, abs=6e-9)
    assert bowl.log_volume(1e-2) == pytest.approx(volume, rel=0, abs=6e-9)
    assert bowl.franz_parisi(1e3, 1.0) == pytest.approx(franz_parisi, rel=0, abs=6e-9)
    assert bowl.learning_coefficient(1e3, 1.0) == pytest.approx(coefficient, rel=0, abs=6e-9)


@pytest.mark.parametrize("distance", [1e-3, 0.1, 1.0, 3.0, 30.0])
@pytest.mark.parametrize("condition", [1.0, 3.0, 1e4])
def test_franz_parisi_on_a_circle_is_a_bessel_function(condition, distance):
    least, steps = 1 / condition, 1e3 * distance**2 / 4
    wanted = log(i0e(steps * (1 - least))) - 2 * steps * least
    assert Bowl(2, condition).franz_parisi(1e3, distance) == pytest.approx(wanted, rel=1e-12, abs=1e-12)


def test_franz_parisi_on_a_sphere_is_its_mean_over_angles():
    least = 1e-4  # λ = 1, 1e-2, 1e-4
    bowl = Bowl(3, 1e4)

    def slice_mean(z):
        steps = 20 * (1 - z**2) / 4
        return i0e(steps * (1 - 1e-2)) * exp(-2 * steps * 1e-2 - 20 * least * z**2 / 2)

    wanted = log(quad(slice_mean, 0, 1, epsabs=0, epsrel=1e-12)[0])
    assert bowl.franz_parisi(20.0, 1.0) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("dim", [1, 2, 3, 100])
def test_on_a_round_bowl_all_is_elementary(dim):
    bowl = Bowl(dim, 1.0)
    assert bowl.franz_parisi(10.0, 2.0) == pytest.approx(-20, rel=1e-12)
    assert bowl.phi(10.0, 2.0) == pytest.approx(-dim / 2 * log(6), rel=1e-14)
    if dim == 3:
        assert bowl.log_volume(0.5) == pytest.approx(log(4 * pi / 3), rel=1e-14)


def test_franz_parisi_averages_to_phi_over_the_distance():
    bowl, gamma = Bowl(6, 1e3), 2.0

    def weight(r):  # density of |x| under the reference, times the mean over the sphere
        return exp(bowl.franz_parisi(50.0, r) + 5 * log(r) - gamma * r**2 / 2 + 3 * log(gamma) - log(8.0))

    mean = quad(weight, 0, 8, epsabs=0, epsrel=1e-10)[0]
    assert log(mean) == pytest.approx(bowl.phi(50.0, gamma), rel=1e-9)


@pytest.mark.parametrize("known", [Bowl(30), Singular((2, 4)), Singular((6, 6)), Singular((2, 4), "sum")], ids=repr)
def test_the_learning_coefficient_is_the_slope_of_phi(known):
    for beta, gamma in ((1e-2, 1.0), (1e2, 0.3), (1e5, 7.0)):
        step = 1e-4
        slope = (known.phi(beta * exp(-step), gamma) - known.phi(beta * exp(step), gamma)) / (2 * step)
        assert known.learning_coefficient(beta, gamma) == pytest.approx(slope, rel=2e-7, abs=1e-10)


@pytest.mark.parametrize("name", ["bowl?dim=12&condition=50", "bowl?dim=12&condition=50&seed=3"])
def test_bowls_have_their_spectrum_in_any_orientation(name):
    landscape, points = opened(name)
    matrix = dense(landscape, points["minimum"].vector)
    wanted = Bowl(12, 50.0).spectrum()
    torch.testing.assert_close(torch.linalg.eigvalsh(matrix), wanted.flip(0), rtol=1e-12, atol=0)
    np.testing.assert_allclose(wanted[1:] / wanted[:-1], 50 ** (-1 / 11), rtol=1e-13)
    assert [float(wanted[0]), float(wanted[-1])] == pytest.approx([1, 0.02], rel=1e-14)
    assert ((matrix - matrix.diag().diag()).abs().max() > 0.1) == ("seed" in name)


# powers, kind: λ, multiplicity, learning coefficient at β = 1e2, 1e3, 1e4, 1e6, 1e8
SINGULAR = {
    ((2, 2), "product"): (1 / 2, 2, [0.354204, 0.390273, 0.412337, 0.437543, 0.451494]),
    ((2, 4), "product"): (1 / 4, 1, [0.205712, 0.224851, 0.235811, 0.245507, 0.248579]),
    ((2, 4), "sum"): (3 / 4, 1, [0.739230, 0.747095, 0.749132, 0.749915, 0.749992]),
    ((6, 6), "product"): (1 / 6, 2, [0.087429, 0.097939, 0.106461, 0.118979, 0.127433]),
}
BETAS = (1e2, 1e3, 1e4, 1e6, 1e8)


@pytest.mark.parametrize("keys", SINGULAR, ids=str)
def test_singular_minima_have_the_known_coefficients(keys):
    known, (threshold, multiplicity, coefficients) = Singular(*keys), SINGULAR[keys]
    assert (known.threshold, known.multiplicity) == (threshold, multiplicity)
    found = [known.learning_coefficient(beta, 1.0) for beta in BETAS]
    np.testing.assert_allclose(found, coefficients, rtol=0, atol=6e-7)


@pytest.mark.parametrize("keys", SINGULAR, ids=str)
def test_the_coefficient_nears_its_threshold_by_its_multiplicity(keys):
    known = Singular(*keys)
    excess = (known.threshold - known.learning_coefficient(1e40, 1.0)) * log(1e40)
    assert excess == pytest.approx(known.multiplicity - 1, abs=0.1)


@pytest.mark.parametrize(("beta", "gamma"), [(1.0, 1.0), (30.0, 2.0), (1e3, 0.5)])
@pytest.mark.parametrize("power", [2, 4, 6])
def test_phi_of_singular_minima_is_an_integral_over_a_line(power, beta, gamma):
    def product_with_a_square(x):  # integrated over the coordinate that enters by its square
        return (1 + 2 * beta * x**power / gamma) ** -0.5 * exp(-gamma * x**2 / 2)

    def alone(x):
        return exp(-beta * x**power - gamma * x**2 / 2)

    def mean(function):
        end, middle = 40 / sqrt(gamma), (gamma / beta) ** (1 / power)
        halves = [quad(function, *ends, epsabs=0, epsrel=1e-12, limit=200)[0] for ends in ((0, middle), (middle, end))]
        return sqrt(2 * gamma / pi) * sum(halves)

    assert Singular((power, 2)).phi(beta, gamma) == pytest.approx(log(mean(product_with_a_square)), rel=1e-10)
    assert Singular((power,)).phi(beta, gamma) == pytest.approx(log(mean(alone)), rel=1e-10)
    parts = Singular((power,)).phi(beta, gamma) + Singular((2,)).phi(beta, gamma)
    assert Singular((power, 2), "sum").phi(beta, gamma) == pytest.approx(parts, rel=1e-14)


@pytest.mark.parametrize("beta", [1e-9, 1.0, 1e3, 1e12])
def test_a_sum_of_squares_is_a_bowl(beta):
    known = Singular((2, 2, 2), "sum")
    assert known.phi(beta, 7.0) == pytest.approx(-1.5 * log1p(2 * beta / 7), rel=1e-9, abs=1e-13)
    assert known.learning_coefficient(beta, 7.0) == pytest.approx(3 * beta / (2 * beta + 7), rel=1e-9, abs=1e-13)


def test_singular_energies_are_the_formula(rng):
    x = torch.randn(20, 3, generator=rng, dtype=torch.float64)
    a, b, c = x.unbind(1)
    for keys, wanted in (("2,4,6", a**2 * b**4 * c**6), ("2,4,6&kind=sum", a**2 + b**4 + c**6)):
        landscape, points = opened(f"singular?powers={keys}")
        torch.testing.assert_close(landscape.energies(x), wanted, rtol=1e-13, atol=0)
        vector = points["singular"].vector
        energy, gradient = landscape.gradients(vector[None])
        assert float(energy) == 0
        assert not gradient.any()
        assert torch.isfinite(dense(landscape, vector)).all()


# widths, rank: λ, multiplicity
DEEP_LINEAR = {
    ((2, 2, 2), 0): (3 / 2, 1),
    ((2, 2, 2), 1): (2, 2),
    ((3, 2, 3), 1): (7 / 2, 2),
    ((4, 3, 4), 2): (7, 2),
    ((5, 5, 5, 5), 2): (11, 1),
}


@pytest.mark.parametrize("keys", DEEP_LINEAR, ids=str)
def test_linear_networks_have_the_known_thresholds(keys):
    known = DeepLinear(*keys)
    assert (known.threshold, known.multiplicity) == DEEP_LINEAR[keys]


def two_layers(inputs, hidden, outputs, rank):
    """λ and multiplicity of two layers, by the four cases of Aoyagi & Watanabe (2005)."""
    if inputs + hidden < outputs + rank:
        return Fraction(hidden * inputs - hidden * rank + outputs * rank, 2), 1
    if outputs + hidden < inputs + rank:
        return Fraction(hidden * outputs - hidden * rank + inputs * rank, 2), 1
    if inputs + outputs < hidden + rank:
        return Fraction(inputs * outputs, 2), 1
    odd = (inputs + hidden + outputs + rank) % 2
    pairs = 2 * (hidden + rank) * (inputs + outputs) + 2 * inputs * outputs
    return Fraction(pairs - (hidden + rank) ** 2 - inputs**2 - outputs**2 + odd, 8), 1 + odd


def test_two_layers_have_the_thresholds_of_reduced_rank_regression():
    for widths in product(range(1, 6), repeat=3):
        for rank in range(min(widths) + 1):
            known = DeepLinear(widths, rank)
            assert (Fraction(known.threshold), known.multiplicity) == two_layers(*widths, rank), (widths, rank)


def test_a_layer_wide_enough_and_the_order_of_layers_do_not_matter():
    for rank in range(3):
        assert DeepLinear((3, 2, 40, 4), rank).threshold == DeepLinear((3, 2, 4), rank).threshold
        assert DeepLinear((4, 2, 3, 5, 4), rank).threshold == DeepLinear((4, 5, 3, 2, 4), rank).threshold


@pytest.mark.parametrize("keys", ["widths=3,2,3&rank=1", "widths=4,3,2,5&rank=2&seed=1", "widths=2,2,2&rank=0"])
def test_linear_networks_are_at_a_singular_minimum(keys):
    landscape, points = opened(f"deep-linear?{keys}")
    vector = points["singular"].vector
    energy, gradient = landscape.gradients(vector[None])
    assert float(energy) < 1e-30
    assert float(gradient.abs().max()) < 1e-15
    assert float(torch.linalg.eigvalsh(dense(landscape, vector)).min()) > -1e-14


def test_linear_network_energy_is_the_distance_from_the_target(rng):
    landscape, _ = opened("deep-linear?widths=4,3,2,5&rank=2&seed=1")
    known = DeepLinear((4, 3, 2, 5), 2, 1)
    first, second, third = known.minimum()
    target = third @ second @ first
    values = torch.linalg.svdvals(target)
    torch.testing.assert_close(values, torch.tensor([1, 1, 0, 0.0]).double(), rtol=0, atol=1e-14)
    a, b, c = (torch.randn(shape, generator=rng, dtype=torch.float64) for shape in known.shapes)
    x = torch.cat([a.flatten(), b.flatten(), c.flatten()])
    wanted = (torch.linalg.matrix_norm(c @ b @ a - target) ** 2 / 2)[None]
    torch.testing.assert_close(landscape.energies(x[None]), wanted, rtol=1e-13, atol=0)


@pytest.mark.parametrize("keys", [((3, 2, 3), 1), ((2, 2, 2, 1), 1)], ids=str)
def test_draws_agree_with_the_plain_average_over_the_reference(keys, rng):
    known, beta, gamma, number = DeepLinear(*keys), 3.0, 2.0, 200_000
    landscape, points = opened(f"deep-linear?widths={','.join(map(str, keys[0]))}&rank={keys[1]}")
    centre = points["singular"].vector
    x = centre + torch.randn(number, len(centre), generator=rng, dtype=torch.float64) / sqrt(gamma)
    energies = landscape.energies(x)
    weights = torch.exp(-beta * energies)
    found = known.sampled(beta, gamma, number, rng)
    phi, coefficient = float(weights.mean().log()), float(beta * (weights * energies).sum() / weights.sum())
    relative = weights / weights.mean()
    errors = [float(part.std()) / sqrt(number) for part in (relative, relative * (beta * energies - coefficient))]
    assert abs(found.phi - phi) < 3 * hypot(found.phi_stderr, errors[0])
    assert abs(found.learning_coefficient - coefficient) < 3 * hypot(found.learning_coefficient_stderr, errors[1])


def test_draws_near_the_threshold_at_large_beta(rng):
    found = DeepLinear((3, 2, 3), 1).sampled(1e4, 1.0, 200_000, rng)
    assert found.learning_coefficient == pytest.approx(7 / 2, rel=0.1)
    assert found.learning_coefficient_stderr < 0.2


NAMES = ["bowl?dim=5", "singular", "deep-linear", "binary-perceptron?n=9", "spherical-perceptron"]


@pytest.mark.parametrize("name", NAMES)
def test_every_reference_is_a_landscape_with_seeded_starts(name):
    landscape, points = opened(name)
    assert isinstance(landscape, Landscape)
    starts = [landscape.initial(torch.Generator().manual_seed(seed)).vector for seed in (1, 1, 2)]
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])
    torch.testing.assert_close(landscape.project(starts[0][None])[0], starts[0], rtol=1e-14, atol=0)
    assert torch.isfinite(landscape.energies(torch.stack(starts))).all()
    coarse, coarse_points = opened(name, torch.float32)
    for label, point in points.items():
        assert coarse_points[label].hash == point.hash
        assert float(coarse.energies(coarse_points[label].vector[None])) == pytest.approx(0, abs=1e-12)


REFUSED = [
    ("bowl?dim=0", "dim must be at least 1"),
    ("bowl?condition=0.5", "condition must be a number of at least 1, got 0.5"),
    ("bowl?condition=inf", "condition must be a number"),
    ("bowl?seed=-1", "seed must be 0 or more"),
    ("singular?powers=2,3", "powers must be even numbers"),
    ("singular?powers=0", "powers must be even numbers"),
    ("singular?powers=2.5", "met '2.5', wanted whole numbers such as 3,2,3"),
    ("singular?kind=sums", "kind=sums: met 'sums', wanted product or sum"),
    ("deep-linear?widths=3,2", "widths must be three or more"),
    ("deep-linear?widths=3,0,3&rank=0", "none below 1"),
    ("deep-linear?rank=3", "rank must be from 0 to 2 (the smallest width), got 3"),
    ("deep-linear?rank=-1", "rank must be from 0 to 2"),
]


@pytest.mark.parametrize(("name", "advice"), REFUSED)
def test_wrong_values_are_refused_in_one_line(name, advice):
    with pytest.raises(UsageError, match=r"^zoo:") as caught:
        opened(name)
    assert advice in str(caught.value)
    assert "\n" not in str(caught.value)

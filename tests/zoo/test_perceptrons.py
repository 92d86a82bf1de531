"""Perceptrons: all binary solutions against the known table, the spherical volume against areas."""

from __future__ import annotations

from math import exp, log, pi, sqrt

import pytest
import torch
from landscape_zoo.binary_perceptron import BinaryPerceptron
from landscape_zoo.spherical_perceptron import SphericalPerceptron
from zoo_cases import opened

from landscape.errors import AnalysisError, UsageError

# keys: number of solutions, isolated fraction, mean numbers at the first distances, others within 3 (with itself)
TABLE = {
    "alpha=0.4&seed=0": (2092, 0.2247, [2.481836, 23.282027, 39.918738], (10, 55, 349)),
    "alpha=0.6&seed=1": (304, None, [1.914474], None),
}


@pytest.mark.parametrize("keys", TABLE)
def test_binary_solutions_are_the_known_ones(keys):
    number, isolated, means, within = TABLE[keys]
    landscape, _ = opened(f"binary-perceptron?n=21&{keys}")
    solutions = landscape.solutions()
    assert solutions.number == number
    found = solutions.mean_counts()[1 : len(means) + 1]
    torch.testing.assert_close(found, torch.tensor(means, dtype=torch.float64), rtol=0, atol=6e-7)
    if isolated is not None:
        assert len(solutions.isolated) / number == pytest.approx(isolated, abs=6e-5)
    if within is not None:
        near = solutions.counts_within(3)
        assert (int(near.min()), int(near.median()), int(near.max())) == within


@pytest.mark.parametrize("keys", ["n=11&alpha=0.5&seed=2", "n=12&alpha=0.4&seed=0", "n=1&alpha=1"])
def test_binary_solutions_are_where_the_energy_is_zero(keys):
    landscape, points = opened(f"binary-perceptron?{keys}")
    solutions = landscape.solutions()
    everywhere = torch.stack([solutions.configuration(vertex) for vertex in range(2**solutions.dim)])
    assert torch.equal(landscape.energies(everywhere) == 0, solutions.indicator)
    for point in points.values():
        assert solutions.indicator[solutions.vertex_of(point.vector)]


def test_binary_energy_is_the_fraction_of_failures_of_the_nearest_configuration(rng):
    landscape, points = opened("binary-perceptron?n=15&alpha=0.7&seed=1")
    patterns = BinaryPerceptron(15, 0.7, 1).patterns()
    x = torch.randn(50, 15, generator=rng, dtype=torch.float64)
    wanted = (x.sign() @ patterns.T <= 0).double().mean(1)
    torch.testing.assert_close(landscape.energies(x), wanted, rtol=1e-15, atol=0)
    assert torch.equal(landscape.project(x), x.sign())
    vector = points["typical"].vector
    assert torch.equal(landscape.project(vector[None])[0], vector)
    assert landscape.project(torch.zeros(1, 15)).eq(1).all()


def test_binary_points_have_most_the_median_and_no_neighbours():
    landscape, points = opened("binary-perceptron?n=15&alpha=0.5&seed=1")
    solutions = landscape.solutions()
    near = solutions.counts_within(3)
    counts = {label: solutions.counts_from(solutions.vertex_of(point.vector)) for label, point in points.items()}
    assert list(counts) == ["densest", "typical", "isolated"]
    assert int(counts["densest"][:4].sum()) == int(near.max())
    assert int(counts["typical"][:4].sum()) == int(near.median())
    assert int(counts["isolated"][1]) == 0


def test_binary_energy_has_no_hessian():
    landscape, points = opened("binary-perceptron?n=9")
    with pytest.raises(AnalysisError, match="binary-perceptron lives on the vertices of a cube and has no Hessian"):
        landscape.curvature(points["typical"])


def area_of_the_triangle(patterns):
    """L'Huilier's theorem, from the sides of the triangle with the inward normals ``patterns``."""
    corners = torch.linalg.inv(patterns).T  # ξ_i · c_j = δ_ij: c_j lies on all circles but the j-th
    a, b, c = (corners / corners.norm(dim=1, keepdim=True)).unbind()
    sides = [float(torch.acos(u @ v)) for u, v in ((a, b), (b, c), (c, a))]
    half = torch.tensor([sum(sides) / 2, *(sum(sides) / 2 - side for side in sides)], dtype=torch.float64)
    return float(4 * torch.tan(half / 2).prod().sqrt().atan())


@pytest.mark.parametrize("seed", range(8))
def test_spherical_area_of_three_patterns_is_that_of_the_triangle(seed):
    known = SphericalPerceptron(3, 1.0, 0.0, seed)
    wanted = area_of_the_triangle(known.patterns()) / (4 * pi)
    assert exp(known.log_fraction()) == pytest.approx(wanted, rel=1e-12)


def test_spherical_area_of_one_pattern_is_half_and_of_two_a_lune():
    assert SphericalPerceptron(3, 1 / 3).log_fraction() == log(0.5)
    known = SphericalPerceptron(3, 2 / 3, seed=4)
    first, second = known.patterns() / known.patterns().norm(dim=1, keepdim=True)
    assert exp(known.log_fraction()) == pytest.approx((pi - float(torch.acos(first @ second))) / (2 * pi), rel=1e-14)


@pytest.mark.parametrize(("alpha", "seed"), [(4 / 3, 1), (5 / 3, 1), (2.0, 2)])
def test_spherical_area_of_many_patterns_is_the_fraction_of_random_points(alpha, seed, rng):
    known = SphericalPerceptron(3, alpha, 0.0, seed)
    x = torch.randn(400_000, 3, generator=rng, dtype=torch.float64)
    inside = (x @ known.patterns().T > 0).all(1).double()
    assert exp(known.log_fraction()) == pytest.approx(float(inside.mean()), abs=3 * float(inside.std()) / len(x) ** 0.5)


@pytest.mark.parametrize("keys", ["n=60&alpha=0.5", "n=60&alpha=1.5&seed=2", "n=20&alpha=0.5&kappa=0.7", "n=3&alpha=1"])
def test_spherical_solution_has_the_largest_stability(keys):
    landscape, points = opened(f"spherical-perceptron?{keys}")
    x = points["solution"].vector
    numbers = dict(part.split("=") for part in keys.split("&"))
    n, alpha, seed = int(numbers["n"]), float(numbers["alpha"]), int(numbers.get("seed", 0))
    patterns = SphericalPerceptron(n, alpha, 0.0, seed).patterns()
    assert float(x @ x) == pytest.approx(n, rel=1e-14)
    assert float(landscape.energies(x[None])) == 0
    stabilities = patterns @ x / sqrt(n)
    # Optimal: x is a sum of the patterns of least stability with positive weights (Karush, Kuhn and Tucker).
    support = patterns[stabilities < stabilities.min() + 1e-9]
    weights = torch.linalg.lstsq(support.T, x[:, None]).solution[:, 0]
    assert float(weights.min()) > 0
    torch.testing.assert_close(weights @ support, x, rtol=0, atol=1e-9)


def test_spherical_energy_is_the_mean_lack_of_stability(rng):
    landscape, _ = opened("spherical-perceptron?n=12&alpha=1&kappa=0.2&seed=1")
    patterns = SphericalPerceptron(12, 1.0, 0.2, 1).patterns()
    x = torch.randn(20, 12, generator=rng, dtype=torch.float64)
    on_sphere = x * sqrt(12) / x.norm(dim=1, keepdim=True)
    wanted = (0.2 - on_sphere @ patterns.T / sqrt(12)).clamp(min=0).mean(1)
    energies, gradients = landscape.gradients(x)
    torch.testing.assert_close(energies, wanted, rtol=1e-13, atol=0)
    torch.testing.assert_close((gradients * x).sum(1), torch.zeros(20, dtype=torch.float64), rtol=0, atol=1e-13)
    torch.testing.assert_close(landscape.project(x), on_sphere, rtol=1e-14, atol=0)
    assert landscape.solutions() is None


REFUSED = [
    ("binary-perceptron?n=25", "n must be from 1 to 24"),
    ("binary-perceptron?n=0", "n must be from 1 to 24"),
    ("binary-perceptron?alpha=0.001", "alpha must be a number from 0.048 (one pattern)"),
    ("binary-perceptron?alpha=nan", "alpha must be a number"),
    ("binary-perceptron?alpha=inf", "alpha must be a number"),
    ("binary-perceptron?seed=-1", "seed must be 0 or more"),
    ("binary-perceptron?n=9&alpha=3", "take another seed or a lower alpha"),
    ("spherical-perceptron?n=1", "n must be at least 2"),
    ("spherical-perceptron?alpha=0", "alpha must be a number of at least 0.017"),
    ("spherical-perceptron?alpha=nan", "alpha must be a number"),
    ("spherical-perceptron?kappa=inf", "kappa must be a finite number"),
    ("spherical-perceptron?alpha=1e300", "take a smaller one"),
    ("spherical-perceptron?alpha=3", "the 180 patterns of alpha=3 and seed=0 lie in no half-space: take another"),
    ("spherical-perceptron?kappa=2", "allow a stability of 1.187 at most, below kappa=2: take another seed or a lower"),
]


@pytest.mark.parametrize(("name", "advice"), REFUSED)
def test_what_has_no_solution_or_no_meaning_is_refused_in_one_line(name, advice):
    with pytest.raises(UsageError) as caught:
        opened(name)
    assert advice in str(caught.value)
    assert str(caught.value).startswith("zoo:")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("known", [SphericalPerceptron(4), SphericalPerceptron(3, 1.0, kappa=0.1)], ids=["n", "kappa"])
def test_an_area_that_is_not_known_is_refused(known):
    with pytest.raises(ValueError, match="the area is known for n=3 and kappa=0"):
        known.log_fraction()


def test_patterns_without_a_solution_have_no_area():
    with pytest.raises(ValueError, match="no solution"):
        SphericalPerceptron(3, 2.0, 0.0, 0).log_fraction()

"""The spherical p-spin: its formula written out, its spectra, and where gradient flow ends."""

from __future__ import annotations

from itertools import permutations
from math import factorial, sqrt

import numpy as np
import pytest
import torch
from landscape_zoo.descent import descend
from landscape_zoo.disorder import symmetric_couplings
from landscape_zoo.sphere import Sphere
from landscape_zoo.spherical_p_spin import SphericalPSpin, derivatives
from torch import Tensor
from zoo_cases import dense, distance, opened, semicircle

RADIUS = 2 * sqrt(6)  # of the semicircle at p=3
RANDOM = [f"spherical-p-spin?n=100&p=3&seed={seed}" for seed in range(4)]


def written_out(n: int, p: int, seed: int, x: Tensor) -> Tensor:
    """n^(-(p-1)/2) Σ J x...x over all ordered tuples, with J as drawn."""
    couplings = torch.from_numpy(np.random.default_rng(seed).normal(size=(n,) * p))
    letters = "abcdef"[:p]
    return torch.einsum(f"{letters},{','.join(letters)}->", couplings, *[x] * p) / n ** ((p - 1) / 2)


def tangent_eigenvalues(name: str, label: str) -> tuple[float, Tensor]:
    """e and the n - 1 eigenvalues in the tangent space, sorted."""
    landscape, points = opened(name)
    x = points[label].vector
    n = len(x)
    normal = torch.outer(x, x) / n
    values = torch.linalg.eigvalsh(dense(landscape, x) + 1e6 * normal)  # moves the spurious zero along x out of the way
    return float(landscape.energies(x[None])) / n, values[:-1]


@pytest.mark.parametrize("p", [2, 3, 4])
def test_couplings_are_the_mean_over_all_orders_of_the_indices(p):
    drawn = torch.from_numpy(np.random.default_rng(5).normal(size=(4,) * p))
    mean = sum(drawn.permute(order) for order in permutations(range(p))) / factorial(p)
    torch.testing.assert_close(symmetric_couplings(4, p, np.random.default_rng(5)), mean, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("n", "p"), [(9, 2), (9, 3), (6, 4), (5, 5)])
def test_energy_gradient_and_hessian_are_those_of_the_sum_on_the_sphere(n, p):
    landscape, points = opened(f"spherical-p-spin?n={n}&p={p}&seed=2")
    x = points["random1"].vector
    tangent = torch.eye(n, dtype=torch.float64) - torch.outer(x, x) / n
    euclidean = torch.func.grad(lambda y: written_out(n, p, 2, y))(x)
    second = torch.func.jacrev(torch.func.grad(lambda y: written_out(n, p, 2, y)))(x)
    energies, gradients = landscape.gradients(x[None])
    assert float(energies) == pytest.approx(float(written_out(n, p, 2, x)), rel=1e-12)
    torch.testing.assert_close(gradients[0], tangent @ euclidean, rtol=0, atol=1e-11)
    hessian = tangent @ second @ tangent - (euclidean @ x / n) * tangent
    torch.testing.assert_close(dense(landscape, x), hessian, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("p", "overlap"), [(2, 1.0), (2, -0.8), (3, 1.0), (3, 0.8), (3, -0.8)])
def test_energies_covary_as_n_times_a_power_of_the_overlap(p, overlap):
    n, num_seeds = 4, 3000
    x, other = 2 * torch.eye(n, dtype=torch.float64)[:2]
    y = overlap * x + sqrt(1 - overlap**2) * other
    couplings = [SphericalPSpin(n, p, seed).couplings() for seed in range(num_seeds)]
    products = torch.tensor([derivatives(s, x).energy * derivatives(s, y).energy for s in couplings])
    assert abs(float(products.mean()) - n * overlap**p) < 4 * float(products.std()) / sqrt(num_seeds)


@pytest.mark.parametrize("label", ["random1", "random2"])
@pytest.mark.parametrize("name", RANDOM)
def test_spectrum_at_a_random_point_is_the_shifted_semicircle(name, label):
    e, values = tangent_eigenvalues(name, label)
    assert len(values) == 99
    assert abs(float(values.mean()) + 3 * e) < 4 * 0.035
    assert distance(values, semicircle(values, -3 * e, RADIUS)) < 0.06
    negative = float(semicircle(torch.zeros(1), -3 * e, RADIUS))  # k(e)
    assert float((values < 0).double().mean()) == pytest.approx(negative, abs=0.03)


@pytest.mark.parametrize(("e", "fraction"), [(-0.5, 0.3082), (-1.0, 0.1361), (-1.5, 0.0138), (-1.632993162, 0.0)])
def test_negative_part_of_the_semicircle_is_the_known_fraction(e, fraction):
    negative = semicircle(torch.zeros(1, dtype=torch.float64), -3 * e, RADIUS)
    assert float(negative) == pytest.approx(fraction, abs=5e-5)


def test_gradient_flow_ends_in_minima_in_the_known_band():
    minima = [tangent_eigenvalues(name, label) for name in RANDOM for label in ("minimum1", "minimum2")]
    energies = torch.tensor([e for e, _ in minima])
    shifts = torch.tensor([float(values.mean()) + 3 * e for e, values in minima])
    assert float(energies.mean()) == pytest.approx(-1.546, abs=0.04)
    assert float(energies.min()) > -1.657 - 0.02  # the ground state, up to its fluctuation at this n
    assert float(shifts.mean()) == pytest.approx(0.05, abs=0.05)  # 4.69 against -3e = 4.64
    for e, values in minima:
        assert float(values[0]) > 0
        assert distance(values, semicircle(values, -3 * e, RADIUS)) < 0.06


@pytest.mark.parametrize("name", [RANDOM[0], "spherical-p-spin?n=30&p=4&seed=1", "spherical-p-spin?n=3&p=3"])
def test_minima_are_stationary_to_rounding_and_apart(name):
    landscape, points = opened(name)
    x = torch.stack([points["minimum1"].vector, points["minimum2"].vector])
    _, gradients = landscape.gradients(x)
    assert float(gradients.abs().max()) < 1e-11
    torch.testing.assert_close(
        x.norm(dim=1) ** 2, torch.full((2,), x.shape[1], dtype=torch.float64), rtol=1e-14, atol=0
    )


def test_points_are_the_same_each_time_and_others_with_another_seed():
    first, again, other = (opened(f"spherical-p-spin?n=20&seed={seed}")[1] for seed in (1, 1, 2))
    assert list(first) == ["random1", "random2", "minimum1", "minimum2"]
    assert [point.hash for point in first.values()] == [point.hash for point in again.values()]
    assert len({point.hash for points in (first, other) for point in points.values()}) == 8


@pytest.mark.parametrize("seed", [0, 1])
def test_two_spin_minima_are_the_ground_states(seed):
    landscape, points = opened(f"spherical-p-spin?n=40&p=2&seed={seed}")
    lowest = torch.linalg.eigvalsh(SphericalPSpin(40, 2, seed).couplings())[0]
    for label in ("minimum1", "minimum2"):
        assert float(landscape.energies(points[label].vector[None])) == pytest.approx(40 * float(lowest), rel=1e-12)


def test_descent_leaves_the_neighbourhood_of_a_saddle(rng):
    sphere, couplings = Sphere(20), SphericalPSpin(20, 2, 0).couplings()
    values, vectors = torch.linalg.eigh(couplings)
    start = sphere.project(vectors[:, 7] + 1e-9 * torch.randn(20, generator=rng, dtype=torch.float64))
    minimum = descend(lambda x: derivatives(couplings, x), sphere, start)
    assert derivatives(couplings, minimum).energy == pytest.approx(20 * float(values[0]), rel=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_descent_ends_where_gradient_flow_in_short_steps_does(seed):
    sphere, couplings = Sphere(30), SphericalPSpin(30, 3, seed).couplings()
    x = start = sphere.start(torch.Generator().manual_seed(seed))
    for _ in range(3000):
        x = sphere.project(x - 0.02 * sphere.tangent(x, derivatives(couplings, x).gradient))
    torch.testing.assert_close(descend(lambda y: derivatives(couplings, y), sphere, start), x, rtol=0, atol=1e-6)

"""Quadratics with random matrices against the limits of their spectra."""

from __future__ import annotations

from math import pi, sqrt

import numpy as np
import pytest
import torch
from landscape_zoo.random_matrices import Goe, SpikedGoe, Wishart
from zoo_cases import dense, distance, opened, semicircle


def spectrum(name: str) -> torch.Tensor:
    landscape, points = opened(name)
    return torch.linalg.eigvalsh(dense(landscape, points["origin"].vector))


def test_goe_has_the_semicircle():
    values = spectrum("goe?n=1000&seed=0")
    assert distance(values, semicircle(values, 0, 2)) < 0.005
    assert float((values**2).mean()) == pytest.approx(1, abs=0.01)  # 1 + 1/n, standard deviation 2/n
    assert float((values**4).mean()) == pytest.approx(2, abs=0.03)
    # Tracy-Widom: the edges lie 1.2 n^(-2/3) inside, with a standard deviation of 1.3 n^(-2/3)
    assert float(values[-1]) == pytest.approx(2, abs=0.06)
    assert float(values[0]) == pytest.approx(-2, abs=0.06)


def test_goe_has_entries_of_variance_one_over_n_and_twice_that_on_the_diagonal():
    matrix = 1000 * Goe(1000, 3).matrix() ** 2
    on_it, all_of_it = float(matrix.diag().mean()), float(matrix.sum())
    assert on_it == pytest.approx(2, abs=4 * 2 * sqrt(2 / 1000))
    assert (all_of_it - 1000 * on_it) / (1000 * 999) == pytest.approx(1, abs=4 * sqrt(2 / 5e5))


@pytest.mark.parametrize("theta", [3.0, 1.5, -2.0])
def test_spike_lifts_an_outlier_that_overlaps_with_it(theta):
    landscape, points = opened(f"spiked-goe?n=1000&theta={theta}&seed=0")
    values, vectors = torch.linalg.eigh(dense(landscape, points["origin"].vector))
    outlier, bulk = (values[-1], values[:-1]) if theta > 0 else (values[0], values[1:])
    eigenvector = vectors[:, -1] if theta > 0 else vectors[:, 0]
    _, spike = SpikedGoe(1000, theta, 0).matrix_and_spike()
    assert float(outlier) == pytest.approx(theta + 1 / theta, abs=4 * sqrt(2 / 1000))
    assert float(eigenvector @ spike) ** 2 == pytest.approx(1 - 1 / theta**2, abs=0.05)
    assert distance(bulk, semicircle(bulk, 0, 2)) < 0.005


def test_weak_spike_lifts_nothing():
    assert float(spectrum("spiked-goe?n=1000&theta=0.7&seed=0")[-1]) == pytest.approx(2, abs=0.06)


def test_spike_is_added_to_the_goe_of_the_same_seed():
    matrix, spike = SpikedGoe(50, 3.0, 7).matrix_and_spike()
    assert float(spike.norm()) == pytest.approx(1, abs=1e-14)
    torch.testing.assert_close(matrix - 3 * torch.outer(spike, spike), Goe(50, 7).matrix(), rtol=0, atol=1e-14)


def marchenko_pastur(values: torch.Tensor, q: float) -> torch.Tensor:
    """The cumulative distribution of Wishart eigenvalues for q < 1, by the trapezoidal rule on its density."""
    lower, upper = (1 - sqrt(q)) ** 2, (1 + sqrt(q)) ** 2
    grid = np.linspace(lower, upper, 20001)
    density = np.sqrt((upper - grid) * (grid - lower)) / (2 * pi * q * grid)
    cumulative = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(grid))])
    assert cumulative[-1] == pytest.approx(1, abs=1e-5)
    return torch.from_numpy(np.interp(values.numpy(), grid, cumulative))


@pytest.mark.parametrize("q", [0.25, 0.5])
def test_wishart_has_the_marchenko_pastur_spectrum(q):
    values = spectrum(f"wishart?n=400&q={q}&seed=0")
    assert distance(values, marchenko_pastur(values, q)) < 0.01
    # Johnstone (2001): the upper edge lies 1.2 s inside with a standard deviation of 1.3 s, s = .016 and .027
    assert float(values[-1]) == pytest.approx((1 + sqrt(q)) ** 2, abs=0.08)
    assert float(values[0]) == pytest.approx((1 - sqrt(q)) ** 2, abs=0.02)
    assert float(values.mean()) == pytest.approx(1, abs=0.01)
    assert float((values**2).mean()) == pytest.approx(1 + q, abs=0.02)


def test_wishart_with_fewer_samples_than_parameters_has_flat_directions():
    values = spectrum("wishart?n=200&q=2&seed=1")
    assert int((values.abs() < 1e-12).sum()) == 100
    assert float(values[100]) == pytest.approx((1 - sqrt(2)) ** 2, abs=0.05)
    assert float((values**2).mean()) == pytest.approx(3, abs=0.1)


def test_wishart_rounds_the_number_of_samples():
    assert Wishart(10, 0.3).num_samples == 33
    assert Wishart(10, 10.0).num_samples == 1


@pytest.mark.parametrize("name", ["goe?n=30", "spiked-goe?n=30", "wishart?n=30"])
def test_energy_is_half_the_quadratic_form(name, rng):
    landscape, points = opened(name)
    matrix = dense(landscape, points["origin"].vector)
    x = torch.randn(3, 30, generator=rng, dtype=torch.float64)
    energies, gradients = landscape.gradients(x)
    torch.testing.assert_close(energies, ((x @ matrix) * x).sum(dim=1) / 2, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradients, x @ matrix, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(dense(landscape, x[0]), matrix, rtol=1e-12, atol=1e-12)
    assert float(landscape.energies(points["origin"].vector[None])) == 0

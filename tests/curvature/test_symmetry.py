"""The symmetry probe against the antisymmetric part that it estimates."""

from __future__ import annotations

from math import sqrt

import pytest
import torch
from matrices import Matrix, normal

from landscape.curvature.symmetry import ASYMMETRY_TOLERANCE, check_sound


def asymmetry(operator, probes):
    return check_sound(operator, probes).asymmetry


def symmetric(rng, dim):
    a = normal(rng, dim, dim)
    return a + a.T


def test_asymmetry_is_zero_to_rounding_for_a_symmetric_matrix(rng):
    matrix = symmetric(rng, 500)
    assert asymmetry(Matrix(matrix), normal(rng, 2, 500)) < 1e-13
    assert asymmetry(Matrix(matrix.float()), normal(rng, 2, 500).float()) < 1e-5
    assert asymmetry(Matrix(torch.zeros(9, 9, dtype=torch.float64)), normal(rng, 2, 9)) == 0


@pytest.mark.parametrize("dim", [20, 400])
def test_asymmetry_measures_the_antisymmetric_part_whatever_the_dimension(dim, rng):
    a = normal(rng, dim, dim)
    matrix = symmetric(rng, dim) + 0.1 * (a - a.T)
    squares = [asymmetry(Matrix(matrix), normal(rng, 2, dim)) ** 2 for _ in range(400)]
    wanted = (matrix - matrix.T).norm() / matrix.norm()
    assert sqrt(sum(squares) / 400) == pytest.approx(float(wanted), rel=0.15)


def test_tolerances_separate_rounding_from_a_wrong_derivative():
    assert ASYMMETRY_TOLERANCE[torch.float64] < ASYMMETRY_TOLERANCE[torch.float32] < 0.24


@pytest.mark.parametrize("noise", [0.0, 1e-3, 0.5])
def test_two_products_that_differ_are_noticed(noise, rng):
    class Random(Matrix):
        def matmat(self, vectors):
            images = super().matmat(vectors)
            return images + noise * images.norm(dim=1, keepdim=True) * normal(rng, *images.shape) / 200**0.5

    operator = Random(symmetric(rng, 200))
    found = check_sound(operator, normal(rng, 2, 200))
    assert operator.products == 3
    assert found.repeatability == pytest.approx(noise * 2**0.5, rel=0.2)
    assert found.sound == (noise == 0)


def test_products_that_drift_together_are_symmetric_but_not_sound(rng):
    class Drifting(Matrix):
        def matmat(self, vectors):
            return (1 + 1e-3 * self.products) * super().matmat(vectors)

    found = check_sound(Drifting(symmetric(rng, 50)), normal(rng, 2, 50))
    assert found.asymmetry < 1e-13
    assert found.repeatability > 1e-4
    assert not found.sound

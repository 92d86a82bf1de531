"""Trace estimates and the symmetry probe against what they estimate."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import pytest
import torch

from landscape.curvature.lanczos import init, step
from landscape.curvature.symmetry import ASYMMETRY_TOLERANCE, asymmetry
from landscape.curvature.trace import probe_samples, rademacher, trace_estimate


@dataclass(eq=False)
class Matrix:
    matrix: torch.Tensor

    @property
    def dim(self) -> int:
        return len(self.matrix)

    def matmat(self, vectors: torch.Tensor) -> torch.Tensor:
        return vectors @ self.matrix.T


def normal(rng, *shape):
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def symmetric(rng, dim):
    a = normal(rng, dim, dim)
    return a + a.T


def test_probes_are_signs_and_independent(rng):
    probes = rademacher(4000, torch.zeros(5, dtype=torch.float64), rng)
    assert set(probes.unique().tolist()) == {-1.0, 1.0}
    torch.testing.assert_close(probes.T @ probes / 4000, torch.eye(5, dtype=torch.float64), rtol=0, atol=0.08)


def test_one_rademacher_probe_gives_a_diagonal_trace_exactly(rng):
    spectrum = torch.zeros(300, dtype=torch.float64)
    spectrum[:5] = torch.tensor([10.0, 9.0, 9.0, 5.0, -3.0])
    samples = probe_samples(Matrix(spectrum.diag()), rademacher(1, spectrum, rng))
    estimate = trace_estimate(samples)
    assert estimate.value == 30
    assert estimate.standard_error is None


def test_all_probes_together_give_the_trace_exactly(rng):
    matrix = symmetric(rng, 8)
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 8)
    samples = probe_samples(Matrix(matrix), signs)
    assert trace_estimate(samples).value == pytest.approx(float(matrix.trace()), rel=1e-12)
    variance = 2 * (matrix.square().sum() - matrix.diag().square().sum())
    assert float(samples.var(correction=0)) == pytest.approx(float(variance), rel=1e-12)


@pytest.mark.parametrize("deflated", [0, 6])
def test_estimates_scatter_around_the_trace_as_their_errors_say(deflated, rng):
    operator = Matrix(symmetric(rng, 40))
    space = init(normal(rng, 40))
    for _ in range(deflated):
        step(operator, space)
    basis = space.basis if deflated else None
    scores = []
    for _ in range(300):
        samples = probe_samples(operator, rademacher(20, operator.matrix[0], rng), basis)
        estimate = trace_estimate(samples, space.trace)
        assert estimate.standard_error is not None
        scores.append((estimate.value - float(operator.matrix.trace())) / estimate.standard_error)
    z = torch.tensor(scores)
    # Student's t with 19 degrees of freedom: deviation 1.06; 300 repeats know it to 4 %, the mean to 0.06
    assert abs(float(z.mean())) < 0.25
    assert float(z.std()) == pytest.approx(1.06, abs=0.2)


def test_a_basis_that_holds_the_range_leaves_no_error(rng):
    q, _ = torch.linalg.qr(normal(rng, 100, 100))
    spectrum = torch.zeros(100, dtype=torch.float64)
    spectrum[:4] = torch.tensor([7.0, 4.0, 2.0, -1.0])
    operator = Matrix(q * spectrum @ q.T)
    space = init(normal(rng, 100))
    while not space.exhausted:
        step(operator, space)
    estimate = trace_estimate(probe_samples(operator, rademacher(3, q[0], rng), space.basis), space.trace)
    assert estimate.value == pytest.approx(12, abs=1e-10)
    assert estimate.standard_error == pytest.approx(0, abs=1e-10)


def test_lanczos_basis_takes_the_outliers_out_of_the_error(rng):
    q, _ = torch.linalg.qr(normal(rng, 200, 200))
    operator = Matrix(q * torch.cat([torch.tensor([100.0, 80.0, 60.0]), torch.linspace(-1, 1, 197)]).double() @ q.T)
    space = init(normal(rng, 200))
    for _ in range(12):
        step(operator, space)
    probes = rademacher(20, q[0], rng)
    plain = trace_estimate(probe_samples(operator, probes)).standard_error
    deflated = trace_estimate(probe_samples(operator, probes, space.basis), space.trace).standard_error
    # the variance of one probe is 2 |A|_F² less the diagonal: 4e4 with the outliers, 131 without
    assert plain == pytest.approx(sqrt(4e4 / 20), rel=0.4)
    assert deflated == pytest.approx(sqrt(131 / 20), rel=0.4)


def test_asymmetry_is_zero_to_rounding_for_a_symmetric_matrix(rng):
    matrix = symmetric(rng, 500)
    assert asymmetry(Matrix(matrix), normal(rng, 2, 500)) < 1e-13
    assert asymmetry(Matrix(matrix.float()), normal(rng, 2, 500).float()) < 1e-5
    assert asymmetry(Matrix(torch.zeros(9, 9, dtype=torch.float64)), normal(rng, 2, 9)) == 0


@pytest.mark.parametrize("dim", [20, 400])
def test_asymmetry_measures_the_antisymmetric_part_whatever_the_dimension(dim, rng):
    a = normal(rng, dim, dim)
    matrix = symmetric(rng, dim) + 0.1 * (a - a.T)
    probes = torch.stack([asymmetry_square(matrix, rng) for _ in range(400)])
    wanted = (matrix - matrix.T).norm() / matrix.norm()
    assert sqrt(float(probes.mean())) == pytest.approx(float(wanted), rel=0.15)


def asymmetry_square(matrix, rng):
    return torch.tensor(asymmetry(Matrix(matrix), normal(rng, 2, len(matrix))) ** 2)


def test_tolerances_separate_rounding_from_a_wrong_derivative():
    assert ASYMMETRY_TOLERANCE[torch.float64] < ASYMMETRY_TOLERANCE[torch.float32] < 0.24


def test_two_samples_have_an_error_by_hand():
    """Samples 1 and 3: variance (1 + 1) / (2 - 1), error sqrt(2 / 2)."""
    found = trace_estimate(torch.tensor([1.0, 3.0], dtype=torch.float64), trace_in_basis=5.0)
    assert (found.value, found.num_probes) == (7.0, 2)
    assert found.standard_error == pytest.approx(1.0, rel=1e-12)

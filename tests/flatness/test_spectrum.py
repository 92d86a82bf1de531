"""Measures of the Hessian's eigenvalues against whole spectra: exact where the matrix is small, within errors else."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from landscape_flatness.options import FlatnessOptions
from landscape_flatness.spectrum import KINK_STEPS, quadrature_steps, sound_hessian, spectrum
from perturbation_cases import quadratic, relu_classifier
from torch.nn.functional import cross_entropy, linear

from landscape.curvature.density import lanczos_quadrature
from landscape.errors import AnalysisError
from landscape.landscapes.protocol import Work

BETA, GAMMA = 1e3, 1.0
NAMES = ("eigenvalue_max", "trace", "frobenius_norm", "laplace_phi")


@dataclass
class Matrix:
    """A matrix as an operator, which counts as a landscape's Hessian does and is faster than a formula's."""

    matrix: torch.Tensor
    work: Work = field(default_factory=Work)

    @property
    def dim(self):
        return len(self.matrix)

    def matmat(self, vectors):
        self.work.hvps += len(vectors)
        return vectors @ self.matrix.T


def bowl(dim, condition=1e4):
    return torch.logspace(0, -torch.tensor(condition).log10().item(), dim, dtype=torch.float64)


def exact(values, beta=BETA, gamma=GAMMA):
    phi = -torch.log1p(values.clamp(min=0) * beta / gamma).sum() / 2
    return dict(zip(NAMES, map(float, (values.max(), values.sum(), values.norm(), phi)), strict=True))


def rotated(values, seed=3):
    rng = torch.Generator().manual_seed(seed)
    q = torch.linalg.qr(torch.randn(len(values), len(values), generator=rng, dtype=torch.float64))[0]
    return q @ torch.diag(values) @ q.T


def measured(values, probes, seed=0, rotate=True):
    matrix, zero = rotated(values) if rotate else torch.diag(values), torch.zeros_like(values)
    landscape, point = quadratic(matrix, zero, torch.ones_like(values))
    landscape.hessian = lambda point: Matrix(matrix, landscape.work)
    options = FlatnessOptions(probes=probes, beta=BETA, gamma=GAMMA)
    found = spectrum(landscape, sound_hessian(landscape, point, seed), options, seed)
    return {one.measure.name: one for one in found}, landscape.work


def dense_hessian(landscape, point):
    """By double reverse mode over the mean loss of all samples, written a second time."""
    batches = landscape.batches.batches
    inputs, targets = (torch.cat([batch[part] for batch in batches]) for part in (0, 1))

    def loss(vector):
        first, bias, second, last = landscape.space.unflatten(vector).values()
        return cross_entropy(linear(linear(inputs, first, bias).relu(), second, last), targets)

    return torch.autograd.functional.hessian(loss, point.vector)


@pytest.mark.parametrize(("dim", "phi"), [(2, -3.50203248), (10, -14.20213318), (100, -138.290325845)])
def test_a_small_matrix_is_known_exactly(dim, phi):
    found, work = measured(bowl(dim), probes=32)
    truth = exact(bowl(dim))
    assert truth["laplace_phi"] == pytest.approx(phi, abs=1e-8)
    for name in NAMES:
        assert found[name].value == pytest.approx(truth[name], rel=1e-10)
        assert found[name].standard_error is None
        assert found[name].converged
    assert work.hvps == dim + 3
    assert sum(one.cost.hvps for one in found.values()) == dim


@pytest.mark.parametrize("values", [bowl(170), torch.cat([bowl(90), -0.02 * bowl(80, 100)])], ids=["bowl", "saddle"])
def test_estimates_scatter_around_the_truth_as_their_errors_say(values):
    truth, runs = exact(values), [measured(values, probes=5, seed=seed)[0] for seed in range(16)]
    for name in NAMES[1:]:
        found, errors = (
            torch.tensor([getattr(run[name], part) for run in runs]).double() for part in ("value", "standard_error")
        )
        error = errors.square().mean().sqrt()
        assert float((found.mean() - truth[name]).abs()) < 4 * float(error) / 16**0.5
        assert 0.5 < float(found.std() / error) < 1.6
        assert error < 0.1 * abs(truth[name])
    for run in runs:
        assert run["eigenvalue_max"].value == pytest.approx(truth["eigenvalue_max"], rel=1e-6)
        assert run["eigenvalue_max"].standard_error < 1e-3


def test_outliers_above_a_degenerate_bulk_leave_little_to_estimate():
    values = torch.cat([torch.tensor([10.0, 7, 5, 3]).double(), torch.full((196,), 1e-3).double()])
    found, truth = measured(values, probes=4)[0], exact(values)
    for name in NAMES:
        assert found[name].value == pytest.approx(truth[name], rel=1e-3)
        assert found[name].standard_error < 1e-3 * abs(truth[name])


def test_the_bowl_of_many_dimensions_has_its_laplace_value():
    found, work = measured(bowl(1000), probes=16, rotate=False)
    laplace = found["laplace_phi"]
    assert laplace.value == pytest.approx(-1379.52160392, abs=4 * laplace.standard_error)
    assert laplace.standard_error < 0.01 * 1379.5
    assert work.hvps == 3 + sum(one.cost.hvps for one in found.values())


def test_networks_agree_with_their_dense_hessian(rng):
    landscape, point = relu_classifier(rng)
    values = torch.linalg.eigvalsh(dense_hessian(landscape, point))
    operator, truth = sound_hessian(landscape, point, 0), exact(values, 60 / torch.tensor(60.0).log(), 10.0)
    whole = spectrum(landscape, operator, FlatnessOptions(), 0)
    for one in whole:
        assert one.value == pytest.approx(truth[one.measure.name], rel=1e-5 if "phi" in one.measure.name else 1e-9)


def test_the_same_seed_draws_the_same_vectors():
    first, again, other = (measured(bowl(300), probes=4, seed=seed)[0]["trace"].value for seed in (1, 1, 2))
    assert first == again != other


def test_negative_eigenvalues_are_flat_and_said():
    values = torch.tensor([1.0, 0.5, -0.05], dtype=torch.float64)
    found, _ = measured(values, probes=2)
    assert found["laplace_phi"].value == pytest.approx(exact(values)["laplace_phi"], rel=1e-10)
    assert "negative eigenvalues" in found["laplace_phi"].messages[1]
    assert "3%" in found["laplace_phi"].messages[1]
    assert found["eigenvalue_max"].converged


@pytest.mark.parametrize("dim", [3, 200])
@pytest.mark.parametrize("sign", [1, -1], ids=["saddle", "maximum"])
def test_a_saddle_is_no_minimum(dim, sign):
    values = sign * torch.linspace(-0.5, 1, dim, dtype=torch.float64)
    largest = measured(values if sign > 0 else values - 0.5, probes=4)[0]["eigenvalue_max"]
    assert not largest.converged
    assert largest.messages[0].startswith("not at a minimum")


def test_a_flat_loss_has_no_curvature():
    found, _ = measured(torch.zeros(200, dtype=torch.float64), probes=4)
    assert [found[name].value for name in NAMES] == [0.0] * 4
    assert found["eigenvalue_max"].converged


def test_what_is_not_symmetric_is_refused(rng):
    landscape, point = quadratic(rotated(bowl(20)), torch.zeros(20).double(), torch.ones(20).double())
    landscape.hessian = lambda point: Matrix(torch.randn(20, 20, generator=rng, dtype=torch.float64))
    with pytest.raises(AnalysisError, match="not one symmetric matrix"):
        sound_hessian(landscape, point, 0)


@pytest.mark.parametrize("condition", [1.5, 10.0, 200.0, 2000.0])
def test_the_quadrature_takes_as_many_steps_as_it_needs(condition, rng):
    values = torch.linspace(1, condition, 300, dtype=torch.float64)
    probe = torch.randn(1, 300, generator=rng, dtype=torch.float64)
    truth = float((values.log() * probe[0] ** 2).sum() / (probe**2).sum())

    def error(steps):
        density = lanczos_quadrature(Matrix(torch.diag(values)), probe, num_steps=steps, dimension=300)
        return abs(float((density.weights * density.nodes.clamp(min=1e-9).log()).sum()) / truth - 1)

    steps = quadrature_steps(condition, indefinite=False)
    assert error(steps) < 1e-4
    assert steps == 4 or error(max(1, steps // 4)) > 1e-4  # nor many more
    assert quadrature_steps(condition, indefinite=True) == max(steps, KINK_STEPS)


def test_the_steps_have_a_least_and_a_most_number():
    assert quadrature_steps(1.0, indefinite=False) == 4
    assert quadrature_steps(1e9, indefinite=False) == 100

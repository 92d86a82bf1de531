"""Log determinants of bowls, exactly and from random probes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from landscape_zoo.bowl import Bowl
from landscape_zoo.quadratic import Quadratic
from torch import Tensor

from landscape.curvature.density import lanczos_quadrature
from landscape.errors import AnalysisError
from landscape.landscapes.analytic import AnalyticLandscape
from landscape.landscapes.protocol import LandscapeInfo
from landscape.neighbourhood.around import Neighbourhood
from landscape.neighbourhood.hessian import (
    dense_hessian,
    movable,
    scaled_density,
    scaled_hessian,
    whole_spectrum,
)
from landscape.neighbourhood.laplace import laplace, negative_part, spectral_sum
from landscape.parameters import ParameterSpace, Point

KNOWN = {(2, 1e4): -3.50203248, (10, 1e4): -14.20213318, (100, 1e4): -138.290325845, (1000, 1e2): -2313.08750615,
         (1000, 1e4): -1379.52160392}  # fmt: skip


def around(reference: Bowl | Quadratic, metric="identity") -> Neighbourhood:
    """The neighbourhood of the minimum."""
    cpu = torch.device("cpu")
    system = reference.build(cpu, torch.float64)
    point = Point(torch.zeros(system.dim, dtype=torch.float64), "point")
    return Neighbourhood.of(system.landscape("bowl", "", cpu, torch.float64), point, metric)


@dataclass(eq=False)
class Matrix:
    """A matrix as an operator."""

    matrix: Tensor

    @property
    def dim(self) -> int:
        return len(self.matrix)

    def matmat(self, vectors: Tensor) -> Tensor:
        return vectors @ self.matrix


@dataclass(eq=False)
class Parabola(AnalyticLandscape):
    """½ xᵀAx, whose Hessian is at hand: products cost next to nothing."""

    matrix: Tensor | None = None

    def hessian(self, point: Point) -> Matrix:
        return Matrix(self.matrix)


def parabola(spectrum, vector: Tensor | None = None, metric="identity") -> Neighbourhood:
    """The neighbourhood of the minimum of a parabola, rotated at random, or of another point."""
    dim = len(spectrum)
    q = torch.linalg.qr(torch.randn(dim, dim, generator=torch.Generator().manual_seed(1), dtype=torch.float64))[0]
    values = torch.tensor(spectrum, dtype=torch.float64)
    matrix = (q * values) @ q.T
    landscape = Parabola(
        energy=lambda x: x @ matrix @ x / 2,
        space=ParameterSpace(("x",), ((dim,),)),
        info=LandscapeInfo("parabola", "energy"),
        start=lambda rng: torch.zeros(dim),
        matrix=matrix,
    )
    return Neighbourhood.of(landscape, Point(torch.zeros(dim).double() if vector is None else vector, "point"), metric)


@pytest.mark.parametrize(("dim", "condition", "seed"), [*((*key, None) for key in KNOWN), (10, 1e4, 0), (100, 1e4, 0)])
def test_bowls_by_their_whole_spectrum(dim, condition, seed, rng):
    density = scaled_density(around(Bowl(dim, condition, seed)), rng, num_probes=16)
    phi, error = laplace(density, dim, 1e3, 1.0)
    assert phi == pytest.approx(KNOWN[dim, condition], rel=1e-9)
    assert error == 0
    assert density.num_products == dim


@pytest.mark.parametrize(("beta", "gamma"), [(1e-3, 1.0), (10.0, 0.1), (1e5, 30.0)])
def test_one_density_serves_all_temperatures(beta, gamma, rng):
    bowl = Bowl(30, 1e3, seed=1)
    density = scaled_density(around(bowl), rng, num_probes=2)
    assert laplace(density, 30, beta, gamma)[0] == pytest.approx(bowl.phi(beta, gamma), rel=1e-10)

    def coefficients(eigenvalues):
        return beta * eigenvalues / (beta * eigenvalues + gamma) / 2

    wanted = bowl.learning_coefficient(beta, gamma)
    assert spectral_sum(density, 30, coefficients)[0] == pytest.approx(wanted, rel=1e-10)


def test_few_distinct_eigenvalues_are_exact_but_for_the_noise_of_the_probes(rng):
    """Five eigenvalues in 200 dimensions: the nodes are exact, and deflation leaves one level, without noise."""
    spectrum = (9.0, 5.0, 5.0, 1.0, *[0.01] * 196)
    bowl = parabola(spectrum)
    operator, probes = scaled_hessian(bowl), torch.randn(20, 200, generator=rng, dtype=torch.float64)
    wanted = -float(np.log1p(100 * np.array(spectrum)).sum()) / 2
    phi, error = laplace(lanczos_quadrature(operator, probes, num_steps=5, dimension=200), 200, 100.0, 1.0)
    assert 0.1 < error < 2
    assert abs(phi - wanted) < 3 * error
    values, vectors = torch.linalg.eigh(dense_hessian(bowl))
    known = values[-4:], vectors[:, -4:].T.contiguous()
    deflated = lanczos_quadrature(operator, probes, num_steps=5, dimension=200, deflated=known)
    assert laplace(deflated, 200, 100.0, 1.0) == pytest.approx((wanted, 0), rel=1e-9, abs=1e-9)


def test_errors_over_probes_are_what_they_say():
    """z-scores over seeds have unit variance, where the whole matrix is too dear."""
    spectrum = (20.0, 15.0, 10.0, 4.0, *np.logspace(-4, 0, 146))
    bowl = parabola(spectrum)
    wanted = -float(np.log1p(100 * np.array(spectrum)).sum()) / 2
    scores, errors = [], []
    for seed in range(40):
        density = scaled_density(bowl, torch.Generator().manual_seed(seed), num_probes=10, num_steps=9)
        assert density.num_products <= 1.5 * 90
        phi, error = laplace(density, 150, 100.0, 1.0)
        scores.append((phi - wanted) / error)
        errors.append(error)
    assert abs(np.mean(scores)) < 3 / np.sqrt(40)
    assert 0.7 < np.std(scores) < 1.5  # with 10 probes Student's t has 1.13
    assert np.mean(errors) < 0.05 * abs(wanted)


def test_outliers_are_taken_out_of_the_noise(rng):
    """Twelve outliers over 488 small eigenvalues: without deflation most of the error is theirs."""
    spectrum = (*np.logspace(0, 2, 12), *np.linspace(0, 1e-3, 488))
    bowl = parabola(spectrum)
    wanted = -float(np.log1p(10 * np.array(spectrum)).sum()) / 2
    phi, error = laplace(scaled_density(bowl, rng, num_probes=8, num_steps=40), 500, 10.0, 1.0)
    probes = torch.randn(8, 500, generator=rng, dtype=torch.float64)
    plain = lanczos_quadrature(scaled_hessian(bowl), probes, num_steps=40, dimension=500)
    assert abs(phi - wanted) < 3.5 * error
    assert error < laplace(plain, 500, 10.0, 1.0)[1] / 20


def test_negative_eigenvalues_count_as_flat_and_are_told(rng):
    saddle = around(Quadratic((3.0, 1.0, 0.0, 0.0, -0.5, -1.5), seed=2))
    density = scaled_density(saddle, rng, num_probes=4)
    assert laplace(density, 6, 10.0, 2.0)[0] == pytest.approx(-(np.log(16) + np.log(6)) / 2, rel=1e-12)
    assert negative_part(density, 6) == pytest.approx((2, 1 / 3), rel=1e-12)
    assert negative_part(whole_spectrum(torch.tensor([1.0, 0.0, -1e-9])), 3) == (0, 0)
    assert negative_part(whole_spectrum(torch.zeros(3)), 3) == (0, 0)


def test_coordinates_that_cannot_move_are_left_out(rng):
    """With each weight as its unit and every third of them zero: D = 200, by the matrix and by Lanczos."""
    vector = torch.rand(300, generator=rng, dtype=torch.float64) + 0.5
    vector[::3] = 0
    kept = vector > 0
    place = parabola(np.logspace(-3, 0, 300), vector, "weights")
    matrix = dense_hessian(parabola(np.logspace(-3, 0, 300)))
    scaled = (vector * matrix * vector[:, None])[kept][:, kept]
    torch.testing.assert_close(dense_hessian(place), scaled, rtol=1e-12, atol=1e-14)
    wanted = -float(torch.log1p(10 * torch.linalg.eigvalsh(scaled)).sum()) / 2
    exact = scaled_density(place, rng, num_probes=16)
    assert exact.nodes.shape == (2, 200)
    assert laplace(exact, place.dim, 10.0, 1.0)[0] == pytest.approx(wanted, rel=1e-10)
    probed = scaled_density(place, rng, num_probes=12, num_steps=11)
    assert 12 * 11 < probed.num_products <= 1.5 * 12 * 11
    phi, error = laplace(probed, place.dim, 10.0, 1.0)
    assert abs(phi - wanted) < 3 * error < 0.15 * abs(wanted)
    torch.testing.assert_close(movable(place)(torch.ones(2, 300).double()), kept.double().expand(2, 300))


def test_points_of_a_call_share_their_probes():
    """Two copies of a bowl in other units have the same value to rounding, noise included."""
    spectrum = np.logspace(-3, 0, 300)
    one, other = (
        parabola(spectrum / factor**2, factor * torch.linspace(1, 2, 300).double(), "weights") for factor in (1.0, 5.0)
    )
    values = [
        laplace(scaled_density(place, torch.Generator().manual_seed(3), num_probes=8, num_steps=20), 300, 10.0, 1.0)
        for place in (one, other)
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-8)
    assert values[0][1] > 0


def test_what_cannot_be_told_is_refused(rng):
    bowl = around(Bowl(5, 10.0))
    with pytest.raises(ValueError, match="2 probes or more"):
        scaled_density(bowl, rng, num_probes=1)
    one = lanczos_quadrature(scaled_hessian(bowl), torch.ones(1, 5).double(), num_steps=5, dimension=5)
    with pytest.raises(ValueError, match="one probe"):
        laplace(one, 5, 1.0, 1.0)
    with pytest.raises(AnalysisError, match=r"all weights are zero.* take the metric identity"):
        scaled_density(around(Bowl(5, 10.0), metric="weights"), rng, num_probes=2)

"""Spectral densities against spectra that are known or computed densely."""

from __future__ import annotations

from math import pi, sqrt

import pytest
import torch
from matrices import Matrix, goe, normal, rotated, wishart
from scipy.stats import wasserstein_distance

from landscape.curvature.density import SpectralDensity, lanczos_quadrature
from landscape.errors import AnalysisError

DEGENERATE = [10.0, 9.0, 9.0, 5.0, -3.0, *[0.0] * 295]


def nine_outliers(rng):
    """Nine outliers of 1000, seven of them close to each other, over a bulk in [-1, 1]."""
    return rotated([40.0, 20.0, *torch.linspace(9, 12, 7).tolist(), *torch.linspace(-1, 1, 991).tolist()], rng)


def mass_above(density: SpectralDensity, threshold: float):
    return (density.weights * (density.nodes > threshold)).sum(dim=1)


def outermost(matrix, count):
    values, vectors = torch.linalg.eigh(matrix)
    return values[-count:], vectors[:, -count:].T.contiguous()


def test_a_few_distinct_eigenvalues_are_found_exactly(rng):
    operator = Matrix(rotated(DEGENERATE, rng))
    probes = normal(rng, 4, 300)
    density = lanczos_quadrature(operator, probes, num_steps=50, dimension=300)
    wanted = torch.tensor([-3.0, 0.0, 5.0, 9.0, 10.0], dtype=torch.float64).expand(4, 5)
    torch.testing.assert_close(density.nodes, wanted, rtol=0, atol=1e-8)
    torch.testing.assert_close(density.weights.sum(dim=1), torch.ones(4, dtype=torch.float64), rtol=0, atol=1e-12)
    values, vectors = torch.linalg.eigh(operator.matrix)
    components = (probes @ vectors).square() / probes.square().sum(dim=1, keepdim=True)
    exact = [components[:, (values - value).abs() < 1e-6].sum(dim=1) for value in wanted[0]]
    torch.testing.assert_close(density.weights, torch.stack(exact, dim=1), rtol=0, atol=1e-10)
    assert density.num_products == operator.products == 4 * 5


def test_signs_weigh_a_diagonal_matrix_exactly():
    spectrum = torch.tensor(DEGENERATE, dtype=torch.float64)
    density = lanczos_quadrature(Matrix(spectrum.diag()), torch.ones(1, 300).double(), num_steps=50, dimension=300)
    weights = torch.tensor([[1.0, 295, 1, 2, 1]], dtype=torch.float64) / 300
    torch.testing.assert_close(density.weights, weights, rtol=0, atol=1e-12)
    assert density.moment(1) == (pytest.approx(0.1, rel=1e-12), None)


@pytest.mark.parametrize("factor", [3.0, -3.0, 0.0, 3e-20])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_multiple_of_the_identity_takes_one_step(factor, dtype, rng):
    operator = Matrix(factor * torch.eye(100, dtype=dtype))
    density = lanczos_quadrature(operator, normal(rng, 2, 100).to(dtype), num_steps=20, dimension=100)
    torch.testing.assert_close(density.nodes, torch.full((2, 1), factor).double(), rtol=1e-6, atol=0)
    assert density.weights.tolist() == [[1.0], [1.0]]
    assert operator.products == 2


def test_as_many_steps_as_dimensions_give_the_whole_spectral_measure(rng):
    operator, probes = Matrix(goe(rng, 25)), normal(rng, 3, 25)
    density = lanczos_quadrature(operator, probes, num_steps=999, dimension=25)
    values, vectors = torch.linalg.eigh(operator.matrix)
    components = (probes @ vectors).square() / probes.square().sum(dim=1, keepdim=True)
    torch.testing.assert_close(density.nodes, values.expand(3, 25), rtol=0, atol=1e-12)
    torch.testing.assert_close(density.weights, components, rtol=0, atol=1e-10)
    assert operator.products == 75


def test_it_is_a_gauss_rule(rng):
    """m nodes have the moments of the probe up to order 2m - 1, and no more."""
    operator, probes = Matrix(rotated(torch.linspace(-1, 3, 200), rng)), normal(rng, 3, 200)
    density = lanczos_quadrature(operator, probes, num_steps=4, dimension=200)
    power = probes
    for order in range(9):
        wanted = (power * probes).sum(dim=1) / probes.square().sum(dim=1)
        found = (density.weights * density.nodes**order).sum(dim=1)
        error = float((found / wanted - 1).abs().max())
        assert error < 1e-12 if order < 8 else error > 1e-5, order
        power = operator.matmat(power)


def test_semicircle(rng):
    operator = Matrix(goe(rng, 1000))
    density = lanczos_quadrature(operator, normal(rng, 10, 1000), num_steps=50, dimension=1000)
    for order, wanted in ((1, 0.0), (2, 1.0), (3, 0.0), (4, 2.0)):
        mean, error = density.moment(order)
        # the matrix' own moments scatter by a few times 1/N
        assert mean == pytest.approx(wanted, abs=3.5 * error + 0.01)
        assert error < 0.06
    # the edge fluctuates by N^(-2/3) = 0.01 times a Tracy-Widom variable of mean -1.2 and deviation 1.3
    assert float(density.nodes.max()) == pytest.approx(2, abs=0.05)
    assert float(density.nodes.min()) == pytest.approx(-2, abs=0.05)
    x = torch.linspace(-2, 2, 999, dtype=torch.float64)
    semicircle = 0.5 + x * (4 - x**2).sqrt() / (4 * pi) + torch.asin(x / 2) / pi
    found = torch.tensor([density.mass_below(float(threshold))[0] for threshold in x])
    assert float((found - semicircle).abs().max()) < 0.03


def test_marchenko_pastur_edges(rng):
    operator = Matrix(wishart(rng, 500))
    density = lanczos_quadrature(operator, normal(rng, 10, 500), num_steps=50, dimension=500)
    assert float(density.nodes.max()) == pytest.approx(2.25, abs=0.05)
    assert float(density.nodes.min()) == pytest.approx(0.25, abs=0.02)
    for order, wanted in ((1, 1.0), (2, 1.25), (3, 1 + 3 / 4 + 1 / 16)):
        mean, error = density.moment(order)
        assert mean == pytest.approx(wanted, abs=3.5 * error + 0.01)


def test_deflated_outliers_count_exactly(rng):
    matrix = nine_outliers(rng)
    probes = normal(rng, 10, 1000)
    plain = lanczos_quadrature(Matrix(matrix), probes, num_steps=40, dimension=1000)
    deflated = lanczos_quadrature(Matrix(matrix), probes, num_steps=40, dimension=1000, deflated=outermost(matrix, 9))
    assert (mass_above(deflated, 5) * 1000).tolist() == pytest.approx([9.0] * 10, rel=1e-12)
    assert float((mass_above(plain, 5) * 1000 - 9).abs().mean()) > 1
    torch.testing.assert_close(deflated.weights.sum(dim=1), torch.ones(10, dtype=torch.float64), rtol=0, atol=1e-12)
    exact = torch.linalg.eigvalsh(matrix)
    for order in (1, 2, 3, 4):
        mean, error = deflated.moment(order)
        assert mean == pytest.approx(float((exact**order).mean()), abs=3.5 * error + 1e-12)
        assert error < plain.moment(order)[1] / (2 if order == 1 else 20)
    distance = [
        wasserstein_distance(exact, d.nodes.reshape(-1), None, d.weights.reshape(-1)) for d in (deflated, plain)
    ]
    assert 2 * distance[0] < 0.04 < distance[1]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_nothing_but_zeros_is_left_when_the_range_is_deflated(dtype, rng):
    matrix = rotated(DEGENERATE, rng)
    values, vectors = outermost(matrix, 4)
    lowest, vector = outermost(-matrix, 1)
    deflated = torch.cat([values, -lowest]), torch.cat([vectors, vector]).to(dtype)
    probes = normal(rng, 2, 300).to(dtype)
    operator = Matrix(matrix.to(dtype))
    density = lanczos_quadrature(operator, probes, num_steps=50, dimension=300, deflated=deflated)
    assert operator.products == 2
    nodes = torch.tensor([[0.0, 5, 9, 9, 10, -3]], dtype=torch.float64).expand(2, 6)
    torch.testing.assert_close(density.nodes, nodes, rtol=0, atol=1e-12 if dtype == torch.float64 else 1e-6)
    weights = torch.tensor([[295.0, 1, 1, 1, 1, 1]], dtype=torch.float64).expand(2, 6) / 300
    torch.testing.assert_close(density.weights, weights, rtol=0, atol=1e-15)


def test_a_spectrum_that_is_deflated_whole_takes_no_product(rng):
    operator = Matrix(goe(rng, 5))
    density = lanczos_quadrature(
        operator, normal(rng, 2, 5), num_steps=3, dimension=5, deflated=outermost(operator.matrix, 5)
    )
    assert operator.products == density.num_products == 0
    assert density.moment(1) == (pytest.approx(float(operator.matrix.trace()) / 5), pytest.approx(0, abs=1e-15))


@pytest.mark.parametrize("group", [1, 2, 3, 5, 9])
def test_no_result_depends_on_how_many_probes_run_at_once(group, rng):
    """One of the probes is an eigenvector and ends after a step."""
    matrix = rotated([8.0, 3.0, *torch.linspace(-1, 1, 98).tolist()], rng)
    deflated = outermost(matrix, 1)
    probes = normal(rng, 5, 100)
    probes[3] = outermost(matrix, 2)[1][0]
    wanted = {"num_steps": 20, "dimension": 100, "deflated": deflated}
    whole, split = (lanczos_quadrature(Matrix(matrix), probes, group=size, **wanted) for size in (None, group))
    assert whole.num_products == split.num_products == 4 * 20 + 1
    torch.testing.assert_close(split.nodes, whole.nodes, rtol=0, atol=1e-10)
    torch.testing.assert_close(split.weights, whole.weights, rtol=0, atol=1e-10)
    assert whole.nodes[3, :2].tolist() == pytest.approx([3, 8], abs=1e-10)
    assert whole.weights[3].tolist() == pytest.approx([0.99, 0.01, *[0.0] * 19], abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_no_ghosts_long_after_an_outlier_has_converged(dtype, rng):
    operator = Matrix(rotated([50.0, 40.0, 30.0, *torch.linspace(-1, 1, 197).tolist()], rng).to(dtype))
    density = lanczos_quadrature(operator, normal(rng, 3, 200).to(dtype), num_steps=120, dimension=200)
    assert ((density.nodes > 5) & (density.weights > 0)).sum(dim=1).tolist() == [3, 3, 3]
    assert density.nodes[:, -3:].tolist() == [pytest.approx([30, 40, 50], abs=1e-3)] * 3


@pytest.mark.parametrize("deflate", [0, 3])
def test_moments_scatter_as_their_errors_say(deflate, rng):
    matrix = rotated([8.0, 6.0, -5.0, *torch.linspace(-1, 2, 57).tolist()], rng)
    exact, within = torch.linalg.eigvalsh(matrix), torch.zeros(4)
    values, vectors = torch.linalg.eigh(matrix)
    chosen = values.abs().argsort(descending=True)[:deflate]
    deflated = (values[chosen], vectors.T[chosen].contiguous()) if deflate else None
    away = torch.zeros(4, 200, dtype=torch.float64)
    for repeat in range(200):
        probes = normal(rng, 10, 60)
        density = lanczos_quadrature(Matrix(matrix), probes, num_steps=4, dimension=60, deflated=deflated)
        for order in range(1, 5):
            mean, error = density.moment(order)
            away[order - 1, repeat] = mean - (exact**order).mean()
            within[order - 1] += abs(float(away[order - 1, repeat])) < 2 * error
    # Student's t with 9 degrees of freedom: 92 % within 2, fewer for the skewed samples of single large eigenvalues
    assert bool(((within / 200 >= (0.88 if deflate else 0.83)) & (within / 200 <= 0.99)).all()), within / 200
    assert bool((away.mean(dim=1).abs() < 3.5 * away.std(dim=1) / sqrt(200)).all())


def test_a_tangent_space_is_not_left(rng):
    """The normal direction belongs neither to the spectrum nor to the number of eigenvalues."""
    direction = normal(rng, 80)
    direction /= direction.norm()
    tangent = torch.eye(80, dtype=torch.float64) - torch.outer(direction, direction)
    inside = tangent @ rotated(torch.linspace(1, 4, 80), rng) @ tangent
    leaky = Matrix(inside + 1e3 * torch.outer(direction, direction))
    probes = normal(rng, 2, 80)
    density = lanczos_quadrature(leaky, probes, num_steps=100, dimension=79, project=lambda rows: rows @ tangent)
    exact = torch.linalg.eigvalsh(inside)[1:]
    torch.testing.assert_close(density.nodes, exact.expand(2, 79), rtol=0, atol=1e-9)


def test_masses_and_moments_by_hand():
    nodes = torch.tensor([[-1.0, 2.0, 0.0], [0.5, 3.0, 4.0]], dtype=torch.float64)
    weights = torch.tensor([[0.25, 0.75, 0.0], [0.5, 0.25, 0.25]], dtype=torch.float64)
    density = SpectralDensity(nodes, weights, weights > 0, num_products=5)
    assert density.mass_below(0.0) == (pytest.approx(0.125), pytest.approx(0.125))
    assert density.mass_below(10.0) == (pytest.approx(1), pytest.approx(0))
    assert density.moment(1) == (pytest.approx((1.25 + 2) / 2), pytest.approx(0.375))
    assert density.moment(2)[0] == pytest.approx((3.25 + 0.125 + 2.25 + 4) / 2)
    assert SpectralDensity(nodes[:1], weights[:1], weights[:1] > 0, 3).moment(2) == (pytest.approx(3.25), None)


def test_nonsense_is_refused(rng):
    operator = Matrix(torch.full((4, 4), float("nan"), dtype=torch.float64))
    with pytest.raises(AnalysisError, match="a product in step 1 is not finite; try --dtype float64"):
        lanczos_quadrature(operator, normal(rng, 2, 4), num_steps=3, dimension=4)
    with pytest.raises(ValueError, match="0 steps in a space of 4 dimensions, 0 of them deflated"):
        lanczos_quadrature(operator, normal(rng, 2, 4), num_steps=0, dimension=4)
    with pytest.raises(ValueError, match="3 steps in a space of 1 dimensions, 2 of them deflated"):
        lanczos_quadrature(
            operator, normal(rng, 2, 4), num_steps=3, dimension=1, deflated=(torch.ones(2), torch.eye(4)[:2].double())
        )


def test_bounds_of_a_mass_hold_for_each_probe_and_close_where_nodes_are_eigenvalues(rng):
    matrix = rotated([*torch.linspace(-1, 3, 190).tolist(), *torch.linspace(40, 50, 10).tolist()], rng)
    values, vectors = torch.linalg.eigh(matrix)
    for threshold in (-2.0, -0.99, 0.0, 0.5, 1.7, 3.5, 45.0, 60.0):
        for seen in torch.randn(5, 200, generator=rng, dtype=torch.float64):
            exact = float((seen @ vectors).square()[values < threshold].sum() / seen.square().sum())
            for steps in (3, 8, 20):
                found = lanczos_quadrature(Matrix(matrix), seen[None], num_steps=steps, dimension=200)
                lower, upper = found.bounds_below(threshold)
                assert lower - 1e-12 <= exact <= upper + 1e-12
                assert upper - lower < 2.5 * float(found.weights.max())
    probe = torch.randn(2, 200, generator=rng, dtype=torch.float64)
    whole = lanczos_quadrature(Matrix(matrix), probe, num_steps=200, dimension=200)
    assert whole.exact.all()
    assert whole.bounds_below(0.5) == (whole.mass_below(0.5)[0], whole.mass_below(0.5)[0])
    outliers = values[-10:], vectors.T[-10:].contiguous()
    deflated = lanczos_quadrature(Matrix(matrix), probe, num_steps=30, dimension=200, deflated=outliers)
    lower, upper = deflated.bounds_below(45.0)
    assert 0.95 < lower < upper == pytest.approx(0.975, abs=1e-12)
    assert deflated.exact.sum(dim=1).tolist() == [10, 10]


def test_bounds_of_a_mass_by_hand():
    """Padding lies at zero, and counts on neither side."""
    nodes = torch.tensor([[-1.0, 2.0, 3.0, 0.0, 0.0], [-2.0, -1.0, 1.0, 3.0, 4.0]], dtype=torch.float64)
    weights = torch.tensor([[0.25, 0.5, 0.25, 0.0, 0.0], [0.1, 0.2, 0.3, 0.3, 0.1]], dtype=torch.float64)
    density = SpectralDensity(nodes, weights, torch.zeros(2, 5, dtype=torch.bool), num_products=8)
    assert density.bounds_below(0.5) == (pytest.approx((0.0 + 0.1) / 2), pytest.approx((0.75 + 0.6) / 2))
    assert density.bounds_below(-9.0) == (pytest.approx(0), pytest.approx((0.25 + 0.1) / 2))
    assert density.bounds_below(9.0) == (pytest.approx((0.75 + 0.9) / 2), pytest.approx(1))


def test_progress_counts_products(rng):
    seen: list[int] = []
    operator = Matrix(goe(rng, 50))
    lanczos_quadrature(operator, normal(rng, 3, 50), num_steps=3, dimension=50, group=2, progress=seen.append)
    assert seen == [2, 4, 6, 7, 8, 9]

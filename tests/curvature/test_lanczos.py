"""Lanczos against spectra that are known or computed densely."""

from __future__ import annotations

import pytest
import torch
from lanczos_cases import CASES, check_true_residuals, degenerate, outliers, semicircle
from matrices import Matrix, goe, normal, rotated

from landscape.curvature.lanczos import extreme_eigenpairs, extremes, init, ritz, step
from landscape.curvature.operator import SymmetricOperator
from landscape.errors import AnalysisError


@pytest.mark.parametrize("case", CASES)
def test_both_ends_agree_with_dense_eigenvalues(case, rng):
    operator = Matrix(case(rng))
    exact = torch.linalg.eigvalsh(operator.matrix)
    assert isinstance(operator, SymmetricOperator)
    found = extreme_eigenpairs(operator, init(normal(rng, operator.dim)), top=5, bottom=3, rtol=1e-9, max_products=300)
    assert found.converged
    assert found.num_products == operator.products
    torch.testing.assert_close(found.top.values, exact.flip(0)[:5], rtol=0, atol=1e-12 * found.scale)
    torch.testing.assert_close(found.bottom.values, exact[:3], rtol=0, atol=1e-12 * found.scale)


@pytest.mark.parametrize("case", CASES)
def test_residuals_are_those_of_the_vectors_and_bound_the_error(case, rng):
    operator = Matrix(case(rng))
    exact = torch.linalg.eigvalsh(operator.matrix)
    space = init(normal(rng, operator.dim))
    for _ in range(9):
        step(operator, space)
    found = extremes(space, top=4, bottom=2, rtol=1e-3, vectors=True)
    for end in (found.top, found.bottom):
        assert end.vectors is not None
        identity = torch.eye(len(end.values), dtype=torch.float64)
        torch.testing.assert_close(end.vectors @ end.vectors.T, identity, rtol=0, atol=1e-13)
        true = (end.vectors @ operator.matrix - end.values[:, None] * end.vectors).norm(dim=1)
        torch.testing.assert_close(end.residuals, true, rtol=1e-10, atol=1e-13 * found.scale)
        distance = (end.values[:, None] - exact).abs().min(dim=1).values
        assert (distance <= end.residuals * (1 + 1e-9) + 1e-13 * found.scale).all()


def test_a_degenerate_spectrum_gives_its_distinct_values_and_weights(rng):
    operator = Matrix(degenerate(rng))
    start = normal(rng, 300)
    space = init(start)
    found = extreme_eigenpairs(operator, space, top=10, bottom=3, rtol=1e-6, max_products=100)
    nodes, _, s = ritz(space)
    wanted = torch.tensor([-3.0, 0.0, 5.0, 9.0, 10.0], dtype=torch.float64)
    torch.testing.assert_close(nodes, wanted, rtol=0, atol=1e-8)
    torch.testing.assert_close(found.top.values, wanted.flip(0), rtol=0, atol=1e-8)
    assert float(s[0].square().sum()) == pytest.approx(1, abs=1e-12)
    values, vectors = torch.linalg.eigh(operator.matrix)
    weights = (vectors.T @ start).square() / start.square().sum()
    nines = weights[(values - 9).abs() < 1e-6].sum()
    assert float(s[0, 3] ** 2) == pytest.approx(float(nines), rel=1e-6)
    assert found.exhausted
    assert found.converged
    assert operator.products == 5


@pytest.mark.parametrize("factor", [3.0, -3.0, 0.0, 3e-20])
def test_a_multiple_of_the_identity_takes_one_step(factor, rng):
    operator = Matrix(factor * torch.eye(100, dtype=torch.float64))
    found = extreme_eigenpairs(operator, init(normal(rng, 100)), top=4, bottom=2, rtol=1e-3, max_products=50)
    assert operator.products == 1
    assert found.exhausted
    assert found.top.values.tolist() == pytest.approx([factor], rel=1e-12)
    assert found.bottom.values.tolist() == pytest.approx([factor], rel=1e-12)


def test_a_whole_small_space_is_solved_exactly(rng):
    operator = Matrix(rotated([4.0, 1.0, -2.0], rng))
    found = extreme_eigenpairs(operator, init(normal(rng, 3)), top=10, bottom=10, rtol=1e-9, max_products=50)
    assert operator.products == 3
    assert found.top.values.tolist() == pytest.approx([4.0, 1.0, -2.0], abs=1e-13)
    assert found.bottom.values.tolist() == pytest.approx([-2.0, 1.0, 4.0], abs=1e-13)
    assert found.converged


def test_an_eigenvector_that_the_start_lacks_is_not_found():
    operator = Matrix(torch.tensor([7.0, 2.0, 1.0], dtype=torch.float64).diag())
    start = torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64)
    found = extreme_eigenpairs(operator, init(start), top=3, bottom=1, rtol=1e-9, max_products=9)
    assert found.exhausted
    assert found.top.values.tolist() == pytest.approx([2.0, 1.0], abs=1e-13)


def test_a_budget_ends_the_run_without_a_claim(rng):
    operator = Matrix(goe(rng, 300))
    found = extreme_eigenpairs(operator, init(normal(rng, 300)), top=5, bottom=3, rtol=1e-6, max_products=13)
    assert operator.products == found.num_products == 13
    assert not found.converged
    assert not found.exhausted
    assert float(found.top.residuals.max()) > 1e-6 * found.scale


def test_fewer_products_than_wanted_values_is_not_converged(rng):
    operator = Matrix(rotated([100.0, *[1e-9] * 99], rng) + 1e-9 * goe(rng, 100))
    found = extreme_eigenpairs(operator, init(normal(rng, 100)), top=5, bottom=1, rtol=1e-3, max_products=3)
    assert len(found.top.values) == 3
    assert not found.top.converged


def test_a_longer_budget_continues_where_the_shorter_one_ended(rng):
    matrix, start = goe(rng, 300), normal(rng, 300)
    first, whole = Matrix(matrix), Matrix(matrix)
    space, wanted = init(start), {"top": 5, "bottom": 3, "rtol": 1e-8}
    extreme_eigenpairs(first, space, max_products=20, **wanted)
    continued = extreme_eigenpairs(first, space, max_products=300, **wanted)
    undisturbed = extreme_eigenpairs(whole, init(start), max_products=300, **wanted)
    assert first.products == continued.num_products
    assert continued.converged
    torch.testing.assert_close(continued.top.values, undisturbed.top.values, rtol=0, atol=1e-13)


def test_basis_stays_orthonormal_long_after_convergence(rng):
    operator = Matrix(outliers(rng))
    space = init(normal(rng, 200))
    for _ in range(120):
        step(operator, space)
    assert space.num_products == 120
    identity = torch.eye(120, dtype=torch.float64)
    torch.testing.assert_close(space.basis @ space.basis.T, identity, rtol=0, atol=1e-13)


def test_float32_products_give_float32_accuracy(rng):
    operator = Matrix(goe(rng, 300).float())
    exact = torch.linalg.eigvalsh(operator.matrix.double())
    start = normal(rng, 300).float()
    found = extreme_eigenpairs(operator, init(start), top=5, bottom=3, rtol=1e-5, max_products=300, vectors=True)
    assert found.converged
    assert found.top.values.dtype == torch.float64
    assert found.top.vectors is not None
    assert found.top.vectors.dtype == torch.float32
    torch.testing.assert_close(found.top.values, exact.flip(0)[:5], rtol=2e-6, atol=0)
    torch.testing.assert_close(found.bottom.values, exact[:3], rtol=2e-6, atol=0)


def test_float32_stops_at_rounding_noise(rng):
    operator = Matrix(torch.tensor([10.0, 9.0, 9.0, 5.0, -3.0, *[0.0] * 295]).diag())
    found = extreme_eigenpairs(operator, init(normal(rng, 300).float()), top=10, bottom=1, rtol=1e-4, max_products=100)
    assert found.exhausted
    assert found.converged
    assert operator.products == 5
    assert found.top.values.tolist() == pytest.approx([10.0, 9.0, 5.0, 0.0, -3.0], abs=1e-5)


def test_no_space_is_larger_than_the_operator(rng):
    noisy = Matrix(rotated([4.0, 1.0, -2.0], rng) + 1e-3 * normal(rng, 3, 3))
    found = extreme_eigenpairs(noisy, init(normal(rng, 3)), top=3, bottom=3, rtol=1e-9, max_products=50)
    assert found.exhausted
    assert found.num_products == 3


def test_an_impossible_tolerance_ends_with_the_space_and_without_a_claim(rng):
    operator = Matrix(degenerate(rng))
    found = extreme_eigenpairs(operator, init(normal(rng, 300)), top=10, bottom=3, rtol=1e-30, max_products=100)
    assert found.exhausted
    assert found.num_products == 5
    assert not found.converged


@pytest.mark.parametrize("factor", [1e-4, 1e4, -1e-4, -1e4])
def test_the_verdict_knows_no_units(factor, rng):
    matrix = rotated([50.0, 40.0, *torch.linspace(-1, 1, 98).tolist()], rng)
    start, ends = normal(rng, 100), (2, 3)
    wanted = {"rtol": 1e-6, "max_products": 100}
    plain = extreme_eigenpairs(Matrix(matrix), init(start), top=ends[0], bottom=ends[1], **wanted)
    top, bottom = ends if factor > 0 else ends[::-1]
    scaled = extreme_eigenpairs(Matrix(factor * matrix), init(start), top=top, bottom=bottom, **wanted)
    assert scaled.num_products == plain.num_products < 100
    assert scaled.scale == pytest.approx(abs(factor) * plain.scale, rel=1e-12)


def test_semicircle_edges(rng):
    operator = Matrix(goe(rng, 1000))
    found = extreme_eigenpairs(operator, init(normal(rng, 1000)), top=1, bottom=1, rtol=1e-4, max_products=200)
    assert found.converged
    # the edge fluctuates by N^(-2/3) = 0.01 times a Tracy-Widom variable of mean -1.2 and deviation 1.3
    assert float(found.top.values[0]) == pytest.approx(2, abs=0.05)
    assert float(found.bottom.values[0]) == pytest.approx(-2, abs=0.05)


def test_shifting_and_flipping_the_operator_shifts_and_flips_the_ends(rng):
    matrix, start = goe(rng, 300), normal(rng, 300)
    wanted = {"rtol": 1e-10, "max_products": 300}
    plain = extreme_eigenpairs(Matrix(matrix), init(start), top=4, bottom=2, **wanted)
    turned = extreme_eigenpairs(
        Matrix(5 * torch.eye(300, dtype=torch.float64) - matrix), init(start), top=2, bottom=4, **wanted
    )
    torch.testing.assert_close(turned.bottom.values, 5 - plain.top.values, rtol=0, atol=1e-12)
    torch.testing.assert_close(turned.top.values, 5 - plain.bottom.values, rtol=0, atol=1e-12)


def test_progress_is_told_after_each_look(rng):
    seen = []
    operator, start = Matrix(goe(rng, 300)), normal(rng, 300)
    extreme_eigenpairs(
        operator,
        init(start),
        top=1,
        bottom=1,
        rtol=1e-3,
        max_products=90,
        progress=lambda e: seen.append(e.num_products),
    )
    assert seen == sorted(set(seen))
    assert seen[-1] == operator.products


def test_a_subspace_is_not_left_through_rounding(rng):
    normal_vector = normal(rng, 80)
    normal_vector /= normal_vector.norm()
    project = torch.eye(80, dtype=torch.float64) - torch.outer(normal_vector, normal_vector)
    inside = project @ rotated(torch.linspace(1, 4, 80).tolist(), rng) @ project
    exact = torch.linalg.eigvalsh(inside)[1:]  # without the zero of the normal direction
    wanted = {"top": 3, "bottom": 3, "rtol": 1e-12, "max_products": 80}
    found = extreme_eigenpairs(Matrix(inside), init(normal(rng, 80), project=lambda rows: rows @ project), **wanted)
    torch.testing.assert_close(found.bottom.values, exact[:3], rtol=0, atol=1e-11)
    leaky = extreme_eigenpairs(Matrix(inside), init(project @ normal(rng, 80)), **wanted)
    assert abs(float(leaky.bottom.values[0])) < 1e-6


def test_a_product_that_is_not_finite_is_refused(rng):
    operator = Matrix(torch.full((4, 4), float("nan"), dtype=torch.float64))
    with pytest.raises(AnalysisError, match="product 1 with the operator is not finite"):
        extreme_eigenpairs(operator, init(normal(rng, 4)), top=1, bottom=1, rtol=1e-3, max_products=4)


@pytest.mark.parametrize(("top", "bottom"), [(5, 3), (8, 0), (1, 7)])
def test_no_value_counts_for_both_ends(top, bottom, rng):
    """However coarse the tolerance, seven Ritz values are not the five largest and the three smallest of 300."""
    operator, start, wanted = Matrix(goe(rng, 300)), normal(rng, 300), top + bottom + bool(top) + bool(bottom)
    enough = extreme_eigenpairs(operator, init(start), top=top, bottom=bottom, rtol=0.99, max_products=wanted)
    assert enough.converged
    short = extreme_eigenpairs(operator, init(start), top=top, bottom=bottom, rtol=0.99, max_products=wanted - 1)
    assert not short.converged


@pytest.mark.parametrize(("block", "nines", "zeros"), [(1, 1, 1), (2, 2, 2), (3, 2, 3)])
def test_a_block_finds_multiple_eigenvalues_up_to_its_width(block, nines, zeros, rng):
    operator = Matrix(degenerate(rng))
    space = init(normal(rng, block, 300))
    found = extreme_eigenpairs(operator, space, top=10, bottom=10, rtol=1e-9, max_products=100, vectors=True)
    wanted = [10.0, *[9.0] * nines, 5.0, *[0.0] * zeros, -3.0]
    assert found.converged
    assert found.exhausted
    assert operator.products == found.num_products == len(wanted)
    assert found.top.values.tolist() == pytest.approx(wanted, abs=1e-8)
    assert found.bottom.values.tolist() == pytest.approx(wanted[::-1], abs=1e-8)
    check_true_residuals(operator.matrix, found, 1e-12)


@pytest.mark.parametrize("block", [2, 3, 7])
@pytest.mark.parametrize("case", CASES)
def test_blocks_agree_with_dense_eigenvalues(case, block, rng):
    operator = Matrix(case(rng))
    exact = torch.linalg.eigvalsh(operator.matrix)
    space = init(normal(rng, block, operator.dim))
    found = extreme_eigenpairs(operator, space, top=5, bottom=3, rtol=1e-9, max_products=300, vectors=True)
    assert found.converged
    assert found.num_products == operator.products
    torch.testing.assert_close(found.top.values, exact.flip(0)[:5], rtol=0, atol=1e-12 * found.scale)
    torch.testing.assert_close(found.bottom.values, exact[:3], rtol=0, atol=1e-12 * found.scale)
    check_true_residuals(operator.matrix, found, 1e-12)


def test_blocks_of_any_width_agree_within_their_residuals(rng):
    operator, start = Matrix(outliers(rng)), normal(rng, 6, 200)
    wanted = {"top": 4, "bottom": 2, "rtol": 1e-4, "max_products": 400}
    runs = [extreme_eigenpairs(operator, init(start[:width]), **wanted) for width in (1, 2, 3, 6)]
    assert all(run.converged for run in runs)
    for run in runs[1:]:
        for mine, first in ((run.top, runs[0].top), (run.bottom, runs[0].bottom)):
            bound = mine.residuals + first.residuals + 1e-13 * run.scale
            assert ((mine.values - first.values).abs() <= bound).all()


@pytest.mark.parametrize("max_products", [1, 12, 13, 14])
def test_no_block_begins_that_the_budget_cannot_pay(max_products, rng):
    operator = Matrix(semicircle(rng))
    space = init(normal(rng, 2, 300))
    found = extreme_eigenpairs(operator, space, top=5, bottom=3, rtol=1e-9, max_products=max_products)
    assert found.num_products == operator.products == max(2, max_products - max_products % 2)
    again = extreme_eigenpairs(operator, space, top=5, bottom=3, rtol=1e-9, max_products=max_products)
    assert again.num_products == operator.products == found.num_products


def test_no_eigenvalue_is_missed(rng):
    """Ten pairs within the tolerance need not be the ten largest: the eleventh has to be, too."""
    for _ in range(30):
        operator = Matrix(goe(rng, 300))
        exact = torch.linalg.eigvalsh(operator.matrix)
        found = extreme_eigenpairs(operator, init(normal(rng, 300)), top=10, bottom=3, rtol=1e-3, max_products=300)
        assert found.converged
        assert float((found.top.values - exact.flip(0)[:10]).abs().max()) <= 1e-3 * found.scale
        assert float((found.bottom.values - exact[:3]).abs().max()) <= 1e-3 * found.scale

"""Thick restart: the ends of a spectrum from a basis of limited size."""

from __future__ import annotations

import pytest
import torch
from lanczos_cases import LARGE, check_true_residuals, covariance, outliers, semicircle
from matrices import Matrix, normal, rotated

from landscape.curvature.lanczos import extreme_eigenpairs, init, resumed, state
from landscape.errors import UsageError


@pytest.mark.parametrize("block", [1, 3])
@pytest.mark.parametrize("case", LARGE)
def test_a_restarted_basis_agrees_with_an_unlimited_one(case, block, rng):
    operator, start = Matrix(case(rng)), normal(rng, block, 300)
    start = start[:, : operator.dim]
    wanted = {"top": 5, "bottom": 3, "rtol": 1e-8, "max_products": 2000, "vectors": True}
    whole = extreme_eigenpairs(operator, init(start), **wanted)
    operator.products, space = 0, init(start)
    found = extreme_eigenpairs(operator, space, max_basis=30, **wanted)
    assert found.converged
    assert found.num_products == operator.products > 60
    assert len(space.buffer) <= 30 + block
    torch.testing.assert_close(found.top.values, whole.top.values, rtol=0, atol=1e-10)
    torch.testing.assert_close(found.bottom.values, whole.bottom.values, rtol=0, atol=1e-10)
    check_true_residuals(operator.matrix, found, 1e-13)


def test_residuals_stay_true_long_after_convergence_and_many_restarts(rng):
    operator, space = Matrix(outliers(rng)), init(normal(rng, 200))
    for budget in (60, 300):
        wanted = {"top": 3, "bottom": 0, "rtol": 1e-18, "max_products": budget, "max_basis": 12}
        found = extreme_eigenpairs(operator, space, vectors=True, **wanted)
        assert not found.converged
        assert found.num_products == operator.products == budget
        check_true_residuals(operator.matrix, found, 1e-13)
        assert float(found.top.residuals.max()) < 1e-13 * found.scale


@pytest.mark.parametrize("block", [1, 2])
def test_float32_restarts_keep_float32_accuracy(block, rng):
    operator = Matrix(outliers(rng).float())
    exact = torch.linalg.eigvalsh(operator.matrix.double())
    space = init(normal(rng, block, 200).float())
    wanted = {"top": 5, "bottom": 3, "rtol": 1e-5, "max_basis": 20, "vectors": True}
    found = extreme_eigenpairs(operator, space, max_products=2000, **wanted)
    assert found.converged
    assert found.num_products > 60
    torch.testing.assert_close(found.top.values, exact.flip(0)[:5], rtol=0, atol=2e-6 * found.scale)
    torch.testing.assert_close(found.bottom.values, exact[:3], rtol=0, atol=2e-6 * found.scale)
    check_true_residuals(operator.matrix, found, 5e-6)
    spent = extreme_eigenpairs(operator, space, max_products=found.num_products + 200, **wanted | {"rtol": 1e-12})
    assert not spent.converged  # no tolerance below the rounding of the products is ever claimed
    check_true_residuals(operator.matrix, spent, 2e-5)


@pytest.mark.parametrize("block", [1, 2])
def test_a_budget_that_ends_between_restarts_is_continued(block, rng):
    operator, start = Matrix(covariance(rng)), normal(rng, block, 200)
    wanted = {"top": 4, "bottom": 2, "rtol": 1e-9, "max_basis": 24}
    space = init(start)
    early = extreme_eigenpairs(operator, space, max_products=61, **wanted)
    assert early.num_products == 61 - 61 % block
    assert not early.converged
    kept = resumed(init(start), state(space))
    assert extreme_eigenpairs(operator, kept, max_products=61, **wanted).num_products == early.num_products
    operator.products = early.num_products
    continued = extreme_eigenpairs(operator, kept, max_products=2000, **wanted)
    undisturbed = extreme_eigenpairs(Matrix(operator.matrix), init(start), max_products=2000, **wanted)
    assert continued.converged
    assert continued.num_products == operator.products
    assert abs(continued.num_products - undisturbed.num_products) <= 4  # the looks fall elsewhere
    torch.testing.assert_close(continued.top.values, undisturbed.top.values, rtol=0, atol=1e-12)
    torch.testing.assert_close(continued.bottom.values, undisturbed.bottom.values, rtol=0, atol=1e-12)


def test_a_smaller_memory_than_the_stored_space_takes_is_met_by_a_restart(rng):
    operator, space = Matrix(semicircle(rng)), init(normal(rng, 300))
    wanted = {"top": 3, "bottom": 3, "rtol": 1e-9}
    extreme_eigenpairs(operator, space, max_products=50, **wanted)
    found = extreme_eigenpairs(operator, space, max_products=2000, max_basis=20, **wanted)
    assert found.converged
    assert space.size <= 20
    exact = torch.linalg.eigvalsh(operator.matrix)
    torch.testing.assert_close(found.top.values, exact.flip(0)[:3], rtol=0, atol=1e-12)


def test_a_restarted_subspace_is_not_left(rng):
    q, _ = torch.linalg.qr(normal(rng, 200, 200))
    project = torch.eye(200, dtype=torch.float64) - torch.outer(q[0], q[0])
    inside = project @ rotated(torch.linspace(1, 4, 200), rng) @ project
    exact = torch.linalg.eigvalsh(inside)[1:]
    space = init(normal(rng, 200), project=lambda rows: rows @ project)
    wanted = {"top": 3, "bottom": 3, "rtol": 1e-9, "max_products": 3000}
    found = extreme_eigenpairs(Matrix(inside), space, max_basis=25, **wanted)
    assert found.converged
    assert found.num_products > 100
    torch.testing.assert_close(found.bottom.values, exact[:3], rtol=0, atol=1e-10)
    torch.testing.assert_close(found.top.values, exact.flip(0)[:3], rtol=0, atol=1e-10)


@pytest.mark.parametrize(("top", "bottom"), [(3, 2), (0, 4), (4, 0)])
def test_a_space_that_closes_after_a_restart_has_the_right_ends(top, bottom, rng):
    """25 distinct eigenvalues and room for 14: what a restart gave up is none of those wanted.

    The run is so long that rounding may bring in second copies, but no value is skipped.
    """
    distinct = torch.linspace(-5, 8, 25)
    operator = Matrix(rotated(distinct.repeat_interleave(4), rng))
    wanted = {"rtol": 1e-10, "max_products": 3000, "max_basis": 14}
    found = extreme_eigenpairs(operator, init(normal(rng, 100)), top=top, bottom=bottom, **wanted)
    assert found.converged
    for values, exact in ((found.top.values, distinct.flip(0)), (found.bottom.values, distinct)):
        once = [float(v) for k, v in enumerate(values) if not k or abs(float(v - values[k - 1])) > 1e-6]
        assert once == pytest.approx(exact[: len(once)].tolist(), abs=1e-6)
    assert len(found.top.values) + len(found.bottom.values) == top + bottom


@pytest.mark.parametrize("sign", [1, -1])
def test_a_restart_does_not_forget_the_scale(sign, rng):
    """Residuals are compared with the largest eigenvalue, also where it is at the end that nobody asked for."""
    operator = Matrix(sign * rotated([-100.0, *torch.linspace(0, 1, 199).tolist()], rng))
    ends = {"top": 3, "bottom": 0} if sign > 0 else {"top": 0, "bottom": 3}
    found = extreme_eigenpairs(operator, init(normal(rng, 200)), rtol=1e-6, max_products=500, max_basis=12, **ends)
    assert found.scale == pytest.approx(100, rel=1e-9)
    assert found.converged


@pytest.mark.parametrize("block", [1, 4])
def test_a_basis_too_small_for_what_is_wanted_is_refused(block, rng):
    operator, start = Matrix(semicircle(rng)), normal(rng, block, 300)
    wanted = {"top": 5, "bottom": 3, "rtol": 1e-3, "max_products": 3000}
    least = 8 + 2 + 2 * block  # one more of each end as a guard
    with pytest.raises(UsageError, match=rf"memory for {least - 1} basis vectors.* at least {least};") as refused:
        extreme_eigenpairs(operator, init(start), max_basis=least - 1, **wanted)
    assert "\n" not in str(refused.value)
    tight = init(start)
    extreme_eigenpairs(operator, tight, max_basis=least, **wanted | {"max_products": 200})
    assert tight.num_products > 2 * least
    assert len(tight.buffer) <= least + block


def test_a_space_smaller_than_the_basis_needs_no_restart(rng):
    operator = Matrix(rotated([4.0, 1.0, -2.0], rng))
    found = extreme_eigenpairs(
        operator, init(normal(rng, 2, 3)), top=10, bottom=10, rtol=1e-9, max_products=50, max_basis=3
    )
    assert found.converged
    assert found.top.values.tolist() == pytest.approx([4.0, 1.0, -2.0], abs=1e-13)

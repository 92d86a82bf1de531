"""The Krylov space: its decomposition, at every step, through every restart, in both precisions."""

from __future__ import annotations

import pytest
import torch
from matrices import Matrix, goe, normal, rotated

from landscape.curvature.krylov import BREAKDOWN, init, restart, resumed, ritz, state, step
from landscape.errors import AnalysisError

ROUNDING = {torch.float64: 1e-13, torch.float32: 5e-6}


def ends(space, count):
    """The places of ``count`` Ritz pairs at either end."""
    order = torch.arange(space.size)
    return order[(order < count) | (order >= space.size - count)]


def check_decomposition(matrix, space):
    """V and F are orthonormal, T and C are what they say, and A V' = V' T + F' C."""
    atol = ROUNDING[space.buffer.dtype]
    rows = torch.cat([space.basis, space.frontier]).double()
    basis, frontier = space.basis.double(), space.frontier.double()
    matrix, size = matrix.double(), float(torch.linalg.matrix_norm(matrix.double(), 2))
    torch.testing.assert_close(rows @ rows.T, torch.eye(len(rows), dtype=torch.float64), rtol=0, atol=atol)
    torch.testing.assert_close(basis @ matrix @ basis.T, space.projected, rtol=0, atol=atol * size)
    torch.testing.assert_close(frontier @ matrix @ basis.T, space.coupling, rtol=0, atol=atol * size)
    found = space.projected @ basis + space.coupling.T @ frontier
    torch.testing.assert_close(basis @ matrix, found, rtol=0, atol=atol * size)
    assert float(space.projected.abs().max()) <= space.scale <= size * (1 + atol)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("block", [1, 2, 5])
def test_the_decomposition_holds_through_steps_and_restarts(block, dtype, rng):
    operator = Matrix(goe(rng, 120).to(dtype))
    space = init(normal(rng, block, 120).to(dtype))
    for round_ in range(6):
        while space.size + space.width <= 40:
            before = space.size
            step(operator, space)
            assert space.size == before + block
            assert torch.equal(space.projected, space.projected.T)
        check_decomposition(operator.matrix, space)
        count = 7 - round_
        kept = ritz(space)[0][ends(space, count)]
        restart(space, ends(space, count))
        assert space.size == 2 * count
        assert space.width == block
        torch.testing.assert_close(space.projected, kept.diag(), rtol=0, atol=0)
        check_decomposition(operator.matrix, space)
        assert space.num_products == operator.products
        assert (space.num_products > space.size) or not round_


@pytest.mark.parametrize("block", [1, 2, 3])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_block_closes_with_each_eigenvalue_up_to_its_width(block, dtype, rng):
    spectrum = torch.tensor([10.0, 9.0, 9.0, 5.0, -3.0, *[0.0] * 295])
    operator = Matrix(spectrum.to(dtype).diag())
    space = init(normal(rng, block, 300).to(dtype))
    for _ in range(10):
        step(operator, space)
    wanted = sorted([10.0, *[9.0] * min(block, 2), 5.0, -3.0, *[0.0] * block])
    assert space.exhausted
    assert space.num_products == operator.products == len(wanted)
    values, residuals, _ = ritz(space)
    assert values.tolist() == pytest.approx(wanted, abs=10 * ROUNDING[dtype])
    assert float(residuals.max()) <= 2 * BREAKDOWN[dtype] * 10
    check_decomposition(operator.matrix, space)


def test_dependent_start_vectors_are_one(rng):
    first, second = normal(rng, 2, 50)
    space = init(torch.stack([first, second, first + 2 * second]))
    assert space.width == 2
    assert init(torch.stack([first, first])).width == 1
    assert init(normal(rng, 5, 3)).width == 3
    with pytest.raises(ValueError, match="start vector is zero"):
        init(torch.zeros(50, dtype=torch.float64))


def test_nearly_dependent_images_leave_an_orthonormal_basis(rng):
    """The images' remainders are one vector and, 1e-9 of it, what sets them apart."""
    u = normal(rng, 100) / 10
    operator = Matrix(torch.outer(u, u) + 1e-9 * goe(rng, 100))
    space = init(normal(rng, 2, 100))
    for _ in range(12):
        step(operator, space)
    assert space.size == 24
    check_decomposition(operator.matrix, space)


@pytest.mark.parametrize("start", [1, 2, 3, 5])
def test_a_whole_small_space_is_never_exceeded(start, rng, monkeypatch):
    monkeypatch.setitem(BREAKDOWN, torch.float64, 0.0)  # not even if rounding were taken for a direction
    noisy = Matrix(rotated([4.0, 1.0, -2.0], rng) + 1e-3 * normal(rng, 3, 3))
    space = init(normal(rng, start, 3))
    for _ in range(9):
        step(noisy, space)
    assert space.exhausted
    assert space.size == space.num_products == noisy.products == 3


def test_a_step_of_an_exhausted_space_costs_nothing(rng):
    operator = Matrix(3 * torch.eye(40, dtype=torch.float64))
    space = step(operator, init(normal(rng, 2, 40)))
    assert space.exhausted
    assert step(operator, space).num_products == operator.products == 2


def test_a_full_space_wants_a_restart(rng):
    operator, space = Matrix(goe(rng, 60)), init(normal(rng, 2, 60))
    space.max_basis = 9
    for _ in range(4):
        step(operator, space)
    assert space.full
    with pytest.raises(ValueError, match="8 basis vectors of at most 9: restart first"):
        step(operator, space)
    restart(space, ends(space, 2))
    assert not step(operator, space).full


@pytest.mark.parametrize("max_basis", [9, 17, 30, 64])
@pytest.mark.parametrize("block", [1, 3])
def test_memory_is_that_of_the_basis_and_the_frontier(block, max_basis, rng):
    operator, space = Matrix(goe(rng, 90)), init(normal(rng, block, 90))
    space.max_basis = max_basis
    rows = [len(space.buffer)]
    for _ in range(40):
        if space.full:
            restart(space, ends(space, 3))
        step(operator, space)
        rows.append(len(space.buffer))
    assert rows[-1] == max_basis + block
    last = rows.index(rows[-1])
    assert last == 0 or 2 * rows[last - 1] <= rows[-1]  # old and new together, as far as they are written
    check_decomposition(operator.matrix, space)


def test_a_restart_of_large_bases_goes_by_columns(rng, monkeypatch):
    operator, whole, parts = Matrix(goe(rng, 90)), init(start := normal(rng, 2, 90)), init(start)
    for _ in range(10):
        step(operator, whole)
        step(operator, parts)
    restart(whole, ends(whole, 4))
    monkeypatch.setattr("landscape.curvature.krylov.CHUNK_ELEMENTS", 7 * 20)
    restart(parts, ends(parts, 4))
    torch.testing.assert_close(parts.basis, whole.basis, rtol=0, atol=1e-14)
    check_decomposition(operator.matrix, parts)


@pytest.mark.parametrize("block", [1, 2])
def test_a_stored_space_goes_on_as_if_it_had_not_been(block, rng):
    operator, start = Matrix(goe(rng, 80)), normal(rng, block, 80)
    space = init(start)
    for _ in range(10):
        step(operator, space)
    restart(space, ends(space, 3))
    step(operator, space)
    stored = state(space)
    again = resumed(fresh := init(start, project=torch.clone), stored)
    assert again.project is fresh.project
    for _ in range(5):
        step(operator, space)
        step(operator, again)
    assert again.num_products == space.num_products
    assert (again.size, again.width, again.scale) == (space.size, space.width, space.scale)
    torch.testing.assert_close(again.basis, space.basis, rtol=0, atol=0)
    torch.testing.assert_close(again.projected, space.projected, rtol=0, atol=0)
    assert len(stored["rows"]) == 6 + 2 * block  # what went on did not touch it
    assert all(tensor.is_contiguous() for tensor in stored.values())


def test_a_stored_space_may_be_exhausted(rng):
    operator, start = Matrix(rotated([2.0, 1.0, 1.0, 0.0], rng)), normal(rng, 4)
    space = init(start)
    for _ in range(5):
        step(operator, space)
    again = resumed(init(start), state(space))
    assert again.exhausted
    torch.testing.assert_close(ritz(again)[1], ritz(space)[1], rtol=0, atol=0)


@pytest.mark.parametrize(("dtype", "coupling"), [(torch.float64, 1e-11), (torch.float32, 1e-5)])
def test_a_weak_coupling_is_followed(dtype, coupling):
    matrix = torch.tensor([[2, 0, 0], [0, 1, coupling], [0, coupling, 0]], dtype=dtype)
    space = init(torch.tensor([1, 1, 0], dtype=dtype))
    for _ in range(3):
        step(Matrix(matrix), space)
    assert space.size == 3


def test_what_is_dropped_counts_in_the_residuals(rng):
    """A direction in which A couples by 1e-13 is rounding to a space, and no residual claims to be smaller."""
    matrix = torch.tensor([2.0, 1.0, 0.0], dtype=torch.float64).diag()
    matrix[1, 2] = matrix[2, 1] = 1e-13
    space = init(torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64))
    for _ in range(3):
        step(Matrix(matrix), space)
    assert space.exhausted
    assert space.size == 2
    assert float(ritz(space)[1].min()) >= 1e-13 / 2**0.5


def test_no_residual_is_below_the_rounding_of_the_products(rng):
    operator, space = Matrix(goe(rng, 80).float()), init(normal(rng, 80).float())
    for _ in range(60):
        step(operator, space)
    assert 1e-7 < float(ritz(space)[1].min()) / space.scale < 1e-6


def test_restarts_in_a_subspace_stay_in_it(rng):
    q, _ = torch.linalg.qr(normal(rng, 80, 80))
    out = q[:, :5]
    project = torch.eye(80, dtype=torch.float64) - out @ out.T
    operator = Matrix(project @ rotated(torch.linspace(1, 4, 80), rng) @ project)
    space = init(normal(rng, 2, 80), project=lambda rows: rows @ project)
    for _ in range(60):
        if space.size > 20:
            restart(space, ends(space, 4))
        step(operator, space)
        assert float((space.buffer[: space.size + space.width] @ out).abs().max()) < 1e-14
    assert float(ritz(space)[0].min()) > 0.9


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("block", [1, 2])
def test_a_product_that_is_not_finite_is_refused(block, bad, rng):
    matrix = goe(rng, 30)
    matrix[3, 4] = bad
    with pytest.raises(AnalysisError, match=f"product {block} with the operator is not finite"):
        step(Matrix(matrix), init(normal(rng, block, 30)))

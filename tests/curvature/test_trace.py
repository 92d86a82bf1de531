"""Trace, Frobenius norm and diagonal against dense matrices; errors against the scatter that they claim."""

from __future__ import annotations

from math import sqrt

import pytest
import torch
from matrices import Matrix, goe, normal, rotated

from landscape.curvature.known import known_in_krylov, nothing_known, sketch
from landscape.curvature.lanczos import extreme_eigenpairs, init, step
from landscape.curvature.trace import estimate_trace, hutch_plus_plus, rademacher

EXACT = {"rtol": 1e-10, "atol": 1e-10}


def krylov(operator, steps, rng, block=1, project=lambda rows: rows):
    space = init(normal(rng, block, operator.dim), project=project)
    for _ in range(steps):
        step(operator, space)
    return space


def restarted(operator, rng):
    space = krylov(operator, 0, rng)
    extreme_eigenpairs(operator, space, top=2, bottom=1, rtol=1e-14, max_products=25, max_basis=10)
    assert len(space.basis) < space.num_products
    return space


KNOWN = {
    "nothing": lambda operator, rng: nothing_known(operator.matrix[0]),
    "Krylov": lambda operator, rng: known_in_krylov(krylov(operator, 7, rng)),
    "block Krylov": lambda operator, rng: known_in_krylov(krylov(operator, 3, rng, block=2)),
    "restarted Krylov": lambda operator, rng: known_in_krylov(restarted(operator, rng)),
    "sketch": lambda operator, rng: sketch(operator, rademacher(7, operator.matrix[0], rng)),
}


def all_signs(dim):
    return torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * dim)


def test_probes_are_signs_and_independent(rng):
    probes = rademacher(4000, torch.zeros(11, dtype=torch.float64), rng)
    assert set(probes.unique().tolist()) == {-1.0, 1.0}
    torch.testing.assert_close(probes.T @ probes / 4000, torch.eye(11, dtype=torch.float64), rtol=0, atol=0.08)
    assert float(probes.mean(dim=0).abs().max()) < 0.08


def test_probes_do_not_depend_on_how_many_are_drawn_at_once():
    like = torch.zeros(77)
    whole = rademacher(9, like, torch.Generator().manual_seed(3))
    rng = torch.Generator().manual_seed(3)
    parts = torch.cat([rademacher(count, like, rng) for count in (1, 5, 3)])
    torch.testing.assert_close(whole, parts, rtol=0, atol=0)


def test_one_probe_gives_a_diagonal_trace_exactly_and_no_error(rng):
    spectrum = torch.zeros(300, dtype=torch.float64)
    spectrum[:5] = torch.tensor([10.0, 9.0, 9.0, 5.0, -3.0])
    found = estimate_trace(Matrix(spectrum.diag()), nothing_known(spectrum), 1, rng, [4, 296])
    assert found.value == 30
    assert found.frobenius_norm == pytest.approx(sqrt(296), rel=1e-15)
    assert found.by_group.tolist() == [33, -3]
    torch.testing.assert_close(found.diagonal, spectrum, rtol=0, atol=0)
    assert found.standard_error is found.frobenius_norm_stderr is found.by_group_stderr is None


@pytest.mark.parametrize("name", KNOWN)
def test_known_part_is_all_but_the_complement(name, rng):
    operator = Matrix(goe(rng, 40))
    known = KNOWN[name](operator, rng)
    outside = torch.eye(40, dtype=torch.float64) - known.basis.T @ known.basis
    part = operator.matrix - outside @ operator.matrix @ outside
    torch.testing.assert_close(known.diagonal, part.diag(), **EXACT)
    assert known.square == pytest.approx(float(part.square().sum()), rel=1e-10, abs=1e-10)
    torch.testing.assert_close(
        known.outside(normal(rng, 3, 40)) @ known.basis.T, torch.zeros(3, len(known.basis)).double(), **EXACT
    )


@pytest.mark.parametrize("name", ["nothing", "Krylov", "block Krylov", "sketch"])
def test_the_mean_over_all_signs_is_exact(name, rng, monkeypatch):
    operator = Matrix(rotated([9.0, 5.0, -4.0, *torch.linspace(-1, 1, 9).tolist()], rng))
    known = KNOWN[name](operator, rng)
    monkeypatch.setattr("landscape.curvature.trace.rademacher", lambda num, like, rng: all_signs(12))
    found = estimate_trace(operator, known, 4096, rng, [5, 1, 6], block=4096)
    diagonal = operator.matrix.diag()
    torch.testing.assert_close(found.diagonal, diagonal, **EXACT)
    torch.testing.assert_close(found.by_group, torch.stack([p.sum() for p in diagonal.split([5, 1, 6])]), **EXACT)
    assert found.value == pytest.approx(float(diagonal.sum()), rel=1e-12)
    assert found.frobenius_norm == pytest.approx(float(operator.matrix.norm()), rel=1e-12)
    outside = torch.eye(12, dtype=torch.float64) - known.basis.T @ known.basis
    rest = outside @ operator.matrix @ outside
    variance = 2 * float(rest.square().sum() - rest.diag().square().sum())
    assert found.standard_error == pytest.approx(sqrt(variance / 4095), rel=1e-10)


@pytest.mark.parametrize("name", KNOWN)
def test_groups_and_diagonal_add_up_to_the_trace(name, rng):
    operator = Matrix(goe(rng, 60))
    found = estimate_trace(operator, KNOWN[name](operator, rng), 10, rng, [17, 40, 0, 3])
    assert found.value == pytest.approx(float(found.by_group.sum()), rel=1e-14)
    sums = torch.stack([part.sum() for part in found.diagonal.split([17, 40, 0, 3])])
    torch.testing.assert_close(found.by_group, sums, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("block", [1, 3, 64])
def test_no_result_depends_on_the_block(block):
    operator = Matrix(goe(torch.Generator().manual_seed(1), 50))
    seeds = [torch.Generator().manual_seed(2) for _ in range(2)]
    whole, split = (
        estimate_trace(operator, nothing_known(operator.matrix[0]), 10, rng, [50], block=size)
        for rng, size in zip(seeds, (10, block), strict=True)
    )
    assert split.value == pytest.approx(whole.value, rel=1e-13)
    assert split.frobenius_norm_stderr == pytest.approx(whole.frobenius_norm_stderr, rel=1e-12)
    torch.testing.assert_close(split.diagonal, whole.diagonal, **EXACT)


@pytest.mark.parametrize("name", KNOWN)
def test_estimates_scatter_around_the_truth_as_their_errors_say(name, rng):
    matrix = rotated([8.0, 6.0, -5.0, *torch.linspace(-1, 1, 57).tolist()], rng)
    operator, groups = Matrix(matrix), [20, 40]
    diagonal, known = matrix.diag(), KNOWN[name](operator, rng)
    truth = torch.stack([matrix.trace(), diagonal[:20].sum(), diagonal[20:].sum(), matrix.norm()])
    values, errors = [], []
    for _ in range(200):
        found = estimate_trace(operator, known, 40, rng, groups, block=40)
        values.append([found.value, *found.by_group.tolist(), found.frobenius_norm])
        errors.append([found.standard_error, *found.by_group_stderr.tolist(), found.frobenius_norm_stderr])
    away = torch.tensor(values, dtype=torch.float64) - truth
    # Student's t with 39 degrees of freedom: 95 % within 2, fewer where one eigenvalue makes the samples skewed
    within = (away.abs() < 2 * torch.tensor(errors, dtype=torch.float64)).double().mean(dim=0)
    assert bool(((within >= 0.88) & (within <= 0.99)).all()), within
    claimed = torch.tensor(errors, dtype=torch.float64).square().mean(dim=0).sqrt()
    torch.testing.assert_close(away.std(dim=0), claimed, rtol=0.2, atol=0)
    # unbiased but for the Frobenius norm, whose square is: it is low by its variance over twice itself
    away[:, 3] += claimed[3] ** 2 / (2 * truth[3])
    assert bool((away.mean(dim=0).abs() < 3.5 * claimed / sqrt(200)).all()), away.mean(dim=0) / claimed


def test_a_sketch_that_holds_the_range_leaves_no_error_and_takes_no_more_products(rng):
    operator = Matrix(rotated([7.0, 4.0, 2.0, -1.0, *[0.0] * 96], rng))
    found = hutch_plus_plus(operator, 30, operator.matrix[0], rng, [100])
    assert found.value == pytest.approx(12, abs=1e-12)
    assert found.frobenius_norm == pytest.approx(sqrt(70), rel=1e-12)
    assert found.standard_error == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(found.diagonal, operator.matrix.diag(), **EXACT)
    assert found.num_products == operator.products == 10 + 4 + 10


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_a_parameter_of_one_number_has_a_trace_too(dim, rng):
    operator = Matrix(rotated([-2.0, 3.0, 0.5][:dim], rng))
    found = hutch_plus_plus(operator, 20, operator.matrix[0], rng, [dim])
    assert found.value == pytest.approx(float(operator.matrix.trace()), abs=1e-12)
    torch.testing.assert_close(found.diagonal, operator.matrix.diag(), **EXACT)


def test_zero_has_trace_zero(rng):
    found = hutch_plus_plus(Matrix(torch.zeros(9, 9)), 9, torch.zeros(9), rng, [9])
    assert (found.value, found.standard_error, found.frobenius_norm, found.frobenius_norm_stderr) == (0, 0, 0, 0)


def test_an_exhausted_krylov_space_knows_what_its_start_reaches(rng):
    """The second nine is orthogonal to the start: only the probes see it."""
    operator = Matrix(rotated([10.0, 9.0, 9.0, 5.0, -3.0, *[0.0] * 95], rng))
    known = known_in_krylov(krylov(operator, 9, rng))
    assert len(known.basis) == 5
    assert float(known.diagonal.sum()) == pytest.approx(21, abs=1e-9)
    found = estimate_trace(operator, known, 400, rng, [100])
    assert found.value == pytest.approx(30, abs=4 * found.standard_error)
    assert found.standard_error == pytest.approx(9 * sqrt(2 / 400), rel=0.2)


def test_a_tangent_space_is_not_left(rng):
    """The normal direction has an eigenvalue of 1000 that does not belong to the space."""
    direction = normal(rng, 50)
    direction /= direction.norm()
    ambient = goe(rng, 50) + 1000 * torch.outer(direction, direction)
    tangent = torch.eye(50, dtype=torch.float64) - torch.outer(direction, direction)
    wanted, operator = tangent @ ambient @ tangent, Matrix(ambient)
    for known in (
        nothing_known(direction, project=lambda rows: rows @ tangent),
        known_in_krylov(krylov(operator, 8, rng, project=lambda rows: rows @ tangent)),
        sketch(operator, rademacher(8, direction, rng), project=lambda rows: rows @ tangent),
    ):
        found = estimate_trace(operator, known, 200, rng, [50])
        assert found.standard_error < 0.8
        assert found.value == pytest.approx(float(wanted.trace()), abs=4 * found.standard_error)
        assert found.frobenius_norm == pytest.approx(float(wanted.norm()), abs=4 * found.frobenius_norm_stderr)


@pytest.mark.parametrize("steps", [0, 12])
def test_a_krylov_space_takes_the_outliers_out_of_the_error(steps, rng):
    operator = Matrix(rotated([100.0, 80.0, 60.0, *torch.linspace(-1, 1, 197).tolist()], rng))
    known = known_in_krylov(krylov(operator, steps, rng)) if steps else nothing_known(operator.matrix[0])
    found = estimate_trace(operator, known, 40, rng, [200])
    # the variance of one probe is 2 |A|_F² less the diagonal: 4e4 with the outliers, about 125 without
    assert found.standard_error == pytest.approx(sqrt((125 if steps else 4e4) / 40), rel=0.35)
    assert found.num_products == 40


def test_hutch_plus_plus_is_many_times_sharper_on_a_decaying_spectrum(rng):
    """Relative deviations of 60 estimates of 99 products: 6 % and .12 %."""
    operator = Matrix(rotated([50.0, 40.0, 30.0, 20.0, 15.0, *(5 / torch.arange(1, 296)).tolist()], rng))
    like, trace = operator.matrix[0], float(operator.matrix.trace())
    plain = [estimate_trace(operator, nothing_known(like), 99, rng, [300]).value / trace for _ in range(60)]
    sharp = [hutch_plus_plus(operator, 99, like, rng, [300]).value / trace for _ in range(60)]
    assert 0.03 < float(torch.tensor(plain).std()) < 0.1
    assert 0.0005 < float(torch.tensor(sharp).std()) < 0.002
    assert operator.products == 60 * 99 * 2


def test_float32_gives_float32_accuracy(rng):
    matrix = rotated([100.0, -80.0, *torch.linspace(-1, 1, 198).tolist()], rng)
    found = []
    for dtype in (torch.float64, torch.float32):
        operator, seed = Matrix(matrix.to(dtype)), torch.Generator().manual_seed(5)
        space = init(normal(torch.Generator().manual_seed(6), 200).to(dtype))
        for _ in range(15):
            step(operator, space)
        found.append(estimate_trace(operator, known_in_krylov(space), 20, seed, [200]))
    assert found[1].value == pytest.approx(found[0].value, abs=2e-3)
    assert found[1].frobenius_norm == pytest.approx(found[0].frobenius_norm, rel=1e-5)
    assert found[1].diagonal.dtype == torch.float32


def test_a_sketch_in_float32_gives_float32_accuracy(rng):
    """The images span six decades: the basis is orthonormal all the same, and what rounding made is dropped."""
    matrix = rotated([1e3, -3e2, *(10 * 0.5 ** torch.arange(98)).tolist()], rng)
    single, double = (
        hutch_plus_plus(Matrix(matrix.to(dtype)), 90, matrix[0].to(dtype), torch.Generator().manual_seed(5), [100])
        for dtype in (torch.float32, torch.float64)
    )
    exact = float(matrix.trace()), float(matrix.norm())
    assert (double.value, double.frobenius_norm) == pytest.approx(exact, rel=1e-7)
    assert (single.value, single.frobenius_norm) == pytest.approx(exact, rel=1e-5)


def test_the_diagonal_of_a_krylov_space_is_made_in_chunks(rng, monkeypatch):
    operator = Matrix(goe(rng, 50))
    space = krylov(operator, 7, rng)
    whole = known_in_krylov(space).diagonal
    monkeypatch.setattr("landscape.curvature.known.CHUNK_ELEMENTS", 21)
    torch.testing.assert_close(known_in_krylov(space).diagonal, whole, rtol=0, atol=1e-14)


def test_progress_counts_probes_and_the_products_of_a_sketch(rng):
    seen: list[int] = []
    operator = Matrix(goe(rng, 20))
    estimate_trace(operator, nothing_known(operator.matrix[0]), 20, rng, [20], progress=seen.append)
    assert seen == [8, 16, 20]
    seen.clear()
    hutch_plus_plus(operator, 30, operator.matrix[0], rng, [20], progress=seen.append)
    assert seen == [28, 30]


def test_nonsense_is_refused(rng):
    operator = Matrix(goe(rng, 20))
    like = operator.matrix[0]
    with pytest.raises(ValueError, match="0 probes, groups of 20 coordinates: want 1 or more, of 20"):
        estimate_trace(operator, nothing_known(like), 0, rng, [20])
    with pytest.raises(ValueError, match="groups of 19 coordinates"):
        estimate_trace(operator, nothing_known(like), 3, rng, [19])
    with pytest.raises(ValueError, match="3 products or more, got 2"):
        hutch_plus_plus(operator, 2, like, rng, [20])

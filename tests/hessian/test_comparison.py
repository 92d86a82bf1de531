"""Which subspaces a gap closes, and overlaps between them, against exact answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from landscape_hessian.comparison import combine, subspace_overlap
from landscape_hessian.gaps import outliers, why_open

from landscape.analysis import Context, Result

DIM = 50
CLOSED = (9.0, 8.0, 6.0, 1.0, 0.9)
OPEN = (9.0, 8.0, 6.0, 5.5, 5.0)


def orthonormal(rng, rows=5, dim=DIM):
    return torch.linalg.qr(torch.randn(dim, rows, generator=rng, dtype=torch.float64))[0].T


def result(name, values=CLOSED, vectors=None, step=None, classes=None, residual=1e-6, converged=True, trace=None):
    rank = range(1, len(values) + 1)
    variables = {
        "rank_top": ("rank_top", rank),
        "eigenvalue_top": ("rank_top", list(values)),
        "residual_top": ("rank_top", [residual] * len(values)),
    }
    if step is not None:
        variables["step"] = ((), step)
    attrs = {"matrix": "ggn", "block": "network", "dimension": DIM} | ({"num_classes": classes} if classes else {})
    return Result(
        xr.Dataset(variables, attrs=attrs),
        {"trace": trace, "trace_stderr": 0.1} if trace is not None else {},
        converged=converged,
        vectors={} if vectors is None else {"top": vectors},
        points=(name,),
    )


def combined(*results):
    return combine(list(results), context=Context())


@pytest.mark.parametrize(
    ("values", "count", "ratio"),
    [
        ((10.0, 9, 8, 2, 1.9), 3, 4.0),
        ((10.0, 2, 1.9, 0.1), 3, 19.0),
        ((10.0, 6, 5, 4), None, 10 / 6),
        ((10.0, 9, 9, 5, 1e-12, -1e-12), 4, 5e4),  # zero is 1e-5 of the largest, whatever rounding makes of it
        ((10.0, 9, -8.5, -9), None, 10 / 9),  # a change of sign is no gap
        ((-1.0, -2), None, None),
        ((3.0,), None, None),
        ((), None, None),
    ],
)
def test_outliers_end_at_the_largest_ratio(values, count, ratio):
    found, largest = outliers(values, np.zeros(len(values)))
    assert found == count
    assert largest == (None if ratio is None else pytest.approx(ratio, rel=1e-12))


def test_a_gap_counts_only_when_it_is_large_against_the_residuals():
    values = (10.0, 9.0, 4.0, 1.0)
    assert outliers(values, (0.0, 0.0, 0.29, 0.0))[0] == 3  # 0.29 is less than a tenth of 4 - 1
    assert outliers(values, (0.0, 0.0, 0.31, 0.0)) == (2, 2.25)  # 0.31 of 3 is too much, of 9 - 4 it is not


@pytest.mark.parametrize(
    ("k", "residuals", "why"),
    [
        (3, (0.1, 0.1, 0.1, 0.1, 0.1), None),
        (3, (0.3, 0.3, 0.3, 0.0, 0.0), "residuals"),
        (3, (0.0, 0.0, 0.0, 0.6, 0.0), "residuals"),
        (1, (0, 0, 0, 0, 0), "1.12 times"),
        (5, (0, 0, 0, 0, 0), "--hessian.top 6"),
    ],
)
def test_why_a_subspace_is_not_closed(k, residuals, why):
    found = why_open(CLOSED, residuals, k)
    assert found is None if why is None else why in found


def test_the_residual_bounds_the_angle_to_the_exact_subspace(rng):
    a = torch.randn(DIM, DIM, generator=rng, dtype=torch.float64)
    matrix = torch.diag(torch.linspace(-1, 1, DIM, dtype=torch.float64))
    exact = orthonormal(rng, rows=3)
    matrix = matrix + 8 * exact.T @ exact
    values, vectors = torch.linalg.eigh(matrix)
    near = torch.linalg.qr(vectors[:, -4:] + 3e-3 * a[:, :4])[0]
    theta, s = torch.linalg.eigh(near.T @ matrix @ near)
    ritz = (near @ s).T.flip(0)
    residuals = (ritz @ matrix - theta.flip(0)[:, None] * ritz).norm(dim=1)
    assert why_open(theta.flip(0), residuals, 3) is None
    sine = torch.linalg.matrix_norm(ritz[:3] - ritz[:3] @ vectors[:, -3:] @ vectors[:, -3:].T, 2)
    gap = theta[1] - values[-4]
    assert sine <= residuals[:3].norm() / gap


def test_overlaps_of_identical_orthogonal_and_rotated_subspaces(rng):
    vectors = orthonormal(rng, rows=8)
    assert subspace_overlap(vectors[:4], vectors[:4]) == pytest.approx(1, rel=1e-12)
    assert subspace_overlap(vectors[:4], vectors[4:]) == pytest.approx(0, abs=1e-12)
    assert subspace_overlap(vectors[:4], vectors[2:6]) == pytest.approx(0.5, rel=1e-12)
    rotated = orthonormal(rng, rows=4, dim=4) @ vectors[:4]
    assert subspace_overlap(rotated, vectors[:4]) == pytest.approx(1, rel=1e-12)


def test_the_overlap_is_the_mean_squared_cosine(rng):
    vectors, angle = orthonormal(rng, rows=4), 0.3
    turned = torch.stack([vectors[0], np.cos(angle) * vectors[1] + np.sin(angle) * vectors[3]])
    assert subspace_overlap(vectors[:2], turned) == pytest.approx((1 + np.cos(angle) ** 2) / 2, rel=1e-12)


def test_random_subspaces_overlap_by_k_over_n(rng):
    found = [subspace_overlap(orthonormal(rng, 5), orthonormal(rng, 5)) for _ in range(400)]
    assert np.mean(found) == pytest.approx(5 / DIM, abs=4 * np.std(found) / 20)


def test_a_shared_number_of_outliers_gives_the_subspace(rng):
    one, other = orthonormal(rng), orthonormal(rng)
    found = combined(result("a", vectors=one), result("b", vectors=one.flip(0)), result("c", vectors=other))
    assert found.data.attrs["subspace_dimension"] == 3
    assert found.summary["overlap_random"] == pytest.approx(3 / DIM)
    assert found.data["overlap"].dims == ("point", "other")
    assert found.data["overlap"].sel(point="a", other="b") == pytest.approx(1 / 3, rel=1e-12)
    exact = subspace_overlap(one[:3], other[:3])
    assert found.data["overlap"].sel(point="c", other="a") == pytest.approx(exact, rel=1e-12)
    pairs = [1 / 3, exact, subspace_overlap(one.flip(0)[:3], other[:3])]
    assert found.summary["overlap_mean"] == pytest.approx(np.mean(pairs), rel=1e-12)
    assert found.summary["overlap_min"] == pytest.approx(min(pairs), rel=1e-12)
    assert found.summary["points"] == 3
    assert not found.messages


def test_classes_come_before_outliers(rng):
    values = (9.0, 8.0, 4.0, 1.0, 0.9)  # the largest ratio is 4 after 3; 2 after 2 is a gap as well
    vectors = orthonormal(rng)
    found = combined(*(result(name, values, vectors, classes=3) for name in "ab"))
    assert found.data.attrs["subspace_dimension"] == 2
    found = combined(*(result(name, values, vectors, classes=5) for name in "ab"))
    assert found.data.attrs["subspace_dimension"] == 3
    half = result("b", (9.0, 8.0, 7.0, 1.0, 0.9), vectors, classes=3)  # no gap after 2 at half of the points
    found = combined(result("a", values, vectors, classes=3), half)
    assert found.data.attrs["subspace_dimension"] == 3


def test_a_point_without_a_gap_has_no_overlaps(rng):
    vectors = orthonormal(rng)
    found = combined(result("a", vectors=vectors), result("bad", OPEN, vectors), result("c", vectors=vectors))
    overlap = found.data["overlap"]
    assert np.isnan(overlap.sel(point="bad")).all()
    assert np.isnan(overlap.sel(other="bad")).all()
    assert overlap.sel(point="a", other="c") == pytest.approx(1, rel=1e-12)
    assert found.summary["overlap_min"] == pytest.approx(1, rel=1e-12)
    (line,) = found.messages
    assert "no overlaps of bad" in line
    assert "1.09 times the next" in line


def test_without_any_gap_the_spectra_are_compared_alone(rng):
    found = combined(*(result(name, OPEN, orthonormal(rng), classes=4) for name in "ab"))
    assert "overlap" not in found.data
    assert set(found.summary) == {"points"}
    assert "one less than the classes: at a eigenvalue 3 is 1.09 times the next" in found.messages[0]
    assert found.data["eigenvalue_top"].dims == ("point", "rank_top")


def test_missing_eigenvectors_are_asked_for(rng):
    found = combined(result("a", vectors=orthonormal(rng)), result("b"))
    assert "overlap" not in found.data
    assert "b has no eigenvectors stored: add --hessian.vectors true" in found.messages[0]


def test_spectra_stand_side_by_side_with_nan_where_one_is_shorter():
    found = combined(result("a", (3.0, 2.0, 1.0), trace=7.0), result("b", (5.0,), trace=6.0))
    np.testing.assert_array_equal(found.data["eigenvalue_top"], [[3, 2, 1], [5, np.nan, np.nan]])
    np.testing.assert_array_equal(found.data["trace"], [7, 6])
    np.testing.assert_array_equal(found.data["trace_stderr"], [0.1, 0.1])
    assert list(found.data["point"].values) == ["a", "b"]
    assert found.data.attrs["matrix"] == "ggn"


def test_a_trajectory_is_ordered_by_its_steps(rng):
    vectors = [orthonormal(rng) for _ in range(3)]
    given = [result(n, vectors=v, step=s, trace=float(s)) for n, v, s in zip("abc", vectors, (30, 10, 20), strict=True)]
    found = combined(*given).data
    assert list(found["point"].values) == ["b", "c", "a"]
    np.testing.assert_array_equal(found["step"], [10, 20, 30])
    np.testing.assert_array_equal(found["trace"], [10, 20, 30])
    exact = subspace_overlap(vectors[1][:3], vectors[0][:3])
    assert float(found["overlap"][0, 2]) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("steps", [(10, 10, 20), (10, None, 20)])
def test_without_a_step_of_its_own_for_each_the_order_stays(steps):
    found = combined(*(result(name, step=step) for name, step in zip("cab", steps, strict=True))).data
    assert "step" not in found
    assert list(found["point"].values) == ["c", "a", "b"]


def test_converged_only_if_all_parts_were():
    assert combined(result("a"), result("b")).converged
    assert not combined(result("a"), result("b", converged=False)).converged


def test_blocks_are_compared_one_by_one(rng):
    def blocks(name, step):
        one = result(name, step=step).data.assign(trace=1.5, dimension=DIM)
        two = result(name, (4.0,), step=step).data.assign(trace=2.5, dimension=2 * DIM)
        kept = {"data_vars": "all", "join": "outer", "compat": "override", "coords": "minimal"}
        return Result(xr.concat([one, two], xr.Variable("block", ["first", "second"]), **kept), {}, points=(name,))

    found = combined(blocks("a", 2), blocks("b", 1)).data
    assert list(found["point"].values) == ["b", "a"]
    assert found["eigenvalue_top"].sel(point="a", block="second", rank_top=1) == 4
    np.testing.assert_array_equal(found["trace"].sel(block="second"), [2.5, 2.5])
    assert "overlap" not in found

"""Matrices of barriers, from summaries alone."""

from __future__ import annotations

from itertools import combinations, pairwise, permutations

import numpy as np
import pytest
import xarray as xr
from landscape_neb.barriers import barrier_words, connected, negligible, scientific
from landscape_neb.comparison import combine

from landscape.analysis import Context, Result


def pair(a, b, barrier, line=1.0, converged=True, **more):
    summary = {"barrier": barrier, "barrier_linear": line, "max_loss": barrier + 0.1, "distance": 3.0, **more}
    data = xr.Dataset({"energy": ("time", [0.1, barrier + 0.1, 0.1], {"units": "mse"})})
    return Result(data, summary, converged=converged, points=(a, b))


def combined(*pairs):
    return combine(pairs, context=Context())


MUELLER_BROWN = (pair("A", "B", 67.50188, 120.84), pair("A", "C", 40.10297, 84.15), pair("B", "C", 8.51888, 8.52))


def test_mueller_brown():
    result = combined(*MUELLER_BROWN)
    assert result.data["point"].values.tolist() == result.data["other"].values.tolist() == ["A", "B", "C"]
    np.testing.assert_array_equal(
        result.data["barrier"], [[0, 67.50188, 40.10297], [67.50188, 0, 8.51888], [40.10297, 8.51888, 0]]
    )
    np.testing.assert_array_equal(np.diag(result.data["distance"]), 0)
    assert result.data["barrier"].attrs["units"] == "mse"
    assert result.summary["barrier_spanning_tree"] == 40.10297
    assert result.summary["barrier_max"] == 67.50188
    assert result.summary["barrier_mean"] == pytest.approx((67.50188 + 40.10297 + 8.51888) / 3)
    assert result.summary["barrier_linear_mean"] == pytest.approx((120.84 + 84.15 + 8.52) / 3)
    assert (result.summary["points"], result.summary["pairs"], result.summary["pairs_connected"]) == (3, 3, 0)
    assert "barrier_linear_aligned" not in result.data
    assert "barrier_linear_aligned_mean" not in result.summary
    assert result.converged
    assert not result.messages


def minimax(barriers, a, b):
    """The lowest maximum over all ways from a to b, enumerated."""
    others = [point for point in range(len(barriers)) if point not in (a, b)]
    ways = ((a, *middle, b) for n in range(len(others) + 1) for middle in permutations(others, n))
    return min(max(barriers[i, j] for i, j in pairwise(way)) for way in ways)


@pytest.mark.parametrize("seed", range(3))
def test_the_spanning_tree_holds_the_minimax_barrier(seed):
    barriers = np.random.default_rng(seed).exponential(size=(5, 5))
    barriers = np.triu(barriers, 1) + np.triu(barriers, 1).T
    pairs = list(combinations(range(5), 2))
    result = combined(*(pair(f"p{i}", f"p{j}", barriers[i, j]) for i, j in pairs))
    assert result.summary["barrier_spanning_tree"] == max(minimax(barriers, i, j) for i, j in pairs)
    np.testing.assert_array_equal(result.data["barrier"], barriers)


@pytest.mark.parametrize(("pairs", "highest"), [((("a", "b"), ("a", "c")), 0.2), ((("a", "b"), ("b", "c")), 0.2)])
def test_of_a_star_or_a_chain_the_other_pairs_are_unknown(pairs, highest):
    result = combined(*(pair(*points, barrier) for points, barrier in zip(pairs, (0.1, 0.2), strict=True)))
    assert np.isnan(result.data["barrier"]).sum() == 2
    assert result.summary["barrier_spanning_tree"] == highest
    assert all(np.isfinite(value) for value in result.summary.values())


def test_points_left_apart_have_no_spanning_tree():
    result = combined(pair("a/last", "b/last", 0.1), pair("b/last", "c/last", 0.1), pair("d/last", "e/last", 0.1))
    assert "barrier_spanning_tree" not in result.summary
    assert result.messages == ("no spanning tree: no path from d, e to the other points was measured",)


def test_aligned_where_it_was():
    result = combined(
        pair("a", "b", 0.1, barrier_linear_aligned=0.3, distance_aligned=2.0), pair("a", "c", 0.1), pair("b", "c", 0.1)
    )
    assert result.summary["barrier_linear_aligned_mean"] == 0.3
    assert (
        result.data["barrier_linear_aligned"].values[0, 1] == result.data["barrier_linear_aligned"].values[1, 0] == 0.3
    )
    assert np.isnan(result.data["distance_aligned"].values[1, 2])


def test_a_search_that_has_not_converged_is_named():
    points = [f"seed{index}/last" for index in range(4)]
    result = combined(*(pair(a, b, 0.1, converged=a != points[0]) for a, b in combinations(points, 2)))
    assert not result.converged
    assert result.messages == (
        "3 of 6 paths have not converged: seed0 – seed1, seed0 – seed2, seed0 – seed3",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("barrier", "line", "loss", "connects", "none"),
    [
        (0.01, 1.0, 1.0, True, False),
        (0.0101, 1.0, 1.0, False, False),
        (0.02, 1.0, 10.0, False, False),
        (0.005, 1.0, 0.01, True, False),
        (1e-6, 1.0, 1.0, True, True),
        (1.1e-6, 1.0, 1e-3, True, False),
        (0.0, 0.0, 0.0, True, True),
        (3e-10, 3e-10, 5e-4, True, True),
        (3e-10, 3e-10, 0.0, False, False),
        (1e-5, 0.0, -40.0, True, True),
    ],
)
def test_when_a_pair_is_connected_and_when_there_is_no_barrier_at_all(barrier, line, loss, connects, none):
    assert connected(barrier, line, loss) is connects
    assert negligible(barrier, line, loss) is none
    assert barrier_words(barrier, line, loss).startswith("no barrier" if none else "barrier ")


@pytest.mark.parametrize(
    ("words", "barrier", "line", "loss"),
    [
        ("barrier 0.00210", 0.0021, 0.9, 0.0025),
        (r"barrier $3.00\times10^{-5}$", 3e-5, 0.9, 5e-4),
        (r"no barrier ($<10^{-6}$ of the line’s)", 3e-10, 0.9, 5e-4),
        (r"no barrier ($<10^{-6}$ of the loss)", 3e-10, 1e-9, 5e-4),
        ("no barrier", 0.0, 0.9, 5e-4),
    ],
)
def test_how_a_barrier_is_written(words, barrier, line, loss):
    assert barrier_words(barrier, line, loss) == words


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (120.8, "121"), (0.99996, "1.00"), (8.52, "8.52"), (0.00085, "0.000850")]
)
def test_how_a_number_is_written(value, text):
    assert scientific(value) == text

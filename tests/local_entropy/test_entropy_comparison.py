"""What is said of several minima where some of their numbers are missing, made up for the purpose."""

from __future__ import annotations

import pytest
import xarray as xr
from landscape_local_entropy.comparison import combine

from landscape.analysis import Context, Result

SAMPLED = {"phi": -9.0, "phi_stderr": 0.1, "llc": 7.0, "llc_stderr": 0.1}


def result(name: str, converged: bool = True, loss: float = 0.01, **numbers: float) -> Result:
    attrs = {"loss": loss, "beta": 66.8, "gamma": 10.0, "metric": "identity"}
    return Result(xr.Dataset(attrs=attrs), numbers, converged=converged, points=(name,))


def combined(*results: Result) -> Result:
    return combine(list(results), context=Context())


def test_how_far_apart_minima_are_in_standard_errors():
    found = combined(result("a", **SAMPLED), result("b", **{**SAMPLED, "phi": -10.0, "llc": 7.1}))
    assert found.converged
    assert found.messages == (
        "by its local entropy a is flatter than b by 1, 7.1 standard errors",
        "by its learning coefficient a is flatter than b by 0.1, 0.71 standard errors: no difference",
    )


def test_quantities_of_the_hessian_that_dissent_are_named():
    pair = [("a", -9.0, 7.0, 1.08, 0.073), ("b", -16.0, 11.5, 1.53, 0.068)]
    keys = ("phi", "llc", "trace", "eigenvalue_max")
    found = combined(*(result(name, **dict(zip(keys, values, strict=True))) for name, *values in pair))
    assert found.messages[-1] == "ordered otherwise by eigenvalue_max"
    assert found.summary["flattest_by_phi"] == found.summary["flattest_by_trace"] == ["a", "b"]
    assert found.summary["flattest_by_eigenvalue_max"] == ["b", "a"]


@pytest.mark.parametrize("others", [{}, {"phi": -9.0, "llc": 7.0}])
def test_a_minimum_without_chains_leaves_the_baselines_and_is_named(others):
    found = combined(result("a", laplace_phi=-8.0, **others), result("b", converged=False, laplace_phi=-12.0))
    assert not found.converged
    assert found.messages == ("b did not converge: see there",)
    assert found.summary == {"points": 2, "flattest_by_laplace_phi": ["a", "b"]}
    assert found.data["laplace_phi"].values.tolist() == [-8.0, -12.0]


def test_counts_are_put_side_by_side_and_what_did_not_converge_is_named():
    counts = xr.Dataset({"solutions": ("distance", [1, 3])}, coords={"distance": [0, 1]}, attrs={"loss": 0.0})
    points = [Result(counts, {}, converged=sound, points=(name,)) for name, sound in (("a", True), ("b", False))]
    found = combined(*points)
    assert found.data["solutions"].sizes == {"point": 2, "distance": 2}
    assert found.messages == ("b did not converge: see there",)


def test_a_point_may_be_given_twice():
    found = combined(result("a", **SAMPLED), result("a", **SAMPLED))
    assert found.summary["flattest_by_phi"] == ["a", "a"]
    assert found.data.sizes["point"] == 2

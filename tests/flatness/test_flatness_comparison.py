"""Ranks, pairs that are told apart, and the warning about training losses, on tables made up for the purpose."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from landscape_flatness.comparison import combine, ranks

from landscape.analysis import Context, Result
from landscape.neighbourhood.equal_loss import loss_warning

FLAGS = {"trace": (0, "small"), "sigma": (1, "large"), "fisher": (1, "small"), "local": (1, "small")}


def result(name, loss=0.01, converged=True, **measures):
    """A point with measures as value or (value, standard error)."""
    found = {key: value if isinstance(value, tuple) else (value, np.nan) for key, value in measures.items()}
    columns = {
        "measure": list(found),
        "value": [value for value, _ in found.values()],
        "standard_error": [error for _, error in found.values()],
        "invariant": [FLAGS[key][0] for key in found],
        "flat": [FLAGS[key][1] for key in found],
        "units": ["loss"] * len(found),
        "definition": [f"what {key} is" for key in found],
    }
    data = xr.Dataset({key: ("measure", column) for key, column in columns.items()})
    return Result(data.assign_attrs(loss=loss, dimension=10), {}, converged=converged, points=(name,))


def combined(*results):
    return combine(list(results), context=Context())


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((3.0, 1.0, 2.0), (3, 1, 2)),
        ((1.0, 1.00005, 2.0), (1, 1, 3)),  # ties share the lower rank
        ((-1.0, -1.00005, -2.0), (2, 2, 1)),
        ((np.nan, 2.0, 1.0), (np.nan, 2, 1)),
        ((0.0, 0.0, 1e-9), (1, 1, 3)),
    ],
)
def test_ranks(values, expected):
    np.testing.assert_array_equal(ranks(np.array(values)), expected)


def test_the_flat_end_is_first_whichever_it_is():
    found = combined(result("a", trace=1.0, sigma=0.1), result("b", trace=2.0, sigma=0.2))
    assert found.summary["flattest_by_trace"] == ["a", "b"]
    assert found.summary["flattest_by_sigma"] == ["b", "a"]
    rank = found.data["rank"]
    assert rank.dims == ("measure", "point")
    np.testing.assert_array_equal(rank.sel(measure="trace"), [1, 2])
    np.testing.assert_array_equal(rank.sel(measure="sigma"), [2, 1])
    np.testing.assert_array_equal(found.data["value"].sel(measure="sigma"), [0.1, 0.2])
    assert found.data["flat"].sel(measure="sigma") == "large"
    assert list(found.data["point"].values) == ["a", "b"]
    assert found.data["loss"].values.tolist() == [0.01, 0.01]


def test_equal_values_stand_together():
    found = combined(result("a", fisher=1.0), result("b", fisher=2.0), result("c", fisher=1.00001))
    assert found.summary["flattest_by_fisher"] == ["a = c", "b"]


def test_two_points_and_who_is_for_which():
    first = result("a", trace=(1.0, 0.1), sigma=(0.1, 0.01), fisher=3.0, local=(1.0, 0.2))
    second = result("b", trace=(2.0, 0.1), sigma=(0.2, 0.01), fisher=3.0, local=(1.5, 0.2))
    assert combined(first, second).messages == (
        "a is flatter by trace",
        "b is flatter by sigma",
        "both are the same, to 1e-4, by fisher",
        "within 2 standard errors, which leaves it open, by local",
    )


def test_two_standard_errors_of_both_tell_points_apart():
    def said(gap):
        found = combined(result("a", trace=(1.0, 0.3)), result("b", trace=(1.0 + gap, 0.4)))
        return found.messages[0]

    assert said(1.01) == "a is flatter by trace"
    assert said(0.99).startswith("within 2 standard errors")


def test_the_losses_come_first_and_loudly():
    found = combined(result("a", loss=0.01, trace=1.0), result("b", loss=0.0112, trace=2.0))
    assert not found.converged
    assert found.summary["losses_agree"] is False
    assert found.messages[0].startswith("TRAINING LOSSES DIFFER: 0.01 at a, 0.0112 at b")
    agreed = combined(result("a", loss=0.01, trace=1.0), result("b", loss=0.0110, trace=2.0))
    assert agreed.converged
    assert agreed.summary["losses_agree"] is True


@pytest.mark.parametrize(
    ("losses", "agree"),
    [
        ((1.0, 1.1), True),
        ((1.0, 1.12), False),
        ((1.12, 1.0), False),
        ((0.0, 1e-13, 1e-12), True),
        ((0.0, 1e-11), False),
        ((-1.0, -1.05), True),
        ((-1.0, 1.0), False),
        ((1.0, 1.05, 1.12), False),
    ],
)
def test_when_losses_agree(losses, agree):
    warning = loss_warning(losses, [f"p{index}" for index in range(len(losses))])
    assert (warning is None) is agree


def test_of_many_points_the_measures_that_disagree_are_counted():
    values = {"a": (1.0, 3.0, 1.0), "b": (2.0, 2.0, 2.0), "c": (3.0, 1.0, 4.0)}
    points = [result(name, fisher=f, trace=t, local=(x, 0.8)) for name, (f, t, x) in values.items()]
    messages = combined(*points).messages
    assert messages == (
        "pairs of points ordered otherwise than by most of the invariant measures: trace (3 of 3)",
        "pairs of points within 2 standard errors, which leaves their order open: local (2 of 3)",
    )


def test_a_measure_that_one_point_lacks():
    found = combined(result("a", trace=1.0, local=2.0), result("b", trace=2.0), result("c", trace=3.0, local=1.0))
    assert found.summary["flattest_by_local"] == ["c", "a"]
    np.testing.assert_array_equal(found.data["rank"].sel(measure="local"), [2, np.nan, 1])
    assert int(found.data["invariant"].sel(measure="local")) == 1


def test_a_measure_of_one_point_alone_orders_nothing():
    found = combined(result("a", trace=1.0), result("b", trace=2.0, local=1.0))
    assert "flattest_by_local" not in found.summary
    assert found.messages == ("a is flatter by trace",)


def test_what_did_not_converge_is_named():
    found = combined(result("a", trace=1.0), result("b", converged=False, trace=2.0))
    assert not found.converged
    assert found.messages[0] == "b did not converge: see there"

"""Hostile options and budgets: what is wrong is said before any chain runs, and rounding is no evidence."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import xarray as xr
from landscape_local_entropy import analysis
from landscape_local_entropy.comparison import combine
from landscape_local_entropy.options import LARGEST, MOST_NODES, SMALLEST, LocalEntropyOptions
from landscape_zoo.opening import open_zoo

from landscape.analysis import Context, Result
from landscape.errors import AnalysisError, UsageError

CPU = torch.device("cpu")
QUICK = {"chains": 2, "nodes": 4, "gamma_nodes": 1, "probes": 2, "max_gradients": 3000}


def measured(name, dtype=torch.float64, **options):
    landscape, points = open_zoo(name, device=CPU, dtype=dtype)
    return analysis.run(landscape, points[:1], LocalEntropyOptions(**{**QUICK, **options}), context=Context())


def plain(result):
    return all(not isinstance(value, float) or math.isfinite(value) for value in result.summary.values())


@pytest.mark.parametrize("name", ["beta", "gamma", "rtol", "sgld_step", "volume_loss"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, 1e-300, 1e300])
def test_lengths_and_temperatures_are_positive_and_within_reason(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a positive number, from 1e-12 to 1e"):
        LocalEntropyOptions(**{name: value})


@pytest.mark.parametrize(
    ("options", "met"),
    [
        ({"distances": (1e-300,)}, "distances must be positive numbers"),
        ({"distances": (1.0, -1.0)}, "distances must be positive numbers"),
        ({"distances": (math.nan,)}, "distances must be positive numbers"),
        ({"gamma_span": 1e300}, "gamma_span must be above 1"),
        ({"gamma_span": 1.0}, "gamma_span must be above 1"),
        ({"nodes": MOST_NODES + 4}, "nodes and gamma_nodes must be"),
        ({"gamma_nodes": MOST_NODES + 1}, "nodes and gamma_nodes must be"),
        ({"nodes": 6}, "multiple of 4"),
        ({"chains": 1}, "chains must be 2 or more"),
    ],
)
def test_nonsense_is_refused_by_the_options(options, met):
    with pytest.raises(ValueError, match=met):
        LocalEntropyOptions(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"gamma": SMALLEST},
        {"gamma": LARGEST},
        {"beta": SMALLEST, "rtol": SMALLEST},
        {"beta": LARGEST},
        {"gamma_nodes": 3, "gamma_span": LARGEST, "distances": (SMALLEST, LARGEST)},
    ],
)
def test_the_ends_of_the_range_give_finite_numbers_in_float32(options):
    assert plain(measured("bowl?dim=3&condition=10", torch.float32, **options))


@pytest.mark.parametrize("options", [{"gamma": 1e12, "beta": 1.0}, {"gamma": 1.0, "beta": 1e-9}])
def test_numbers_that_are_zero_to_rounding_say_nothing_of_a_minimum_or_of_nodes(options):
    result = measured("bowl?dim=3&condition=10", torch.float32, **options)
    assert abs(result.summary["phi"]) < 1e-6
    assert not any("not a minimum" in line or "half of the nodes" in line for line in result.messages)


def shifted_bowl():
    """A bowl with its minimum at a loss of one."""
    bowl, points = open_zoo("bowl?dim=3&condition=10", device=CPU, dtype=torch.float32)
    return replace(bowl, energy=lambda x: 1 + bowl.energy(x)), points


@pytest.mark.parametrize(
    ("landscape", "options", "kind", "met"),
    [
        (shifted_bowl, {"volume_loss": 1e-9}, AnalysisError, "lost in the rounding of the loss 1"),
        (
            lambda: open_zoo("bowl?dim=2001", device=CPU),
            {"volume_loss": 0.01},
            UsageError,
            "--local-entropy.volume-preconditioner diagonal",
        ),
    ],
    ids=["rounding", "dense"],
)
def test_what_forbids_a_volume_is_said_before_the_chains_run(landscape, options, kind, met, monkeypatch):
    monkeypatch.setattr(analysis, "measure", lambda *_: pytest.fail("chains ran"))
    scape, points = landscape()
    with pytest.raises(kind, match=met):
        analysis.run(scape, points[:1], LocalEntropyOptions(**{**QUICK, **options}), context=Context())


def test_a_constant_loss_has_no_r_hat_and_has_not_converged():
    bowl, points = open_zoo("bowl?dim=3&condition=10", device=CPU)
    flat = replace(bowl, energy=lambda x: 0 * x.sum())
    result = analysis.run(flat, points[:1], LocalEntropyOptions(**QUICK), context=Context())
    assert not result.converged
    assert any(line.startswith("R-hat has no value at beta") for line in result.messages)
    assert "rhat" not in result.summary
    assert plain(result)


@pytest.mark.parametrize("distance", [1e-3, 1e3])
def test_a_distance_that_no_stiffness_reaches_is_said(distance):
    """A bowl holds its chains: however soft the reference, they never get far."""
    result = measured("bowl?dim=3&condition=10", beta=10.0, gamma=1.0, gamma_nodes=3, distances=(distance,))
    assert any(line.startswith(f"no chains came near the distances {distance:.4g}") for line in result.messages)
    assert plain(result)


@pytest.mark.parametrize("budget", [600, 900, 3000])
def test_a_budget_is_named_once(budget):
    """One for nothing, one for half of the warm-up, one for the first draws."""
    result = measured("bowl?dim=20", beta=1000.0, gamma=1.0, max_gradients=budget)
    (line,) = [line for line in result.messages if f"budget of {budget}" in line]
    assert line.count("budget") == line.count("max-gradients") == 1


def test_short_steps_that_do_not_move_are_not_told_to_be_shorter():
    result = measured("bowl?dim=3&condition=10", sampler="sgld", sgld_step=1e-9, beta=10.0, gamma=1.0)
    assert not result.converged
    assert not any("virial" in line and "lower --local-entropy.sgld-step" in line for line in result.messages)


def numbers(name, **summary):
    attrs = {"loss": 0.0, "beta": 1.0, "gamma": 1.0, "metric": "identity"}
    return Result(xr.Dataset(attrs=attrs), summary, points=(name,))


@pytest.mark.parametrize(
    ("first", "second", "dissent"),
    [
        ({"phi": -1.0, "trace": 2.0}, {"phi": -2.0, "trace": 1.0}, ["ordered otherwise by trace"]),
        ({"phi": -1.0, "trace": 2.0}, {"phi": -1.05, "trace": 1.0}, []),
        ({"phi": -1.0, "trace": 1.0}, {"phi": -2.0, "trace": 1.0}, []),
        ({"phi": -1.0, "trace": 2.0, "trace_stderr": 1.0}, {"phi": -2.0, "trace": 1.0, "trace_stderr": 1.0}, []),
        ({"phi": -1.0, "llc": 2.0}, {"phi": -2.0, "llc": 1.0}, ["phi and llc order the points differently"]),
        ({"phi": -1.0, "llc": 1.01}, {"phi": -2.0, "llc": 1.0}, []),
    ],
    ids=["clear", "phi open", "tie", "trace open", "llc", "llc open"],
)
def test_only_what_is_clearly_ordered_otherwise_dissents(first, second, dissent):
    errors = {"phi_stderr": 0.1, "llc_stderr": 0.1}
    combined = combine([numbers("b", **errors, **first), numbers("a", **errors, **second)], context=Context())
    assert [line for line in combined.messages if "order" in line] == dissent


def test_equal_numbers_without_an_error_are_no_difference():
    zero = {"phi": 0.0, "phi_stderr": 0.0}
    combined = combine([numbers("a", **zero), numbers("b", **zero)], context=Context())
    assert combined.messages == ("by its local entropy a is flatter than b by 0, 0 standard errors: no difference",)

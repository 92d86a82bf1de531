"""Figures drawn from made-up tables of measures and curves: what they show, and that it can be read."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import xarray as xr
from landscape_flatness.figures import plot
from legible import assert_legible, written

from landscape.analysis import Result

LONG = "experiments/2024-05/resnet$20_wide_{}_lr0.1_bs128_cosine/checkpoints/epoch=199-step=78200"
MEASURES = {
    "average_sharpness": (0.3, 0.02, False, "small"),
    "adaptive_average_sharpness": (0.05, 0.004, True, "small"),
    "worst_case_sharpness": (0.4, 0.03, False, "small"),
    "adaptive_worst_case_sharpness": (0.9, 0.1, True, "small"),
    "local_energy": (0.02, 0.002, True, "small"),
    "pac_bayes_sigma": (0.08, 0.002, False, "large"),
    "pac_bayes_sigma_magnitude": (0.2, 0.01, True, "large"),
    "eigenvalue_max": (0.07, 1e-6, False, "small"),
    "trace": (1.1, 0.02, False, "small"),
    "frobenius_norm": (0.3, 0.01, False, "small"),
    "laplace_phi": (-9.0, 0.3, False, "large"),
    "relative_flatness": (4.0, 0.3, True, "small"),
    "fisher_rao": (0.49, np.nan, True, "small"),
    "norm": (17.0, np.nan, False, "small"),
}
"""Value and standard error of the first net, whether invariant, and the flat end."""


def table(factors, **columns):
    """The variables of a table over the measures: values those of the first net times some."""
    value, error, invariant, flat = (np.array(column) for column in zip(*MEASURES.values(), strict=True))
    variables = {"value": value * factors, "standard_error": error, "invariant": invariant.astype(int), "flat": flat}
    return {name: ("measure", column) for name, column in (variables | columns).items()}


def net(name="run/last", *, factor=1.0, dissenting=(), curves=True, error=True, steep=1.0, loss=0.01, **columns):
    """A net sharper by ``factor``; by the measures ``dissenting`` flatter by as much."""
    names = list(MEASURES)
    sharper = np.array([1 / factor if one in dissenting else factor for one in names])
    large = np.array([flat == "large" and value > 0 for value, _, _, flat in MEASURES.values()])
    variables = table(np.where(large, 1 / sharper, sharper), **columns)
    sigmas = np.geomspace(0.005, 0.1, 9)
    if curves:
        rise = steep * factor * 40 * sigmas**2
        variables["local_loss_curve"] = ("sigma", rise, {"units": "cross_entropy"})
        variables["local_loss_curve_stderr"] = ("sigma", 0.1 * rise)
        if error:
            variables["local_energy_curve"] = ("sigma", rise / (1 + 2 * rise))
            variables["local_energy_curve_stderr"] = ("sigma", 0.05 * rise / (1 + 2 * rise))
    data = xr.Dataset(variables, coords={"measure": names, "sigma": sigmas}, attrs={"loss": loss})
    return Result(data, {}, points=(name,))


def unlike(number, pattern="seed{}/last", curves=True):
    """So many nets of random orders, each measure by itself."""
    rng = np.random.default_rng(0)
    return [
        net(pattern.format(index), factor=1 + index, curves=curves, value=table(rng.lognormal(0, 0.5, 14))["value"][1])
        for index in range(number)
    ]


def combined(results):
    """What a comparison stores."""
    names = ["value", "standard_error", "invariant", "flat"]
    parts = [result.data[names].drop_vars("sigma", errors="ignore") for result in results]
    ids = xr.Variable("point", [result.points[0] for result in results])
    data = xr.concat(parts, ids, data_vars=["value", "standard_error"], compat="override", coords="minimal")
    losses = [result.data.attrs["loss"] for result in results]
    return Result(data.assign(loss=("point", losses)).drop_attrs(), {})


def odd():
    """Unknown, zero and negative values, and errors beyond the value."""
    value, error = (np.array([row[column] for row in MEASURES.values()]) for column in (0, 1))
    a, b = value.copy(), 2 * value
    a[:4] = np.nan, 0.0, -0.3, 1e-4
    b[0] = np.nan
    errors = 0.6 * np.abs(value)
    return [net("a", value=a, standard_error=errors), net("b", value=b, standard_error=error)]


CASES = {
    "one": lambda: [net()],
    "one without an error": lambda: [net(error=False)],
    "two": lambda: [net("good"), net("random", factor=1.8, dissenting=("eigenvalue_max", "fisher_rao"))],
    "compared": lambda: [combined(CASES["two"]())],
    "both": lambda: [*CASES["two"](), combined(CASES["two"]())],
    "seven": lambda: unlike(7),
    "seven of long names": lambda: unlike(7, LONG, curves=False),
    "twenty": lambda: unlike(20, curves=False),
    "odd": odd,
    "losses that differ": lambda: [net("a", curves=False), net("b", loss=0.3, curves=False)],
    "huge": lambda: [net("a"), net("b", factor=1e6), net("c", factor=1e-3)],
    "nearly equal": lambda: [net("a", curves=False), net("b", factor=1.0001, curves=False)],
    "one with an error": lambda: [net("a"), net("b", error=False)],
}


@cache
def figures(case):
    return plot(CASES[case]())


@pytest.mark.parametrize("case", CASES)
def test_nothing_that_is_written_overlaps_or_leaves_the_figure(case):
    assert_legible(figures(case))


@pytest.mark.parametrize(
    ("case", "names"),
    [
        ("one", {"local_energy"}),
        ("two", {"ranking", "local_energy"}),
        ("compared", {"ranking"}),
        ("both", {"ranking", "local_energy"}),
    ],
)
def test_which_figures_results_allow(case, names):
    assert set(figures(case)) == names


def test_a_result_without_arrays_to_draw_has_no_figures():
    assert plot([Result(xr.Dataset(attrs={"loss": 1.0}), {}, points=("a",))]) == {}
    unknown = np.full(14, np.nan)
    assert plot([net(name, value=unknown, curves=False) for name in "ab"]) == {}


def shown(figure):
    """Where the markers of each net stand, by the row's label."""
    found = {}
    for axes in figure.axes:
        labels = [label.get_text() for label in axes.get_yticklabels()]
        lines = [line for line in axes.lines if line.get_linestyle() == "None" and line.get_marker() != "<"]
        for row, label in enumerate(labels):
            found[label] = [float(line.get_xdata()[row]) for line in lines]
    return found


def test_ratios_are_to_the_geometric_mean_and_flat_is_left():
    found = shown(figures("two")["ranking"])
    assert len(found) == 14
    sharp, flat = np.sqrt(1.8), 1 / np.sqrt(1.8)
    for label, ratios in found.items():
        dissenting = label in ("eigenvalue max", "fisher rao")
        np.testing.assert_allclose(ratios, [sharp, flat] if dissenting else [flat, sharp], rtol=1e-12, err_msg=label)
    assert {"1 / pac bayes sigma", "1 / pac bayes sigma magnitude", "−laplace phi"} <= set(found)
    assert shown(figures("compared")["ranking"]) == found


def test_invariant_measures_stand_apart():
    above, below = figures("two")["ranking"].axes
    for axes, invariant in ((above, True), (below, False)):
        names = [label.get_text().removeprefix("1 / ").removeprefix("−") for label in axes.get_yticklabels()]
        assert names == [name.replace("_", " ") for name, row in MEASURES.items() if row[2] is invariant]
        markers = [line for line in axes.lines if line.get_linestyle() == "None"]
        assert all((line.get_markerfacecolor() == "w") is not invariant for line in markers)


def test_bars_are_two_standard_errors_also_of_what_was_turned():
    above, below = figures("two")["ranking"].axes
    for axes, label, value, error in (
        (above, "adaptive average sharpness", lambda v: v, 0.004 / 0.05),
        (below, "1 / pac bayes sigma", lambda v: 1 / v, 0.002 / 0.08),
        (below, "−laplace phi", lambda v: v, 0.3 / 9),
    ):
        row = [text.get_text() for text in axes.get_yticklabels()].index(label)
        ends = axes.collections[0].get_segments()[row][:, 0]
        flat = 1 / np.sqrt(1.8)
        np.testing.assert_allclose(ends, sorted(flat * value(1 + 2 * sign * error) for sign in (-1, 1)), rtol=1e-12)


def test_measures_that_disagree_with_most_are_red():
    figure = figures("two")["ranking"]
    red = [text.get_text() for axes in figure.axes for text in axes.get_yticklabels() if text.get_color() != "k"]
    assert red == ["fisher rao", "eigenvalue max"]
    assert "red: good, flattest by most" in figure.get_supxlabel()
    assert "red" not in figures("nearly equal")["ranking"].get_supxlabel()


def test_values_without_a_ratio_stand_at_the_edge_and_unknown_ones_are_named():
    figure = figures("odd")["ranking"]
    found = shown(figure)
    assert "average sharpness" not in found
    assert np.isnan(found["adaptive average sharpness"][0])
    assert np.isnan(found["worst case sharpness"][0])
    edges = [line for axes in figure.axes for line in axes.lines if line.get_marker() == "<"]
    pinned = [float(x) for line in edges for x in line.get_xdata() if np.isfinite(x)]
    np.testing.assert_allclose(pinned, figure.axes[0].get_xlim()[0])
    assert len(pinned) == 2
    assert "triangles: 0 or below" in figure.get_supxlabel()
    assert "not known of two points: average sharpness" in figure.get_supxlabel().replace("\n", " ")


def test_the_training_losses_are_said_and_loudly_where_they_differ():
    assert figures("compared")["ranking"].get_supxlabel().replace("\n", " ").endswith("training loss 0.01")
    for results in ([net("a"), net("b", loss=0.3)], [combined([net("a"), net("b", loss=0.3)])]):
        assert "TRAINING LOSSES DIFFER: 0.01 at a, 0.3 at b" in plot(results)["ranking"].get_supxlabel()


def test_curves_are_those_stored_with_bands_of_two_standard_errors():
    data = CASES["one"]()[0].data
    error, loss = figures("one")["local_energy"].axes
    for axes, name, factor in ((error, "local_energy_curve", 100), (loss, "local_loss_curve", 1)):
        np.testing.assert_array_equal(axes.lines[0].get_xdata(), data["sigma"])
        np.testing.assert_allclose(axes.lines[0].get_ydata(), factor * data[name])
        (band,) = axes.collections
        widest = max(np.ptp([y for x, y in band.get_paths()[0].vertices if np.isclose(x, 0.1)]), 0)
        assert widest == pytest.approx(4 * factor * float(data[f"{name}_stderr"][-1]))
    assert error.get_ylabel() == "local energy: rise of the error  [%]"
    assert loss.get_ylabel() == "rise of the mean loss  [cross_entropy]"


@pytest.mark.parametrize(("case", "panels", "scale"), [("one without an error", 1, "linear"), ("huge", 2, "log")])
def test_panels_and_scales_of_the_curves(case, panels, scale):
    axes = figures(case)["local_energy"].axes
    assert len(axes) == panels
    assert {one.get_yscale() for one in axes} == {scale}


def test_a_net_keeps_its_colour_where_another_has_no_curve():
    error, loss = figures("one with an error")["local_energy"].axes
    assert [line.get_color() for line in loss.lines[:2]] == ["#0072B2", "#D55E00"]
    assert len([line for line in error.lines if line.get_marker() != "None"]) == 1
    assert "a" in written(figures("one with an error")["local_energy"])

"""Figures drawn from made-up results of every kind: what they show, and that it can be read."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import combinations

import numpy as np
import pytest
import xarray as xr
from landscape_neb.comparison import combine
from landscape_neb.figures import plot
from landscape_neb.matrix_figure import shown
from landscape_neb.palette import LINE, LINE_ALIGNED, PATH
from legible import assert_legible, texts

from landscape.analysis import Context, Result
from landscape.drawing import MARK
from landscape.labels import fitted

BUMP = np.sin(np.pi * np.linspace(0, 1, 41)) ** 2
LONG = "experiments/2024-05/resnet$20_wide_{}_lr0.1_bs128_cosine/checkpoints/epoch=199-step=78200"
DIGITS = {"end": 5e-4, "barrier": 1.5e-3, "line": 0.9}


def curve(suffix, energies, units="cross_entropy"):
    times = (f"time{suffix}", np.linspace(0, 1, len(energies)))
    return xr.Dataset({f"energy{suffix}": (times[0], energies, {"units": units})}, coords={times[0]: times})


def pair(a="seed0/last", b="seed1/last", *, end=0.0, barrier=1.0, line=6.0, aligned=None, finder="autoneb", **more):
    """A pair whose second end lies a little lower than the first, and whose barrier is at 1/2."""
    tilt = 0.1 * barrier * np.linspace(0, 1, 41) ** 20
    data = curve("", end + barrier * BUMP - tilt).merge(curve("_linear", end + line * BUMP - tilt))
    summary = {"barrier": barrier, "barrier_linear": line, "max_loss": end + barrier, "saddle_time": 0.5}
    if aligned is not None:
        data = data.merge(curve("_linear_aligned", end + aligned * BUMP - tilt))
        summary["barrier_linear_aligned"] = aligned
    data = data.assign({name: (("time_linear" if "linear" in name else "time"), one) for name, one in more.items()})
    return Result(data, {**summary, "finder": finder}, points=(a, b))


def with_plane(result, lowest=1e-3, highest=10.0, scale=1.0, straight=False):
    """The loss grows away from an arc."""
    x, y = scale * np.linspace(-2, 2, 15), scale * np.linspace(-1, 1.5, 15)
    away = abs(np.hypot(x, (y + 0.5 * scale)[:, None]) - 1.2 * scale) / scale
    energies = lowest * (highest / lowest) ** (away / away.max()) if lowest > 0 else lowest + (highest - lowest) * away
    arc = np.linspace(np.pi, 0, 9)
    path_y = scale * (0 * arc if straight else np.sin(arc))
    plane = {
        "plane_energy": (("plane_y", "plane_x"), energies),
        "path_x": ("knot", scale * np.cos(arc)),
        "path_y": ("knot", path_y),
        "line_x": ("end", [-scale, scale]),
        "line_y": ("end", [0.0, 0.0]),
    }
    coordinates = {"plane_x": x, "plane_y": y, "knot": np.linspace(0, 1, 9)}
    shares = {"plane_variance_x": 1.0, "plane_variance_y": 0.0} if straight else {
        "plane_variance_x": 0.82, "plane_variance_y": 0.18
    }  # fmt: skip
    return replace(result, data=result.data.assign(plane).assign_coords(coordinates).assign_attrs(shares))


def of_points(number, name="seed{}/last", planes=True, **fields):
    ids = [name.format(index) for index in range(number)]
    fields = {**DIGITS, "aligned": 0.1, **fields}
    found = [pair(a, b, **fields) for a, b in combinations(ids, 2)]
    return [with_plane(one) for one in found] if planes else found


def combined(results):
    return combine(results, context=Context())


def spread(number, **more):
    """A comparison of as many points, their barriers over decades."""
    pairs = enumerate(combinations([f"seed{index}/last" for index in range(number)], 2))
    return combined([pair(*ids, barrier=10.0 ** -(index % 5), **more) for index, ids in pairs])


ERRORS = {"error": 0.01 * BUMP, "error_linear": 0.6 * BUMP}
VALIDATION = {"energy_val": 2e-3 * BUMP + 0.01, "error_val": 0.02 * BUMP, "energy_val_linear": BUMP + 0.01}

CASES = {
    "one": lambda: [with_plane(pair(**DIGITS, aligned=0.1, **ERRORS, **VALIDATION))],
    "a formula": lambda: [with_plane(pair("A", "B", end=-108.0, barrier=67.0, line=120.0), lowest=-140.0)],
    "no barrier": lambda: [pair(**{**DIGITS, "barrier": 3e-10}, **ERRORS)],
    "no barrier anywhere": lambda: [pair(barrier=0.0, line=0.0)],
    "a path at zero": lambda: [pair(barrier=0.0, line=0.5)],
    "a barrier at the first end": lambda: [with_saddle_at_an_end()],
    "straight": lambda: [with_plane(pair(**DIGITS), straight=True)],
    "a small plane": lambda: [with_plane(pair(**DIGITS), scale=1e-5)],
    "a large plane": lambda: [with_plane(pair(**DIGITS), scale=1e4), with_plane(pair("a", "b", **DIGITS), scale=1e-3)],
    "a flat plane": lambda: [with_plane(pair(end=1.0, barrier=1e-9, line=1e-9), lowest=1.0, highest=1.0 + 1e-9)],
    "two": lambda: of_points(3)[:2],
    "three": lambda: of_points(3),
    "four": lambda: of_points(4)[:4],
    "twelve": lambda: of_points(6, planes=False)[:12],
    "fifteen": lambda: of_points(6),
    "fifteen of long names": lambda: of_points(6, LONG, planes=False),
    "three of long names": lambda: of_points(3, LONG),
    "one of long names": lambda: of_points(2, LONG),
    "two finders": lambda: [pair(finder="linear", **DIGITS), pair(finder="string-sampling", **DIGITS)],
    "compared": lambda: [combined(of_points(6, planes=False))],
    "three compared": lambda: [combined(of_points(3, "{}", planes=False))],
    "many compared": lambda: [spread(15)],
    "many long names compared": lambda: [combined(of_points(12, LONG, planes=False))],
    "a star": lambda: [combined(of_points(6, planes=False)[:5])],
    "no barriers compared": lambda: [combined(of_points(3, barrier=0.0, line=0.0, aligned=0.0))],
    "everything": lambda: [*of_points(3), combined(of_points(3))],
}


def with_saddle_at_an_end():
    result = pair(**DIGITS)
    energies = np.linspace(2e-3, 5e-4, 41)
    energies[1] = 3e-3
    data = result.data.drop_vars(["energy", "time"]).merge(curve("", energies))
    return replace(result, data=data, summary={**result.summary, "barrier": 1e-3, "saddle_time": 1 / 40})


@cache
def figures(case):
    return plot(CASES[case]())


@pytest.mark.parametrize("case", [case for case in CASES if case not in ("two", "twelve", "fifteen", "everything")])
def test_nothing_that_is_written_overlaps_or_leaves_the_figure(case):
    assert_legible(figures(case))


@pytest.mark.parametrize(
    ("case", "names"),
    [
        ("one", {"path", "plane"}),
        ("no barrier", {"path"}),
        ("compared", {"barriers"}),
        ("everything", {"path", "plane", "barriers"}),
    ],
)
def test_which_figures_results_allow(case, names):
    assert set(figures(case)) == names


def test_further_comparisons_are_numbered():
    assert set(plot([spread(3), spread(4)])) == {"barriers", "barriers-2"}


@pytest.mark.parametrize(("case", "panels"), [("one", 1), ("two", 2), ("four", 4), ("twelve", 12), ("fifteen", 12)])
def test_each_pair_has_a_panel_up_to_twelve(case, panels):
    for name, figure in figures(case).items():
        drawn = [axes for axes in figure.axes if axes.get_title()]
        assert len(drawn) == panels, name
        assert all(len(axes.lines) >= 4 for axes in drawn), name
        assert ("the first 12 of 15 pairs" in figure.get_supxlabel()) == (case == "fifteen")


def curves(axes, stroke):
    return [line for line in axes.lines if line.get_color() == stroke.style["color"] and len(line.get_xdata()) > 2]


def test_the_curves_are_those_measured():
    above, below = figures("one")["path"].axes
    data = CASES["one"]()[0].data
    for stroke in (LINE, LINE_ALIGNED, PATH):
        solid = [line for line in curves(above, stroke) if line.get_linestyle() != ":"]
        np.testing.assert_array_equal(solid[0].get_ydata(), data[f"energy{stroke.suffix}"])
    (dotted,) = [line for line in curves(above, PATH) if line.get_linestyle() == ":"]
    np.testing.assert_array_equal(dotted.get_ydata(), data["energy_val"])
    np.testing.assert_allclose(curves(below, PATH)[0].get_ydata(), 100 * data["error_val"])
    np.testing.assert_allclose(curves(below, PATH)[1].get_ydata(), 100 * data["error"])
    words = [text.get_text() for text in figures("one")["path"].legends[0].get_texts()]
    assert words == ["straight line", "straight line, aligned", "path (autoneb)", "on validation data"]


def bracket(axes):
    return [line for line in axes.lines if line.get_label() == "barrier"]


@pytest.mark.parametrize(("case", "time", "low", "high"), [
    ("a formula", 0.5, -108.0, -41.0),
    ("two", 0.5, 5e-4, 2e-3),
    ("a barrier at the first end", 1 / 40, 2e-3, 3e-3),
])  # fmt: skip
def test_the_barrier_reaches_from_the_higher_end_to_the_top(case, time, low, high):
    axes = figures(case)["path"].axes[0]
    (mark,) = bracket(axes)
    np.testing.assert_allclose(mark.get_xdata(), [time, time])
    np.testing.assert_allclose(mark.get_ydata(), [low, high], rtol=1e-6)
    (ends,) = [line for line in axes.lines if line.get_marker() == "o"]
    data = CASES[case]()[0].data["energy"].values
    np.testing.assert_allclose(ends.get_ydata(), data[[0, -1]])


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("no barrier", r"no barrier ($<10^{-6}$ of the line’s)"),
        ("no barrier anywhere", "no barrier"),
        ("a path at zero", "no barrier"),
    ],
)
def test_rounding_does_not_look_like_a_barrier(case, words):
    axes = figures(case)["path"].axes[0]
    assert not bracket(axes)
    assert [text.get_text() for text in axes.texts] == [words]


@pytest.mark.parametrize(
    ("case", "scale"), [("fifteen", "log"), ("a formula", "linear"), ("no barrier anywhere", "linear")]
)
def test_panels_share_their_scale(case, scale):
    axes = figures(case)["path"].axes
    assert {one.get_yscale() for one in axes} == {scale}
    assert len({one.get_ylim() for one in axes}) == 1


def test_one_pair_that_spans_decades_makes_all_panels_logarithmic():
    figure = plot([pair(**DIGITS), pair("a", "b", end=0.5, barrier=0.3)])["path"]
    assert [axes.get_yscale() for axes in figure.axes] == ["log", "log"]
    signed = plot([pair(**DIGITS), pair("a", "b", end=-0.5, barrier=0.3)])["path"]
    assert [axes.get_yscale() for axes in signed.axes] == ["linear", "linear"]


def test_what_lies_below_a_logarithmic_axis_is_said():
    figure = figures("a path at zero")["path"]
    assert figure.get_supxlabel() == r"losses below $5.00\times10^{-9}$ are drawn there"
    assert min(curves(figure.axes[0], PATH)[0].get_ydata()) == pytest.approx(5e-9)
    assert figures("two")["path"].get_supxlabel() == ""


def test_the_plane_marks_ends_line_and_highest_point():
    axes = figures("one")["plane"].axes[0]
    (top,) = [line for line in axes.lines if line.get_marker() == "^"]
    np.testing.assert_allclose([*top.get_xdata(), *top.get_ydata()], [0, 1], atol=1e-12)
    (ends,) = [line for line in axes.lines if line.get_color() == MARK]
    np.testing.assert_allclose(ends.get_xdata(), [-1, 1])
    assert axes.get_aspect() == 1
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("direction 1 (82%)", "direction 2 (18%)")
    assert figures("straight")["plane"].axes[0].get_ylabel() == "a random direction (0%)"


@pytest.mark.parametrize(("case", "labels"), [
    ("one", [r"$10^{-3}$", r"$10^{-2}$", r"$10^{-1}$", r"$10^{0}$", r"$10^{1}$"]),
    ("a formula", None),
])  # fmt: skip
def test_colours_are_logarithmic_over_decades(case, labels):
    bar = figures(case)["plane"].axes[-1]
    found = [label.get_text() for label in bar.get_yticklabels()]
    assert found == labels if labels else all("10^" not in label for label in found)


def test_a_plane_with_holes_is_drawn():
    result = with_plane(pair(**DIGITS))
    result.data["plane_energy"][3, 4] = np.nan
    result.data["plane_energy"][0, 0] = np.inf
    assert texts(plot([result])["plane"])
    result.data["plane_energy"][:] = np.nan
    assert "plane" not in plot([result])


def test_a_flat_plane_beside_a_steep_one_is_drawn():
    flat = with_plane(pair("a", "b", **DIGITS), lowest=1e-3, highest=1.01e-3)
    assert texts(plot([with_plane(pair(**DIGITS)), flat])["plane"])


def test_the_matrix_shows_paths_below_and_lines_above():
    data = combined([pair("a", "b", barrier=0.1, line=2.0, aligned=0.5), pair("a", "c", barrier=0.2, line=3.0)]).data
    nan = np.nan
    np.testing.assert_array_equal(shown(data), [[nan, 0.5, 3.0], [0.1, nan, nan], [0.2, nan, nan]])
    figure = plot([Result(data, {})])["barriers"]
    assert {text.get_text() for text in figure.axes[0].texts} == {"0.50", "3.0", "0.10", "0.20"}
    assert "after alignment" in figure.get_supxlabel()
    assert "hatched: not measured" in figure.get_supxlabel()


def test_a_small_barrier_has_a_place_on_the_colour_scale():
    axes, bar = figures("many compared")["barriers"].axes
    assert bar.get_yscale() == "log"
    assert not axes.texts
    assert np.ma.count_masked(axes.images[0].get_array()) == 15
    vanished = spread(3).data
    vanished["barrier"][1, 0] = 0.0
    figure = plot([Result(vanished, {})])["barriers"]
    assert figure.axes[0].images[0].norm.vmin == 0.01
    assert "0" in {text.get_text() for text in figure.axes[0].texts}


@pytest.mark.parametrize(
    ("labels", "cut"),
    [
        (["a", "b"], ["a", "b"]),
        (["$a$", "b"], [r"\$a\$", "b"]),
        ([LONG.format(0), LONG.format(11)], ["…wide_0_lr0.1…", "…wide_11_lr0.…"]),
        (["a" * 30 + str(i) + "b" * 30 + str(i) for i in range(2)], ["…0bbbbb…bbbbb0", "…1bbbbb…bbbbb1"]),
        (
            [f"a{'m' * 20}{i}{'m' * 20}c" for i in range(2)] + ["z" * 20],
            ["1 ammmmmm…mmmmmc", "2 ammmmmm…mmmmmc", "3 zzzzzzz…zzzzzz"],
        ),
        (["same", "same"], ["same", "same"]),
    ],
)
def test_long_names_are_cut_to_what_tells_them_apart(labels, cut):
    assert fitted(labels, 14) == cut

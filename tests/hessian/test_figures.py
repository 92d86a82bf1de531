"""Figures drawn from results made up of exact spectra: what they show, and that it can be read."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
import xarray as xr
from landscape_hessian.comparison import combine
from landscape_hessian.density_shape import Smoothing, node_spacing, smoothed
from landscape_hessian.figures import plot
from landscape_hessian.palette import NEGATIVE, signed_decades
from landscape_hessian.series import series_of
from legible import assert_legible, written
from matplotlib.colors import to_hex

from landscape.analysis import Context, Result
from landscape.curvature.density import lanczos_quadrature

GOE, SPIKED, TRAINED, SQUARE, ZERO = "goe", "spiked", "trained", "square", "zero"
LAYERS = ("0.weight", "0.bias", "2.weight", "2.bias", "head.weight")


class Diagonal:
    def __init__(self, values):
        self.values = torch.tensor(values)
        self.dim = len(values)

    def matmat(self, vectors):
        return vectors * self.values


@cache
def spectrum(kind, dim=400):
    """Eigenvalues, descending."""
    rng = np.random.default_rng(0)
    if kind == ZERO:
        return np.zeros(dim)
    if kind == TRAINED:  # 9 outliers on a bulk that spans decades, with a small negative side
        bulk = np.exp(rng.normal(-12, 3, dim - 9)).clip(max=0.05) * rng.choice([1, 1, 1, -0.01], dim - 9)
        return np.sort(np.concatenate([np.geomspace(0.2, 9, 9), bulk]))[::-1].copy()
    entries = rng.standard_normal((dim, dim))
    matrix = (entries + entries.T) / np.sqrt(2 * dim)
    if kind == SQUARE:
        return np.linalg.eigvalsh(matrix @ matrix)[::-1].copy()
    return np.linalg.eigvalsh(matrix + (3 if kind == SPIKED else 0) * np.ones((dim, dim)) / dim)[::-1].copy()


def ends(values, top, bottom, residual):
    found = {}
    for name, end in (("top", values[:top]), ("bottom", values[::-1][:bottom])):
        found[f"rank_{name}"] = (f"rank_{name}", np.arange(1, len(end) + 1))
        found[f"eigenvalue_{name}"] = (f"rank_{name}", end)
        found[f"residual_{name}"] = (f"rank_{name}", np.full(len(end), residual))
    return found


@cache
def density(kind, deflate, probes=3, steps=40):
    """By the quadrature itself, the largest deflated."""
    values = spectrum(kind)
    rng = torch.Generator().manual_seed(0)
    dim = len(values)
    vectors = torch.eye(dim, dtype=torch.float64)
    found = lanczos_quadrature(
        Diagonal(values),
        torch.randn(probes, dim, generator=rng, dtype=torch.float64),
        num_steps=steps,
        dimension=dim,
        deflated=(torch.tensor(values[:deflate]), vectors[:deflate]),
    )
    return {
        "density_node": (("probe", "node"), found.nodes.numpy()),
        "density_weight": (("probe", "node"), found.weights.numpy()),
    }


def result(kind=SPIKED, name="run/last", *, top=10, bottom=4, step=None, layers=LAYERS, matrix="hessian", **attrs):
    values = spectrum(kind)
    traces = np.linspace(1, -0.2, len(layers)) * abs(values.sum())
    variables = ends(values, top, bottom, 1e-4 * abs(values).max()) | density(kind, top)
    variables |= {
        "parameter": ("parameter", list(layers)),
        "trace_by_parameter": ("parameter", traces),
        "trace_by_parameter_stderr": ("parameter", 0.1 * abs(traces)),
    }
    if step is not None:
        variables["step"] = ((), step)
    attrs = {"matrix": matrix, "block": "network", "dimension": len(values)} | attrs
    vectors = torch.eye(len(values), dtype=torch.float64)[:top]
    summary = {"trace": float(values.sum()), "trace_stderr": 0.1, "density_mass_negative_bounds": [0.03, 0.85]}
    return Result(xr.Dataset(variables, attrs=attrs), summary, vectors={"top": vectors}, points=(name,))


def in_blocks(name="run/last", names=("0", "2", "head"), step=None):
    parts = [
        result(kind, name, top=top, step=step, layers=layers).data
        for kind, top, layers in zip(
            (TRAINED, SPIKED, GOE), (6, 4, 3), (LAYERS[:2], LAYERS[2:4], LAYERS[4:]), strict=True
        )
    ]
    parts = [part.assign_coords(probe=range(3), node=range(part.sizes["node"])) for part in parts[: len(names)]]
    kept = {"data_vars": "all", "coords": "minimal", "compat": "override", "join": "outer", "combine_attrs": "override"}
    return Result(xr.concat(parts, xr.Variable("block", list(names)), **kept), {}, points=(name,))


def combined(results):
    return combine(results, context=Context())


@cache
def many():
    return [result(TRAINED, f"run/step={step}", step=step) for step in (0, 3, 10, 40, 200, 1000, 3000, 9000)]


def traces_of(values):
    """A trajectory with these traces."""
    points = (result(TRAINED, f"run/{step}", step=step) for step in range(1, len(values) + 1))
    parts = zip(points, values, strict=True)
    return combined([replace(one, summary={"trace": value, "trace_stderr": 0.01}) for one, value in parts])


CASES = {
    "one": lambda: [result(SPIKED)],
    "trained": lambda: [result(TRAINED, num_classes=10)],
    "no eigenvalues": lambda: [result(GOE, top=0, bottom=0)],
    "zero": lambda: [result(ZERO)],
    "seeds": lambda: [result(TRAINED, f"seed{index}/last", top=12 - index) for index in range(3)],
    "unlike": lambda: [result(TRAINED, "a/last"), result(GOE, "b/last")],
    "matrices": lambda: [result(SPIKED), result(SPIKED, matrix="ggn")],
    "many": lambda: many(),
    "blocks": lambda: [in_blocks()],
    "blocks of two": lambda: [in_blocks("a"), in_blocks("b")],
    "trajectory": lambda: [combined(many())],
    "a trace over less than two decades": lambda: [traces_of([1.8, 2.4, 5.3, 32.0, 77.0])],
    "everything": lambda: [*many()[:3], combined(many()[:3])],
    "side by side": lambda: [combined([result(SPIKED, "a"), result(TRAINED, "b")])],
    "four side by side": lambda: [
        combined([result(GOE, name) for name in ("random1", "random2", "minimum1", "minimum2")])
    ],
    "trajectory of blocks": lambda: [combined([in_blocks("a", step=2), in_blocks("b", step=90)])],
    "blocks side by side": lambda: [combined([in_blocks("a"), in_blocks("b")])],
    "names that are no formulas": lambda: [result(SPIKED, "$a$_b/last"), result(SPIKED, "$c/last")],
}


@pytest.mark.parametrize("case", CASES)
def test_nothing_that_is_written_overlaps_or_leaves_the_figure(case):
    assert_legible(plot(CASES[case]()))


@pytest.mark.parametrize(
    ("case", "names"),
    [
        ("one", {"eigenvalues", "density", "trace"}),
        ("no eigenvalues", {"density", "trace"}),
        ("trajectory", {"overlap", "evolution"}),
        ("everything", {"eigenvalues", "density", "trace", "overlap", "evolution"}),
        ("side by side", {"comparison"}),
        ("trajectory of blocks", {"evolution"}),
        ("blocks side by side", {"comparison"}),
    ],
)
def test_which_figures_results_allow(case, names):
    assert set(plot(CASES[case]())) == names


def test_a_result_without_arrays_to_draw_has_no_figures():
    assert plot([Result(xr.Dataset(attrs={"matrix": "hessian"}), {}, points=("a",))]) == {}


def test_a_second_combined_result_gets_a_number():
    assert set(plot([combined(many()[:3]), combined(many()[3:])])) == {
        "overlap",
        "evolution",
        "overlap-2",
        "evolution-2",
    }


def test_eigenvalues_stand_at_their_ranks_with_bars_of_one_residual():
    data = CASES["one"]()[0].data
    for axes, name in zip(plot(CASES["one"]())["eigenvalues"].axes, ("top", "bottom"), strict=True):
        (container,) = axes.containers
        points, _, (bars,) = container.lines
        np.testing.assert_allclose(points.get_xdata(), data[f"rank_{name}"])
        np.testing.assert_allclose(points.get_ydata(), data[f"eigenvalue_{name}"])
        lengths = [np.ptp(segment[:, 1]) for segment in bars.get_segments()]
        np.testing.assert_allclose(lengths, 2 * data[f"residual_{name}"], rtol=1e-9)


@pytest.mark.parametrize(("case", "shared"), [("one", True), ("trained", False)])
def test_a_small_lower_end_has_its_own_scale(case, shared):
    top, bottom = plot(CASES[case]())["eigenvalues"].axes
    assert (top.get_ylim() == bottom.get_ylim()) is shared
    low, high = bottom.get_ylim()
    assert low < 0 <= high  # 0 is in sight: the sign can be read


def test_a_sign_in_doubt_is_not_hidden_by_a_logarithmic_axis():
    data = result(SQUARE).data
    bottom = np.array([1e-7, 1e-6, 1e-5, 1e-4])
    for residuals, scale in (([2e-7, 0, 0, 0], "linear"), ([5e-8, 0, 0, 0], "log")):
        ends = {"eigenvalue_bottom": ("rank_bottom", bottom), "residual_bottom": ("rank_bottom", residuals)}
        axes = plot([Result(data.assign(ends), {}, points=("a",))])["eigenvalues"].axes[1]
        assert axes.get_yscale() == scale


@pytest.mark.parametrize(
    ("case", "labels"),
    [
        ("one", [""]),
        ("seeds", ["seed0", "seed1", "seed2"]),
        ("matrices", ["Hessian", "Gauss–Newton"]),
        ("blocks", ["0", "2", "head"]),
        ("blocks of two", ["a, 0", "a, 2", "a, head", "b, 0", "b, 2", "b, head"]),
        ("names that are no formulas", [r"\$a\$_b", r"\$c"]),
    ],
)
def test_labels_say_what_tells_results_apart(case, labels):
    assert [one.label for one in series_of(CASES[case]())] == labels


def test_options_tell_results_of_one_point_apart():
    def made(**options):
        return Result(result().data, {}, points=("a",), options={"max_hvps": 100, "rtol": 1e-3, **options})

    assert [one.label for one in series_of([made(), made(rtol=1e-4)])] == ["rtol 0.001", "rtol 0.0001"]
    assert [one.label for one in series_of([made(), made(max_hvps=7)])] == ["#1", "#2"]


def arrays(kind, deflate=0, **kwargs):
    found = density(kind, deflate, **kwargs)
    return found["density_node"][1], found["density_weight"][1]


@pytest.mark.parametrize("kind", [GOE, SPIKED, TRAINED, ZERO])
def test_the_smoothed_density_has_mass_one(kind):
    nodes, weights = arrays(kind)
    smoothing = Smoothing.of(nodes, weights)
    grid = smoothing.grid(nodes.min(), nodes.max())
    np.testing.assert_allclose(np.trapezoid(smoothed(nodes, weights, grid, smoothing), grid, axis=1), 1, rtol=1e-4)


def test_bulk_and_outliers_decide_the_axis():
    assert Smoothing.of(*arrays(SPIKED)).linear_width is None
    stretched = Smoothing.of(*arrays(TRAINED, 9))
    assert stretched.linear_width < 1e-2
    assert plot([result(SPIKED)])["density"].axes[0].get_xscale() == "linear"
    assert plot([result(TRAINED)])["density"].axes[0].get_xscale() == "asinh"


def test_the_density_agrees_with_the_exact_spectrum():
    values = spectrum(GOE)
    nodes, weights = arrays(GOE, probes=40)
    smoothing = Smoothing.of(nodes, weights)
    grid = np.linspace(-1.8, 1.8, 200)
    exact = smoothed(values[None], np.full((1, len(values)), 1 / len(values)), grid, smoothing)[0]
    found = smoothed(nodes, weights, grid, smoothing)
    error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    assert np.abs((found.mean(axis=0) - exact) / error).max() < 4.5
    assert error.max() < 0.02
    semicircle = np.sqrt(4 - grid**2) / (2 * np.pi)
    np.testing.assert_allclose(found.mean(axis=0), semicircle, atol=0.03)


def test_the_width_is_the_spacing_of_the_nodes():
    row = np.linspace(-1, 1, 41)
    weights = np.ones((2, 41)) / 41
    assert node_spacing(np.stack([row, row + 0.01]), weights) == pytest.approx(0.05)
    assert node_spacing(row[None, ::10], weights[:1, ::10]) is None


@pytest.mark.parametrize(
    ("summary", "shown"),
    [
        ({"density_mass_negative": 0.4321, "density_mass_negative_bounds": [0.4, 0.5]}, "λ < 0: 43 %"),
        ({"density_mass_negative_bounds": [0.00231, 0.85]}, "λ < 0: 0.23–85 %"),
    ],
)
def test_the_negative_share_is_that_of_the_summary(summary, shown):
    figure = plot([Result(result().data, summary, points=("a",))])["density"]
    assert shown in written(figure)
    assert any("bounds" in text for text in written(figure)) is ("–" in shown)


@pytest.mark.parametrize(("kind", "negative"), [(GOE, True), (TRAINED, True), (SQUARE, False)])
def test_only_negative_eigenvalues_make_a_negative_side(kind, negative):
    axes = plot([result(kind)])["density"].axes[0]
    assert (to_hex(axes.collections[2].get_facecolor()[0]).upper() == NEGATIVE) is negative


def test_outliers_are_numbered_on_the_density():
    figure = plot([result(TRAINED)])["density"]
    (ticks,) = [line for line in figure.axes[0].lines if line.get_marker() == "|"]
    np.testing.assert_allclose(ticks.get_xdata(), spectrum(TRAINED)[:10])
    assert {"1", "2", "3"} <= set(written(figure))


def test_the_smoothing_is_written_in_the_figure():
    (note,) = [text for text in written(plot([result(SPIKED)])["density"]) if "smoothed" in text]
    assert "3 probes" in note
    assert f"width {Smoothing.of(*arrays(SPIKED, 10)).width:.2g} in λ" in note


def test_traces_of_layers_are_sums_over_their_parameters():
    data = CASES["one"]()[0].data
    axes = plot(CASES["one"]())["trace"].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "2", "head"]
    t = data["trace_by_parameter"].values
    np.testing.assert_allclose([bar.get_width() for bar in axes.patches], [t[0] + t[1], t[2] + t[3], t[4]])


def test_traces_of_blocks_are_sums_over_theirs():
    axes = plot([in_blocks(names=("all", "rest"))])["trace"].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["all", "rest"]


def test_of_many_layers_the_largest_are_shown_and_it_is_said():
    figure = plot([result(layers=tuple(f"layer{index}.weight" for index in range(50)))])["trace"]
    assert len(figure.axes[0].patches) == 30
    assert any("the 30 largest of 50" in text for text in written(figure))


def test_overlaps_are_written_in_their_cells_and_missing_ones_hatched():
    parts = [result(TRAINED, name) for name in "ab"] + [result(GOE, "c")]
    turned = parts[1].vectors["top"].clone()
    turned[0] = torch.eye(400, dtype=torch.float64)[300]
    parts[1] = Result(parts[1].data, {}, vectors={"top": turned}, points=("b",))
    figure = plot([combined(parts)])["overlap"]
    labels = written(figure)
    k = int(combined(parts).data.attrs["subspace_dimension"])
    assert labels.count(f"{(k - 1) / k:.2f}") == 2
    assert labels.count("1.00") == 2
    assert len(figure.axes[0].patches) == 5
    assert any(f"k/n = {k / 400:.2g}" in text and "hatched" in text for text in labels)


def test_the_evolution_follows_the_steps():
    figure = plot([combined(many()[1:])])["evolution"]
    top, bottom, trace = figure.axes
    assert top.get_xscale() == "log"
    np.testing.assert_array_equal(top.containers[0].lines[0].get_xdata(), [3, 10, 40, 200, 1000, 3000, 9000])
    np.testing.assert_allclose(top.containers[2].lines[0].get_ydata(), spectrum(TRAINED)[2])
    np.testing.assert_allclose(bottom.containers[1].lines[0].get_ydata(), spectrum(TRAINED)[-2])
    np.testing.assert_allclose(trace.containers[0].lines[0].get_ydata(), spectrum(TRAINED).sum())


@pytest.mark.parametrize(
    ("low", "high", "threshold", "room", "ticks"),
    [
        (-1e-3, 10, 1e-4, 0.05, [-1e-3, 0, 1e-3, 1e-2, 1e-1, 1, 10]),
        (-1e-3, 10, 1e-4, 0.2, [0, 1e-1, 10]),
        (-5, 0, 1.0, 0.05, [0]),
        (0, 500, 1.0, 0.05, [0, 10, 100]),
    ],
)
def test_ticks_of_either_sign(low, high, threshold, room, ticks):
    np.testing.assert_allclose(signed_decades(low, high, threshold, room), ticks)

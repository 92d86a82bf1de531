"""Figures drawn from results made up of exact bowls and exact counts: what they show, and that it can be read."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import comb

import numpy as np
import pytest
import xarray as xr
from landscape_local_entropy.figures import plot
from legible import assert_legible, written
from matplotlib.collections import PolyCollection

from landscape.analysis import Result
from landscape.drawing import MARK

LONG = "experiments/2024-05/resnet$20_wide_{}_lr0.1_bs128_cosine/checkpoints/epoch=199-step=78200"


def bowl(name="run/last", *, dim=100, condition=1e4, beta=1e3, gamma=1.0, error=0.01, seed=0, stiff=1.0, **more):
    """Exact values with standard errors of ``error``; Franz-Parisi where distances are given; exact draws as chains."""
    eigenvalues = stiff * np.geomspace(1, 1 / condition, dim)
    gammas, betas = gamma * np.geomspace(0.1, 10, 5), beta * np.geomspace(1e-5, 1, 17)
    phi = np.array([-0.5 * np.log1p(beta * eigenvalues / one).sum() for one in gammas])
    r_rms = np.array([np.sqrt((1 / (beta * eigenvalues + one)).sum()) for one in gammas])
    llc = np.array([0.5 * (one * eigenvalues / (one * eigenvalues + gamma)).sum() for one in betas])
    rng = np.random.default_rng(seed)
    spread = 1 / np.sqrt(beta * eigenvalues + gamma)
    rises = 0.5 * ((rng.standard_normal((8, 200, dim)) * spread) ** 2 * eigenvalues).sum(-1)
    warmup = rises[:, :60] * np.linspace(5, 1, 60)
    variables = {
        "phi": ("gamma", phi),
        "phi_stderr": ("gamma", error * np.abs(phi)),
        "r_rms": ("gamma", r_rms),
        "laplace": ("gamma", 1.3 * phi),
        "laplace_stderr": ("gamma", 0.02 * np.abs(phi)),
        "llc_beta": ("beta", llc),
        "llc_beta_stderr": ("beta", error * llc),
        "rhat_beta": ("beta", np.full(17, 1.004)),
        "ess_beta": ("beta", np.full(17, 812.0)),
        "rise_trace": (("chain", "draw"), rises, {"units": "cross_entropy"}),
        "rise_warmup": (("chain", "warmup_draw"), warmup),
    }
    if not more.get("chains", True):
        del variables["rise_trace"], variables["rise_warmup"]
    if more.get("distances", True):
        variables["franz_parisi"] = ("distance", 0.9 * phi[::-1])
        variables["franz_parisi_stderr"] = ("distance", error * np.abs(phi[::-1]))
    coordinates = {"gamma": gammas, "beta": betas, "distance": r_rms[::-1]}
    attrs = {"beta": beta, "gamma": gamma, "metric": "identity", "sampler": "hmc", "dimension": dim, "loss": 0.01}
    attrs["metric"] = more.get("metric", "identity")
    data = xr.Dataset(variables, coords=coordinates, attrs=attrs)
    options = {"gamma": gamma, "metric": attrs["metric"]}
    return Result(data, {"phi": phi[2]}, points=(name,), converged=more.get("converged", True), options=options)


def discrete(name="densest", dimension=21, seed=0):
    """About every 500th configuration, one at the point itself."""
    rng = np.random.default_rng(seed)
    mean = np.array([comb(dimension, d) * 0.002 * np.exp(-d / 9) for d in range(dimension + 1)])
    mean[0] = 1.0
    solutions = rng.poisson((3 - seed) * mean)
    solutions[0] = 1
    with np.errstate(divide="ignore"):
        entropy = np.where(solutions > 0, np.log(solutions) / dimension, np.nan)
    variables = {"solutions": solutions, "solutions_mean": mean, "entropy": entropy}
    data = xr.Dataset({key: ("distance", value) for key, value in variables.items()})
    return Result(data.assign_coords(distance=np.arange(dimension + 1)), {}, points=(name,))


def sphere(name="solution", *, potentials=True, count=12):
    log_fraction = -np.log(2) * np.arange(1, count + 1)
    data = xr.Dataset(
        {
            "threshold": ("level", 0.5 * np.linspace(0.9, 0, count)),
            "log_fraction": ("level", log_fraction),
            "log_fraction_stderr": ("level", 0.03 * np.abs(log_fraction)),
            "acceptance": ("level", np.full(count, 0.4)),
        },
        attrs={"dimension": 60},
    )
    if potentials:
        overlaps = np.array([0.95, 0.9, 0.8, 0.7, 0.5])
        data = data.assign_coords(
            distance=np.sqrt(120 * (1 - overlaps)), overlap=("distance", overlaps), level=np.arange(count)
        ).assign(
            franz_parisi=("distance", 60 * np.log1p(-(overlaps**4))),
            franz_parisi_stderr=("distance", np.full(5, 3.0)),
        )
    return Result(data, {}, points=(name,))


def combined(number, name="seed{}/last", unknown=()):
    """What a comparison stores of as many points."""
    ids = [name.format(index) for index in range(number)]
    phi = np.linspace(-9, -16, number)
    phi[list(unknown)] = np.nan
    columns = {"phi": phi, "llc": 7 - 0.3 * phi, "laplace_phi": 2.5 * phi, "phi_stderr": np.full(number, 0.3)}
    columns |= {"llc_stderr": np.full(number, 0.2), "laplace_phi_stderr": np.full(number, 0.1)}
    variables = {key: ("point", value) for key, value in columns.items()}
    return Result(xr.Dataset(variables, coords={"point": ids}, attrs={"beta": 66.8, "gamma": 10.0}), {})


def holes(**more):
    """Nodes that were not sampled, one at the given γ."""
    result = bowl(**more)
    for name in ("phi", "llc_beta", "laplace", "franz_parisi"):
        result.data[name][2:4] = np.nan
    result.data["phi_stderr"][0] = np.nan
    result.data["rise_warmup"][0, 10:20] = np.inf
    return result


def one_gamma(name, **more):
    """A curve of the given γ alone, no draw of which was finite in one chain."""
    made = bowl(name, distances=False, **more)
    made.data["rise_trace"][3] = np.inf
    return replace(made, data=made.data.isel(gamma=[2], drop=False))


def nets(number, pattern="seed{}/last", **more):
    return [bowl(pattern.format(index), stiff=2.0**index, seed=index, **more) for index in range(number)]


FEW = {"chains": False, "distances": False}

CASES = {
    "one": lambda: [bowl()],
    "one without distances": lambda: [bowl(**FEW)],
    "not converged": lambda: [bowl(converged=False, **FEW)],
    "two": lambda: nets(2),
    "two, one not converged": lambda: [bowl("a", **FEW), bowl("b", stiff=3, converged=False, **FEW)],
    "seven": lambda: nets(7, chains=False),
    "seven of long names": lambda: nets(7, LONG),
    "twenty": lambda: nets(20, **FEW),
    "unlike": lambda: [
        bowl("a", dim=2, condition=1e2, beta=5.0, **FEW),
        bowl("b", dim=1000, condition=10, beta=1e4, **FEW),
    ],
    "metrics": lambda: [bowl(chains=False), bowl(metric="weights", chains=False)],
    "gammas": lambda: [bowl(**FEW), bowl(gamma=100.0, **FEW)],
    "holes": lambda: [holes(), bowl("b")],
    "one gamma": lambda: [one_gamma("a"), one_gamma("b", stiff=3)],
    "flat": lambda: [bowl(stiff=1e-9, chains=False)],
    "large errors": lambda: [bowl(error=0.5, **FEW), bowl("b", stiff=3, error=0.3, **FEW)],
    "counts": lambda: [discrete()],
    "counts of three": lambda: [discrete(name, seed=seed) for seed, name in enumerate(("densest", "typical", "rare"))],
    "counts of unlike": lambda: [discrete("a"), discrete("b", dimension=15)],
    "sphere": lambda: [sphere()],
    "spheres": lambda: [sphere("a"), sphere("b", count=30)],
    "sphere without potentials": lambda: [sphere(potentials=False)],
    "compared": lambda: [combined(3)],
    "many long names compared": lambda: [combined(30, LONG, unknown=(3,))],
    "everything": lambda: [bowl("a"), discrete("b"), sphere("c"), combined(2)],
}


@cache
def figures(case):
    return plot(CASES[case]())


@pytest.mark.parametrize("case", [case for case in CASES if case != "everything"])
def test_nothing_that_is_written_overlaps_or_leaves_the_figure(case):
    assert_legible(figures(case))


@pytest.mark.parametrize(
    ("case", "names"),
    [
        ("one", {"entropy", "coefficient", "traces"}),
        ("seven", {"entropy", "coefficient"}),
        ("counts", {"counts"}),
        ("sphere", {"levels"}),
        ("compared", {"comparison"}),
        ("everything", {"entropy", "coefficient", "traces", "counts", "levels"}),
    ],
)
def test_which_figures_results_allow(case, names):
    assert set(figures(case)) == names


def test_a_result_without_arrays_to_draw_has_no_figures():
    assert plot([Result(xr.Dataset(attrs={"beta": 1.0}), {}, points=("a",))]) == {}
    empty = bowl(**FEW)
    empty.data["phi"][:] = empty.data["llc_beta"][:] = np.nan
    assert plot([empty]) == {}


def curves(axes, style="-"):
    return [line for line in axes.lines if line.get_linestyle() == style and len(line.get_xdata()) > 2]


def bands(axes):
    """The lower and the upper edge of each band at its places."""
    found = []
    for band in (one for one in axes.collections if isinstance(one, PolyCollection) and one.get_alpha() == 0.25):
        (path,) = band.get_paths()
        half = (len(path.vertices) - 1) // 2
        found.append((path.vertices[1 : half - 0, 1], path.vertices[half + 1 : -1, 1][::-1]))
    return found


def test_the_entropy_stands_at_its_distance_with_bands_of_two_standard_errors():
    data = CASES["one"]()[0].data
    left, right = figures("one")["entropy"].axes
    for axes, x, y in ((left, "r_rms", "phi"), (right, "distance", "franz_parisi")):
        curve = curves(axes)[0]
        np.testing.assert_array_equal(curve.get_xdata(), data[x])
        np.testing.assert_array_equal(curve.get_ydata(), data[y])
        low, high = bands(axes)[0]
        np.testing.assert_allclose(low, data[y] - 2 * data[f"{y}_stderr"], rtol=1e-12)
        np.testing.assert_allclose(high, data[y] + 2 * data[f"{y}_stderr"], rtol=1e-12)
    (dashed,) = curves(left, "--")
    np.testing.assert_array_equal(dashed.get_ydata(), data["laplace"])
    (large,) = [line for line in left.lines if len(line.get_xdata()) == 1]
    np.testing.assert_allclose([*large.get_xdata(), *large.get_ydata()], [data["r_rms"][2], data["phi"][2]])
    assert large.get_ydata()[0] == pytest.approx(-138.290325845, abs=1e-8)


@pytest.mark.parametrize(("case", "units"), [("one", "[parameter units]"), ("metrics", "[metric units]")])
def test_distances_have_the_units_of_their_metric(case, units):
    left, right = figures(case)["entropy"].axes
    assert left.get_xlabel().endswith("[parameter units]")
    assert right.get_xlabel().endswith(units)
    assert left.get_ylabel().endswith("[nats]")


def legend(figure):
    return [text.get_text() for found in figure.legends for text in found.get_texts()]


@pytest.mark.parametrize(
    ("case", "name", "labels"),
    [
        ("one", "entropy", ["sampled", "Laplace"]),
        ("one", "coefficient", []),
        ("not converged", "coefficient", ["not converged"]),
        ("two", "entropy", ["seed0", "seed1", "Laplace"]),
        ("two, one not converged", "coefficient", ["a", "b (not converged)"]),
        ("gammas", "coefficient", ["gamma 1", "gamma 100"]),
        ("metrics", "coefficient", ["metric identity", "metric weights"]),
        ("twenty", "coefficient", [f"seed{index}" for index in range(0, 20, 2)]),
        ("counts", "counts", ["from the point", "mean over all solutions"]),
        ("counts of three", "counts", ["densest", "typical", "rare", "mean over all solutions"]),
        ("spheres", "levels", ["a", "b"]),
    ],
)
def test_legends_tell_results_apart(case, name, labels):
    assert legend(figures(case)[name]) == labels


def test_the_coefficient_is_shaded_and_its_area_said():
    result = CASES["one"]()[0]
    figure = figures("one")["coefficient"]
    axes = figure.axes[0]
    (curve,) = [line for line in curves(axes) if line.get_marker() == "o"]
    np.testing.assert_array_equal(curve.get_xdata(), result.data["beta"])
    np.testing.assert_array_equal(curve.get_ydata(), result.data["llc_beta"])
    low, high = bands(axes)[0]
    np.testing.assert_allclose(high - low, 4 * result.data["llc_beta_stderr"], rtol=1e-9)
    assert "shaded, with its tail to the left: −Φ = 138.3 ± 1.4" in written(figure)
    assert axes.get_xscale() == "log"
    assert axes.get_ylim()[0] == 0
    assert "β\u00a0=\u00a01000, γ\u00a0=\u00a01" in figure.get_supxlabel().replace("\n", " ")
    several = figures("two")["coefficient"]
    assert "over ln β" in several.get_supxlabel()
    assert "(β\u00a0=\u00a01000, γ\u00a0=\u00a01)" in several.get_supxlabel().replace("\n", " ")
    assert "γ\u00a0=" not in figures("gammas")["coefficient"].get_supxlabel()


def test_traces_are_the_draws_and_the_warm_up_is_grey():
    data = CASES["one"]()[0].data
    axes = figures("one")["traces"].axes[0]
    grey = [line for line in axes.lines if isinstance(line.get_color(), str)]
    chains = [line for line in axes.lines if not isinstance(line.get_color(), str)]
    np.testing.assert_array_equal([line.get_ydata() for line in chains], data["rise_trace"])
    np.testing.assert_array_equal([line.get_ydata() for line in grey], data["rise_warmup"])
    assert max(grey[0].get_xdata()) == 0
    assert min(chains[0].get_xdata()) == 1
    (mean,) = [found for found in axes.collections if not isinstance(found, PolyCollection)]
    np.testing.assert_allclose(mean.get_segments()[0][:, 1], data["llc_beta"][-1] / 1e3)
    (band,) = [found for found in axes.collections if isinstance(found, PolyCollection)]
    width = np.ptp(band.get_paths()[0].vertices[:, 1])
    assert width == pytest.approx(4 * float(data["llc_beta_stderr"][-1]) / 1e3)
    assert axes.get_ylabel() == "ΔL  [cross_entropy]"
    assert "R̂ 1.004, ESS 812" in written(figures("one")["traces"])


@pytest.mark.parametrize(("number", "panels"), [(2, 2), (4, 4), (13, 12)])
def test_each_net_has_a_panel_of_traces_up_to_twelve(number, panels):
    figure = plot(nets(number))["traces"]
    assert len(figure.axes) == panels
    assert ("the first 12 of 13 results" in figure.get_supxlabel()) == (number == 13)


def test_what_was_not_sampled_is_a_gap():
    left, right = figures("holes")["entropy"].axes
    data = CASES["holes"]()[0].data
    np.testing.assert_array_equal(curves(left)[0].get_ydata(), data["phi"])
    assert np.isnan(curves(right)[0].get_ydata()[2:4]).all()
    assert all(np.isfinite(axes.get_ylim()).all() for name in figures("holes") for axes in figures("holes")[name].axes)


def test_entropies_over_decades_have_a_logarithmic_axis():
    assert figures("unlike")["entropy"].axes[0].get_yscale() == "symlog"
    assert figures("seven")["entropy"].axes[0].get_yscale() == "linear"
    assert figures("large errors")["entropy"].axes[0].get_yscale() == "linear"


def test_counts_are_those_stored_and_zero_is_not_drawn():
    data = CASES["counts"]()[0].data
    left, right = figures("counts")["counts"].axes
    solutions = data["solutions"].values
    point, mean = left.lines
    np.testing.assert_array_equal(point.get_xdata(), np.arange(22))
    np.testing.assert_array_equal(point.get_ydata(), np.where(solutions > 0, solutions, np.nan))
    np.testing.assert_array_equal(mean.get_ydata(), data["solutions_mean"])
    np.testing.assert_array_equal(right.lines[0].get_ydata(), data["entropy"])
    np.testing.assert_allclose(21 * right.lines[1].get_ydata()[[0, 1, 2, 21]], np.log([1, 21, 210, 1]), atol=1e-12)
    assert left.get_yscale() == "log"
    assert "left out" in figures("counts")["counts"].get_supxlabel()


@pytest.mark.parametrize(("case", "means", "spaces"), [("counts of three", 1, 1), ("counts of unlike", 2, 2)])
def test_the_mean_is_drawn_once_for_each_landscape(case, means, spaces):
    left, right = figures(case)["counts"].axes
    assert len([line for line in left.lines if line.get_color() == MARK]) == means
    assert len([line for line in right.lines if line.get_linestyle() == ":"]) == spaces


def test_levels_of_a_sphere_are_those_stored_and_its_entropy_is_for_each_dimension():
    data = CASES["sphere"]()[0].data
    left, right = figures("sphere")["levels"].axes
    for axes, x, y, scale in ((left, "threshold", "log_fraction", 1), (right, "overlap", "franz_parisi", 1 / 60)):
        np.testing.assert_array_equal(axes.lines[0].get_xdata(), data[x])
        np.testing.assert_allclose(axes.lines[0].get_ydata(), scale * data[y], rtol=1e-14)
        low, high = bands(axes)[0]
        np.testing.assert_allclose(np.sort(high - low), np.sort(4 * scale * data[f"{y}_stderr"]), rtol=1e-9)
    assert (left.get_xlabel(), right.get_xlabel()) == ("highest loss allowed", "overlap q with the point")
    assert len(figures("sphere without potentials")["levels"].axes) == 1


def test_a_comparison_ranks_from_the_flattest_and_keeps_what_is_not_known_last():
    axes = plot([combined(4, unknown=(0,))])["comparison"].axes
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["seed1", "seed2", "seed3", "seed0"]
    points, _, (bars,) = axes[0].containers[0].lines
    np.testing.assert_allclose(points.get_xdata()[:3], np.linspace(-9, -16, 4)[1:])
    np.testing.assert_allclose([np.ptp(segment[:, 0]) for segment in bars.get_segments()[:3]], 4 * 0.3)
    np.testing.assert_allclose(axes[1].containers[0].lines[0].get_xdata()[0], 7 + 0.3 * (9 + 7 / 3))

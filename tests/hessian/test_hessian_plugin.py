"""The hessian analysis against dense spectra of reference landscapes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
import torch
import xarray as xr
from landscape_hessian.analysis import run
from landscape_hessian.comparison import combine
from landscape_hessian.figures import plot
from landscape_hessian.hooks import landscape_analyses
from landscape_hessian.options import HessianOptions
from landscape_zoo.opening import open_zoo

from landscape.analysis import Context, Unstored, resolve

CPU = torch.device("cpu")
PARTS = ("check", "lanczos", "trace", "density")
SPECTRUM = "10,9.5,7,6,5,4.5,3,2.5,2,1.5,1,0.5,0.1,-0.1,-0.5,-1,-2"
WIDE = f"quadratic?eigenvalues={SPECTRUM}&dim=300&seed=1"
SPIN = "spherical-2-spin?n=120&seed=0"


def opened(name, dtype=None):
    landscape, points = open_zoo(name, device=CPU, dtype=dtype)
    return landscape, points[:1]


def analysed(name, dtype=None, context=None, **options):
    landscape, points = opened(name, dtype)
    return run(landscape, points, HessianOptions(**options), context=context or Context())


def dense(name):
    """Distinct eigenvalues, ascending; on a curved space those of the tangent space."""
    landscape, (point,) = opened(name)
    eye = torch.eye(landscape.space.dim, dtype=torch.float64)
    matrix = landscape.hessian(point).matmat(eye)
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    if name.startswith("spherical"):
        normal = point.vector / point.vector.norm()
        values = values[(vectors.T @ normal).abs() < 0.5]
    return values[torch.cat([torch.tensor([True]), values.diff() > 1e-9])]


@dataclass
class Memory(Unstored):
    states: dict = field(default_factory=dict)

    def save(self, key, state):
        self.states[key] = {name: tensor.clone() for name, tensor in state.items()}

    def load(self, key):
        return self.states.get(key)


@pytest.mark.parametrize("name", [WIDE, SPIN, "mueller-brown", "double-well?dim=40&seed=3"])
def test_both_ends_agree_with_the_dense_spectrum(name):
    exact = dense(name).numpy()
    result = analysed(name, rtol=1e-9, top=8, bottom=4)
    assert result.converged
    assert not result.budget_spent
    top, bottom = result.data["eigenvalue_top"], result.data["eigenvalue_bottom"]
    assert top.values == pytest.approx(exact[::-1][:8], abs=1e-10)
    assert bottom.values == pytest.approx(exact[:4], abs=1e-10)
    assert result.summary["eigenvalue_max"] == top.values[0]
    assert result.summary["eigenvalue_min"] == bottom.values[0]


def test_default_tolerance_is_met_by_the_residuals_and_beaten_by_the_values():
    exact = dense(SPIN).numpy()
    result = analysed(SPIN)
    assert result.converged
    assert result.data["residual_top"].values.max() <= 1e-3 * exact.max()
    assert result.data["eigenvalue_top"].values == pytest.approx(exact[::-1][:10], abs=1e-3 * exact.max())
    assert result.data.attrs["lanczos_products"] < 100


def test_trace_agrees_with_the_dense_one_within_its_error():
    exact = sum(map(float, SPECTRUM.split(",")))
    result = analysed(WIDE, top=2, bottom=0, rtol=0.1, probes=40)
    assert 0 < result.summary["trace_stderr"] < 3
    assert abs(result.summary["trace"] - exact) < 4 * result.summary["trace_stderr"]


def test_trace_is_exact_once_lanczos_knows_the_whole_space():
    result = analysed("quadratic?eigenvalues=4,2,1,-0.5&seed=0", probes=5)
    assert result.summary["trace"] == pytest.approx(6.5, abs=1e-12)
    assert result.summary["trace_stderr"] == pytest.approx(0, abs=1e-12)


def test_summary_leaves_out_what_does_not_apply():
    always = {"matrix", "symmetry_error"}
    top = {"eigenvalue_max", "converged_top", "gap_ratio", "outliers"}
    bottom = {"eigenvalue_min", "converged_bottom", "negative_count"}
    norm = {"frobenius_norm", "frobenius_norm_stderr"}
    trace, density = {"trace", "trace_stderr", *norm}, {"density_mass_negative", "density_mass_negative_bounds"}
    without = {"probes": 0, "density_probes": 0}
    assert set(analysed(SPIN, **without).summary) == always | bottom | top - {"outliers"}
    assert set(analysed(SPIN, **without | {"probes": 1}).summary) >= {"trace", "frobenius_norm"}
    assert not set(analysed(SPIN, **without | {"probes": 1}).summary) & {"trace_stderr", "frobenius_norm_stderr"}
    assert set(analysed(SPIN, top=0, bottom=0, density_probes=0).summary) == always | trace
    assert set(analysed(SPIN, top=0, bottom=0, probes=0).summary) == always | density
    assert set(analysed(SPIN, top=0, bottom=0, trace="xtrace", density_probes=0).summary) == always | trace - norm


BUDGETS = [
    {},
    {"probes": 0},
    {"max_hvps": 243},
    {"bottom": 0, "probes": 25},
    {"density_probes": 0},
    {"top": 0, "bottom": 0},
    {"top": 0, "bottom": 0, "trace": "xtrace"},
    {"block_size": 3},
]


@pytest.mark.parametrize("options", BUDGETS, ids=str)
def test_products_are_counted_and_stay_in_the_budget(options):
    landscape, points = opened(SPIN)
    result = run(landscape, points, HessianOptions(**options), context=Context())
    spent = sum(result.data.attrs[f"{part}_products"] for part in PARTS)
    assert landscape.work.hvps == spent <= HessianOptions(**options).max_hvps
    assert result.budget_spent == ("max_hvps" in options)


def test_a_spent_budget_is_no_convergence_and_a_larger_one_continues():
    context = Context(storage=Memory())
    short = analysed(SPIN, context=context, max_hvps=246, rtol=1e-6)
    assert not short.converged
    assert short.budget_spent
    assert any("raise --hessian.max-hvps (now 246)" in message for message in short.messages)
    landscape, points = opened(SPIN)
    longer = run(landscape, points, HessianOptions(rtol=1e-6), context=replace(context))
    undisturbed = analysed(SPIN, rtol=1e-6)
    assert longer.converged
    assert not longer.messages
    spent = sum(longer.data.attrs[f"{part}_products"] for part in PARTS)
    assert landscape.work.hvps == spent - short.data.attrs["lanczos_products"]
    assert short.data.attrs["lanczos_products"] == 13
    wanted = undisturbed.data["eigenvalue_top"].values
    assert longer.data["eigenvalue_top"].values == pytest.approx(wanted, abs=1e-9)
    assert longer.summary["trace"] == pytest.approx(
        undisturbed.summary["trace"], abs=3 * longer.summary["trace_stderr"]
    )


def test_degenerate_values_come_once_and_are_not_padded():
    result = analysed("quadratic?eigenvalues=10,9,9,5,-3&dim=300&seed=0")
    assert result.converged
    assert result.data["eigenvalue_top"].values == pytest.approx([10, 9, 5, 0, -3], abs=1e-8)
    assert "5 top eigenvalues instead of 10" in result.messages[0]


def test_a_hessian_that_is_not_symmetric_is_not_believed(rng):
    @dataclass
    class Wrong:
        matrix: torch.Tensor
        dim: int = 50

        def matmat(self, vectors):
            return vectors @ self.matrix.T

    landscape, points = opened("quadratic?dim=50")
    matrix = torch.randn(50, 50, generator=rng, dtype=torch.float64)
    landscape.curvature = lambda point, **_: Wrong(matrix + matrix.T + 0.1 * matrix)
    result = run(landscape, points, HessianOptions(), context=Context())
    assert result.data.attrs["asymmetry"] > 1e-3
    assert not result.converged
    assert "not symmetric" in result.messages[0]


def test_float32_is_as_good_as_float32_can_be():
    exact = dense(SPIN).numpy()
    result = analysed(SPIN, torch.float32, rtol=1e-4)
    assert result.converged
    assert 0 < result.data.attrs["asymmetry"] < 1e-5
    assert result.data["eigenvalue_top"].values == pytest.approx(exact[::-1][:10], rel=1e-4)


def test_the_seed_and_the_key_fix_every_bit():
    first, again, other = (analysed(SPIN, context=Context(key=key)) for key in ("a", "a", "b"))
    assert first.data.identical(again.data)
    assert first.summary == again.summary
    assert first.summary["trace"] != other.summary["trace"]


def test_data_are_named_described_and_storable(tmp_path):
    data = analysed(SPIN).data
    ends = {f"{name}_{end}" for name in ("eigenvalue", "residual") for end in ("top", "bottom")}
    density = {"density_node", "density_weight", "moment", "moment_stderr"}
    assert set(data.data_vars) == ends | density | {"size", "trace_by_parameter", "trace_by_parameter_stderr"}
    assert all(variable.attrs["units"] and variable.attrs["long_name"] for variable in data.variables.values())
    assert (data["eigenvalue_top"].diff("rank_top") < 0).all()
    assert (data["eigenvalue_bottom"].diff("rank_bottom") > 0).all()
    data.to_netcdf(tmp_path / "h.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "h.nc", engine="h5netcdf") as stored:
        xr.testing.assert_identical(stored.load(), data)


def test_progress_ends_at_what_was_spent():
    told = []
    result = analysed(SPIN, context=Context(reporter=lambda key, done, total, text: told.append((done, total))))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (sum(result.data.attrs[f"{part}_products"] for part in PARTS), 600)


REFUSED = [
    ({"top": -1}, "top must be 0 or more, got -1"),
    ({"top": 0, "bottom": 0, "probes": 0, "density_probes": 0}, "nothing left to measure"),
    ({"block_size": 0}, "block_size must be 1 or more"),
    ({"density_probes": -1}, "density_probes must be 0 or more"),
    ({"density_steps": 0}, "density_steps must be 1 or more"),
    ({"max_basis_mb": -1}, "max_basis_mb must be 0 or more"),
    ({"matrix": "hesian"}, "matrix must be hessian, ggn, fisher, empirical-fisher or remainder, got 'hesian'"),
    ({"trace": "exact"}, r"trace must be hutch\+\+ or xtrace"),
    ({"trace": "xtrace", "probes": 3}, "probes must be 0 or at least 4"),
    ({"trace": "xtrace", "diagonal": True}, r"diagonal needs --hessian.trace hutch\+\+"),
    ({"top": 0, "bottom": 0, "probes": 2}, "probes must be 0 or at least 3"),
    ({"bottom": -1}, "bottom must be 0 or more"),
    ({"rtol": 0.0}, "rtol must lie between 0 and 1"),
    ({"rtol": float("nan")}, "rtol must lie between 0 and 1"),
    ({"probes": -1}, "probes must be 0 or at least 1"),
    ({"max_hvps": 233}, "max_hvps must be at least 234"),
]


@pytest.mark.parametrize(("options", "advice"), REFUSED)
def test_options_refuse_nonsense(options, advice):
    with pytest.raises(ValueError, match=advice):
        HessianOptions(**options)


def test_hook_names_what_exists():
    (analysis,) = landscape_analyses()
    assert resolve(analysis.run) is run
    assert resolve(analysis.plot) is plot
    assert resolve(analysis.combine) is combine
    assert analysis.options is HessianOptions


def test_a_run_that_was_cut_goes_on_from_what_it_saved(monkeypatch):
    monkeypatch.setattr("landscape_hessian.keeping.EVERY", 0.0)

    def cut(key, done, total, text):
        if done > 20:
            raise KeyboardInterrupt

    storage = Memory()
    with pytest.raises(KeyboardInterrupt):
        analysed(SPIN, context=Context(storage=storage, reporter=cut))
    landscape, points = opened(SPIN)
    result = run(landscape, points, HessianOptions(), context=Context(storage=storage))
    undisturbed = analysed(SPIN)
    spent = sum(result.data.attrs[f"{part}_products"] for part in PARTS)
    assert landscape.work.hvps < spent - 10
    assert result.converged
    assert result.data["eigenvalue_top"].values == pytest.approx(undisturbed.data["eigenvalue_top"].values, abs=1e-9)

"""The analysis: every measure at a point, its flag tested, its verdict, and what is left out."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from landscape_flatness.analysis import run
from landscape_flatness.hooks import landscape_analyses
from landscape_flatness.options import FlatnessOptions
from landscape_flatness.survey import MEASURES
from landscape_zoo.spherical_two_spin import SphericalTwoSpin
from perturbation_cases import formula, quadratic, relu_classifier, rescaled, symmetric, zoo_pair
from torch import nn

from landscape.analysis import Context, resolve
from landscape.errors import UsageError
from landscape.landscapes.batches import Batches
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import cross_entropy
from landscape.neighbourhood.temperature import inverse_temperature
from landscape.parameters import Point

QUICK = FlatnessOptions(draws=16, sigmas=3, sigma=0.2, adaptive_sigma=0.2, probes=4, ascent_steps=6, error_rise=0.05)
NEED_AN_ERROR = {"local_energy", "pac_bayes_sigma", "pac_bayes_sigma_magnitude"}


def analysed(landscape, point, options=QUICK, **context):
    return replace(run(landscape, [point], options, context=Context(**context)), points=(point.id,))


def table(result):
    return result.data["value"].to_series().to_dict()


@pytest.fixture(scope="module")
def copies():
    """Tables of a ReLU classifier and of its copy with the scale moved by α = 4, and of the pair of the zoo."""
    landscape, point = relu_classifier(torch.Generator().manual_seed(0))
    other = rescaled(landscape, point, torch.full((6,), 4.0).double())
    zoo, a, b = zoo_pair()
    return {
        "classifier": [analysed(landscape, one) for one in (point, other)],
        "zoo": [analysed(zoo, one) for one in (a, b)],
    }


@pytest.mark.parametrize("pair", ["classifier", "zoo"])
@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
def test_a_measure_is_invariant_to_rescaling_exactly_if_it_says_so(measure, pair, copies):
    first, second = map(table, copies[pair])
    if pair == "zoo" and measure.name in NEED_AN_ERROR:
        assert measure.name not in first
        return
    change = abs(second[measure.name] - first[measure.name]) / abs(first[measure.name])
    assert (change <= 1e-4) is measure.invariant
    flags = copies[pair][0].data["invariant"].to_series().to_dict()
    assert bool(flags[measure.name]) is measure.invariant
    assert measure.invariant or change > 0.05


def test_the_table_has_what_its_columns_promise(copies):
    result = copies["classifier"][0]
    data, count = result.data, len(MEASURES)
    assert list(data["measure"].values) == [measure.name for measure in MEASURES]
    assert data.sizes == {"measure": count, "sigma": QUICK.sigmas, "layer": 2}
    for column in ("standard_error", "gradients", "hvps", "energies", "definition", "units", "flat"):
        assert data[column].dims == ("measure",)
    assert set(data["flat"].values) == {"small", "large"}
    assert np.isfinite(data["local_energy_curve"].values).all()
    assert data.attrs["dimension"] == 51
    assert 0 <= data.attrs["error"] < 1
    total = data["relative_flatness_layer"].values.sum()
    assert total == pytest.approx(result.summary["relative_flatness"], rel=1e-12)


def test_the_summary_has_each_measure_and_its_error_where_it_is_estimated(copies):
    summary, data = copies["classifier"][0].summary, copies["classifier"][0].data
    for name in data["measure"].values:
        assert summary[name] == float(data["value"].sel(measure=name))
        error = float(data["standard_error"].sel(measure=name))
        assert (f"{name}_stderr" in summary) is math.isfinite(error)
    assert all(math.isfinite(value) for value in summary.values())
    assert summary["beta"] == pytest.approx(60 / math.log(60))


def test_costs_add_up_to_the_work(rng):
    landscape, point = relu_classifier(rng)
    before = replace(landscape.work)
    data = analysed(landscape, point).data
    assert data["hvps"].values.sum() + 3 == landscape.work.hvps - before.hvps
    assert data["gradients"].values.sum() + 1 == pytest.approx(landscape.work.gradients - before.gradients)


def test_points_share_their_random_vectors_and_the_seed_changes_them(rng):
    landscape, point = relu_classifier(rng)
    again = Point(point.vector, id="again")
    first, second = (table(analysed(landscape, one, key=one.id)) for one in (point, again))
    assert first == pytest.approx(second, rel=1e-9)
    other = table(analysed(landscape, point, seed=1))
    assert other["average_sharpness"] != first["average_sharpness"]
    assert other["relative_flatness"] != first["relative_flatness"]


def test_progress_counts_the_measures(rng):
    seen = []
    landscape, point = zoo_pair()[:2]
    analysed(landscape, point, reporter=lambda key, done, total, text: seen.append((done, total, text)))
    assert [done for done, _, _ in seen] == list(range(seen[0][1]))
    assert seen[0][2] == "average_sharpness"


def test_without_an_error_rate_the_rest_is_measured_and_one_line_says_so():
    landscape, point, _ = zoo_pair()
    result = analysed(landscape, point)
    assert result.converged
    assert set(table(result)) == {measure.name for measure in MEASURES} - NEED_AN_ERROR
    assert sum("error rate" in line for line in result.messages) == 1
    assert not NEED_AN_ERROR & set(result.summary)
    assert "error" not in result.data.attrs
    assert "local_energy_curve" not in result.data
    assert np.isfinite(result.data["local_loss_curve"].values).all()


def test_a_slope_is_no_minimum(rng):
    matrix, at = symmetric(6, rng), torch.ones(6).double()
    steep = analysed(*quadratic(matrix, 10 * torch.ones(6).double(), at))
    assert not steep.converged
    assert steep.messages[0].startswith("not at a minimum: the slope")
    assert steep.summary["gradient_norm"] == pytest.approx(10 * 6**0.5, rel=1e-12)
    level = analysed(*quadratic(matrix, torch.zeros(6).double(), at))
    assert level.converged
    assert not any("not at a minimum" in line for line in level.messages)


def test_a_saddle_is_no_minimum(rng):
    matrix = torch.diag(torch.tensor([1.0, -0.9])).double()
    result = analysed(*quadratic(matrix, torch.zeros(2).double(), torch.ones(2).double()))
    assert not result.converged
    assert "not at a minimum" in result.messages[0]


def test_what_is_not_finite_is_left_out():
    landscape = formula(lambda x: torch.where(x.square().sum() < 1.2, x.square().sum(), torch.nan), 2)
    result = analysed(landscape, Point(torch.tensor([1.0, 0.1]).double(), id="edge"))
    assert not result.converged
    assert "average_sharpness" not in result.summary
    assert result.summary["trace"] == pytest.approx(4)
    assert any("not finite" in line for line in result.messages)
    assert all(math.isfinite(value) for value in result.summary.values())


def test_a_number_that_overflows_is_left_out(rng):
    far = torch.full((4,), 1e200, dtype=torch.float64)  # where no perturbation is felt
    result = analysed(*quadratic(symmetric(4, rng), torch.zeros_like(far), far))
    assert not result.converged
    assert "fisher_rao" not in result.summary
    assert any("fisher_rao is inf" in line for line in result.messages)
    assert result.summary["average_sharpness"] == result.summary["average_sharpness_stderr"] == 0
    assert "eigenvalue_max" in result.summary


def test_an_unbracketed_sigma_is_said(rng):
    landscape, point = relu_classifier(rng)
    result = analysed(landscape, point, replace(QUICK, error_rise=0.99))
    assert not result.converged
    assert not {"pac_bayes_sigma", "pac_bayes_sigma_magnitude"} & set(result.summary)
    assert result.messages[0].count("0.99") >= 1
    assert "trace" in result.summary


def test_one_sample_and_no_data_have_a_temperature_of_one():
    model = nn.Linear(3, 2).double()
    data = torch.ones(1, 3).double(), torch.zeros(1, dtype=torch.long)
    landscape = NetworkLandscape(model, cross_entropy, Batches((data,), 1, "one", "one"))
    result = analysed(landscape, Point(torch.linspace(-1, 1, 8).double(), id="w"))
    assert result.summary["beta"] == 1
    assert any("one sample" in line for line in result.messages)
    assert inverse_temperature(5.0, landscape.info, "--x")[0] == 5
    assert inverse_temperature(None, formula(torch.sum, 2).info, "--x")[0] == 1


def test_float32_gives_the_same_to_rounding(rng):
    landscape, point = relu_classifier(rng)
    single = NetworkLandscape(
        landscape.function.model,
        cross_entropy,
        Batches(tuple((x.float(), y) for x, y in landscape.batches.batches), 60, "single", "single"),
        dtype=torch.float32,
    )
    first, second = table(analysed(landscape, point)), table(analysed(single, point))
    for name in ("average_sharpness", "trace", "laplace_phi", "relative_flatness", "fisher_rao", "norm"):
        assert second[name] == pytest.approx(first[name], rel=1e-3)


def test_a_curved_space_is_refused():
    system = SphericalTwoSpin(n=8).build(torch.device("cpu"), torch.float64)
    landscape = system.landscape("spin", "spin", torch.device("cpu"), torch.float64)
    name, vector = next(iter(system.points.items()))
    with pytest.raises(UsageError, match="not a flat space"):
        analysed(landscape, Point(vector, id=name))


def test_a_discrete_space_is_refused():
    landscape = replace(formula(lambda x: x.sum(), 5), projection=torch.sign)
    with pytest.raises(UsageError, match="not a flat space"):
        analysed(landscape, Point(torch.ones(5).double(), id="s"))


def test_the_offer_names_functions_that_exist():
    (offer,) = landscape_analyses()
    for target in (offer.run, offer.combine, offer.plot):
        assert callable(resolve(target))

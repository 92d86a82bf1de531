"""The local-entropy analysis against exact values, and what it says where there is none to be had."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from landscape_local_entropy.analysis import run
from landscape_local_entropy.comparison import combine
from landscape_local_entropy.options import LocalEntropyOptions
from landscape_zoo.bowl import Bowl
from landscape_zoo.opening import open_zoo
from landscape_zoo.singular import Singular
from torch import nn

from landscape.analysis import Context
from landscape.errors import AnalysisError
from landscape.landscapes.batches import Batches
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import cross_entropy
from landscape.parameters import Point

CPU = torch.device("cpu")
QUICK = {"chains": 4, "gamma_nodes": 1, "nodes": 4, "probes": 4, "rtol": 0.05, "max_gradients": 6_000}


def measured(name, context=None, point=0, **options):
    landscape, points = open_zoo(name, device=CPU)
    return run(landscape, points[point : point + 1], LocalEntropyOptions(**options), context=context or Context())


def plain(result):
    """Everything in a summary is a finite number, a string, or a list of such."""
    parts = [part for value in result.summary.values() for part in (value if isinstance(value, list) else [value])]
    return all(not isinstance(part, float) or math.isfinite(part) for part in parts)


@pytest.fixture(scope="module")
def bowl():
    return measured(
        "bowl?dim=20&condition=1e2", beta=1000.0, gamma=1.0, rtol=0.02, gamma_nodes=5, nodes=8, distances=(0.6,)
    )


EXACT = Bowl(dim=20, condition=1e2)


def test_a_bowl_has_its_exact_entropy_and_coefficient(bowl):
    summary = bowl.summary
    assert abs(summary["phi"] - EXACT.phi(1000.0, 1.0)) < 3.5 * summary["phi_stderr"]
    assert abs(summary["llc"] - EXACT.learning_coefficient(1000.0, 1.0)) < 3.5 * summary["llc_stderr"]
    assert summary["phi_stderr"] < 0.02 * abs(summary["phi"])
    assert summary["laplace_phi"] == pytest.approx(EXACT.phi(1000.0, 1.0), rel=1e-9)
    assert summary["trace"] == pytest.approx(float(EXACT.spectrum().sum()), rel=1e-9)
    assert plain(bowl)


def test_the_curve_against_gamma_is_exact_too(bowl):
    data = bowl.data
    for index, gamma in enumerate(data["gamma"].values):
        error = float(data["phi_stderr"][index]) + bowl.summary["quadrature_error"] / 10
        assert abs(float(data["phi"][index]) - EXACT.phi(1000.0, float(gamma))) < 4 * error
        llc = EXACT.learning_coefficient(1000.0, float(gamma))
        assert abs(float(data["llc"][index]) - llc) < 4 * float(data["llc_stderr"][index])


def test_the_potential_at_a_distance_is_that_of_the_sphere(bowl):
    known = bowl.data["franz_parisi"].dropna("distance")
    assert 0.6 in known["distance"].values
    for distance in known["distance"].values:
        error = float(bowl.data["franz_parisi_stderr"].sel(distance=distance))
        assert abs(float(known.sel(distance=distance)) - EXACT.franz_parisi(1000.0, float(distance))) < 4 * error


def test_the_area_under_the_coefficient_is_the_entropy(bowl):
    data = bowl.data
    logs = torch.tensor(data["beta"].values).log()
    area = torch.trapezoid(torch.tensor(data["llc_beta"].values), logs)
    assert float(data["phi_beta"][0] - data["phi_beta"][-1]) == pytest.approx(float(area), rel=0.05)


@pytest.mark.parametrize("name", ["singular?powers=2,2", "singular?powers=2,4", "singular?powers=2,4&kind=sum"])
def test_singular_minima_have_their_coefficients(name):
    powers = (2, 2) if "2,2" in name else (2, 4)
    exact = Singular(powers=powers, kind="sum" if "sum" in name else "product").learning_coefficient(1000.0, 1.0)
    result = measured(name, beta=1000.0, gamma=1.0, **{**QUICK, "chains": 48, "max_gradients": 200_000})
    assert abs(result.summary["llc"] - exact) < 4 * result.summary["llc_stderr"]
    assert result.summary["llc_stderr"] < 0.2 * exact


def test_a_call_is_repeated_to_the_bit():
    first, second = (measured("bowl?dim=5", beta=100.0, **QUICK).summary for _ in range(2))
    assert first == second


def test_a_budget_that_is_too_small_says_so():
    result = measured("bowl?dim=50", beta=1000.0, gamma=1.0, gamma_nodes=1, max_gradients=12_000)
    assert not result.converged
    assert result.budget_spent
    assert "max-gradients" in result.messages[0]
    assert plain(result)


def test_a_budget_that_does_not_cover_the_warm_up_leaves_the_baselines():
    result = measured("bowl?dim=50", beta=1000.0, gamma=1.0, max_gradients=10)
    assert not result.converged
    assert result.budget_spent
    assert "phi" not in result.summary
    assert result.summary["laplace_phi"] == pytest.approx(Bowl(dim=50, condition=1e4).phi(1000.0, 1.0), rel=1e-6)
    assert plain(result)


def classifier(rng, samples=40, trained=True):
    """A small classifier on made-up data, trained by full-batch descent."""
    inputs = torch.randn(samples, 3, generator=rng, dtype=torch.float64)
    targets = (inputs[:, 0] > 0).long()
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng, dtype=torch.float64))
    for _ in range(300 if trained else 0):
        model.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.3 * parameter.grad
    data = Batches(((inputs, targets),), samples, "made up", "made up")
    landscape = NetworkLandscape(model, cross_entropy, data)
    return landscape, Point(landscape.space.flatten(dict(model.named_parameters())).detach(), id="net")


def test_beta_is_that_of_the_number_of_samples(rng):
    landscape, point = classifier(rng)
    result = run(landscape, [point], LocalEntropyOptions(**QUICK), context=Context())
    assert result.summary["beta"] == pytest.approx(40 / math.log(40))
    assert any("n / ln n" in message for message in result.messages)


def test_a_start_is_no_minimum(rng):
    landscape, point = classifier(rng, trained=False)
    result = run(landscape, [point], LocalEntropyOptions(beta=1000.0, gamma=100.0, **QUICK), context=Context())
    assert not result.converged
    assert "is not a minimum" in result.messages[0]
    assert plain(result)


def test_one_sample_is_too_few(rng):
    landscape, point = classifier(rng, samples=1)
    result = run(landscape, [point], LocalEntropyOptions(**QUICK), context=Context())
    assert not result.converged
    assert any("one sample" in message for message in result.messages)
    assert plain(result)


def test_zero_weights_have_no_neighbourhood_in_their_own_units():
    with pytest.raises(AnalysisError, match="identity"):
        measured("bowl?dim=5", metric="weights", beta=10.0)


@pytest.mark.parametrize(("metric", "same"), [("identity", False), ("weights", True), ("filter", True)])
def test_a_rescaled_copy_has_the_same_entropy_in_the_units_of_the_weights(metric, same):
    """Draws share their seed, and in units of the weights they are the same draws."""
    a, b = (
        measured("relu-rescaling?alpha=4", point=index, metric=metric, gamma=10.0, **QUICK).summary for index in (0, 1)
    )
    assert (b["phi"] == pytest.approx(a["phi"], rel=1e-4)) == same
    assert (b["llc"] == pytest.approx(a["llc"], rel=1e-4)) == same
    assert (b["laplace_phi"] == pytest.approx(a["laplace_phi"], rel=1e-4)) == same


def test_discrete_solutions_are_counted():
    result = measured("binary-perceptron?n=21&alpha=0.4&seed=0")
    assert result.summary["num_solutions"] == 2092
    assert result.summary["isolated_fraction"] == pytest.approx(0.2247, abs=5e-5)
    assert result.summary["mean_at_distance"] == pytest.approx([2.481836, 23.282027, 39.918738], abs=5e-7)
    assert result.converged


def test_a_sphere_is_split():
    result = measured("spherical-perceptron?n=3&alpha=1&seed=0", particles=400)
    landscape = open_zoo("spherical-perceptron?n=3&alpha=1&seed=0", device=CPU)[0]
    assert landscape.solutions() is None
    assert result.summary["log_volume_stderr"] < 0.2
    assert plain(result)


def test_minima_are_ranked_and_dissent_is_named():
    names = ("bowl?dim=5&condition=10", "bowl?dim=5&condition=1e4")
    results = [measured(name, beta=1000.0, gamma=1.0, **QUICK) for name in names]
    results = [replace(one, points=(label,)) for one, label in zip(results, ("steep", "flat"), strict=True)]
    combined = combine(results, context=Context())
    assert combined.summary["flattest_by_phi"] == ["flat", "steep"]
    assert combined.summary["flattest_by_llc"] == ["flat", "steep"]
    assert any("by its local entropy flat is flatter than steep" in message for message in combined.messages)
    assert combined.data.sizes["point"] == 2


def test_minima_at_other_losses_are_not_compared():
    one = measured("bowl?dim=5&condition=10", beta=100.0, **QUICK)
    other = replace(one, points=("b",), data=one.data.assign_attrs(loss=1.0))
    combined = combine([replace(one, points=("a",)), other], context=Context())
    assert not combined.converged
    assert combined.messages[0].startswith("TRAINING LOSSES DIFFER")

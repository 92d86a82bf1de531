"""Hostile points, losses and options: one line says what is wrong, and one bad measure spoils no other."""

from __future__ import annotations

import math

import pytest
import torch
from landscape_flatness.analysis import run
from landscape_flatness.options import LARGEST, SMALLEST, FlatnessOptions
from landscape_zoo.opening import open_zoo
from perturbation_cases import formula

from landscape.analysis import Context
from landscape.errors import AnalysisError, UsageError
from landscape.parameters import Point

CPU = torch.device("cpu")
QUICK = {"draws": 8, "sigmas": 2, "probes": 2, "ascent_steps": 4}
LENGTHS = ("sigma", "adaptive_sigma", "rho", "adaptive_rho", "error_rise", "beta", "gamma")


def measured(energy, at, **options):
    """The result at a point of a formula; nothing in its summary is not finite."""
    point = Point(torch.tensor(at, dtype=torch.float64), id="w")
    result = run(formula(energy, len(at)), [point], FlatnessOptions(**{**QUICK, **options}), context=Context())
    assert all(math.isfinite(value) for value in result.summary.values())
    return result


@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, 1e-300, 1e300])
def test_lengths_and_temperatures_are_positive_and_within_reason(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a positive number, from 1e-12 to 1e"):
        FlatnessOptions(**{name: value})


@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize("value", [SMALLEST, LARGEST])
def test_the_ends_of_the_range_give_finite_numbers_in_float32(name, value):
    landscape, points = open_zoo("relu-rescaling?alpha=4", device=CPU, dtype=torch.float32)
    result = run(landscape, points[:1], FlatnessOptions(**{**QUICK, name: value}), context=Context())
    assert all(math.isfinite(number) for number in result.summary.values())
    assert {"eigenvalue_max", "trace", "laplace_phi", "norm"} <= set(result.summary)


def test_a_gradient_that_is_not_a_number_leaves_the_other_measures():
    result = measured(lambda x: x[:2].square().sum().sqrt() + x[2] ** 2, [0.0, 0.0, 1.0])
    assert not result.converged
    assert "gradient_norm" not in result.summary
    assert "gradient_norm" not in result.data.attrs
    assert any("the gradient at w is not finite" in line for line in result.messages)
    assert {"average_sharpness", "norm"} <= set(result.summary)


def test_one_spectral_measure_that_overflows_leaves_the_others():
    result = measured(lambda x: 1e300 * x[0] ** 2 + x[1] ** 2, [0.0, 1.0])
    assert "frobenius_norm" not in result.summary
    assert any(line.startswith("frobenius_norm is inf") for line in result.messages)
    assert result.summary["eigenvalue_max"] == pytest.approx(2e300)
    assert {"trace", "laplace_phi", "fisher_rao"} <= set(result.summary)


def test_a_maximum_without_curvature_is_no_minimum():
    """Neither slope nor Hessian tell that the loss falls from the origin on."""
    result = measured(lambda x: -(x**4).sum(), [0.0] * 20, draws=64)
    assert not result.converged
    assert result.messages[0].startswith("not at a minimum: perturbations of sigma 0.05 lower the loss")
    assert measured(lambda x: (x**4).sum(), [0.0] * 20, draws=64).converged


def test_draws_that_change_nothing_are_named():
    result = measured(lambda x: x.square().sum(), [1e6, 1e6], sigma=SMALLEST)
    assert sum(line.startswith("average_sharpness: no draw changed the loss") for line in result.messages) == 1
    assert not any("adaptive_average_sharpness: no draw" in line for line in result.messages)


@pytest.mark.parametrize("option", ["sigma", "adaptive_sigma"])
def test_the_advice_on_a_loss_that_explodes_names_the_flag_that_helps(option):
    result = measured(lambda x: (x**2).sum().exp(), [1.0, 1.0], **{option: 1e3})
    (line,) = [line for line in result.messages if "at perturbations of sigma 1000" in line]
    assert f"--flatness.{option.replace('_', '-')}" in line


def test_where_there_is_no_hessian_none_is_recommended():
    landscape, points = open_zoo("binary-perceptron?n=5&alpha=0.6", device=CPU)
    with pytest.raises(UsageError, match=r"take --plugin local-entropy$"):
        run(landscape, points[:1], FlatnessOptions(), context=Context())
    with pytest.raises(AnalysisError, match="has no gradient"):
        landscape.gradients(points[0].vector[None])


@pytest.mark.parametrize(
    ("name", "met"),
    [
        ("bowl?dim=1000000&seed=0", "dim=1000000 with a seed"),
        ("bowl?dim=1000000000000", "dim=1000000000000 would take"),
        ("quadratic?dim=1000000&seed=0", "dim=1000000 with a seed"),
        ("double-well?dim=1000000&seed=0", "dim=1000000 with a seed"),
        ("deep-linear?widths=100000,100000,3", "would take more than"),
        ("deep-linear?widths=100000,1,100000", "would take more than"),
        ("deep-linear-gauge?units=10000000001", "units=10000000001"),
        ("relu-rescaling?samples=10000000000000", "samples=10000000000000"),
        ("singular?powers=100000000000000000000,2", "even numbers from 2 to 1000"),
        ("singular?powers=2,-2", "even numbers from 2 to 1000"),
    ],
)
def test_references_that_no_memory_holds_are_refused(name, met):
    with pytest.raises(UsageError) as refused:
        open_zoo(name, device=CPU)
    assert met in str(refused.value)
    assert "\n" not in str(refused.value)

"""The noise that raises the error by a tenth, against perceptrons whose error is known."""

from __future__ import annotations

from math import exp, log, pi, sqrt

import pytest
import torch
from landscape_flatness.options import FlatnessOptions
from landscape_flatness.pac_bayes import crossing, pac_bayes_sigma, pac_bayes_sigma_magnitude
from landscape_flatness.perturbation import Rises, mean_rises
from perturbation_cases import formula, perceptron, quadratic, relu_classifier, rescaled

from landscape.errors import AnalysisError, UsageError
from landscape.neighbourhood.around import Neighbourhood
from landscape.parameters import Point

RTOL = 1e-4  # of measures that a rescaled copy must leave unchanged
TENTH = 0.7803041  # Φ(-1/σ) = 1/10


def known(value, error=0.0):
    """Mean rises by a function of σ."""

    def rises_at(*sigmas):
        at = torch.tensor(sigmas, dtype=torch.float64)
        return Rises(at, value(at), torch.full_like(at, error))

    return rises_at


def weight(value):
    return perceptron(torch.ones(1, 1, dtype=torch.float64), torch.tensor([value], dtype=torch.float64))


@pytest.mark.parametrize("start", [1e-3, 0.05, 0.7, 0.9, 40.0, TENTH / 2 * 1.005, TENTH * 2 * 0.995])
def test_a_known_curve_is_crossed_where_it_is(start):
    rises_at = known(lambda s: torch.special.ndtr(-1 / s), error=0.01)
    sigma, error = crossing(rises_at, 0.1, start)
    assert sigma == pytest.approx(TENTH, rel=1e-4)
    slope = exp(-0.5 / TENTH**2) / sqrt(2 * pi) / TENTH**2  # dΦ(-1/σ)/dσ
    assert error == pytest.approx(0.01 / slope, rel=0.02)


def test_steps_of_the_error_are_bridged():
    """A rise in steps of 1/50: the crossing is exact to a step over the slope."""
    rises_at = known(lambda s: torch.floor(s * 50) / 50, error=0.01)
    sigma, error = crossing(rises_at, 0.1, 0.05)
    assert sigma == pytest.approx(0.12, rel=0.02)
    assert error == pytest.approx(0.01, rel=0.3)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (lambda s: 0.05 * s / (1 + s), "rises by less than 0.1 for every sigma from 0.05 to 51.2"),
        (lambda s: 0.5 + 0 * s, "rises by more than 0.1 for every sigma from 4.883e-05 to 0.05"),
    ],
)
def test_what_is_never_crossed_is_said(value, words):
    with pytest.raises(AnalysisError, match=words) as caught:
        crossing(known(value), 0.1, 0.05)
    assert "\n" not in str(caught.value)


def test_a_crossing_lost_in_noise_is_refused():
    def ragged(s):
        return torch.where((s > 0.05) & (s < 0.055), 0.2, 0.0) + torch.where(s > 0.9, 0.2, 0.0)

    with pytest.raises(AnalysisError, match="does not rise steadily"):
        crossing(known(ragged), 0.1, 0.052)


@pytest.mark.parametrize(("measure", "unit"), [(pac_bayes_sigma, 3.0), (pac_bayes_sigma_magnitude, 1.0)])
def test_one_weight_bears_so_many_standard_deviations(measure, unit):
    """Not their square: the sign of w + σz is wrong with probability Φ(-w/σ)."""
    found = measure(*weight(3.0), FlatnessOptions(draws=10000), 0)
    assert abs(found.value - TENTH * unit) < 4 * found.standard_error
    assert found.standard_error < 0.02 * found.value
    assert found.cost.energies > 10000


def test_standard_errors_are_neither_boasts_nor_excuses():
    """The sign of 1 + σz, written out."""
    landscape, point = formula(lambda x: x[0], 1), Point(torch.ones(1, dtype=torch.float64), id="w")
    around = Neighbourhood.of(landscape, point)

    def score(seed):
        def rises_at(*sigmas):
            return mean_rises(lambda x: (1 + x[:, 0] < 0).double(), around, sigmas, 400, seed)

        sigma, error = crossing(rises_at, 0.1, 0.5)
        return (sigma - TENTH) / error

    scores = torch.tensor([score(seed) for seed in range(150)])
    assert abs(float(scores.mean())) < 0.3
    assert 0.85 < float(scores.std()) < 1.2


def test_more_rise_takes_more_noise_at_the_wanted_slope():
    landscape, point = weight(1.0)
    sigmas = [
        pac_bayes_sigma(landscape, point, FlatnessOptions(error_rise=rise, draws=4000), 0).value for rise in (0.05, 0.2)
    ]
    assert sigmas == pytest.approx([1 / 1.6448536, 1 / 0.8416212], rel=0.06)
    assert log(sigmas[1] / sigmas[0]) > 0.5


@pytest.mark.parametrize("factors", [[4.0] * 6, [0.3, 3.0, 1.0, 7.0, 0.01, 2.0]], ids=["one", "each"])
def test_a_rescaled_classifier_keeps_the_magnitude_version_alone(factors, rng):
    landscape, a = relu_classifier(rng)
    b = rescaled(landscape, a, torch.tensor(factors, dtype=torch.float64))
    for measure in (pac_bayes_sigma, pac_bayes_sigma_magnitude):
        at_a, at_b = (measure(landscape, point, FlatnessOptions(), 0) for point in (a, b))
        assert (at_b.value == pytest.approx(at_a.value, rel=RTOL)) == at_a.measure.invariant
        assert at_a.measure.flat == "large"


def test_an_objective_without_an_error_has_neither():
    landscape, point = quadratic(torch.eye(2, dtype=torch.float64), *torch.ones(2, 2, dtype=torch.float64))
    for measure in (pac_bayes_sigma, pac_bayes_sigma_magnitude):
        with pytest.raises(UsageError, match="pac_bayes_sigma_magnitude need an error rate"):
            measure(landscape, point, FlatnessOptions(), 0)


def test_the_measure_that_fails_is_named():
    """One weight of one class: an error of at most a half cannot rise by more."""
    with pytest.raises(AnalysisError, match=r"^pac_bayes_sigma: the error rises by less than 0\.6"):
        pac_bayes_sigma(*weight(1.0), FlatnessOptions(error_rise=0.6), 0)

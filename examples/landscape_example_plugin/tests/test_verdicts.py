"""What the analysis says of itself: options it refuses, budgets, doubts, and what it stores."""

import pytest

import landscape

NAME = "average-sharpness"
QUADRATIC = "zoo:quadratic?eigenvalues=10,9,5"

NONSENSE = {
    "no sigma": ({"sigmas": ()}, "at least one"),
    "negative sigma": ({"sigmas": (-0.1, 0.1)}, "positive"),
    "zero sigma": ({"sigmas": (0.0,)}, "positive"),
    "sigma that is not a number": ({"sigmas": (float("nan"),)}, "positive"),
    "infinite sigma": ({"sigmas": (float("inf"),)}, "positive"),
    "sigmas in disorder": ({"sigmas": (0.2, 0.1)}, "ascending"),
    "one draw": ({"num_samples": 1}, "num_samples must be at least 2"),
    "rtol": ({"rtol": 0.0}, "rtol must lie between 0 and 1"),
    "budget for less than two draws": ({"sigmas": (0.1,), "max_energies": 4}, "max_energies must be at least 5"),
    "misspelt": ({"num_sample": 10}, "Did you mean 'num_samples'"),
}


@pytest.fixture
def quadratic():
    return landscape.load(QUADRATIC)


@pytest.mark.parametrize(("options", "words"), NONSENSE.values(), ids=NONSENSE)
def test_options_refuse_nonsense(quadratic, options, words):
    with pytest.raises(landscape.LandscapeError, match=words):
        landscape.analyze(*quadratic, NAME, **options)


def test_the_least_budget_is_enough(quadratic):
    result = landscape.analyze(*quadratic, NAME, sigmas=(0.1,), max_energies=5)[0]
    assert result.summary["samples"] == 2
    assert result.cost.energies == 5


def test_cost_is_what_was_asked_for(quadratic):
    result = landscape.analyze(*quadratic, NAME, sigmas=(0.1, 0.2), num_samples=40)[0]
    assert result.cost.energies == 1 + 2 * 2 * 40
    assert (result.cost.gradients, result.cost.hvps) == (0, 0)


def test_a_larger_budget_continues(quadratic, tmp_path):
    """The numbers are those of an undisturbed run, to the bit, and no draw is paid for twice."""
    options = {"sigmas": (0.1, 0.2), "num_samples": 60}
    short = landscape.analyze(*quadratic, NAME, out=tmp_path, **options, max_energies=100)[0]
    assert not short.converged
    assert short.budget_spent
    assert short.summary["samples"] == 24
    assert "24 of 60 draws; raise --average-sharpness.max-energies (now 100)" in short.messages[0]
    continued = landscape.analyze(*quadratic, NAME, out=tmp_path, **options)[0]
    whole = landscape.analyze(*quadratic, NAME, **options)[0]
    assert continued.summary == whole.summary
    assert continued.converged
    assert continued.cost.energies == whole.cost.energies + 1  # L(w) is taken again


def test_stored_results_are_not_computed_again(quadratic, tmp_path):
    scape, points = quadratic
    first = landscape.analyze(scape, points, NAME, out=tmp_path)[0]
    before = scape.work.energies
    again = landscape.analyze(scape, points, NAME, out=tmp_path)[0]
    assert again.summary == first.summary
    assert again.data.equals(first.data)
    assert scape.work.energies - before <= 2  # the run measures its points
    assert "sharpness" in landscape.open_run(tmp_path).result(NAME, "minimum").plot()


def test_noise_is_not_called_converged(quadratic):
    result = landscape.analyze(*quadratic, NAME, num_samples=3, sigmas=(0.1,), rtol=0.01)[0]
    assert not result.converged
    assert not result.budget_spent
    assert "standard error is more than 0.01 of the value" in result.messages[0]


def test_rounding_is_not_called_converged():
    """At sigma = 1e-6 the rise near Müller-Brown's A is 1e-9 of the loss: float32 cannot see it."""
    single = landscape.load("zoo:mueller-brown", dtype="float32")
    result = landscape.analyze(*single, NAME, sigmas=(1e-6, 0.1))[0]
    assert not result.converged
    assert any("sigma = 1e-06: rounding" in message and "float64" in message for message in result.messages)


def test_a_loss_that_is_not_finite_is_an_error():
    with pytest.raises(landscape.LandscapeError, match="the loss at sigma = 100 is not finite"):
        landscape.analyze(*landscape.load("zoo:mueller-brown"), NAME, sigmas=(0.1, 100.0))

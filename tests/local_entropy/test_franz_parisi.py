"""The entropy at a distance, from exact draws of bowls."""

from __future__ import annotations

from math import exp, log, sqrt

import numpy as np
import pytest
import torch
from landscape_local_entropy.franz_parisi import (
    franz_parisi,
    log_density,
    log_reference_density,
    typical_distance,
)
from landscape_zoo.bowl import Bowl
from scipy.optimize import brentq
from scipy.stats import chi2
from torch import Tensor

BETA = 1e3
KNOWN = {(2, 1e4): -3.72911794, (10, 1e4): -8.40029062, (100, 1e4): -25.417401934, (1000, 1e2): -94.93894011,
         (1000, 1e4): -46.33185628}  # fmt: skip


def mean_square(bowl: Bowl, gamma: float) -> float:
    return float((1 / (BETA * bowl.spectrum() + gamma)).sum())


def gamma_at(bowl: Bowl, distance: float) -> float:
    """The γ with ⟨|x|²⟩ = r²."""
    return exp(brentq(lambda u: mean_square(bowl, exp(u)) - distance**2, -30, 15))


def draws(bowl: Bowl, gamma: float, rng: torch.Generator, count: int = 500, memory: float = 0.0) -> Tensor:
    """|x|² along 8 stationary chains of the tilted measure, autoregressive in x."""
    x = torch.randn(8, count, bowl.dim, generator=rng, dtype=torch.float64)
    for t in range(1, count if memory else 0):
        x[:, t] = memory * x[:, t - 1] + sqrt(1 - memory**2) * x[:, t]
    return (x.square() / (BETA * bowl.spectrum() + gamma)).sum(dim=-1)


@pytest.mark.parametrize("dim", [1, 2, 7, 100])
def test_the_reference_density_is_that_of_chi_square(dim):
    for r in (0.3, 1.0, 2.5):
        wanted = chi2(dim, scale=1 / 4.0).logpdf(r**2) + log(r**2)
        assert log_reference_density(r, 4.0, dim) == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize(("dim", "condition"), KNOWN)
def test_bowls_at_distance_one(dim, condition, rng):
    bowl = Bowl(dim, condition)
    gamma = gamma_at(bowl, 1.0)
    squares = draws(bowl, gamma, rng)
    found = franz_parisi([gamma], [squares], [bowl.phi(BETA, gamma)], [0.0], dim, [1.0])
    at = int(np.argmin(abs(found.distances - 1)))
    assert found.standard_errors[at] < 0.05
    assert abs(found.values[at] - KNOWN[dim, condition]) < 3 * found.standard_errors[at]


@pytest.mark.parametrize("memory", [0.0, 0.9])
@pytest.mark.parametrize("shift", [0.0, 1.0, -1.0])
def test_errors_are_what_they_say(shift, memory):
    """z-scores at the chains' own distance and one standard deviation of |x|² from it, for correlated draws too."""
    bowl = Bowl(10, 1e4)
    gamma = gamma_at(bowl, 1.0)
    spread = float((2 / (BETA * bowl.spectrum() + gamma) ** 2).sum().sqrt())
    distance = sqrt(1 + shift * spread)
    exact = bowl.franz_parisi(BETA, distance) - bowl.phi(BETA, gamma) + log_reference_density(distance, gamma, 10)
    scores = []
    for seed in range(60):
        value, error = log_density(draws(bowl, gamma, torch.Generator().manual_seed(seed), 400, memory), distance)
        scores.append((value - exact) / error)
    assert abs(np.mean(scores)) < 0.5
    assert 0.7 < np.std(scores) < 1.3


def test_the_curve_does_not_know_which_stiffness_it_came_from(rng):
    bowl, gammas = Bowl(30, 1e3, seed=0), [3.0, 10.0, 30.0, 100.0]
    squares = [draws(bowl, gamma, rng, 2000) for gamma in gammas]
    phi = [bowl.phi(BETA, gamma) for gamma in gammas]
    found = franz_parisi(gammas, squares, phi, [0.3] * 4, 30, [0.55, 0.9])
    assert len(found.distances) == 6
    assert not found.messages
    typical = [sqrt(mean_square(bowl, gamma)) for gamma in gammas]
    np.testing.assert_allclose(found.distances, sorted([*typical, 0.55, 0.9]), rtol=0.02)
    wanted = np.array([bowl.franz_parisi(BETA, r) for r in found.distances])
    assert np.all(found.standard_errors > 0.3)
    inner = np.sqrt(found.standard_errors**2 - 0.3**2)
    assert inner.max() < 0.05
    assert np.all(abs(found.values - wanted) < 3.5 * inner)


def test_distances_without_chains_have_no_value_and_are_named(rng):
    bowl = Bowl(100, 1e2)
    squares = [draws(bowl, gamma, rng, 100) for gamma in (1.0, 1e4)]
    found = franz_parisi([1.0, 1e4], squares, [-3.0, -1.0], [0.1, 0.1], 100, [0.3, 50.0])
    assert np.isnan(found.values).tolist() == [False, True, False, True]
    assert np.isnan(found.standard_errors).tolist() == [False, True, False, True]
    (message,) = found.messages
    assert message.startswith("no chains came near the distances 0.3, 50: they are at home between 0.09")


def test_chains_that_stand_still_have_no_density():
    squares = torch.full((4, 50), 2.0, dtype=torch.float64)
    found = franz_parisi([1.0], [squares], [-3.0], [0.1], 3)
    assert np.isnan(found.values).all()
    assert len(found.messages) == 1


def test_typical_distance_is_the_root_mean_square():
    assert typical_distance(torch.tensor([[1.0, 7.0], [3.0, 5.0]])) == 2.0

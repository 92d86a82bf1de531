"""Means over chains: known effective sizes, chains that disagree, chains that stand still, errors that hold."""

from __future__ import annotations

from math import inf, isfinite, sqrt

import pytest
import torch
from landscape_local_entropy.diagnostics import BURN_IN, burn_in, evidence_of, virial_of
from landscape_local_entropy.draws import Draws, Node


def autoregressive(rho, chains, draws, rng, start=None):
    """Chains of variance 1 whose neighbours have the correlation ρ: their mean has draws (1 - ρ)/(1 + ρ) effective."""
    noise = torch.randn(chains, draws, generator=rng, dtype=torch.float64)
    out = torch.empty_like(noise)
    out[:, 0] = noise[:, 0] if start is None else start
    for t in range(1, draws):
        out[:, t] = rho * out[:, t - 1] + sqrt(1 - rho**2) * noise[:, t]
    return out


def measured(rise, pull, square):
    return Draws(rise, pull, square, square, 0.8, 0, 0.1, 3, rise[:, :0])


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9, -0.4])
def test_the_effective_size_is_that_of_the_autocorrelation(rho, rng):
    chains, draws = 8, 4000
    found = evidence_of(autoregressive(rho, chains, draws, rng))
    wanted = chains * draws * (1 - rho) / (1 + rho)
    assert found.ess == pytest.approx(wanted, rel=0.15)
    assert found.rhat == pytest.approx(1, abs=0.01)
    assert 0.9 / sqrt(wanted) < found.standard_error < 2 / sqrt(wanted)
    assert abs(found.mean) < 4 * found.standard_error
    assert found.mixed


def test_split_rhat_is_that_of_its_definition(rng):
    draws = autoregressive(0.6, 5, 60, rng) + torch.linspace(0, 1, 60, dtype=torch.float64)
    halves = torch.cat([draws[:, :30], draws[:, 30:]])
    within, between = halves.var(dim=1).mean(), halves.mean(dim=1).var()
    wanted = float(((29 / 30 * within + between) / within).sqrt())
    assert evidence_of(draws).rhat == pytest.approx(wanted, rel=1e-12)


def test_chains_that_disagree_are_not_mixed_and_say_so_in_the_error(rng):
    centres = torch.tensor([0.0, 0.0, 3.0, 3.0], dtype=torch.float64)
    found = evidence_of(autoregressive(0.0, 4, 500, rng) + centres[:, None])
    assert found.rhat > 1.5
    assert not found.mixed
    assert found.standard_error >= 0.9 * float(centres.std()) / sqrt(4)


@pytest.mark.parametrize(
    "draws",
    [torch.zeros(4, 50), torch.ones(4, 1), torch.arange(8.0).reshape(4, 2), torch.arange(4.0).repeat(50, 1).T],
    ids=["constant", "one draw", "two draws", "chains that stand still"],
)
def test_what_has_no_rhat_is_not_converged_and_still_a_number(draws):
    found = evidence_of(draws)
    assert found.rhat == inf
    assert found.ess == 0
    assert isfinite(found.mean)
    assert isfinite(found.standard_error)
    assert not found.mixed


@pytest.mark.parametrize(("rho", "draws"), [(0.0, 25), (0.3, 50), (0.7, 200)])
def test_errors_hold_over_repeats(rho, draws, rng):
    found = [evidence_of(autoregressive(rho, 8, draws, rng).square()) for _ in range(200)]
    scores = torch.tensor([(one.mean - 1) / one.standard_error for one in found])
    assert 0.8 < float(scores.std()) < 1.2


def test_burn_in_lasts_five_autocorrelation_times(rng):
    quick, slow = autoregressive(0.0, 8, 1000, rng), autoregressive(0.9, 8, 1000, rng)
    assert burn_in(torch.stack([quick, quick]), behind=30) == 0
    wanted = BURN_IN * (1 + 0.9) / (1 - 0.9)
    assert burn_in(torch.stack([quick, slow]), behind=30) == pytest.approx(wanted - 30, rel=0.25)
    assert burn_in(torch.stack([quick, slow]), behind=200) == 0


def test_burn_in_leaves_half_of_the_draws_and_needs_a_few(rng):
    drifting = autoregressive(0.999, 4, 200, rng, start=30.0)
    assert burn_in(drifting[None], behind=0) == 100
    assert burn_in(drifting[None, :, :3], behind=0) == 0


@pytest.mark.parametrize("beta", [0.0, 3.0])
def test_the_virial_ratio_of_exact_draws_of_a_bowl_is_one(beta, rng):
    curvature, gamma = torch.logspace(-2, 1, 20, dtype=torch.float64), 2.0
    x = torch.randn(4, 2000, 20, generator=rng, dtype=torch.float64) / (beta * curvature + gamma).sqrt()
    energy = (curvature * x**2).sum(dim=2)
    ratio, error = virial_of(measured(energy / 2, energy, (x**2).sum(dim=2)), Node(beta, gamma), 20)
    assert error == pytest.approx(sqrt(2 / 20 / 8000), rel=0.7)
    assert abs(ratio - 1) < 4 * error

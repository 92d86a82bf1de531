"""Fractions of spheres that are known: polygons, caps, orthants."""

from dataclasses import dataclass
from math import acos, log, pi, sqrt

import pytest
import torch
from landscape_local_entropy.splitting import Splitting, split
from landscape_zoo.spherical_perceptron import SphericalPerceptron
from scipy.special import betainc

SEEDS = 60


def cap(dim, cosine):
    """ln of the fraction of S^(dim - 1) where x·e is at least a positive cosine."""
    return log(betainc((dim - 1) / 2, 0.5, 1 - cosine**2) / 2)


def height(x):
    return -x[:, 0]


def violated(x):
    return (-x).clamp(min=0).mean(dim=1)


def number_violated(x):
    return (x < 0).sum(dim=1).double()


@dataclass(frozen=True)
class Case:
    energy: object
    dim: int
    threshold: float
    log_fraction: float


CASES = {
    "arc": Case(height, 2, -0.999, log(acos(0.999) / pi)),
    "cap in 3 dimensions": Case(height, 3, -0.98, log((1 - 0.98) / 2)),
    "cap in 20 dimensions": Case(height, 20, -0.8, cap(20, 0.8)),
    "more than half": Case(height, 5, 0.3, log(1 - betainc(2, 0.5, 1 - 0.3**2) / 2)),
    "orthant, all solutions at zero": Case(violated, 10, 0.0, -10 * log(2)),
    "orthant, whole numbers": Case(number_violated, 10, 0.0, -10 * log(2)),
    "two caps": Case(lambda x: -x[:, 0].abs(), 8, -0.8, cap(8, 0.8) + log(2)),
    "narrow lune": Case(
        lambda x: torch.maximum(-x[:, 0], x[:, 0] - 0.05 * x[:, 1]), 3, 0.0, log(acos(1 / sqrt(1.0025)) / 2 / pi)
    ),
}


def measure(case, seed, particles=200):
    rng = torch.Generator().manual_seed(seed)
    found = split(case.energy, case.dim, case.threshold, particles, rng, max_energies=10**7)
    assert found.converged, found.messages
    return found


def polygon(seed):
    reference = SphericalPerceptron(n=3, alpha=1.0, kappa=0.0, seed=seed)
    patterns = reference.patterns()
    return Case(lambda x: (-x @ patterns.T).clamp(min=0).mean(dim=1), 3, 0.0, reference.log_fraction())


def errors(cases, particles=200):
    found = [measure(case, seed, particles) for seed, case in enumerate(cases)]
    errors = [f.log_fraction - case.log_fraction for f, case in zip(found, cases, strict=True)]
    return torch.tensor(errors), torch.tensor([f.standard_error for f in found])


def test_polygons_have_girards_area_and_error_bars_are_neither_boasts_nor_excuses():
    error, standard_error = errors([polygon(seed) for seed in range(SEEDS)], particles=1000)
    assert abs(error.mean()) < 2 * error.std() / sqrt(SEEDS)
    assert 0.7 < (error / standard_error).std() < 1.4
    assert error.std() < 0.1


@pytest.mark.parametrize("name", CASES)
def test_known_fractions(name):
    error, standard_error = errors([CASES[name]] * 12)
    assert abs(error.mean()) < 3 * standard_error.mean() / sqrt(12)
    assert 0.4 < (error / standard_error).square().mean().sqrt() < 1.7  # 12 numbers: six standard deviations down


def test_every_level_is_an_estimate():
    found = measure(CASES["cap in 20 dimensions"], seed=3, particles=1000)
    upper = found.thresholds < -0.05
    exact = torch.tensor([cap(20, -t) for t in found.thresholds[upper].tolist()])
    z = (found.log_fractions[upper] - exact) / found.standard_errors[upper]
    assert upper.sum() > 10
    assert z.abs().max() < 4
    torch.testing.assert_close(
        found.log_fractions.diff()[:-1], torch.full_like(found.log_fractions[2:], -log(2)), rtol=0, atol=2e-3
    )


def narrow(x):
    """Zero on a lune ten times longer than wide."""
    return torch.maximum(-x[:, 0], x[:, 0] - 0.1 * x[:, 1]).clamp(min=0)


def test_moves_go_on_until_positions_are_less_correlated(monkeypatch):
    case = Case(narrow, 3, 0.0, 0.0)
    found = measure(case, seed=0)
    assert (found.correlations <= 0.9).all()
    assert found.correlations[0] == 0
    assert found.acceptances[0] == 1
    monkeypatch.setattr("landscape_local_entropy.splitting.MOST_MOVES", 3)
    found = split(narrow, 3, 0.0, 200, torch.Generator().manual_seed(0), max_energies=10**6)
    assert found.thresholds[-1] == 0
    assert not found.converged
    assert not found.budget_spent
    assert "after 3 moves at one level positions were correlated by 0.9" in found.messages[0]


def test_errors_fall_with_the_root_of_the_number_of_particles():
    few, many = (measure(CASES["cap in 20 dimensions"], seed=0, particles=n).standard_error for n in (100, 1600))
    assert few / many == pytest.approx(4, rel=0.25)


def test_the_first_level_is_a_binomial():
    found = measure(CASES["cap in 20 dimensions"], seed=0, particles=1000)
    assert float(found.standard_errors[0]) == pytest.approx(sqrt(1 / 499 - 1 / 1000), rel=1e-9)
    assert float(found.log_fractions[0]) == pytest.approx(log(499.5 / 1000.5), rel=1e-12)
    assert float(found.acceptances[0]) == 1


def test_all_of_the_sphere_is_not_said_to_be_exact():
    found = measure(Case(height, 4, 1.5, 0.0), seed=0, particles=100)
    assert found.log_fraction == 0
    assert found.standard_error == pytest.approx(sqrt(0.5) / 100, rel=1e-9)
    assert found.energies == 100


def test_what_is_not_finite_is_above_every_level():
    case = Case(lambda x: torch.where(x[:, 1] > 0, -x[:, 0], torch.nan), 20, -0.8, cap(20, 0.8) - log(2))
    error, standard_error = errors([case] * 12)
    assert abs(error.mean()) < 3 * standard_error.mean() / sqrt(12)


def test_the_same_seed_gives_the_same_number_and_energies_are_counted():
    calls = []

    def energy(x):
        calls.append(len(x))
        return height(x)

    once = measure(Case(energy, 6, -0.9, 0.0), seed=5)
    assert once.energies == sum(calls)
    assert measure(Case(height, 6, -0.9, 0.0), seed=5).log_fraction == once.log_fraction
    assert measure(Case(height, 6, -0.9, 0.0), seed=6).log_fraction != once.log_fraction


def test_levels_are_reported(rng):
    reported = []
    found = split(height, 6, -0.9, 100, rng, max_energies=10**6, report=lambda *told: reported.append(told))
    assert [level for _, level in reported] == found.thresholds.tolist()
    assert reported[-1][0] == found.energies


FAILURES = {
    "constant": (lambda x: torch.ones(len(x), dtype=x.dtype), 0.0, "no particle came below the loss 1 "),
    "nowhere finite": (lambda x: torch.full_like(x[:, 0], torch.nan), 0.0, "no particle came below the loss inf"),
    "a plateau above the threshold": (violated, -1.0, "no particle came below the loss 0 "),
    "a minimum is a point": (height, -1.0, "particles cannot move by 5.0e-08 at the loss -1 "),
}


@pytest.mark.parametrize("name", FAILURES)
def test_what_cannot_be_reached_is_said(name, rng):
    energy, threshold, words = FAILURES[name]
    found = split(energy, 4, threshold, 50, rng, max_energies=10**5)
    assert not found.converged
    assert words in found.messages[0]
    assert all_finite(found)


def all_finite(found: Splitting) -> bool:
    columns = (found.log_fractions, found.standard_errors, found.acceptances, found.correlations)
    return all(bool(column.isfinite().all()) for column in columns)


@pytest.mark.parametrize("budget", [5, 50, 120, 1000])
def test_the_budget_is_kept_and_what_was_found_is_a_bound(budget, rng):
    found = split(height, 20, -0.8, 50, rng, max_energies=budget)
    assert found.energies <= budget
    assert found.budget_spent
    assert not found.converged
    assert all_finite(found)
    assert found.log_fraction > cap(20, 0.8) + 1


def test_a_point_has_no_directions_to_move_in(rng):
    with pytest.raises(ValueError, match="dim 2 or more, got 1"):
        split(height, 1, 0.0, 50, rng, max_energies=1000)

"""Φ from exact curves of its slope, with and without noise, on bowls and singular losses."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log, sqrt

import numpy as np
import pytest
import torch
from landscape_local_entropy.free_energy import (
    Quadrature,
    along_gamma,
    free_energy,
    gamma_nodes,
    lowest_beta,
    reference_rises,
    reweighted,
)
from landscape_zoo.bowl import Bowl
from scipy.integrate import quad

from landscape.errors import AnalysisError
from landscape.neighbourhood.around import Neighbourhood
from landscape.parameters import Point

BOWLS = [Bowl(2, 1e4), Bowl(10, 1e4), Bowl(100, 1e4), Bowl(1000, 1e2), Bowl(1000, 1e4)]
BETA, GAMMA = 1e3, 1.0


def minimum(bowl: Bowl, metric: str = "identity", scale: float = 0.0) -> Neighbourhood:
    device = torch.device("cpu")
    system = bowl.build(device, torch.float64)
    landscape = system.landscape("bowl", "", device, torch.float64)
    return Neighbourhood.of(landscape, Point(torch.full((bowl.dim,), scale, dtype=torch.float64), id="m"), metric)


def normal(w):
    return 2 * exp(-(w**2) / 2) / sqrt(2 * np.pi)


def singular_square(beta):
    """Z and -∂Z/∂β of exp(-βw₁²w₂²): the integral over w₂ is done."""
    return (
        quad(lambda w: normal(w) / sqrt(1 + 2 * beta * w**2), 0, 12, limit=500, points=[1e-3, 1e-1])[0],
        quad(lambda w: normal(w) * w**2 * (1 + 2 * beta * w**2) ** -1.5, 0, 12, limit=500, points=[1e-3, 1e-1])[0],
    )


def quartic(beta):
    """The same of exp(-β(w₁² + w₂⁴))."""
    flat = (1 + 2 * beta) ** -0.5
    points = [1e-2, 1e-1]
    z = quad(lambda w: normal(w) * exp(-beta * w**4), 0, 12, limit=500, points=points)[0]
    slope = quad(lambda w: normal(w) * w**4 * exp(-beta * w**4), 0, 12, limit=500, points=points)[0]
    return z * flat, slope * flat + z * flat**3


SINGULAR = {"w1^2 w2^2": (singular_square, 0.390273), "w1^2 + w2^4": (quartic, 0.747095)}


def test_the_rule_of_four_intervals_is_the_textbook_one():
    weights = Quadrature.between(exp(-1), exp(1), 4).weights
    np.testing.assert_allclose(weights, np.array([1, 8, 12, 8, 1]) / 15, rtol=1e-13)


@pytest.mark.parametrize("intervals", [4, 8, 16])
def test_polynomials_are_integrated_exactly_up_to_every_node_and_by_the_coarse_rule(intervals):
    quadrature = Quadrature.between(0.01, 50, intervals)
    u = np.log(quadrature.betas)
    for degree in range(intervals + 1):
        wanted = (u ** (degree + 1) - u[0] ** (degree + 1)) / (degree + 1)
        size = np.abs(u).max() ** (degree + 1)
        np.testing.assert_allclose(quadrature.cumulative @ u**degree, wanted, rtol=0, atol=1e-12 * size)
        if degree <= intervals // 2:
            assert quadrature.coarse @ u**degree == pytest.approx(wanted[-1], rel=0, abs=1e-12 * size)
    assert quadrature.betas[0] == 0.01
    assert quadrature.betas[-1] == 50
    assert not quadrature.coarse[1::2].any()


@pytest.mark.parametrize("bowl", BOWLS, ids=lambda bowl: f"{bowl.dim}-{bowl.condition:g}")
@pytest.mark.parametrize(("intervals", "error", "within"), [(16, 5e-7, 3e-5), (32, 2e-11, 1e-8)])
def test_exact_coefficients_give_the_free_energy_of_a_bowl(bowl, intervals, error, within):
    lowest = 0.1 / float(bowl.spectrum().sum())  # there LLC is .05
    quadrature = Quadrature.between(lowest, BETA, intervals)
    llc = [bowl.learning_coefficient(beta, GAMMA) for beta in quadrature.betas]
    found = free_energy(quadrature, llc, [0.0] * len(llc), (bowl.phi(lowest, GAMMA), 0.0))
    assert found.phi == pytest.approx(bowl.phi(BETA, GAMMA), rel=error)
    wanted = [bowl.phi(beta, GAMMA) for beta in quadrature.betas]
    np.testing.assert_allclose(found.phi_beta, wanted, rtol=0, atol=within * abs(wanted[-1]))
    assert found.quadrature_error < 1e-3 * abs(found.phi)
    assert found.standard_error == 0


def test_the_quadrature_error_is_that_of_half_the_nodes():
    bowl, fine, coarse = BOWLS[2], Quadrature.between(1e-2, 1e5, 8), Quadrature.between(1e-2, 1e5, 4)
    phi = bowl.phi(1e5, 1.0)
    found, half = (
        free_energy(
            rule,
            [bowl.learning_coefficient(b, 1.0) for b in rule.betas],
            [0.0] * len(rule.betas),
            (bowl.phi(1e-2, 1.0), 0),
        )
        for rule in (fine, coarse)
    )
    assert found.quadrature_error == pytest.approx(abs(found.phi - half.phi), rel=1e-9)
    assert abs(found.phi - phi) < found.quadrature_error == pytest.approx(abs(half.phi - phi), rel=0.1)


def test_errors_of_the_nodes_add_up(rng):
    """z-scores of Φ, at the last node, in the middle, and along γ, have unit variance."""
    bowl, draws = BOWLS[2], 2000
    quadrature = Quadrature.between(1e-2, BETA, 8)
    llc = np.array([bowl.learning_coefficient(beta, GAMMA) for beta in quadrature.betas])
    gammas = gamma_nodes(GAMMA, 10.0, 5)
    slopes = np.array([bowl.learning_coefficient(BETA, gamma) for gamma in gammas])  # of a bowl they are the same
    noise = torch.randn(draws, len(llc) + len(gammas) + 1, generator=rng, dtype=torch.float64).numpy()
    errors, slope_errors, tail = 0.03 * llc, 0.02 * slopes, 0.5
    exact = free_energy(quadrature, llc, errors, (bowl.phi(1e-2, GAMMA), tail))
    exact_curve = along_gamma(gammas, slopes, slope_errors, (exact.phi, exact.standard_error))
    scores = []
    for row in noise:
        noisy = llc + errors * row[: len(llc)]
        found = free_energy(quadrature, noisy, errors, (bowl.phi(1e-2, GAMMA) + tail * row[-1], tail))
        curve = along_gamma(
            gammas, slopes + slope_errors * row[len(llc) : -1], slope_errors, (found.phi, found.standard_error)
        )
        beta_scores = (found.phi_beta - exact.phi_beta) / found.phi_beta_stderr
        scores.append(np.concatenate([beta_scores, (curve.phi - exact_curve.phi) / curve.standard_error]))
    np.testing.assert_allclose(np.std(scores, axis=0), 1, rtol=0, atol=3.5 / sqrt(2 * draws))
    assert exact.standard_error == exact.phi_beta_stderr[-1]
    assert exact_curve.standard_error[2] == pytest.approx(exact.standard_error, rel=1e-12)


@pytest.mark.parametrize("bowl", BOWLS, ids=lambda bowl: f"{bowl.dim}-{bowl.condition:g}")
def test_along_gamma_a_bowl_is_exact(bowl):
    for count, error in ((5, 1e-3), (9, 2e-6), (17, 1e-9)):
        gammas = gamma_nodes(2.0, 10.0, count)
        wanted = np.array([bowl.phi(BETA, gamma) for gamma in gammas])
        slopes = [bowl.learning_coefficient(BETA, gamma) for gamma in gammas]
        curve = along_gamma(gammas, slopes, [0.0] * count, (wanted[count // 2], 0.0))
        np.testing.assert_allclose(curve.phi, wanted, rtol=0, atol=error * abs(wanted).max())
        assert abs(curve.phi - wanted).max() < curve.quadrature_error + 1e-9
        between = [0.25, 2.0, 13.0]
        curve = along_gamma(gammas, slopes, [0.0] * count, (wanted[count // 2], 0.0), between)
        found, exact = curve.phi, [bowl.phi(BETA, gamma) for gamma in between]
        np.testing.assert_allclose(found, exact, rtol=0, atol=2 * error * abs(wanted).max())


def test_gamma_nodes_span_what_was_asked_for_around_gamma():
    gammas = gamma_nodes(3.0, 10.0, 5)
    np.testing.assert_allclose(
        np.log(np.array(gammas) / 3), log(10) * np.array([-1, -sqrt(0.5), 0, sqrt(0.5), 1]), atol=1e-12
    )
    assert gammas[2] == 3.0
    assert gamma_nodes(3.0, 10.0, 1) == (3.0,)
    alone = along_gamma(gamma_nodes(3.0, 10.0, 1), [7.0], [1.0], (-5.0, 0.1))
    assert (alone.phi.tolist(), alone.standard_error.tolist(), alone.quadrature_error) == ([-5.0], [0.1], 0.0)


@pytest.mark.parametrize("name", SINGULAR)
def test_singular_losses_by_their_exact_curve(name):
    curve, llc = SINGULAR[name]
    assert BETA * curve(BETA)[1] / curve(BETA)[0] == pytest.approx(llc, abs=1e-6)
    quadrature = Quadrature.between(0.02, BETA, 16)
    coefficients = [beta * curve(beta)[1] / curve(beta)[0] for beta in quadrature.betas]
    found = free_energy(quadrature, coefficients, [0.0] * 17, (log(curve(0.02)[0]), 0.0))
    assert found.phi == pytest.approx(log(curve(BETA)[0]), rel=1e-6)


@pytest.mark.parametrize("bowl", BOWLS, ids=lambda bowl: f"{bowl.dim}-{bowl.condition:g}")
def test_the_quadrature_begins_where_the_reference_still_holds(bowl, rng):
    rises = reference_rises(minimum(bowl), 4.0, 500, rng)
    assert float(rises.mean()) == pytest.approx(float(bowl.spectrum().sum()) / 8, rel=0.2)
    beta = lowest_beta(rises, BETA)
    assert bowl.learning_coefficient(beta, 4.0) == pytest.approx(0.05, rel=0.2)
    phi, error = reweighted(rises, beta)
    assert abs(phi - bowl.phi(beta, 4.0)) < 3 * error < 0.03
    assert lowest_beta(rises, beta) == pytest.approx(beta / 10, rel=1e-12)


def test_reweighting_tells_its_error_where_the_tails_are_heavy(rng):
    """ΔL = w₁²w₂⁴, whose variance is 100 times the square of its mean."""
    scores, coefficients = [], []
    for _ in range(400):
        w = torch.randn(300, 2, generator=rng, dtype=torch.float64)
        rises = w[:, 0] ** 2 * w[:, 1] ** 4
        beta = lowest_beta(rises, BETA)
        z = quad(lambda v, b=beta: normal(v) / sqrt(1 + 2 * b * v**4), 0, 12, limit=200)[0]
        phi, error = reweighted(rises, beta)
        scores.append((phi - log(z)) / error)
        later = quad(lambda v, b=1.01 * beta: normal(v) / sqrt(1 + 2 * b * v**4), 0, 12, limit=200)[0]
        coefficients.append(log(z / later) / log(1.01))
    assert np.mean(coefficients) == pytest.approx(0.05, abs=0.002)
    assert abs(np.mean(scores)) < 0.25
    assert 0.8 < np.std(scores) < 1.2


@pytest.mark.parametrize(
    "rises",
    [
        [0.0] * 5,
        [-1e-9, 1e-9, 0, 2e-9, -2e-9],
        [-3.0, 5.0, 1e8, 2.0, -0.5],
        [-10, 0.1, 0.1, 0.1, 0.1],
        [1e30, 1.0, 2.0, 0.0, 3.0],
    ],
)
def test_odd_rises_still_give_a_beginning(rises):
    found = torch.tensor(rises, dtype=torch.float64)
    beta = lowest_beta(found, BETA)
    assert 0 < beta <= BETA / 10
    assert abs(beta * float((torch.softmax(-beta * found, dim=0) * found.abs()).sum())) < 0.0501
    assert all(map(np.isfinite, reweighted(found, beta)))


def test_what_cannot_move_stays_in_the_reference(rng):
    """On the bowl with a zero weight the scaled landscape has one dimension less."""
    around = minimum(Bowl(3, 4.0), "weights", scale=2.0)
    around = replace(around, scales=around.scales * torch.tensor([1.0, 0.0, 1.0]))
    rises = reference_rises(around, 1e4, 4000, rng)
    spectrum = Bowl(3, 4.0).spectrum()[[0, 2]] * 4
    wanted = (spectrum.square().sum() / 1e4 + (spectrum / 1e4).square().sum() / 2).sqrt()  # slope and curvature λs²
    assert float(rises.std()) == pytest.approx(float(wanted), rel=0.05)


def test_a_loss_that_overflows_is_refused(rng):
    around = minimum(BOWLS[0])
    with pytest.raises(AnalysisError, match=r"not finite at 98 of 100 .* take a gamma above 1e-310"):
        reference_rises(around, 1e-310, 100, rng)

"""The benchmark of the local entropy at toy size, and the pair of nets that measures are judged by."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from calibration_pair import TRAINING_LOSS, TanhNet, accuracy, digits_to_train, good, memorised
from chain_steps import CHAINS, StepCosts, step_costs
from effective_samples import NODE, _step_of_bias, efficiency, langevin_per_sample
from landscape_zoo.bowl import Bowl
from local_entropy import draw_table, step_table
from torch.nn.functional import cross_entropy

SMALL = Bowl(dim=5, condition=10.0)


@pytest.fixture(scope="module")
def pair() -> tuple[TanhNet, TanhNet]:
    return good(), memorised()


def test_the_pair_has_equal_training_loss_and_unequal_accuracy(pair: tuple[TanhNet, TanhNet]) -> None:
    inputs, targets = digits_to_train().tensors
    losses = [cross_entropy(net(inputs), targets).item() for net in pair]
    assert losses == pytest.approx([TRAINING_LOSS] * 2, rel=0.01)
    assert accuracy(pair[0]) == pytest.approx(0.95, abs=0.015)
    assert accuracy(pair[1]) == pytest.approx(0.76, abs=0.04)
    assert sum(parameter.numel() for parameter in pair[0].parameters()) == 1210


def test_the_pair_is_the_same_at_every_training(pair: tuple[TanhNet, TanhNet]) -> None:
    torch.manual_seed(12345)
    again = memorised()
    assert all(torch.equal(a, b) for a, b in zip(pair[1].parameters(), again.parameters(), strict=True))


def test_langevin_time_is_that_of_the_dense_process(rng: torch.Generator) -> None:
    """x' = Ax + √ε ξ has the covariance S = ASAᵀ + ε; Cov(xᵀHx, x_tᵀHx_t) = 2 tr(H AᵗS H (AᵗS)ᵀ)."""
    rotation = torch.linalg.qr(torch.randn(5, 5, generator=rng, dtype=torch.float64))[0]
    hessian = rotation @ torch.diag(SMALL.spectrum()) @ rotation.T
    exponent = NODE.beta * hessian + NODE.gamma * torch.eye(5)
    step = _step_of_bias(SMALL) / torch.linalg.eigvalsh(exponent)[-1]
    drift = torch.eye(5, dtype=torch.float64) - step / 2 * exponent
    covariance = torch.zeros_like(drift)
    for _ in range(20_000):
        covariance = drift @ covariance @ drift.T + step * torch.eye(5)
    lagged, correlations = covariance, []
    for _ in range(20_000):
        correlations.append(torch.trace(hessian @ lagged @ hessian @ lagged.T))
        lagged = drift @ lagged
    time = 2 * sum(correlations) / correlations[0] - 1
    assert langevin_per_sample(SMALL) == pytest.approx(float(time), rel=1e-6)
    bias = NODE.beta / 2 * torch.trace(hessian @ covariance) / SMALL.learning_coefficient(NODE.beta, NODE.gamma) - 1
    assert float(bias) == pytest.approx(0.01, rel=0.05)  # the step's formula is of first order


def test_langevin_time_is_what_chains_show() -> None:
    found = efficiency("ULA", SMALL, budget=24_000)
    assert found.per_sample == pytest.approx(langevin_per_sample(SMALL), rel=0.3)


def test_efficiency_of_an_exact_sampler() -> None:
    found = efficiency("HMC, diagonal", SMALL, budget=8_000)
    assert 1 < found.per_sample < 20
    assert found.samples * found.per_sample + found.warm_up <= 8_000
    exact = SMALL.learning_coefficient(NODE.beta, NODE.gamma)
    assert abs(found.coefficient - exact) < 4 * found.standard_error


def test_costs_of_steps() -> None:
    cost = step_costs(64, steps=2, repeats=1, peer=False)
    assert cost.peer is None
    assert set(cost.ours) == set(CHAINS)
    assert all(value > 0 for value in (cost.gradient, cost.bare, *cost.ours.values()))
    assert "| not measured | not measured |" in step_table([cost])


def test_tables() -> None:
    cost = StepCosts(64, "float32", 0.1, 2.0, {1: 2.1, 4: 1.5, 16: 1.0}, 3.2, 2000.0)
    text = step_table([cost])
    assert "| 64, float32 | 0.100 ms | 2.00 | 2.10 | 1.50 | 1.00 | 3.20 | 5.20 |" in text
    assert "0.31 **>** 0.25 | 0.19 ≤ 0.25 | 1.05 ≤ 1.1 |" in text
    few = dict.fromkeys(("HMC, diagonal", "HMC", "MALA, diagonal", "MALA"), 3_000)
    assert "| D = 5, rotated |" in draw_table([Bowl(5, 10.0, seed=0)], few)

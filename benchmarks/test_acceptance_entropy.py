"""Local entropy against exact values, and on two nets of equal loss; some twenty minutes."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from itertools import count
from math import exp, hypot, sqrt

import pytest
import torch
from calibration_pair import calibration_pair
from landscape_zoo.bowl import Bowl
from landscape_zoo.deep_linear_loss import DeepLinear
from landscape_zoo.singular import Singular
from landscape_zoo.spherical_perceptron import SphericalPerceptron

import landscape
from landscape.analysis import Result

Row = Callable[[str, str, object], None]


def entropy_of(name: str, seed: int = 0, **options: float) -> Result:
    scape, points = landscape.load(name, device="cpu")
    return landscape.analyze(scape, points[:1], "local-entropy", seed=seed, **options)[0]


def number(result: Result, name: str) -> float:
    return float(str(result.summary[name]))


def spent(result: Result) -> str:
    return f"{result.cost.gradients:,.0f} gradients, {result.cost.seconds:.0f} s"


BUDGET = 1_000_000
MANY = 128  # chains: in few dimensions an independent draw says little, and a gradient costs nothing


@pytest.mark.parametrize("bowl", [Bowl(100), Bowl(1000), Bowl(100, seed=0), Bowl(1000, seed=0)], ids=str)
def test_bowls(bowl: Bowl, row: Row) -> None:
    rotation = "" if bowl.seed is None else f"&seed={bowl.seed}"
    name = f"zoo:bowl?dim={bowl.dim}&condition={bowl.condition:g}{rotation}"
    result = entropy_of(name, beta=1e3, gamma=1.0, gamma_nodes=1, max_gradients=BUDGET)
    exact = {"phi": bowl.phi(1e3, 1.0), "llc": bowl.learning_coefficient(1e3, 1.0)}
    for quantity, value in exact.items():
        found, error = number(result, quantity), number(result, f"{quantity}_stderr")
        what = f"`{name}`: {quantity} (exact {value:.2f}; {spent(result)})"
        row(what, "within 3 se, se ≤ 1 %", f"{found:.2f} ± {error:.2f}, {abs(found - value) / error:.1f} se")
    row(f"`{name}`: verdict", "–", "converged" if result.converged else result.messages[0])
    for quantity, value in exact.items():
        error = number(result, f"{quantity}_stderr")
        assert abs(number(result, quantity) - value) <= 3 * error
        assert error <= 0.01 * abs(value)


def test_forty_seeds(row: Row) -> None:
    bowl = Bowl(100)
    exact = {"phi": bowl.phi(1e3, 1.0), "llc": bowl.learning_coefficient(1e3, 1.0)}
    results = [entropy_of("zoo:bowl?dim=100", seed, beta=1e3, gamma=1.0, gamma_nodes=1) for seed in range(40)]
    scatter = {}
    for name, value in exact.items():
        scores = [(number(result, name) - value) / number(result, f"{name}_stderr") for result in results]
        scatter[name] = statistics.stdev(scores)
        found = f"{scatter[name]:.2f} (mean {statistics.mean(scores):+.2f}, worst {max(map(abs, scores)):.1f})"
        row(f"`zoo:bowl?dim=100`, forty seeds: standard deviation of the z-scores of {name}", ".7 to 1.4", found)
    converged = sum(result.converged for result in results)
    row("the same: converged within the default budget", "–", f"{converged} of 40")
    assert all(0.7 <= value <= 1.4 for value in scatter.values())


SINGULAR = {
    "w₁²w₂²": Singular((2, 2)),
    "w₁²w₂⁴": Singular((2, 4)),
    "w₁² + w₂⁴": Singular((2, 4), "sum"),
    "(w₁w₂)⁶": Singular((6, 6)),
}


@pytest.mark.parametrize("beta", [1e3, 1e4])
@pytest.mark.parametrize("loss", SINGULAR)
def test_singular_models(loss: str, beta: float, row: Row) -> None:
    model = SINGULAR[loss]
    powers = ",".join(map(str, model.powers))
    name = f"zoo:singular?powers={powers}&kind={model.kind}"
    result = entropy_of(name, beta=beta, gamma=1.0, gamma_nodes=1, nodes=8, chains=MANY, max_gradients=20 * BUDGET)
    exact, found = model.learning_coefficient(beta, 1.0), number(result, "llc")
    what = f"{loss}, β = {beta:g}: llc (exact {exact:.4f}; {spent(result)}{_verdict(result)})"
    row(what, "within 3 %", f"{found:.4f} ± {number(result, 'llc_stderr'):.4f}, {abs(found / exact - 1):.1%}")
    assert abs(found / exact - 1) <= 0.03


def _verdict(result: Result) -> str:
    return "" if result.converged else ", not converged"


@pytest.mark.parametrize("beta", [1e3, 1e4])
def test_deep_linear_net(beta: float, row: Row) -> None:
    name, model = "zoo:deep-linear?widths=3,2,3&rank=1", DeepLinear((3, 2, 3), 1)
    result = entropy_of(name, beta=beta, gamma=1.0, gamma_nodes=1, chains=MANY // 4, max_gradients=5 * BUDGET)
    found, error = number(result, "llc"), number(result, "llc_stderr")
    rng = torch.Generator().manual_seed(0)
    beside = model.sampled(beta, 1.0, 300_000 if beta < 1e4 else 3_000_000, rng)
    independent = f"{beside.learning_coefficient:.3f} ± {beside.learning_coefficient_stderr:.3f} by independent draws"
    what = f"`{name}`, β = {beta:g}: llc ({independent}; {spent(result)}{_verdict(result)})"
    row(what, f"within 10 % of {model.threshold}", f"{found:.3f} ± {error:.3f}")
    assert abs(found / model.threshold - 1) <= 0.1
    assert abs(found - beside.learning_coefficient) <= 3 * hypot(error, beside.learning_coefficient_stderr)


COUNTED = [
    (0.4, 0, 2092, (2.481836, 23.282027, 39.918738), (10, 55, 349)),
    (0.6, 1, 304, (1.914474,), None),
]


@pytest.mark.parametrize(("alpha", "seed", "solutions", "means", "within"), COUNTED)
def test_binary_perceptron(
    alpha: float, seed: int, solutions: int, means: tuple[float, ...], within: tuple[int, ...] | None, row: Row
) -> None:
    name = f"zoo:binary-perceptron?n=21&alpha={alpha}&seed={seed}"
    result = entropy_of(name)
    found = result.data["solutions_mean"].values[1 : 1 + len(means)]
    shown = ", ".join(f"{value:.6f}" for value in found)
    what = f"`{name}`: solutions; mean number at distance 1, 2, 3"
    row(what, f"{solutions}; {', '.join(map(str, means))}", f"{result.summary['num_solutions']}; {shown}")
    row(f"`{name}`: seconds", "≤ 10", result.cost.seconds)
    assert result.summary["num_solutions"] == solutions
    assert found == pytest.approx(means, abs=5e-7)
    assert result.cost.seconds <= 10
    if within:
        assert tuple(result.summary[f"within_3_{part}"] for part in ("min", "median", "max")) == within


def test_spherical_perceptron_in_three_dimensions(row: Row) -> None:
    errors: list[float] = []
    for seed in count():
        try:
            exact = SphericalPerceptron(3, 1.0, 0.0, seed).log_fraction()
        except ValueError:  # no solution: another draw of the patterns
            continue
        result = entropy_of(f"zoo:spherical-perceptron?n=3&alpha=1&kappa=0&seed={seed}", seed)
        errors.append(number(result, "log_volume") - exact)
        if len(errors) == 60:
            break
    mean, error = statistics.mean(errors), statistics.stdev(errors) / sqrt(len(errors))
    wanted = "within 2 se of 0"
    row(
        "spherical perceptron, N = 3, sixty seeds: mean error of ln volume (Girard)",
        wanted,
        f"{mean:.4f} ± {error:.4f}",
    )
    assert abs(mean) <= 2 * error


def test_calibration_pair(row: Row) -> None:
    scape, points = calibration_pair()
    good, memorised, both = landscape.analyze(scape, points, "local-entropy", max_gradients=BUDGET)
    losses = [float(scape.energies(point.vector[None])[0]) for point in points]
    row("calibration pair: training losses", "equal to 1 %", " and ".join(f"{loss:.5f}" for loss in losses))
    for name, sign in (("phi", 1), ("llc", -1)):
        values = [number(result, name) for result in (good, memorised)]
        errors = [number(result, f"{name}_stderr") for result in (good, memorised)]
        apart = sign * (values[0] - values[1]) / hypot(*errors)
        shown = " against ".join(f"{value:.2f} ± {error:.2f}" for value, error in zip(values, errors, strict=True))
        row(
            f"calibration pair, β = n / ln n, γ = 10: {name} of good and memorised",
            "> 5 se",
            f"{shown}: {apart:.0f} se",
        )
        assert apart > 5
    for name in ("laplace_phi", "trace", "eigenvalue_max"):
        values = [number(result, name) for result in (good, memorised)]
        row(f"the same: {name}", "–", " against ".join(f"{value:.4g}" for value in values))
    row("the same: who disagrees, in the report", "–", "; ".join(both.messages))
    assert exp(abs(torch.log(torch.tensor(losses[0] / losses[1])))) <= 1.01

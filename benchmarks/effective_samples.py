"""Gradients that an independent draw of the loss takes, by sampler, on bowls with a wide spectrum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from landscape_local_entropy.chains import sample
from landscape_local_entropy.diagnostics import evidence_of
from landscape_local_entropy.draws import Node
from landscape_local_entropy.options import LocalEntropyOptions
from landscape_local_entropy.osculating import osculating
from landscape_zoo.bowl import Bowl
from torch import Tensor

import landscape
from landscape.analysis import Context, Unstored
from landscape.neighbourhood.around import Neighbourhood

__all__ = ["SAMPLERS", "Efficiency", "efficiency", "langevin_per_sample"]

NODE = Node(beta=1e3, gamma=1.0)
BIAS = 0.01  # of the learning coefficient: the unadjusted sampler takes the step that errs by so much

SAMPLERS = ("HMC, diagonal", "HMC", "MALA, diagonal", "MALA", "ULA")
"""Their mass matrix is the diagonal of the Hessian, by Hutchinson's estimator, or the identity. ULA is ``sgld`` on the
full data, at the step that makes its learning coefficient wrong by 1 %; the others are exact."""


@dataclass(frozen=True)
class Efficiency:
    """What a sampler did on a bowl.

    Attributes
    ----------
    per_sample
        Gradients after the warm-up over the effective sample size of ΔL.
    warm_up
        Gradients before.
    samples
        The effective sample size.
    coefficient, standard_error
        β⟨ΔL⟩.
    """

    per_sample: float
    warm_up: float
    samples: float
    coefficient: float
    standard_error: float


def efficiency(sampler: str, bowl: Bowl, budget: float) -> Efficiency:
    """Eight chains until the budget is spent, at β = 1e3, γ = 1."""
    name = f"zoo:bowl?dim={bowl.dim}&condition={bowl.condition}" + ("" if bowl.seed is None else f"&seed={bowl.seed}")
    scape, points = landscape.load(name, device="cpu")
    around = Neighbourhood.of(scape, points[0])
    kind, _, mass = sampler.lower().partition(", ")
    options = LocalEntropyOptions(
        sampler={"hmc": "hmc", "mala": "mala", "ula": "sgld"}[kind],  # type: ignore[arg-type]
        sgld_step=_step_of_bias(bowl) if kind == "ula" else 0.1,
        rtol=1e-6,  # so that only the budget ends it
    )
    diagonal = osculating(around, torch.Generator().manual_seed(0), options.probes).diagonal
    given = diagonal if mass or kind == "ula" else None  # with which ULA only starts: without it, from far away
    watch = _WarmUp()
    found = sample(around, [NODE], given, options, Context(storage=watch), budget=budget)
    evidence = evidence_of(found.draws[0].rise)
    return Efficiency(
        (found.gradients - watch.gradients) / float(evidence.ess),
        watch.gradients,
        float(evidence.ess),
        NODE.beta * evidence.mean,
        NODE.beta * evidence.standard_error,
    )


def langevin_per_sample(bowl: Bowl) -> float:
    """What ULA takes at that step, to all orders in it and without a chain.

    In the bowl's own axes each coordinate is an autoregressive process of variance s = 1/(a(1 - εa/4)), a = βλ + γ,
    whose square forgets by r = (1 - εa/2)² a step; the time of ΔL is the mean of (1 + r)/(1 - r), weighted by (λs)².
    """
    stiffness = NODE.beta * bowl.spectrum() + NODE.gamma
    step = _step_of_bias(bowl) / stiffness.max()
    weights = (bowl.spectrum() / (stiffness * (1 - step * stiffness / 4))).square()
    forgets = (1 - step * stiffness / 2).square()
    return float((weights * (1 + forgets) / (1 - forgets)).sum() / weights.sum())


def _step_of_bias(bowl: Bowl) -> float:
    """ε (βλ_max + γ) with the bias (ε/8) Σ βλᵢ, which is exact to first order in ε."""
    stiffness = NODE.beta * bowl.spectrum()
    bias = BIAS * bowl.learning_coefficient(NODE.beta, NODE.gamma)
    return float(8 * bias / stiffness.sum() * (stiffness.max() + NODE.gamma))


class _WarmUp(Unstored):
    """Remembers what had been spent when the warm-up ended."""

    gradients = 0.0

    def save(self, key: str, state: Mapping[str, Tensor]) -> None:
        if not state["0.trace"].shape[2]:
            self.gradients = float(state["0.gradients"])

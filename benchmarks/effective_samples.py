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

__all__ = ["SAMPLERS", "Efficiency", "efficiency"]

NODE = Node(beta=1e3, gamma=1.0)
BIAS = 0.01  # of the learning coefficient: the unadjusted sampler takes the step that errs by so much

SAMPLERS = ("HMC, diagonal", "HMC", "MALA, diagonal", "MALA", "ULA")
"""With the diagonal of the Hessian, by Hutchinson's estimator, as their mass matrix, or without. ULA is ``sgld`` on the full
data at a step that makes its learning coefficient wrong by 1 %; the others are exact."""


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
    diagonal = osculating(around, torch.Generator().manual_seed(0), options.probes).diagonal if mass else None
    watch = _WarmUp()
    found = sample(around, [NODE], diagonal, options, Context(storage=watch), budget=budget)
    evidence = evidence_of(found.draws[0].rise)
    return Efficiency(
        (found.gradients - watch.gradients) / evidence.ess,
        watch.gradients,
        evidence.ess,
        NODE.beta * evidence.mean,
        NODE.beta * evidence.standard_error,
    )


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

"""Where chains run, and what they measure there."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from landscape.errors import AnalysisError

__all__ = ["BudgetError", "Draws", "Node"]


class BudgetError(AnalysisError):
    """The budget does not cover the warm-up of the chains."""


@dataclass(frozen=True)
class Node:
    """An inverse temperature β and a stiffness γ at which chains run."""

    beta: float
    gamma: float

    def __str__(self) -> str:
        return f"beta {self.beta:.4g}, gamma {self.gamma:.4g}"


@dataclass(frozen=True, eq=False)
class Draws:
    """What the chains of one node measured after their warm-up, float64 on the CPU.

    Attributes
    ----------
    rise, pull, square, distance2
        ΔL, x·∇_xΔL, |x|² and |s ∘ x|² (squared distance in the weights' own units), each of shape (chains, draws).
    acceptance
        Mean Metropolis probability; 1 for an unadjusted sampler.
    divergences
        Proposals that were not finite. They are rejected.
    step_size
        ε, fixed.
    num_steps
        Leapfrog steps of a trajectory, before it is varied at random.
    warmup
        ΔL during the warm-up, shape (chains, warm-up draws): not part of the averages.
    """

    rise: Float[Tensor, "chains draws"]
    pull: Float[Tensor, "chains draws"]
    square: Float[Tensor, "chains draws"]
    distance2: Float[Tensor, "chains draws"]
    acceptance: float
    divergences: int
    step_size: float
    num_steps: int
    warmup: Float[Tensor, "chains warmup"]

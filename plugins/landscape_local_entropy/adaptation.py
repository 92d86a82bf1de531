"""Step sizes learnt from acceptance: dual averaging, for all nodes at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["DualAveraging"]

SHRINKAGE, DELAY, DECAY = 0.2, 10.0, 0.75
"""γ, t₀ and κ of the source, section 3.2.1, but γ = .2 instead of .05: that was for single chains and warm-ups of
many hundreds. After tens of transitions of eight chains it leaves steps a fifth too short."""


@dataclass(frozen=True, eq=False)
class DualAveraging:
    """Looks for the step sizes at which the acceptance is a target, float64 on the CPU, one for each node.

    Attributes
    ----------
    centre
        ln of the step size that the search is drawn to, its start.
    shortfall
        Weighted mean of (target - acceptance) so far.
    log_step, log_average
        ln of the step size to try next, and of the averaged one, which is kept in the end.
    count
        Acceptances seen.

    Source: Hoffman & Gelman, The No-U-Turn Sampler, J. Mach. Learn. Res. 15, 1593 (2014), equation (6).
    """

    centre: Float[Tensor, " N"]
    shortfall: Float[Tensor, " N"]
    log_step: Float[Tensor, " N"]
    log_average: Float[Tensor, " N"]
    count: int = 0

    @classmethod
    def init(cls, step_size: Float[Tensor, " N"]) -> DualAveraging:
        """A search that begins at these step sizes."""
        logs = step_size.double().log()
        return cls(logs, torch.zeros_like(logs), logs, torch.zeros_like(logs))

    @property
    def step_size(self) -> Float[Tensor, " N"]:
        """What to try next."""
        return self.log_step.exp()

    @property
    def averaged(self) -> Float[Tensor, " N"]:
        """What to keep."""
        return self.log_average.exp()

    def step(self, acceptance: Float[Tensor, " N"], target: float) -> DualAveraging:
        """The search after one more mean acceptance of each node."""
        count = self.count + 1
        shortfall = self.shortfall + (target - acceptance - self.shortfall) / (count + DELAY)
        log_step = self.centre - count**0.5 / SHRINKAGE * shortfall
        log_average = self.log_average + count**-DECAY * (log_step - self.log_average)
        return replace(self, shortfall=shortfall, log_step=log_step, log_average=log_average, count=count)

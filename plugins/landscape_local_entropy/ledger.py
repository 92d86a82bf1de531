"""What is kept of the chains of a node between two rounds, and stored so that they go on after an interruption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from landscape_local_entropy.diagnostics import burn_in
from landscape_local_entropy.draws import Draws

__all__ = ["QUANTITIES", "Ledger", "restored", "tensors"]

QUANTITIES = ("rise", "pull", "square", "distance2", "acceptance", "divergent")
"""What the rows of a trace are."""


@dataclass(frozen=True, eq=False)
class Ledger:
    """The chains of one node, on the CPU.

    Attributes
    ----------
    positions
        Where they are.
    stream
        State of the node's random generator.
    step_size, duration
        How they move: see ``Tuning``.
    parts
        Parts of the warm-up that are done.
    gradients
        Spent so far, full data.
    warmup
        ΔL during the warm-up.
    trace
        ``QUANTITIES`` of each chain at each draw, float64.
    """

    positions: Float[Tensor, "chains P"]
    stream: UInt8[Tensor, " S"]
    step_size: Float[Tensor, ""]
    duration: Float[Tensor, ""]
    parts: Float[Tensor, ""]
    gradients: Float[Tensor, ""]
    warmup: Float[Tensor, "chains warmup"]
    trace: Float[Tensor, "quantities chains draws"]

    @property
    def length(self) -> int:
        """Draws of a chain."""
        return self.trace.shape[2]

    def draws(self, num_steps: int, behind: int) -> Draws:
        """What was measured after the burn-in, to which the last ``behind`` transitions of the warm-up belong."""
        first = burn_in(self.trace[: QUANTITIES.index("distance2")], behind)
        rise, pull, square, distance2, acceptance, divergent = self.trace[:, :, first:]
        return Draws(
            rise=rise,
            pull=pull,
            square=square,
            distance2=distance2,
            acceptance=float(acceptance.mean()),
            divergences=int(divergent.sum()),
            step_size=float(self.step_size),
            num_steps=num_steps,
            warmup=torch.cat([self.warmup, self.trace[0, :, :first]], dim=1),
        )


def tensors(ledgers: Sequence[Ledger]) -> dict[str, Tensor]:
    """The ledgers of all nodes, to be saved."""
    return {f"{i}.{one.name}": getattr(ledger, one.name) for i, ledger in enumerate(ledgers) for one in fields(Ledger)}


def restored(state: Mapping[str, Tensor], nodes: int) -> list[Ledger]:
    """The ledgers that ``tensors`` made of so many nodes."""
    return [Ledger(**{one.name: state[f"{i}.{one.name}"] for one in fields(Ledger)}) for i in range(nodes)]

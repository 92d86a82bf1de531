"""What is kept of the chains of a node between two rounds, and stored so that they go on after an interruption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

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

    def draws(self, num_steps: int) -> Draws:
        """What was measured."""
        rise, pull, square, distance2, acceptance, divergent = self.trace
        return Draws(
            rise, pull, square, distance2, float(acceptance.mean()), int(divergent.sum()),
            float(self.step_size), num_steps, self.warmup,
        )  # fmt: skip


def tensors(ledgers: Sequence[Ledger]) -> dict[str, Tensor]:
    """The ledgers of all nodes, to be saved."""
    return {f"{i}.{one.name}": getattr(ledger, one.name) for i, ledger in enumerate(ledgers) for one in fields(Ledger)}


def restored(state: Mapping[str, Tensor], nodes: int) -> list[Ledger]:
    """The ledgers that ``tensors`` made of so many nodes."""
    return [Ledger(**{one.name: state[f"{i}.{one.name}"] for one in fields(Ledger)}) for i in range(nodes)]

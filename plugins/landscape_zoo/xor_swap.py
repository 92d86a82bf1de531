"""XOR by two ReLU units, and the same with the units exchanged."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from landscape_zoo.network_system import NetworkSystem, two_layers, vectors

__all__ = ["XorSwap"]

# Hidden weights along the direction (1, -1) and readout weights of units 1, 2 and the spare one, from A to B: at each
# corner what a silent unit computes, or which of two units that compute the same is read, has changed.
CORNERS = (  # without the spare unit only the first and the last are of loss zero
    ((1, -1, 1), (1, 1, 0)),
    ((1, -1, 1), (0, 1, 1)),
    ((-1, -1, 1), (0, 1, 1)),
    ((-1, -1, 1), (1, 0, 1)),
    ((-1, 1, 1), (1, 0, 1)),
    ((-1, 1, 1), (1, 1, 0)),
)


@dataclass(frozen=True)
class XorSwap:
    """f(x) = Σ c_i max(w_i·x, 0) on the four corners of the square, w = ±(1, -1), c = 1: |x₁ - x₂|, which is XOR.

    The loss is the mean of (f(x) - y)² over the four.

    Known answers: loss 0 at A and at B, where the two units are exchanged. On the line between them f shrinks by |1-2t|
    on the two corners where y = 1, so the loss is ½(1 - |1-2t|)², with its peak ½ in the middle, where all w vanish. A
    spare third unit w = (1, -1), c = 0 opens a way of five straight segments (``polygon``) on which the loss is 0; it
    changes nothing on the line.

    Attributes
    ----------
    spare
        Number of spare units, 0 or 1.
    """

    spare: int = 0

    def __post_init__(self) -> None:
        if self.spare not in (0, 1):
            raise ValueError(f"spare must be 0 or 1, got {self.spare}")

    def polygon(self) -> Float[Tensor, "6 P"]:
        """The way of loss zero from A to B over the spare unit, float64."""
        if self.spare == 0:
            raise ValueError("the way of loss zero goes over a spare unit: set spare to 1")
        return self._corners()

    def _corners(self) -> Float[Tensor, "6 P"]:
        hidden, readout = torch.tensor(CORNERS, dtype=torch.float64)[:, :, : 2 + self.spare].unbind(1)
        directions = hidden[:, :, None] * torch.tensor([1.0, -1.0], dtype=torch.float64)
        return vectors(directions, readout[:, None])

    def build(self, device: torch.device, dtype: torch.dtype) -> NetworkSystem:
        first, *_, last = self._corners()
        square = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=torch.float64)
        return NetworkSystem(
            two_layers(2, 2 + self.spare, 1, nn.ReLU()),
            inputs=square,
            targets=(square[:, :1] - square[:, 1:]).abs(),
            data="corners of the square",
            points={"A": first, "B": last},
        )

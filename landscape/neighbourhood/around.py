"""The loss around one point, in the units of a metric."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.landscapes.protocol import Landscape
from landscape.neighbourhood.metric import scales
from landscape.parameters import Point

__all__ = ["Neighbourhood"]


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """ΔL(x) = L(w + s ∘ x) - L(w).

    Where batch-norm statistics are re-estimated at every other point, they are so at w too: ΔL has no step at x = 0.

    Attributes
    ----------
    landscape
        L.
    point
        w with its buffers.
    scales
        s, shape ``(P,)``; see ``metric.scales``.
    energy
        L(w).
    """

    landscape: Landscape
    point: Point
    scales: Float[Tensor, " P"]
    energy: float

    @classmethod
    def of(cls, landscape: Landscape, point: Point, metric: str = "identity") -> Neighbourhood:
        """The neighbourhood of a point. Costs an energy."""
        point = point.to(landscape.device, landscape.dtype)
        anchors = () if landscape.info.batch_norm == "recalibrate" else (point,)
        around = landscape.anchored(anchors)
        energy = float(around.energies(point.vector[None])[0])
        return cls(around, point, scales(landscape.space, point.vector, metric), energy)

    @property
    def dim(self) -> int:
        """D, the number of coordinates that can move."""
        return int((self.scales > 0).sum())

    def places(self, x: Float[Tensor, "K P"]) -> Float[Tensor, "K P"]:
        """w + s ∘ x."""
        return torch.addcmul(self.point.vector, self.scales, x)

    def rises(self, x: Float[Tensor, "K P"]) -> Float[Tensor, " K"]:
        """ΔL, float64 on the landscape's device. Costs K energies."""
        return self.landscape.energies(self.places(x)) - self.energy

    def slopes(
        self, x: Float[Tensor, "K P"], batch: int | None = None
    ) -> tuple[Float[Tensor, " K"], Float[Tensor, "K P"]]:
        """ΔL, float64, and its gradient in x. Costs K gradients.

        On one mini-batch the first is that batch's loss less the full data's L(w).
        """
        energies, gradients = self.landscape.gradients(self.places(x), batch)
        return energies - self.energy, gradients * self.scales

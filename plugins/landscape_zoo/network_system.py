"""Two-layer networks with data, on whose loss something is known."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from landscape.landscapes.batches import Batches
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import mse

__all__ = ["NetworkSystem", "two_layers", "vectors"]


@dataclass(frozen=True, eq=False)
class NetworkSystem:
    """A network, its data in one batch, and points on the mean squared error over all samples and outputs.

    Attributes
    ----------
    model
        The network, without biases, in float64: its parameters are ``hidden.weight`` and ``readout.weight``.
    inputs, targets
        The samples, float64 on the CPU.
    data
        What the output calls them.
    points
        Named minima of loss zero, float64 on the CPU.
    """

    model: nn.Module
    inputs: Float[Tensor, "n inputs"]
    targets: Float[Tensor, "n outputs"]
    data: str
    points: Mapping[str, Float[Tensor, " P"]]

    def landscape(self, name: str, fingerprint: str, device: torch.device, dtype: torch.dtype) -> NetworkLandscape:
        """The loss as a landscape."""
        batch = (self.inputs.to(device, dtype), self.targets.to(device, dtype))
        batches = Batches((batch,), len(self.inputs), self.data, fingerprint)
        return NetworkLandscape(self.model, mse, batches, device=device, dtype=dtype, name=name)


def two_layers(inputs: int, units: int, outputs: int, activation: nn.Module | None = None) -> nn.Sequential:
    """A network with one hidden layer and no biases, float64; linear without an activation."""
    layers = OrderedDict[str, nn.Module](hidden=nn.Linear(inputs, units, bias=False))
    if activation is not None:
        layers["activation"] = activation
    layers["readout"] = nn.Linear(units, outputs, bias=False)
    return nn.Sequential(layers).double()


def vectors(hidden: Float[Tensor, "*K units inputs"], readout: Float[Tensor, "*K outputs units"]) -> Tensor:
    """Points from the weights of both layers, shape ``(*K, P)``, in the order of the network's parameters."""
    return torch.cat([hidden.flatten(-2), readout.flatten(-2)], dim=-1)

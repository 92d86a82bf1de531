"""A ReLU network and its copy with the scale moved from one layer to the next."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from landscape_zoo.disorder import check_entries
from landscape_zoo.network_system import NetworkSystem, two_layers, vectors
from landscape_zoo.rotation import check_seed

__all__ = ["ReluRescaling"]

INPUTS, OUTPUTS = 3, 2


@dataclass(frozen=True)
class ReluRescaling:
    """f(x) = W₂ max(W₁x, 0) and its copy (W₁α, W₂/α), which computes the same.

    The loss is the mean of (f(x) - y)² over samples and outputs, with y = f_A(x) and Gaussian inputs; E[y²] is the same
    mean of y².

    Known answers: loss 0 at A and B. On the line between them the function is multiplied by 1 + t(1-t)(α + 1/α - 2), so
    the loss is t²(1-t)²(α + 1/α - 2)² E[y²], highest at its middle; for α = 4 there the factor is 1.5625 and the loss
    .31640625 E[y²]. On the path (W₁αᵗ, W₂/αᵗ) it is 0 throughout.

    Attributes
    ----------
    alpha
        α, positive.
    units, samples
        Hidden units and samples.
    seed
        Of the weights, Gaussian with variance 2 / (width of what each layer reads), and of the inputs.
    """

    alpha: float = 4.0
    units: int = 5
    samples: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if not (isfinite(self.alpha) and self.alpha > 0):
            raise ValueError(f"alpha must be a positive number, got {self.alpha}")
        if self.units < 1 or self.samples < 1:
            raise ValueError(f"units and samples must be at least 1, got {self.units} and {self.samples}")
        check_entries(INPUTS * max(self.units, self.samples), f"units={self.units} and samples={self.samples}")
        check_seed(self.seed)

    def weights(self) -> tuple[Float[Tensor, "units 3"], Float[Tensor, "2 units"], Float[Tensor, "samples 3"]]:
        """W₁ and W₂ of A, and the inputs, float64."""
        rng = np.random.default_rng(self.seed)
        hidden = rng.normal(size=(self.units, INPUTS)) * sqrt(2 / INPUTS)
        readout = rng.normal(size=(OUTPUTS, self.units)) * sqrt(2 / self.units)
        inputs = rng.normal(size=(self.samples, INPUTS))
        return torch.from_numpy(hidden), torch.from_numpy(readout), torch.from_numpy(inputs)

    def rescaling_path(self, times: Float[Tensor, " T"]) -> Float[Tensor, "T P"]:
        """The path of loss zero from A (t = 0) to B (t = 1), float64."""
        hidden, readout, _ = self.weights()
        scales = self.alpha ** times.double()[:, None, None]
        return vectors(scales * hidden, readout / scales)

    def build(self, device: torch.device, dtype: torch.dtype) -> NetworkSystem:
        hidden, readout, inputs = self.weights()
        return NetworkSystem(
            two_layers(INPUTS, self.units, OUTPUTS, nn.ReLU()),
            inputs,
            targets=(inputs @ hidden.T).relu() @ readout.T,
            data="Gaussian inputs",
            points={"A": vectors(hidden, readout), "B": vectors(hidden * self.alpha, readout / self.alpha)},
        )

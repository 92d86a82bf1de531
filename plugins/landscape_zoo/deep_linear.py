"""A linear network of two layers: minima joined by a rotation of its hidden units."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from landscape_zoo.disorder import check_entries
from landscape_zoo.network_system import NetworkSystem, two_layers, vectors
from landscape_zoo.rotation import check_seed

__all__ = ["DeepLinearGauge"]


@dataclass(frozen=True)
class DeepLinearGauge:
    """f(x) = W₂W₁x and its copy (W₂G⁻¹, GW₁), G the cyclic exchange of an odd number n of units: it is even, det G = 1.

    The loss is the mean of |f(x) - f_A(x)|² / m over the samples, m the number of outputs, with inputs whose second
    moments are exactly the identity: √inputs times the unit vectors.

    Known answers: loss 0 at A and B. On the line between them it is t²(1-t)² |W₂(G + Gᵀ - 2)W₁|² / m, highest at its
    middle. On the gauge path (W₂G(t)⁻¹, G(t)W₁) with G(t) = exp(t log G) in SO(n) it is 0 throughout.

    Attributes
    ----------
    units
        n, odd and at least 3.
    inputs, outputs
        Widths of the ends of the network.
    seed
        Of W₁ and W₂, Gaussian with variance 1 / (width of what each layer reads).
    """

    units: int = 5
    inputs: int = 3
    outputs: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        if self.units < 3 or self.units % 2 == 0:
            raise ValueError(f"units must be odd and at least 3, for a rotation to exchange them, got {self.units}")
        if self.inputs < 1 or self.outputs < 1:
            raise ValueError(f"inputs and outputs must be at least 1, got {self.inputs} and {self.outputs}")
        numbers = self.units * (self.units + self.inputs + self.outputs) + self.inputs**2
        check_entries(numbers, f"units={self.units}, inputs={self.inputs} and outputs={self.outputs}")
        check_seed(self.seed)

    def weights(self) -> tuple[Float[Tensor, "units inputs"], Float[Tensor, "outputs units"]]:
        """W₁ and W₂ of A, float64."""
        rng = np.random.default_rng(self.seed)
        hidden = rng.normal(size=(self.units, self.inputs)) / sqrt(self.inputs)
        readout = rng.normal(size=(self.outputs, self.units)) / sqrt(self.units)
        return torch.from_numpy(hidden), torch.from_numpy(readout)

    def gauge(self, times: Float[Tensor, " T"]) -> Float[Tensor, "T units units"]:
        """G(t) = exp(t log G), float64.

        G shifts the units by one, with eigenvalues exp(-2πik/n) on the Fourier modes |k| < n/2; its real
        logarithm takes these phases as they stand, so G(t) shifts by the fraction t.
        """
        phases = torch.arange(self.units // 2 + 1, dtype=torch.float64) * (2 * torch.pi / self.units)
        modes = torch.fft.rfft(torch.eye(self.units, dtype=torch.float64), dim=0)
        shifted = modes * torch.exp(-1j * phases * times.double()[:, None])[:, :, None]
        return torch.fft.irfft(shifted, n=self.units, dim=1)

    def gauge_path(self, times: Float[Tensor, " T"]) -> Float[Tensor, "T P"]:
        """The path of loss zero from A (t = 0) to B (t = 1), float64."""
        hidden, readout = self.weights()
        gauge = self.gauge(times)
        return vectors(gauge @ hidden, readout @ gauge.mT)

    def build(self, device: torch.device, dtype: torch.dtype) -> NetworkSystem:
        hidden, readout = self.weights()
        inputs = sqrt(self.inputs) * torch.eye(self.inputs, dtype=torch.float64)
        copy = vectors(hidden.roll(1, 0), readout.roll(1, 1))
        return NetworkSystem(
            two_layers(self.inputs, self.units, self.outputs),
            inputs,
            targets=inputs @ (readout @ hidden).T,
            data="unit vectors",
            points={"A": vectors(hidden, readout), "B": copy},
        )

"""Singular minima in normal form: products and sums of even powers of the coordinates."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import reduce
from math import log, pi
from typing import Literal

import numpy as np
import torch
from scipy.special import loggamma
from torch import Tensor

from landscape_zoo.system import System

__all__ = ["Singular"]

LARGEST = 1000  # power
DECAY = 45.0  # the contour integral is followed until its integrand has fallen to exp(-45)


@dataclass(frozen=True)
class Singular:
    """E(x) = Π x_i^(p_i), or Σ x_i^(p_i) for the kind ``sum``, around the origin.

    Known answers: at the singular point x = 0 the energy is 0. The volume of {E ≤ ε} goes as ε^λ (ln 1/ε)^(m-1) with
    the real log canonical threshold λ and its multiplicity m (Watanabe, Algebraic Geometry and Statistical Learning
    Theory, 2009): λ = 1/max p_i for a product, m the number of coordinates with that power; λ = Σ 1/p_i and m = 1 for a
    sum. The learning coefficient at finite β, which is what can be measured, approaches λ as slowly as
    λ - (m-1)/ln β. With Gaussian displacements of variance 1 as the reference:

    ============ === = ======= ======= ======= ======= =======
          energy   λ m β = 1e2     1e3     1e4     1e6     1e8
    ============ === = ======= ======= ======= ======= =======
         x₁² x₂² 1/2 2 .354204 .390273 .412337 .437543 .451494
         x₁² x₂⁴ 1/4 1 .205712 .224851 .235811 .245507 .248579
       x₁² + x₂⁴ 3/4 1 .739230 .747095 .749132 .749915 .749992
         x₁⁶ x₂⁶ 1/6 2 .087429 .097939 .106461 .118979 .127433
    ============ === = ======= ======= ======= ======= =======

    Attributes
    ----------
    powers
        p_i, even, from 2 to 1000.
    kind
        product or sum.
    """

    powers: tuple[int, ...] = (2, 2)
    kind: Literal["product", "sum"] = "product"

    def __post_init__(self) -> None:
        if not self.powers or any(power not in range(2, LARGEST + 1, 2) for power in self.powers):
            raise ValueError(f"powers must be even numbers from 2 to {LARGEST}, one or more, got {self.powers}")

    @property
    def threshold(self) -> float:
        """λ."""
        return 1 / max(self.powers) if self.kind == "product" else sum(1 / power for power in self.powers)

    @property
    def multiplicity(self) -> int:
        """m."""
        return self.powers.count(max(self.powers)) if self.kind == "product" else 1

    def phi(self, beta: float, gamma: float) -> float:
        """Φ(β, γ) = ln E exp(-βE(x)) for x of variance 1/γ around the origin, to rounding."""
        return sum(log(mean) for mean, _ in self._factors(beta, gamma))

    def learning_coefficient(self, beta: float, gamma: float) -> float:
        """-∂Φ/∂ln β = β⟨E⟩, to rounding."""
        return sum(slope / mean for mean, slope in self._factors(beta, gamma))

    def _factors(self, beta: float, gamma: float) -> list[tuple[float, float]]:
        """E exp(-βE) and -∂/∂ln β of it, for each group of coordinates that the energy is a sum over."""
        groups = [self.powers] if self.kind == "product" else [(power,) for power in self.powers]
        return [_boltzmann(group, beta * gamma ** (-sum(group) / 2)) for group in groups]

    def build(self, device: torch.device, dtype: torch.dtype) -> System:
        join = operator.mul if self.kind == "product" else operator.add
        dim = len(self.powers)

        def energy(x: Tensor) -> Tensor:
            return reduce(join, [x[i] ** power for i, power in enumerate(self.powers)])

        def start(rng: torch.Generator) -> Tensor:
            return torch.randn(dim, generator=rng, dtype=torch.float64)

        return System(energy, dim, start, {"singular": torch.zeros(dim, dtype=torch.float64)})


def _boltzmann(powers: tuple[int, ...], beta: float) -> tuple[float, float]:
    """Z = E exp(-β Π z_i^(p_i)) over standard Gaussian z, and -∂Z/∂ln β.

    By Mellin's inversion Z = 1/2πi ∫ Γ(s) β^(-s) Π E|z|^(-p_i s) ds along Re s = c, 0 < c < 1/max p_i, where
    E|z|^(-ps) = 2^(-ps/2) Γ((1-ps)/2) / √π; the derivative brings a factor s. The integrand is analytic between its
    poles at 0 and 1/max p_i and falls exponentially, so that the trapezoidal rule is exact to rounding.
    """
    c = 1 / (2 * max(powers))
    step = c / 16  # the poles err by exp(-2π 16)
    s = c + 1j * np.arange(0, DECAY / (pi / 2 + pi / 4 * sum(powers)), step)
    logs = loggamma(s) - s * log(beta)
    for power in powers:
        logs += loggamma((1 - power * s) / 2) - power * s / 2 * log(2) - log(pi) / 2
    values = np.exp(logs) * step / pi
    values[0] /= 2  # the other half of the contour is the complex conjugate
    return float(values.sum().real), float((s * values).sum().real)

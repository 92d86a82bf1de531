"""Two minima joined by a curved valley, in the plane and in many dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor

from landscape_zoo.rotation import Rotation, check_rotation
from landscape_zoo.system import System

__all__ = ["CurvyValley", "DoubleWell"]

HALF_WIDTH = 5 * pi / 2  # x0 of the curvy valley
HEIGHT, STIFFNESS = 1.0, 10.0  # h and k of the double well


@dataclass(frozen=True)
class CurvyValley:
    """E(x, y) = (y - sin x)² + (x/x0)⁴ - 2(x/x0)² + 1 with x0 = 5π/2.

    Known answers: minima (±x0, ±1) at energy 0; the saddle (0, 0) at exactly 1. The straight line between the minima
    peaks at 2.97666827. The floor of the valley is y = sin x, of length 19.100989.
    """

    def build(self, device: torch.device, dtype: torch.dtype) -> System:
        def energy(position: Tensor) -> Tensor:
            x, y = position
            u = (x / HALF_WIDTH) ** 2
            return (y - torch.sin(x)) ** 2 + (u - 1) ** 2

        def start(rng: torch.Generator) -> Tensor:
            spread = torch.tensor([HALF_WIDTH, 1.0], dtype=torch.float64)
            return spread * torch.randn(2, generator=rng, dtype=torch.float64)

        right = torch.tensor([HALF_WIDTH, 1.0], dtype=torch.float64)
        return System(energy, dim=2, start=start, points={"left": -right, "right": right})


@dataclass(frozen=True)
class DoubleWell:
    """E = h (s² - 1)² + k/2 |z - c (1 - s²)|² with h = 1, k = 10, |c| = 1, on P axes (s, z) that are then rotated.

    Known answers: minima s = ±1, z = 0 at energy 0; the saddle s = 0, z = c at exactly 1, the minimax barrier. The
    straight line between the minima peaks at h + k/2 = 6. The Hessian at a minimum has the eigenvalues 29 ± √761 and,
    P - 2 times, 10.

    Attributes
    ----------
    dim
        P, at least 2.
    seed
        Of the rotation; without one s is the first axis and c the second.
    """

    dim: int = 2
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.dim < 2:
            raise ValueError(f"dim must be at least 2, got {self.dim}")
        check_rotation(self.dim, self.seed)

    def build(self, device: torch.device, dtype: torch.dtype) -> System:
        exact = Rotation.random(self.dim, self.seed)
        rotation = exact.to(device, dtype)

        def energy(x: Tensor) -> Tensor:
            axes = rotation.to_axes(x)
            s, z_along_c, z_across = axes[0], axes[1], axes[2:]
            bend = (z_along_c - (1 - s**2)) ** 2 + (z_across**2).sum()
            return HEIGHT * (s**2 - 1) ** 2 + STIFFNESS / 2 * bend

        def start(rng: torch.Generator) -> Tensor:
            return torch.randn(self.dim, generator=rng, dtype=torch.float64)

        right = exact.from_axes(torch.eye(1, self.dim, dtype=torch.float64)[0])
        return System(energy, self.dim, start, points={"left": -right, "right": right})

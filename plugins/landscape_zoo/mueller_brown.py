"""The Müller-Brown potential: three minima and two saddles in the plane."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from landscape_zoo.system import System

__all__ = ["MuellerBrown"]

# Rows A, a, b, c, x0, y0 of the four Gaussians (Müller & Brown, Theor. Chim. Acta 53, 75 (1979), table in the text).
GAUSSIANS = (
    (-200.0, -100.0, -170.0, 15.0),
    (-1.0, -1.0, -6.5, 0.7),
    (0.0, 0.0, 11.0, 0.6),
    (-10.0, -10.0, -6.5, 0.7),
    (1.0, 0.0, -0.5, -1.0),
    (0.0, 0.5, 1.5, 1.0),
)
MINIMA = {
    "A": (-0.5582236346, 1.4417258418),
    "B": (0.6234994049, 0.0280377585),
    "C": (-0.0500108230, 0.4666941049),
}
BOX = ((-1.5, -0.2), (1.2, 2.0))  # lower and upper corner of the region that holds all critical points


@dataclass(frozen=True)
class MuellerBrown:
    """V(x, y) = sum_i A_i exp(a_i (x-x0_i)² + b_i (x-x0_i)(y-y0_i) + c_i (y-y0_i)²).

    Known answers:

    ======  =============  ============  ===============
    point   x              y             V
    ======  =============  ============  ===============
    A       -0.5582236346  1.4417258418  -146.6995172100
    B       0.6234994049   0.0280377585  -108.1667241169
    C       -0.0500108230  0.4666941049  -80.7678181297
    S1      -0.8220015587  0.6243128028  -40.6648435087
    S2      0.2124865820   0.2929883251  -72.2489401123
    ======  =============  ============  ===============

    S1 joins A and C, S2 joins C and B, so the lowest path from A to B has its maximum at S1. The straight line A-B
    peaks at 12.676228 (t = .30662), A-C at 3.385919 (t = .48515). Far out the fourth Gaussian has no lower bound:
    steps need a cap.
    """

    def build(self, device: torch.device, dtype: torch.dtype) -> System:
        def start(rng: torch.Generator) -> Tensor:
            lower, upper = torch.tensor(BOX, dtype=torch.float64)
            return lower + (upper - lower) * torch.rand(2, generator=rng, dtype=torch.float64)

        tabulated = {name: torch.tensor(place, dtype=torch.float64) for name, place in MINIMA.items()}
        precise = _Potential(torch.device("cpu"), torch.float64)
        minima = {name: _newton(precise, place) for name, place in tabulated.items()}
        return System(_Potential(device, dtype), dim=2, start=start, points=minima)


class _Potential:
    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.gaussians = torch.tensor(GAUSSIANS, device=device, dtype=dtype)

    def __call__(self, position: Tensor) -> Tensor:
        height, a, b, c, x0, y0 = self.gaussians
        x, y = position[0] - x0, position[1] - y0
        return (height * torch.exp(a * x**2 + b * x * y + c * y**2)).sum()


def _newton(energy: _Potential, x: Tensor, num_steps: int = 3) -> Tensor:
    """A critical point to machine precision from its first ten digits (quadratic convergence: one step would do)."""
    for _ in range(num_steps):
        x = x - torch.linalg.solve(torch.func.hessian(energy)(x), torch.func.grad(energy)(x))
    return x

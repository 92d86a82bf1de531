"""The evidence at the highest point of a path: how level the loss is across it, and in how many directions it falls."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from landscape.curvature.lanczos import extreme_eigenpairs, init
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point
from landscape.paths import Path, points_at

__all__ = ["Saddle", "saddle_of"]

_BESIDE = 1e-3  # in time: how far to either side the direction of the path is taken
_RTOL = 1e-3
_PRODUCTS = 100  # Hessian-vector products for each eigenvalue wanted


@dataclass(frozen=True, eq=False)
class Saddle:
    """What was measured at the highest point of a path.

    Attributes
    ----------
    gradient_norm
        Norm of the full-data gradient's part across the path; at a saddle it is zero.
    eigenvalues, residuals
        The lowest of the Hessian, ascending, and how far off each can be; empty unless asked for.
    converged
        Whether they are within a thousandth of the largest.
    """

    gradient_norm: float
    eigenvalues: Tensor
    residuals: Tensor
    converged: bool = True

    @property
    def index(self) -> int:
        """How many of the eigenvalues are negative by more than their residuals."""
        return int((self.eigenvalues < -self.residuals).sum())

    def in_words(self) -> tuple[str, ...]:
        """What is uncertain about the index, if anything."""
        if len(self.eigenvalues) == 0:
            return ()
        if not self.converged:
            return (f"the lowest {len(self.eigenvalues)} eigenvalues at the saddle have not converged",)
        if self.index == len(self.eigenvalues):
            return (f"all {self.index} eigenvalues taken at the saddle are negative: its index may be higher",)
        return ()


def saddle_of(landscape: Landscape, path: Path, eigenvalues: int, rng: torch.Generator) -> Saddle:
    """The evidence at the highest point. Costs a gradient and, for eigenvalues, some 100 Hessian products each."""
    around = (path.saddle_time + torch.tensor([-_BESIDE, 0.0, _BESIDE], dtype=torch.float64)).clamp(0, 1)
    before, here, after = points_at(landscape, path.points, around)
    tangent = torch.nn.functional.normalize(landscape.tangent(here, after - before), dim=0)
    gradient = landscape.gradients(here[None])[1][0]
    across = float((gradient - (gradient @ tangent) * tangent).norm())
    none = torch.zeros(0, dtype=torch.float64)
    if eigenvalues == 0:
        return Saddle(across, none, none)
    start = torch.randn(len(here), generator=rng, dtype=torch.float64).to(here)
    krylov = init(start, project=lambda rows: landscape.tangent(here.expand_as(rows), rows))
    found = extreme_eigenpairs(
        landscape.hessian(Point(here, "saddle")),
        krylov,
        top=1,
        bottom=eigenvalues,
        rtol=_RTOL,
        max_products=_PRODUCTS * (eigenvalues + 1),
    ).bottom
    return Saddle(across, found.values, found.residuals, found.converged)

"""A quadratic with a chosen spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from landscape_zoo.rotation import Rotation, check_rotation
from landscape_zoo.system import System

__all__ = ["Quadratic"]


@dataclass(frozen=True)
class Quadratic:
    """E(x) = xᵀ R diag(eigenvalues) Rᵀ x / 2.

    Known answers: the Hessian's spectrum everywhere; the origin at energy 0, a minimum, or a saddle where an eigenvalue
    is negative (it is then named so).

    Attributes
    ----------
    eigenvalues
        The spectrum, repeated where degenerate.
    dim
        P; zeros are added to the spectrum up to this number. Default: as many as there are eigenvalues.
    seed
        Of the rotation R; without one the Hessian is diagonal.
    """

    eigenvalues: tuple[float, ...] = (10.0, 9.0, 5.0)
    dim: int | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if not self.eigenvalues or not all(map(isfinite, self.eigenvalues)):
            raise ValueError(f"eigenvalues must be finite numbers, at least one, got {self.eigenvalues}")
        if self.dim is not None and self.dim < len(self.eigenvalues):
            raise ValueError(f"dim must be at least {len(self.eigenvalues)} (the eigenvalues given), got {self.dim}")
        check_rotation(self.dim or len(self.eigenvalues), self.seed)

    def build(self, device: torch.device, dtype: torch.dtype) -> System:
        dim = self.dim or len(self.eigenvalues)
        spectrum = torch.zeros(dim, device=device, dtype=dtype)
        spectrum[: len(self.eigenvalues)] = torch.tensor(self.eigenvalues, device=device, dtype=dtype)
        rotation = Rotation.random(dim, self.seed).to(device, dtype)

        def energy(x: Tensor) -> Tensor:
            return (spectrum * rotation.to_axes(x) ** 2).sum() / 2

        def start(rng: torch.Generator) -> Tensor:
            return torch.randn(dim, generator=rng, dtype=torch.float64)

        name = "minimum" if min(self.eigenvalues) >= 0 else "saddle"
        return System(energy, dim, start, points={name: torch.zeros(dim, dtype=torch.float64)})

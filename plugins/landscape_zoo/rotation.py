"""Random rotations, so that nothing is learned from the axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from landscape_zoo.disorder import check_entries

__all__ = ["Rotation", "check_rotation", "check_seed"]


def check_seed(seed: int | None) -> None:
    """Refuse what numpy takes no seed from."""
    if seed is not None and seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")


def check_rotation(dim: int, seed: int | None) -> None:
    """Refuse a seed that is none, and dimensions that memory does not hold: P numbers, P² where they are rotated."""
    check_seed(seed)
    if seed is None:
        check_entries(dim, f"dim={dim}")
    else:
        check_entries(dim**2, f"dim={dim} with a seed, for a rotation,")


@dataclass(frozen=True, eq=False)
class Rotation:
    """x = R a, from the axes ``a`` that a formula is written in to coordinates ``x``; the identity without a matrix."""

    matrix: Float[Tensor, "P P"] | None = None

    @classmethod
    def random(cls, dim: int, seed: int | None) -> Rotation:
        """An orthogonal matrix with the Haar measure, float64; the identity where the seed is None.

        QR of a Gaussian matrix, with the signs that make R's diagonal positive (Mezzadri 2007). Costs O(P³).
        """
        if seed is None:
            return cls()
        q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(dim, dim)))
        return cls(torch.from_numpy(q * np.sign(np.diag(r))))

    def to(self, device: torch.device, dtype: torch.dtype) -> Rotation:
        return self if self.matrix is None else Rotation(self.matrix.to(device, dtype))

    def to_axes(self, x: Float[Tensor, " P"]) -> Float[Tensor, " P"]:
        return x if self.matrix is None else x @ self.matrix

    def from_axes(self, a: Float[Tensor, " P"]) -> Float[Tensor, " P"]:
        return a if self.matrix is None else self.matrix @ a

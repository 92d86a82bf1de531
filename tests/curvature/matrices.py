"""Matrices with known spectra, and what the operator protocol makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor


@dataclass(eq=False)
class Matrix:
    """A dense matrix as an operator that counts its products."""

    matrix: Tensor
    products: int = 0

    @property
    def dim(self) -> int:
        return len(self.matrix)

    def matmat(self, vectors: Tensor) -> Tensor:
        self.products += len(vectors)
        return vectors @ self.matrix.T


def normal(rng: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def rotated(spectrum: Tensor | Sequence[float], rng: torch.Generator) -> Tensor:
    q, _ = torch.linalg.qr(normal(rng, len(spectrum), len(spectrum)))
    return q * torch.as_tensor(spectrum, dtype=torch.float64) @ q.T


def goe(rng: torch.Generator, dim: int) -> Tensor:
    a = normal(rng, dim, dim)
    return (a + a.T) / sqrt(2 * dim)


def wishart(rng: torch.Generator, dim: int) -> Tensor:
    """q = 1/4: four times as many samples as dimensions."""
    x = normal(rng, dim, 4 * dim)
    return x @ x.T / (4 * dim)

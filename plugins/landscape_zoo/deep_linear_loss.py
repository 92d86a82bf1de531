"""A linear network of any depth as a landscape: a singular minimum whose learning coefficient is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import ceil, log, sqrt

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from landscape_zoo.disorder import check_entries
from landscape_zoo.rotation import check_seed
from landscape_zoo.system import System

__all__ = ["DeepLinear"]


@dataclass(frozen=True)
class DeepLinear:
    """E(W) = |W_H ... W_1 - M|² / 2 (squared Frobenius norm) with H layers, M of given rank with unit singular values.

    The coordinates are those of W_1, row by row, then of W_2, and so on.

    Known answers: the point ``singular`` is a minimum of energy 0. In it every layer carries the singular directions of
    M in its first units, and all else is 0; it is among the most singular ones, so that its learning coefficient is
    Aoyagi's λ, a rational number (``threshold``, ``multiplicity``): 7/2 with multiplicity 2 for the defaults. At finite
    β see ``sampled``.

    ======= ==== === =
     widths rank   λ m
    ======= ==== === =
      2,2,2    0 3/2 1
      2,2,2    1   2 2
      3,2,3    1 7/2 2
      4,3,4    2   7 2
    5,5,5,5    2  11 1
    ======= ==== === =

    Attributes
    ----------
    widths
        Of the inputs, of the hidden layers, at least one, and of the outputs.
    rank
        Of M, at most the smallest width.
    seed
        Of the singular directions of M, drawn by ``numpy.random.default_rng``.
    """

    widths: tuple[int, ...] = (3, 2, 3)
    rank: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.widths) < 3 or min(self.widths) < 1:
            raise ValueError(f"widths must be three or more (inputs, hidden, outputs), none below 1, got {self.widths}")
        if not 0 <= self.rank <= min(self.widths):
            raise ValueError(f"rank must be from 0 to {min(self.widths)} (the smallest width), got {self.rank}")
        check_entries(sum(rows * columns for rows, columns in self.shapes), f"widths={self.widths}")
        check_entries(self.widths[0] * self.widths[-1], f"widths={self.widths}")
        check_seed(self.seed)

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Of W_1, ..., W_H."""
        return tuple((outputs, inputs) for inputs, outputs in zip(self.widths, self.widths[1:], strict=False))

    def minimum(self) -> tuple[Float[Tensor, "outputs inputs"], ...]:
        """W_1, ..., W_H at the known minimum, float64: M is their product."""
        rng, rank = np.random.default_rng(self.seed), self.rank
        right, left = (np.linalg.qr(rng.normal(size=(self.widths[end], rank)))[0] for end in (0, -1))
        layers = [torch.zeros(shape, dtype=torch.float64) for shape in self.shapes]
        for layer in layers:
            layer[:rank, :rank] = torch.eye(rank)
        layers[0][:rank] = torch.from_numpy(right.T)
        layers[-1][:, :rank] = torch.from_numpy(left)
        return tuple(layers)

    @property
    def threshold(self) -> float:
        """λ (Aoyagi, Neural Networks 172, 106132 (2024); for two layers Aoyagi & Watanabe, ibid. 18, 924 (2005)).

        Of the widths less the rank only the smallest count: another one does if it is at most the sum of those that do,
        divided by their number less one.
        """
        narrow = self._narrow()
        number, total, excess = len(narrow) - 1, sum(narrow), self._excess()
        pairs = (total**2 - sum(width**2 for width in narrow)) / 2
        regular = self.rank * (self.widths[0] + self.widths[-1] - self.rank)
        return regular / 2 + pairs / 2 + (excess * (number - excess) - (number - 1) * total**2) / (4 * number)

    @property
    def multiplicity(self) -> int:
        """m, the order of the pole at λ (same sources)."""
        return self._excess() * (len(self._narrow()) - 1 - self._excess()) + 1

    def _excess(self) -> int:
        """By how much, 1 or more, the sum of the widths that count exceeds a multiple of their number less one."""
        number, total = len(self._narrow()) - 1, sum(self._narrow())
        return total - (ceil(total / number) - 1) * number

    def _narrow(self) -> list[int]:
        """Widths less the rank, ascending, of the layers that enter λ."""
        widths = sorted(width - self.rank for width in self.widths)
        narrow = widths[:2]
        for width in widths[2:]:
            if sum(narrow) >= (len(narrow) - 1) * width:
                narrow.append(width)
        return narrow

    def build(self, device: torch.device, dtype: torch.dtype) -> System:
        exact = self.minimum()
        sizes = [rows * columns for rows, columns in self.shapes]
        target = _product(exact).to(device, dtype)

        def energy(x: Tensor) -> Tensor:
            layers = [part.reshape(shape) for part, shape in zip(torch.split(x, sizes), self.shapes, strict=True)]
            return (_product(layers) - target).square().sum() / 2

        def start(rng: torch.Generator) -> Tensor:
            layers = [torch.randn(shape, generator=rng, dtype=torch.float64) / sqrt(shape[1]) for shape in self.shapes]
            return _flat(layers)

        return System(energy, sum(sizes), start, {"singular": _flat(exact)})

    def sampled(self, beta: float, gamma: float, num_samples: int, rng: torch.Generator) -> Sampled:
        """Φ(β, γ) and the learning coefficient around the known minimum, from independent draws.

        All layers but the last are drawn from the reference, Gaussian with variance 1/γ around the minimum; the
        integral over the last one, in which E is quadratic, is exact. No chain is involved. The share of the draws that
        count falls as γ/β: for the defaults 3e5 draws give the coefficient to 2 % at β = 1e3 γ.
        """
        *lower, last = self.minimum()
        eye = torch.eye(self.widths[0], dtype=torch.float64)
        noise = [torch.randn(num_samples, *layer.shape, generator=rng, dtype=eye.dtype) for layer in lower]
        features = _product([layer + shift / sqrt(gamma) for layer, shift in zip(lower, noise, strict=True)])
        residual = last @ features - _product([*lower, last])
        factor = torch.linalg.cholesky(eye + beta / gamma * features.mT @ features)
        inverse = torch.cholesky_inverse(factor)
        left = residual @ inverse
        log_determinants = 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        logs = -(self.widths[-1] * log_determinants + beta * (left * residual).sum((-2, -1))) / 2
        freedom = (eye - inverse).diagonal(dim1=-2, dim2=-1).sum(-1)
        slopes = (self.widths[-1] * freedom + beta * left.square().sum((-2, -1))) / 2
        return Sampled.of(logs, slopes)


@dataclass(frozen=True)
class Sampled:
    """Φ and -∂Φ/∂ln β with their standard errors."""

    phi: float
    phi_stderr: float
    learning_coefficient: float
    learning_coefficient_stderr: float

    @classmethod
    def of(cls, logs: Float[Tensor, " S"], slopes: Float[Tensor, " S"]) -> Sampled:
        """From independent draws of ln exp(-βE), integrated in part, and of its derivative by -ln β."""
        mean_log = float(torch.logsumexp(logs, 0)) - log(len(logs))
        weights = torch.exp(logs - mean_log)
        slope = float((weights * slopes).mean())
        errors = (weights.std(), (weights * (slopes - slope)).std())
        phi_stderr, slope_stderr = (float(error) / sqrt(len(logs)) for error in errors)
        return cls(mean_log, phi_stderr, slope, slope_stderr)


def _product(layers: Sequence[Tensor]) -> Tensor:
    """W_H ... W_1."""
    return reduce(lambda below, above: above @ below, layers)


def _flat(layers: Sequence[Tensor]) -> Float[Tensor, " P"]:
    return torch.cat([layer.flatten() for layer in layers])

"""From the nodes and weights of a quadrature to a curve."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

__all__ = ["Smoothing", "node_spacing", "smoothed"]

RELATIVE_WIDTHS = (0.25, 0.45)  # of an eigenvalue, far from zero on the stretched axis: least and most
LIGHT = 0.01  # of the heaviest node: lighter ones say nothing on the resolution
WIDE = 150.0  # in node spacings: a spectrum that extends further is drawn on the stretched axis
TAILS = 6.0  # standard deviations
GRID = 1500
FEW = 12  # with fewer nodes a spectrum is a set of levels, whose spacing says nothing on resolution,
FINE = 80.0  # and they are drawn so many times narrower than the largest is


@dataclass(frozen=True)
class Smoothing:
    """How nodes are spread into a curve: Gaussians of one width in a coordinate u(λ).

    Attributes
    ----------
    width
        Standard deviation in u.
    linear_width
        s of u = asinh(λ/s), linear within s of zero and logarithmic beyond; None for u = λ.
    """

    width: float
    linear_width: float | None = None

    def coordinate(self, values: np.ndarray) -> np.ndarray:
        """u(λ)."""
        return values if self.linear_width is None else np.arcsinh(values / self.linear_width)

    def slope(self, values: np.ndarray) -> np.ndarray:
        """du/dλ."""
        return np.ones_like(values) if self.linear_width is None else 1 / np.hypot(values, self.linear_width)

    def grid(self, low: float, high: float) -> np.ndarray:
        """λ at equal steps of u, over all that nodes between two values are spread to, with 0 itself."""
        first, last = self.coordinate(np.array([low, high])) + TAILS * self.width * np.array([-1, 1])
        u = np.union1d(np.linspace(first, last, GRID), 0.0)
        return u if self.linear_width is None else self.linear_width * np.sinh(u)

    @classmethod
    def of(cls, nodes: np.ndarray, weights: np.ndarray, stretched: bool = False) -> Smoothing:
        """As wide as the nodes' own spacing: what a quadrature resolves, so that no comb of nodes is seen.

        The coordinate is the stretched one where the spectrum extends over many spacings, or where asked for.
        """
        extent = max(float(np.abs(nodes[weights > 0]).max()), float(np.finfo(np.float32).tiny))
        spacing = node_spacing(nodes, weights) or extent / FINE
        if not (stretched or extent > WIDE * spacing):
            return cls(spacing)
        gaps = [np.diff(np.arcsinh(row / spacing)) for row, _ in _heavy(nodes, weights)]
        widest = max((float(gap.max()) for gap in gaps if len(gap)), default=0.0)
        return cls(float(np.clip(widest / 3, *RELATIVE_WIDTHS)), linear_width=spacing)


def node_spacing(nodes: np.ndarray, weights: np.ndarray) -> float | None:
    """The distance of neighbouring nodes where most of the weight is, averaged over probes; None for a few levels."""
    if (weights > 0).sum(axis=1).min() < FEW:
        return None
    spacings = []
    for row, mass in _heavy(nodes, weights):
        if len(row) < 2:
            return None
        gaps = np.gradient(row)
        order = np.argsort(gaps)
        spacings.append(gaps[order][np.searchsorted(np.cumsum(mass[order]), mass.sum() / 2)])  # the weighted median
    return float(np.mean(spacings)) or None


def smoothed(nodes: np.ndarray, weights: np.ndarray, grid: np.ndarray, smoothing: Smoothing) -> np.ndarray:
    """ρ(λ) on a grid, for each probe: shape ``(probes, grid)``. Integrates to 1 over λ."""
    distance = smoothing.coordinate(grid)[:, None] - smoothing.coordinate(nodes)[:, None, :]
    kernels = np.exp(-((distance / smoothing.width) ** 2) / 2) / (smoothing.width * np.sqrt(2 * np.pi))
    return (kernels @ weights[:, :, None])[:, :, 0] * smoothing.slope(grid)


def _heavy(nodes: np.ndarray, weights: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each probe's nodes with their weights, ascending, but for single eigenvalues and the thin tails."""
    for row, mass in zip(nodes, weights, strict=True):
        heavy = mass > LIGHT * mass.max()
        order = np.argsort(row[heavy])
        yield row[heavy][order], mass[heavy][order]

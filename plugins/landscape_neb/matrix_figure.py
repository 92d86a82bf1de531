"""The barriers between all points as a heat map."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from landscape.drawing import label_stride, small_print
from landscape.labels import fitted, short_labels
from landscape_neb.barriers import scientific

__all__ = ["barriers"]

_NUMBERED = 10  # points
_DECADES = 30.0  # logarithmic colours where barriers differ by more than this factor
_DEEPEST = 1e-6  # of the highest barrier: logarithmic colours go no lower
_LETTERS = 20  # of a point's name


def barriers(data: xr.Dataset) -> Figure:
    """Below the diagonal the paths' barriers, above it the straight lines', aligned where they are known so."""
    values = shown(data)
    names = fitted(list(short_labels(str(name) for name in data["point"].values).values()), _LETTERS)
    size, margin = float(np.clip(0.9 + 0.52 * len(values), 2.4, 6.0)), 0.5 + 0.075 * max(map(len, names))
    figure = Figure(figsize=(size + margin + 1.0, size + margin), layout="constrained")
    axes = figure.add_subplot()
    norm = _norm(values)
    drawn = np.maximum(values, float(norm.vmin or 0.0))
    image = axes.imshow(drawn, cmap="cividis", norm=norm)
    _cells(axes, values, norm(drawn))
    _names(axes, names)
    bar = figure.colorbar(image, ax=axes, shrink=0.85, extend="min" if (drawn > values).any() else "neither")
    bar.set_label(f"barrier ({data['barrier'].attrs['units']})", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    aligned = ", after alignment" if "barrier_linear_aligned" in data else ""
    missing = "hatched: not measured" if np.isnan(values[~np.eye(len(values), dtype=bool)]).any() else ""
    small_print(figure, f"below the diagonal: paths; above it: straight lines{aligned}", missing)
    return figure


def shown(data: xr.Dataset) -> np.ndarray:
    """What the heat map shows, shape ``(n, n)``; NaN on the diagonal and where nothing was measured."""
    lines = data["barrier_linear"].values
    if "barrier_linear_aligned" in data:
        aligned = data["barrier_linear_aligned"].values
        lines = np.where(np.isnan(aligned), lines, aligned)
    values = np.tril(data["barrier"].values, -1) + np.triu(lines, 1)
    np.fill_diagonal(values, np.nan)
    return values


def _norm(values: np.ndarray) -> Normalize:
    found = values[np.isfinite(values)]
    high = float(found.max(initial=0.0))
    low = float(found[found > _DEEPEST * high].min(initial=high))
    if high > _DECADES * low:
        return LogNorm(low, high)
    return Normalize(0, high or 1.0)


def _cells(axes: Axes, values: np.ndarray, brightness: np.ndarray) -> None:
    """Numbers where they can be read, hatches where nothing was measured, the diagonal empty."""
    for (row, column), value in np.ndenumerate(values):
        if np.isnan(value):
            hatch = None if row == column else "////"
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fc="0.92", ec="0.7", lw=0, hatch=hatch))
        elif len(values) <= _NUMBERED:
            colour = "w" if brightness[row, column] < 0.5 else "0.1"
            axes.text(column, row, scientific(value, 2), ha="center", va="center", fontsize=7, color=colour)


def _names(axes: Axes, names: list[str]) -> None:
    """Of so many points every which one can be read."""
    stride = label_stride(len(names))
    upright = 90 if max(map(len, names)) > 3 else 0
    axes.set_xticks(range(len(names))[::stride], names[::stride], rotation=upright)
    axes.set_yticks(range(len(names))[::stride], names[::stride])
    axes.tick_params(labelsize=8, length=0)
    axes.spines[:].set_visible(False)

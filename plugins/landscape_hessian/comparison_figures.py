"""What a combined result shows: overlaps of leading eigenspaces, and eigenvalues against the training step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogFormatterSciNotation, LogLocator, NullFormatter

from landscape.drawing import COLOURS, clean, label_stride, small_print, spread
from landscape.labels import short_labels
from landscape_hessian.palette import UNITS, scientific
from landscape_hessian.series import NAMES, Series, blockwise, plain
from landscape_hessian.spectrum_figure import levels, signed_axis

__all__ = ["comparison", "evolution", "overlap"]

MOST_NUMBERED = 12
STROKE: dict[str, Any] = {"marker": "o", "ms": 2.5, "lw": 1, "elinewidth": 0.8, "capsize": 1.5}
LOG_SPAN = 30.0  # a logarithmic axis where steps or eigenvalues differ by more than this factor


def overlap(data: xr.Dataset) -> Figure | None:
    """tr(P₁P₂)/k between all points as a heat map; pairs without a closed subspace are hatched."""
    if "overlap" not in data:
        return None
    values, labels = data["overlap"].values, _labels(data)
    size = float(np.clip(1.6 + 0.45 * len(values), 3.0, 6.5))
    figure = Figure(figsize=(size + 0.9, size), layout="constrained")
    axes = figure.add_subplot()
    stride = label_stride(len(labels))
    image = axes.imshow(values, cmap="cividis", vmin=0, vmax=1)
    _cells(axes, values)
    axes.set_xticks(range(len(labels))[::stride], labels[::stride], rotation=90 if max(map(len, labels)) > 3 else 0)
    axes.set_yticks(range(len(labels))[::stride], labels[::stride])
    axes.tick_params(labelsize=8, length=0)
    axes.spines[:].set_visible(False)
    k, random = int(data.attrs["subspace_dimension"]), float(data.attrs["overlap_random"])
    bar = figure.colorbar(image, ax=axes, shrink=0.85)
    bar.set_label("overlap tr(P₁P₂)/k", fontsize=8)
    bar.ax.axhline(random, color="w", lw=1)
    bar.ax.tick_params(labelsize=8)
    text = f"{_matrix(data)}, k = {k} leading eigenvectors; random subspaces: k/n = {scientific(random)}"
    small_print(figure, text + ("; hatched: no gap closes the subspace" if np.isnan(values).any() else ""))
    return figure


def _cells(axes: Axes, values: np.ndarray) -> None:
    """Numbers where they can be read, hatches where there are none."""
    for (row, column), value in np.ndenumerate(values):
        if np.isnan(value):
            cell = (column - 0.5, row - 0.5)
            axes.add_patch(Rectangle(cell, 1, 1, facecolor="0.92", edgecolor="0.7", hatch="////", lw=0))
        elif len(values) <= MOST_NUMBERED:
            colour = "w" if value < 0.5 else "0.1"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color=colour)


def evolution(data: xr.Dataset) -> Figure | None:
    """Both ends of the spectrum and the trace against the training step; None without steps.

    Where there are blocks: the outermost eigenvalue of each.
    """
    panels = [
        name
        for name in ("eigenvalue_top", "eigenvalue_bottom", "trace")
        if name in data and np.isfinite(data[name]).any()
    ]
    if "step" not in data or not panels:
        return None
    ratios = [2 if name == "eigenvalue_top" else 1.2 for name in panels]
    figure = Figure(figsize=(4.8, 0.6 + 1.1 * sum(ratios)), layout="constrained")
    every = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    for axes, name in zip(every, panels, strict=True):
        lines = list(_lines(data, name))
        for line in lines:
            axes.errorbar(data["step"].values, line.values, line.errors, **STROKE, color=line.colour, label=line.label)
        _scale(axes, lines)
        axes.set_ylabel({"trace": "trace", "eigenvalue_top": "largest λ", "eigenvalue_bottom": "smallest λ"}[name])
        clean(axes)
    if every[0].get_legend_handles_labels()[1]:
        every[0].legend(frameon=False, fontsize=7, ncols=2)
    steps = data["step"].values
    if steps.max() > LOG_SPAN * max(steps.min(), 1):
        every[0].set_xscale("symlog" if steps.min() <= 0 else "log")
    every[-1].set_xlabel("training step", fontsize=9)
    errors = "bars: residuals, of the trace standard errors" if "trace" in panels else "bars: residuals"
    figure.align_ylabels(every)
    small_print(figure, f"{_matrix(data)}, in {UNITS}; {errors}")
    return figure


@dataclass(frozen=True, eq=False)
class _Line:
    """One quantity against the step."""

    values: np.ndarray
    errors: np.ndarray
    colour: Any
    label: str | None = None


def _lines(data: xr.Dataset, name: str) -> Iterator[_Line]:
    """The ranks of one end, those of the leading eigenspace in colour; or of each block the outermost; or the trace."""
    errors = data.get("trace_stderr" if name == "trace" else name.replace("eigenvalue", "residual"), 0 * data[name])
    rank = name.replace("eigenvalue", "rank")
    if "block" in data.dims:
        colours = spread(data.sizes["block"])
        outermost = {} if name == "trace" else {rank: 0}
        for index, (block, colour) in enumerate(zip(data["block"].values, colours, strict=True)):
            at = {"block": index, **outermost}
            yield _Line(data[name].isel(at).values, errors.isel(at).values, colour, str(block))
    elif name == "trace":
        yield _Line(data[name].values, errors.values, COLOURS[2])
    else:
        leading = int(data.attrs.get("subspace_dimension", data.sizes[rank])) if name == "eigenvalue_top" else 0
        for index in range(data.sizes[rank]):
            colour = (COLOURS[0] if index < leading else "0.55") if leading else COLOURS[1]
            label = _ranks(index, leading, data.sizes[rank]) if leading else None
            yield _Line(data[name].isel({rank: index}).values, errors.isel({rank: index}).values, colour, label)


def _ranks(index: int, leading: int, total: int) -> str | None:
    """What the legend says of the first line of a colour."""
    if index not in (0, leading):
        return None
    first, last = (1, leading) if index == 0 else (leading + 1, total)
    return f"rank {first} to {last}" if last > first else f"rank {first}"


def _scale(axes: Axes, lines: Sequence[_Line]) -> None:
    values = np.concatenate([line.values for line in lines])
    errors = np.concatenate([line.errors for line in lines])[np.isfinite(values)]
    values = values[np.isfinite(values)]
    if values.min() <= 0:
        signed_axis(axes, values, errors, room=0.14)
    elif values.max() > LOG_SPAN * values.min():
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())
        if values.max() < 100 * values.min():  # too few powers of ten to read values by
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
            axes.yaxis.set_major_formatter(LogFormatterSciNotation(minor_thresholds=(np.inf, np.inf)))
    else:
        axes.ticklabel_format(axis="y", scilimits=(-2, 4), useMathText=True)


def comparison(data: xr.Dataset) -> Figure | None:
    """The spectra of all points as levels, blocks one by one."""
    series = [
        Series(label, data.isel(point=index, drop=True).drop_vars(["overlap", "other"], errors="ignore"))
        for index, label in enumerate(_labels(data))
    ]
    return levels(blockwise(series))


def _labels(data: xr.Dataset) -> list[str]:
    ids = [str(name) for name in data["point"].values]
    short = short_labels(ids)
    return [plain(short[name]) for name in ids]


def _matrix(data: xr.Dataset) -> str:
    name = NAMES.get(str(data.attrs.get("matrix", "")), "")
    block = str(data.attrs.get("block", "network"))
    return name if block == "network" else f"{name} of {plain(block)}"

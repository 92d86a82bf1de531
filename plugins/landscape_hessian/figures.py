"""The ends of the spectrum, drawn from stored results."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from landscape.analysis import Result
from landscape.labels import short_labels

__all__ = ["plot"]

# Okabe & Ito's colours, told apart by colour-blind readers; markers tell them apart in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GAP = 2  # free ranks between the two ends
SPREAD = 0.5  # of a rank, over which several results stand side by side


def plot(results: Sequence[Result]) -> dict[str, Figure]:
    """Eigenvalues of both ends by rank, with bars of one residual; several results side by side."""
    figure = Figure(figsize=(6.0, 3.6), layout="constrained")
    axes = figure.add_subplot()
    top = max(result.data.sizes["rank_top"] for result in results)
    bottom = max(result.data.sizes["rank_bottom"] for result in results)
    labels = short_labels(dict.fromkeys(point for result in results for point in result.points))
    offsets = np.linspace(-SPREAD / 2, SPREAD / 2, len(results)) if len(results) > 1 else [0.0]
    for index, (result, offset) in enumerate(zip(results, offsets, strict=True)):
        _draw(axes, result.data, index, ", ".join(labels[p] for p in result.points), top + GAP + bottom + 1, offset)
    axes.axhline(0, color="0.75", linewidth=0.8, zorder=0)
    axes.set_ylabel("Hessian eigenvalue  [loss / parameter²]")
    axes.set_xlabel("rank from the top" + (" … from the bottom" if bottom else ""))
    _label_ranks(axes, top, bottom)
    axes.spines[["top", "right"]].set_visible(False)
    if any(result.points for result in results):
        axes.legend(frameon=False)
    return {"eigenvalues": figure}


def _draw(axes: Axes, data: xr.Dataset, index: int, label: str, right: int, offset: float) -> None:
    """One result: the largest from the left, the smallest from the right."""
    places = np.concatenate([data["rank_top"].values, right - data["rank_bottom"].values]) + offset
    axes.errorbar(
        places,
        np.concatenate([data["eigenvalue_top"].values, data["eigenvalue_bottom"].values]),
        yerr=np.concatenate([data["residual_top"].values, data["residual_bottom"].values]),
        fmt=MARKERS[index % len(MARKERS)],
        color=COLOURS[index % len(COLOURS)],
        markersize=4.5,
        elinewidth=1,
        capsize=2,
        label=label,
    )


def _label_ranks(axes: Axes, top: int, bottom: int) -> None:
    """Ranks 1, 2, ... from either side, thinned where there are many."""
    right = top + GAP + bottom + 1
    stride = max(1, (top + bottom) // 15)
    from_top, from_bottom = range(1, top + 1, stride), range(1, bottom + 1, stride)
    axes.set_xticks([*from_top, *(right - rank for rank in from_bottom)], [str(r) for r in (*from_top, *from_bottom)])
    axes.set_xlim(0, right)

"""The energy along the paths, drawn from stored results."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from landscape.analysis import Result
from landscape.labels import short_labels

__all__ = ["plot"]

_LINE, _PATH, _MARK = "#D55E00", "#0072B2", "#333333"  # Okabe and Ito: told apart in any colour vision
_MOST = 12
_DECADES = 30.0  # a logarithmic axis where line and path differ by more than this factor


def plot(results: Sequence[Result]) -> dict[str, Figure]:
    """``path``: energy along the straight line and along the path, one panel for each pair (the first twelve)."""
    shown = list(results)[:_MOST]
    columns = min(len(shown), 3)
    rows = -(-len(shown) // columns)
    with_error = len(shown) == 1 and "error" in shown[0].data
    panels = 2 if with_error else 1
    figure = Figure(figsize=(3.4 * columns + 1.2, 2.9 * rows + (1.5 if with_error else 0.3)), layout="constrained")
    ratios = {"height_ratios": [2, 1]} if with_error else {}
    axes = figure.subplots(rows * panels, columns, squeeze=False, sharex=with_error, gridspec_kw=ratios)
    labels = short_labels(dict.fromkeys(point for result in shown for point in result.points))
    for number, result in enumerate(shown):
        pair = " – ".join(labels[point] for point in result.points)
        _energy(axes[number // columns, number % columns], result, pair, legend=number == 0)
    if with_error:
        _error(axes[1, 0], shown[0])
    for spare in axes.flat[len(shown) * panels :]:
        spare.set_axis_off()
    for axis in axes[-1]:
        axis.set_xlabel("normalised arc length")
    if len(results) > _MOST:
        figure.suptitle(f"the first {_MOST} of {len(results)} pairs", fontsize=9)
    return {"path": figure}


def _energy(axis: Axes, result: Result, pair: str, legend: bool) -> None:
    data = result.data
    axis.plot(data["time_linear"], data["energy_linear"], color=_LINE, lw=1.4, ls="--", label="straight line")
    axis.plot(data["time"], data["energy"], color=_PATH, lw=1.8, label=str(result.summary["finder"]))
    ends = data["energy"].values[[0, -1]]
    axis.plot([0, 1], ends, "o", color=_MARK, ms=5, zorder=3, clip_on=False)
    top = int(np.argmax(data["energy"].values))
    axis.plot(data["time"][top], data["energy"][top], "^", color=_PATH, ms=7, zorder=4, clip_on=False)
    everything = np.concatenate([data["energy"].values, data["energy_linear"].values])
    if everything.min() > 0 and everything.max() > _DECADES * data["energy"].values.max():
        axis.set_yscale("log")
    units = data["energy"].attrs["units"]
    axis.set_ylabel(units if units == "energy" else f"mean loss ({units})")
    text = f"barrier {result.summary['barrier']:.3g}, line {result.summary['barrier_linear']:.3g}"
    axis.set_title(pair + ("\n" if pair else "") + text, fontsize=9)
    _clean(axis)
    if legend:
        axis.legend(frameon=False, fontsize=8)


def _error(axis: Axes, result: Result) -> None:
    data = result.data
    axis.plot(data["time_linear"], 100 * data["error_linear"], color=_LINE, lw=1.4, ls="--")
    axis.plot(data["time"], 100 * data["error"], color=_PATH, lw=1.8)
    axis.set_ylabel("wrong answers (%)")
    axis.set_ylim(bottom=0)
    _clean(axis)


def _clean(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.margins(x=0.03)

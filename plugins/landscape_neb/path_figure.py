"""Energy and error along the paths, with their barriers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from landscape.analysis import Result
from landscape.drawing import MARK, clean, columns_for, loss_label, small_print
from landscape_neb.barriers import barrier_words, negligible
from landscape_neb.labels import pair_titles
from landscape_neb.palette import LINE, LINE_ALIGNED, MOST, PATH
from landscape_neb.scale import LossScale

__all__ = ["path"]

_PLATE: dict[str, Any] = {"facecolor": "w", "alpha": 0.85, "edgecolor": "none", "pad": 0.8}
_STROKES = (LINE, LINE_ALIGNED, PATH)
_VALIDATION: dict[str, Any] = {"lw": 0.9, "ls": ":"}


def path(results: Sequence[Result]) -> Figure:
    """Energy along the straight line, the aligned one and the path: a panel for each pair, all on one scale.

    Of one pair alone also the error, and both on validation data, where they were measured.
    """
    shown = list(results)[:MOST]
    single = shown[0] if len(shown) == 1 else None
    figure, panels, below = _panels(len(shown), with_error=single is not None and "error" in single.data)
    values = np.concatenate([energies for result in shown for energies in _energies(result, validation=bool(single))])
    values = values[np.isfinite(values)]
    scale = LossScale.of(values, against=min(float(result.data["energy"].max()) for result in shown))
    for axes, result, title in zip(panels, shown, pair_titles(shown), strict=True):
        _curves(axes, result, "energy", scale.drawn, validation=bool(single))
        _barrier(axes, result, scale)
        axes.set_title(title, fontsize=9)
        clean(axes)
    _scale(panels, scale)
    for axes in panels[:: columns_for(len(panels))]:
        axes.set_ylabel(loss_label(str(shown[0].data["energy"].attrs["units"])), fontsize=9)
    if below is not None:
        _errors(below, shown[0])
        figure.align_ylabels()
    _legend(figure, shown, single)
    cut = f"the first {MOST} of {len(results)} pairs" if len(results) > MOST else ""
    small_print(figure, cut, scale.note(values))
    return figure


def _panels(count: int, with_error: bool) -> tuple[Figure, list[Axes], Axes | None]:
    """A figure with so many panels that share both axes, and one for the error below where there is one."""
    columns = columns_for(count)
    rows = -(-count // columns)
    size = (4.6, 4.6 if with_error else 3.3) if count == 1 else (0.7 + 2.6 * columns, 0.7 + 2.15 * rows)
    figure = Figure(figsize=size, layout="constrained")
    if with_error:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
        panels, last = [above], below
    else:
        grid = figure.subplots(rows, columns, squeeze=False, sharey=True, sharex=True)
        for spare in grid.flat[count:]:
            spare.remove()
        panels, last = list(grid.flat[:count]), None
    for axes in [last] if last is not None else panels[-columns:]:
        axes.set_xlabel("normalised arc length")
        axes.tick_params(labelbottom=True)
    return figure, panels, last


def _energies(result: Result, validation: bool) -> Iterator[np.ndarray]:
    for stroke in _STROKES:
        for name in (f"energy{stroke.suffix}", *([f"energy_val{stroke.suffix}"] if validation else [])):
            if name in result.data:
                yield result.data[name].values


def _curves(
    axes: Axes, result: Result, quantity: str, drawn: Callable[[np.ndarray], np.ndarray], validation: bool
) -> None:
    data = result.data
    for stroke in _STROKES:
        for name, more in ((f"{quantity}_val{stroke.suffix}", _VALIDATION), (f"{quantity}{stroke.suffix}", {})):
            if name in data and (validation or not more):
                axes.plot(data[f"time{stroke.suffix}"], drawn(data[name].values), **{**stroke.style, **more})


def _barrier(axes: Axes, result: Result, scale: LossScale) -> None:
    """The ends, and a bracket from the level of the higher one to the top of the path."""
    times, energies = result.data["time"].values, result.data["energy"].values
    barrier, line = (float(str(result.summary[name])) for name in ("barrier", "barrier_linear"))
    ends, top = scale.drawn(energies[[0, -1]]), int(np.argmax(energies))
    axes.plot([0, 1], ends, "o", color=MARK, ms=4.5, zorder=4, clip_on=False)
    words, here = barrier_words(barrier, line, float(energies[top])), 0.5
    if not negligible(barrier, line, float(energies[top])):
        here, higher = float(times[top]), int(np.argmax(ends))
        axes.plot([higher, here], [ends[higher]] * 2, color=MARK, lw=0.7, ls=(0, (1, 2)), zorder=3)
        bracket: dict[str, Any] = {"color": MARK, "lw": 1, "marker": "_", "ms": 7, "zorder": 5}
        axes.plot([here, here], [ends[higher], energies[top]], **bracket, label="barrier")
    side = "left" if here < 0.3 else "right" if here > 0.7 else "center"
    place: dict[str, Any] = {"xytext": (0, 5), "textcoords": "offset points", "ha": side, "va": "bottom"}
    height = scale.drawn(energies[top : top + 1])[0]
    axes.annotate(words, (here, height), **place, fontsize=8, color=MARK, bbox=_PLATE, zorder=6)


def _scale(panels: Sequence[Axes], scale: LossScale) -> None:
    """The same axis for all, with room for what is written above the curves."""
    first = panels[0]
    if scale.logarithmic:
        first.set_yscale("log")
    first.margins(x=0.03, y=0.16)
    for axes in panels:
        axes.margins(x=0.03)


def _errors(axes: Axes, result: Result) -> None:
    _curves(axes, result, "error", lambda errors: 100 * errors, validation=True)
    axes.set_ylabel("wrong answers (%)")
    axes.set_ylim(bottom=0)
    clean(axes)


def _legend(figure: Figure, shown: Sequence[Result], single: Result | None) -> None:
    """Above all panels: the kinds of curves, and dots for the validation data."""
    finders = {str(result.summary["finder"]) for result in shown}
    handles = []
    for stroke in _STROKES:
        if any(f"energy{stroke.suffix}" in result.data for result in shown):
            label = stroke.label if stroke.suffix or len(finders) > 1 else f"path ({finders.pop()})"
            handles.append(Line2D([], [], label=label, **stroke.style))
    if single and ("energy_val" in single.data or "error_val" in single.data):
        handles.append(Line2D([], [], label="on validation data", color=MARK, **_VALIDATION))
    columns = len(handles) if figure.get_figwidth() > 6 else 2
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, frameon=False, fontsize=8)

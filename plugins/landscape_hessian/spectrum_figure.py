"""The ends of the spectrum: eigenvalues against rank, or as levels where many spectra stand side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from landscape.drawing import COLOURS, MARKERS, NOTE, clean, label_stride, small_print
from landscape_hessian.palette import NEGATIVE, POSITIVE, UNITS, columns_fit, signed_decades, signed_power
from landscape_hessian.series import Series, matrix_name

__all__ = ["eigenvalues", "levels", "signed_axis"]

MOST_BY_RANK = 6  # more spectra than this are drawn as levels
SPREAD = 0.5  # of a rank, over which several spectra stand side by side
LOG_SPAN = 30.0  # a logarithmic axis where eigenvalues of one sign differ by more than this factor
SHARED = 0.1  # both ends share an axis where their sizes differ by less than this factor
SMALLEST = 1e-6  # of the largest: the least size that an axis resolves
LEVEL = 0.38  # half the width of a level
MARGIN = 0.9  # inches, what the other axis and its labels take


def eigenvalues(series: Sequence[Series]) -> Figure | None:
    """Both ends of each spectrum with bars of one residual; None where no eigenvalues were asked for."""
    series = [one for one in series if one.ends]
    if not series:
        return None
    return _by_rank(series) if len(series) <= MOST_BY_RANK else levels(series)


def _by_rank(series: Sequence[Series]) -> Figure:
    """One panel for each end, the smaller one with its own scale where it would not be seen on the other's."""
    ends = [name for name in ("top", "bottom") if any(len(one.end(name)[0]) for one in series)]
    counts = {name: max(len(one.end(name)[0]) for one in series) for name in ends}
    figure = Figure(figsize=(6.8, 3.0), layout="constrained")
    shared = _comparable(series)
    ratios = [max(counts[name], 0.45 * sum(counts.values())) for name in ends]
    panels = figure.subplots(1, len(ends), squeeze=False, sharey=shared, width_ratios=ratios)[0]
    for axes, name in zip(panels, ends, strict=True):
        offsets = np.linspace(-SPREAD / 2, SPREAD / 2, len(series)) if len(series) > 1 else [0.0]
        for index, (one, offset) in enumerate(zip(series, offsets, strict=True)):
            _draw(axes, one, name, index, offset)
        axes.set_xlim(0.3, counts[name] + 0.7)
        axes.set_xlabel(f"rank from the {name}")
        values, residuals = (np.concatenate([one.end(name)[part] for one in series]) for part in (0, 1))
        certain = bool((values > residuals).all())  # a logarithmic axis cannot show a sign in doubt
        _scale(axes, values, logarithmic=certain and not shared, zero=name == "bottom")
        clean(axes)
    panels[0].set_ylabel(f"{matrix_name(series)} eigenvalue λ\n[{UNITS}]", fontsize=9)
    if len(series) > 1:
        panels[0].legend(frameon=False, fontsize=8)
    _mark_classes(panels[0], series, counts.get("top", 0))
    small_print(figure, _evidence(series))
    return figure


def _draw(axes: Axes, one: Series, name: str, index: int, offset: float) -> None:
    values, residuals = one.end(name)
    places = np.arange(1, len(values) + 1) + offset
    colour = COLOURS[index % len(COLOURS)]
    if name == "top" and one.sampling_error is not None:
        axes.errorbar(places, values, one.sampling_error, fmt="none", ecolor=colour, elinewidth=4, alpha=0.3, zorder=1)
    marker = MARKERS[index % len(MARKERS)]
    axes.errorbar(
        places, values, residuals, fmt=marker, color=colour, ms=4, elinewidth=1, capsize=2, label=one.label or None
    )


def _scale(axes: Axes, values: np.ndarray, logarithmic: bool, zero: bool) -> None:
    """Logarithmic where it may be and helps, else linear with a line at 0 where that is in sight or has to be."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    if logarithmic and values.max() > LOG_SPAN * values.min():
        axes.set_yscale("log")
        return
    axes.ticklabel_format(axis="y", scilimits=(-2, 4), useMathText=True)
    low, high = axes.get_ylim()
    if zero or low < 0 < high:
        axes.axhline(0, color="0.75", lw=0.8, zorder=0)


def _comparable(series: Sequence[Series]) -> bool:
    """Whether both ends can be read off one axis."""
    sizes = [max(np.abs(one.end(name)[0]).max(initial=0) for one in series) for name in ("top", "bottom")]
    return min(sizes) > SHARED * max(sizes)


def _mark_classes(axes: Axes, series: Sequence[Series], count: int) -> None:
    """Where C - 1 outliers would end, for classifiers."""
    classes = {one.data.attrs.get("num_classes") for one in series if not one.block}
    if len(classes) == 1 and (number := classes.pop()) and int(number) <= count:
        axes.axvline(int(number) - 0.5, color="0.6", lw=0.8, ls=":", zorder=0)
        axes.annotate(
            "classes − 1", (int(number) - 0.5, 1.0), (-2, -1), xycoords=("data", "axes fraction"),
            textcoords="offset points", rotation=90, ha="right", va="top", **NOTE,
        )  # fmt: skip


def _evidence(series: Sequence[Series]) -> str:
    text = "bars: residuals |Ay − λy|"
    sampled = any(one.sampling_error is not None for one in series)
    return text + ("; pale bars: standard error of the choice of samples" if sampled else "")


def levels(series: Sequence[Series]) -> Figure | None:
    """Each spectrum's ends as a column of levels, on an axis that shows the sign of small ones; None without any."""
    series = [one for one in series if one.ends]
    if not series:
        return None
    figure = Figure(figsize=(max(3.4, min(7.0, 1.4 + 0.5 * len(series))), 3.4), layout="constrained")
    axes = figure.add_subplot()
    for place, one in enumerate(series):
        for name, colour in (("top", POSITIVE), ("bottom", NEGATIVE)):
            values, residuals = one.end(name)
            axes.hlines(values, place - LEVEL, place + LEVEL, color=colour, lw=1.1)
            axes.errorbar(np.full(len(values), place), values, residuals, fmt="none", ecolor=colour, elinewidth=1)
    ends = [one.end(name) for one in series for name in ("top", "bottom")]
    values, residuals = (np.concatenate(part) for part in zip(*ends, strict=True))
    signed_axis(axes, values, residuals, room=0.06)
    stride = label_stride(len(series))
    labels = [one.label for one in series[::stride]]
    axes.set_xticks(range(len(series))[::stride], labels)
    axes.tick_params(axis="x", length=0)
    if not columns_fit(labels, figure.get_figwidth() - MARGIN):
        axes.tick_params(axis="x", labelrotation=90, labelsize=8)
    axes.set_ylabel(f"{matrix_name(series)} eigenvalue λ\n[{UNITS}]")
    clean(axes)
    small_print(figure, "levels: largest (blue) and smallest (orange) eigenvalues; bars: residuals")
    return figure


def signed_axis(axes: Axes, values: np.ndarray, residuals: np.ndarray, room: float) -> None:
    """With 0 in sight, and linear unless sizes differ so much that signs would be lost.

    Then it is linear within the smallest that is known beyond its residual, and logarithmic outside.
    """
    axes.axhline(0, color="0.75", lw=0.8, zorder=0)
    sizes = np.abs(values) + residuals
    low, high = min((values - residuals).min(), 0.0), max((values + residuals).max(), 0.0)
    if sizes.max() <= LOG_SPAN * sizes.min():
        axes.ticklabel_format(axis="y", scilimits=(-2, 4), useMathText=True)
        return
    threshold = max(float(sizes.min()), SMALLEST * float(sizes.max()))
    axes.set_yscale("asinh", linear_width=threshold)
    ticks = signed_decades(low, high, threshold, room)
    axes.set_yticks(ticks, [signed_power(tick) for tick in ticks])
    axes.set_yticks([], minor=True)
    ends = np.arcsinh(np.array([low, high]) / threshold)
    axes.set_ylim(*threshold * np.sinh(ends + 0.05 * np.ptp(ends) * np.array([-1, 1])))

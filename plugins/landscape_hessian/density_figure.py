"""The spectral density on a logarithmic scale, with the outliers numbered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from landscape.drawing import clean, columns_for, small_print, spread
from landscape_hessian.density_shape import Smoothing, node_spacing, smoothed
from landscape_hessian.palette import NEGATIVE, POSITIVE, UNITS, scientific, signed_decades, signed_power
from landscape_hessian.series import Series, matrix_name

__all__ = ["density"]

MOST_PANELS = 6
MOST_CURVES = 10
SIMILAR = 10.0  # node spacings within this factor share their axes
DIGIT = 4.2  # points, the room that a digit takes


@dataclass(frozen=True, eq=False)
class _Curve:
    """One smoothed density.

    Attributes
    ----------
    grid, values, error
        λ, ρ(λ) averaged over probes, and its standard error over them (0 with one).
    smoothing
        How it was smoothed.
    bump
        What one eigenvalue at the largest of all would contribute at its own place: the least that is drawn.
    """

    series: Series
    grid: np.ndarray
    values: np.ndarray
    error: np.ndarray
    smoothing: Smoothing
    bump: float

    @classmethod
    def of(cls, series: Series, smoothing: Smoothing) -> _Curve:
        nodes, weights = series.density
        kept = nodes[weights > 0]
        grid = smoothing.grid(float(kept.min()), float(kept.max()))
        probes = smoothed(nodes, weights, grid, smoothing)
        error = probes.std(axis=0, ddof=1) / len(probes) ** 0.5 if len(probes) > 1 else np.zeros_like(grid)
        furthest = kept[np.argmax(np.abs(kept))]
        peak = float(smoothing.slope(np.array([furthest]))[0]) / (smoothing.width * np.sqrt(2 * np.pi))
        return cls(series, grid, probes.mean(axis=0), error, smoothing, peak / series.dimension)

    def at(self, places: np.ndarray) -> np.ndarray:
        """ρ at other values of λ."""
        return np.interp(places, self.grid, self.values)

    @property
    def signed(self) -> bool:
        """Whether any node lies below 0 by more than the smoothing's width there."""
        nodes, weights = self.series.density
        width = self.smoothing.width * (self.smoothing.linear_width or 1.0)
        return bool(nodes[weights > 0].min() < -width)

    @property
    def low(self) -> float:
        """Where the curve rises over what is drawn."""
        return float(self.grid[self.values > 0.2 * self.bump][0])

    @property
    def high(self) -> float:
        """Where it falls below."""
        return float(self.grid[self.values > 0.2 * self.bump][-1])


def density(series: Sequence[Series]) -> Figure | None:
    """ρ(λ) of each spectrum, negative side in its own colour; many as curves in one panel. None where there is none."""
    series = [one for one in series if "density_node" in one.data and len(one.density[0])]
    if not series:
        return None
    if len(series) > MOST_PANELS:
        chosen = np.unique(np.linspace(0, len(series) - 1, MOST_CURVES).round().astype(int))
        return _overlay(_alike([series[index] for index in chosen]), len(series))
    spacings = [node_spacing(*one.density) or 0.0 for one in series]
    if max(spacings) <= SIMILAR * min(spacings):
        return _panels(_alike(series), shared=True)
    return _panels([_Curve.of(one, Smoothing.of(*one.density)) for one in series], shared=False)


def _alike(series: Sequence[Series]) -> list[_Curve]:
    """Curves for one axis: all smoothed in the stretched coordinate if one has to be."""
    smoothings = [Smoothing.of(*one.density) for one in series]
    if any(smoothing.linear_width for smoothing in smoothings):
        smoothings = [Smoothing.of(*one.density, stretched=True) for one in series]
    return [_Curve.of(one, smoothing) for one, smoothing in zip(series, smoothings, strict=True)]


def _panels(curves: Sequence[_Curve], shared: bool) -> Figure:
    """One panel for each spectrum, on the same axes where the spectra are similar."""
    columns = columns_for(len(curves))
    rows = -(-len(curves) // columns)
    size = (4.8, 3.4) if len(curves) == 1 else (7.0, 0.6 + (2.7 if columns == 2 else 2.2) * rows)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=shared, sharey=shared)
    for axes, curve in zip(panels.flat, curves, strict=False):
        _scales(axes, curves if shared else [curve], room=(0.06, 0.12, 0.17)[columns - 1])
        _fill(axes, curve)
        _number(axes, curve, 72 * size[0] / columns)
        clean(axes)
    for spare in panels.flat[len(curves) :]:
        spare.set_axis_off()
    _label(figure, list(panels.flat)[: len(curves)], curves, columns)
    return figure


def _overlay(curves: Sequence[_Curve], total: int) -> Figure:
    """All in one panel, dark to light in their order."""
    figure = Figure(figsize=(6.0, 3.4), layout="constrained")
    axes = figure.add_subplot()
    _scales(axes, curves, room=0.06)
    colours = spread(len(curves))
    for curve, colour in zip(curves, colours, strict=True):
        axes.plot(curve.grid, curve.values, color=colour, lw=1.2, label=curve.series.label)
    clean(axes)
    title = f"{len(curves)} of {total}" if total > len(curves) else None
    axes.legend(frameon=False, fontsize=7, title=title, title_fontsize=7)
    _label(figure, [axes], curves, columns=1)
    return figure


def _scales(axes: Axes, curves: Sequence[_Curve], room: float) -> None:
    """Logarithmic in ρ; in λ linear, or linear near zero and logarithmic beyond (``room``: see the ticks)."""
    low, high = min(curve.low for curve in curves), max(curve.high for curve in curves)
    stretched = [curve.smoothing.linear_width for curve in curves if curve.smoothing.linear_width is not None]
    if stretched:
        threshold = float(np.exp(np.mean(np.log(stretched))))
        axes.set_xscale("asinh", linear_width=threshold)
        ticks = signed_decades(low, high, threshold, room)
        axes.set_xticks(ticks, [signed_power(tick) for tick in ticks])
        axes.set_xticks([], minor=True)
    axes.set_xlim(low, high)
    axes.set_yscale("log")
    axes.set_ylim(0.2 * min(curve.bump for curve in curves), 4 * max(curve.values.max() for curve in curves))


def _fill(axes: Axes, curve: _Curve) -> None:
    floor = axes.get_ylim()[0]
    # the smoothing of a matrix without negative eigenvalues reaches over 0: that is no negative side
    below = NEGATIVE if curve.signed else POSITIVE
    for colour, side in ((POSITIVE, curve.grid >= 0), (below, curve.grid <= 0)):
        grid, values, error = curve.grid[side], curve.values[side], curve.error[side]
        axes.fill_between(grid, values, floor, where=values > floor, color=colour, alpha=0.35, lw=0)
        axes.fill_between(grid, values - error, values + error, color=colour, alpha=0.5, lw=0)
        axes.plot(grid, values, color=colour, lw=1.0)
    axes.set_title(curve.series.label, loc="left", fontsize=8)
    if curve.series.negative and curve.signed:
        axes.set_title(f"λ < 0: {_percent(*curve.series.negative)}", loc="right", fontsize=8, color=NEGATIVE)


def _percent(*fractions: float) -> str:
    """A fraction, or bounds on it."""
    return "–".join(f"{100 * f:.{0 if f > 0.01 or f < 1e-4 else 2}f}" for f in fractions) + " %"


def _number(axes: Axes, curve: _Curve, width: float) -> None:
    """Ticks on the curve at the largest eigenvalues, numbered where there is room (``width`` in points)."""
    values, _ = curve.series.end("top")
    heights = curve.at(values)
    axes.plot(values, heights, "|", color="0.1", ms=5, mew=0.8)
    places = axes.transData.transform(np.column_stack([values, heights]))
    extent = axes.transData.transform(np.array([axes.get_xlim(), axes.get_ylim()]).T)
    last = np.inf
    for rank, place in enumerate((places[:, 0] - extent[0, 0]) / np.ptp(extent[:, 0]) * 0.85 * width, start=1):
        if last - place > DIGIT * len(str(rank)):
            last = place
            where = (values[rank - 1], heights[rank - 1])
            axes.annotate(str(rank), where, (0.5, 2), textcoords="offset points", fontsize=6.5)


def _label(figure: Figure, panels: Sequence[Axes], curves: Sequence[_Curve], columns: int) -> None:
    name = f"{matrix_name([curve.series for curve in curves])} eigenvalue λ" if columns == 1 else "λ"
    for axes in panels[-columns:]:
        axes.set_xlabel(f"{name}  [{UNITS}]", fontsize=9)
        axes.tick_params(labelbottom=True)
    for axes in panels[::columns]:
        axes.set_ylabel("ρ(λ)  [parameter² / loss]", fontsize=9)
    small_print(figure, _evidence(curves))


def _evidence(curves: Sequence[_Curve]) -> str:
    """How the curves were smoothed, and what the numbers rest on."""
    smoothings = [curve.smoothing for curve in curves]
    linear = [smoothing.width for smoothing in smoothings if smoothing.linear_width is None]
    scales = [smoothing.linear_width for smoothing in smoothings if smoothing.linear_width is not None]
    widths = [f"{_span(linear)} in λ"] if linear else []
    if scales:
        relative = [smoothing.width for smoothing in smoothings if smoothing.linear_width is not None]
        widths.append(f"{_span(relative)} in asinh(λ/s), s = {_span(scales)}")
    probes = max(len(curve.series.density[0]) for curve in curves)
    text = f"{probes} probe{'s' if probes > 1 else ''}, smoothed by Gaussians of width {' or '.join(widths)}"
    bounded = len(curves) <= MOST_PANELS and any(curve.signed and len(curve.series.negative) > 1 for curve in curves)
    return text + ("; λ\u00a0<\u00a00: bounds, most lie too close to 0" if bounded else "")


def _span(values: Sequence[float]) -> str:
    low, high = scientific(min(values)), scientific(max(values))
    return low if low == high else f"{low} to {high}"

"""The paths in the planes of their two leading principal directions, over the loss there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from landscape.analysis import Result
from landscape.drawing import MARK, clean, columns_for, loss_label, small_print
from landscape_neb.labels import pair_titles
from landscape_neb.palette import LINE, LINE_ALIGNED, MOST, PATH, Stroke
from landscape_neb.scale import LossScale

__all__ = ["plane"]

_HEADROOM = 0.3  # of the range of path and line: how far linear colours go above them
_BANDS = 16
_FLAT = 1e-4  # of the loss: smaller differences are drawn as none
_DARKEST = 0.75  # of the grey scale: what is drawn on top stays in sight
_TOP: dict[str, Any] = {"marker": "^", "color": PATH.style["color"], "mec": "w", "ms": 8}
_OUTLINE = [withStroke(linewidth=3.2, foreground="w")]


@dataclass(frozen=True, eq=False)
class _Bands:
    """The colours of the loss, shared by all panels. Of a logarithmic scale in powers of ten.

    Attributes
    ----------
    scale
        Linear or logarithmic.
    edges
        Where one colour ends and the next begins.
    """

    scale: LossScale
    edges: np.ndarray

    @property
    def open_above(self) -> bool:
        """Whether there are higher losses, all in the last colour."""
        return not self.scale.logarithmic

    @property
    def colours(self) -> Colormap:
        """White for the lowest losses."""
        greys = colormaps["Greys"](np.linspace(0, _DARKEST, len(self.edges) - 1 + self.open_above))
        colours = ListedColormap(greys[: len(self.edges) - 1])
        return colours.with_extremes(over=greys[-1])

    def values(self, energies: np.ndarray) -> np.ndarray:
        """What is drawn for these losses; where they are not finite nothing is."""
        drawn = self.scale.drawn(energies)
        return np.log10(drawn) if self.scale.logarithmic else drawn


def plane(results: Sequence[Result]) -> Figure | None:
    """A panel for each pair whose plane was measured and has finite losses; None where there is none."""
    every = [result for result in results if np.isfinite(result.data.get("plane_energy", np.nan)).any()]
    shown = every[:MOST]
    if not shown:
        return None
    columns = columns_for(len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=_size(shown, rows, columns), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    bands = _bands(shown)
    for axes, result, title in zip(grid.flat, shown, pair_titles(shown), strict=False):
        _panel(axes, result, bands)
        axes.set_title(title)
        clean(axes)
    for spare in grid.flat[len(shown) :]:
        spare.remove()
    _colour_bar(figure, rows, bands, str(shown[0].data["energy"].attrs["units"]))
    _legend(figure, shown)
    cut = f"the first {MOST} of {len(every)} pairs" if len(every) > MOST else ""
    small_print(figure, cut, "distances from the middle of the ends; in brackets the share of the path’s variance")
    return figure


def _size(shown: Sequence[Result], rows: int, columns: int) -> tuple[float, float]:
    """Inches that panels of these shapes fill."""
    width = 3.9 if columns == 1 else 2.5
    tallest = max(
        float(np.ptp(result.data["plane_y"].values) / np.ptp(result.data["plane_x"].values)) for result in shown
    )
    return 1.1 + (width + 0.5) * columns, 0.8 + (width * tallest + 0.7) * rows


def _bands(results: Sequence[Result]) -> _Bands:
    planes = np.concatenate([result.data["plane_energy"].values.ravel() for result in results])
    planes = planes[np.isfinite(planes)]
    low, high = float(planes.min()), float(planes.max())
    scale = LossScale.of(planes, against=low)
    if scale.logarithmic:
        low, high = np.log10(scale.drawn(np.array([low, high])))
    else:
        crossed = max(float(result.data[name].max()) for result in results for name in ("energy", "energy_linear"))
        high = max(low, min(high, crossed + _HEADROOM * (crossed - low)))
        high = high if high - low > _FLAT * abs(high) else low + (abs(low) or 1.0)
    return _Bands(scale, np.asarray(MaxNLocator(_BANDS).tick_values(low, high)))


def _panel(axes: Axes, result: Result, bands: _Bands) -> None:
    data, saddle = result.data, float(str(result.summary["saddle_time"]))
    values, extend = bands.values(data["plane_energy"].values), "max" if bands.open_above else "neither"
    x, y = data["plane_x"].values, data["plane_y"].values
    axes.contourf(x, y, values, bands.edges, cmap=bands.colours, norm=_norm(bands), extend=extend)
    crossed = bands.edges[(bands.edges > np.nanmin(values)) & (bands.edges < np.nanmax(values))]
    if len(crossed):
        axes.contour(x, y, values, crossed, colors="0.35", linewidths=0.4, linestyles="solid")
    axes.plot(data["path_x"], data["path_y"], **PATH.style, path_effects=_OUTLINE)
    axes.plot(data["line_x"], data["line_y"], **_line(result).style)
    axes.plot(data["line_x"], data["line_y"], "o", color=MARK, mec="w", ms=6)
    top = [np.interp(saddle, data["knot"], data[name]) for name in ("path_x", "path_y")]
    if 0 < saddle < 1:
        axes.plot(*top, **_TOP)
    axes.set_aspect("equal")
    _directions(axes, data)


def _directions(axes: Axes, data: xr.Dataset) -> None:
    """What the axes are, with a power of ten where distances are very small or large."""
    power = math.floor(math.log10(float(np.ptp(data["plane_x"].values))))
    power, units = (0, "") if -2 <= power < 4 else (power, rf", in $10^{{{power}}}$")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6))
        axis.set_major_formatter(lambda value, _: f"{value / 10.0**power:.3g}".replace("-", "−"))
    first, second = (float(data.attrs[f"plane_variance_{name}"]) for name in "xy")
    axes.set_xlabel(f"direction 1 ({first:.0%}){units}")
    axes.set_ylabel((f"direction 2 ({second:.0%})" if second else "a random direction (0%)") + units)


def _norm(bands: _Bands) -> BoundaryNorm:
    return BoundaryNorm(bands.edges, len(bands.edges) - 1)


def _line(result: Result) -> Stroke:
    """The line between the path's ends."""
    return LINE_ALIGNED if "energy_linear_aligned" in result.data else LINE


def _legend(figure: Figure, shown: Sequence[Result]) -> None:
    """Above all panels."""
    strokes = [*{stroke.label: stroke for stroke in map(_line, shown)}.values(), PATH]
    handles = [Line2D([], [], label=stroke.label, **stroke.style) for stroke in strokes]
    handles += [Line2D([], [], label="highest point", ls="none", **_TOP)]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False, fontsize=8)


def _colour_bar(figure: Figure, rows: int, bands: _Bands, units: str) -> None:
    """One for all panels; powers of ten where colours are logarithmic."""
    drawn = ScalarMappable(_norm(bands), bands.colours)
    extend = "max" if bands.open_above else "neither"
    bar = figure.colorbar(drawn, ax=figure.axes, extend=extend, shrink=0.9 if rows == 1 else 0.6, aspect=20 * rows)
    bar.set_label(loss_label(units), fontsize=9)
    bar.ax.tick_params(labelsize=8)
    if bands.scale.logarithmic:
        low, high = bands.edges[[0, -1]]
        powers = range(int(np.ceil(low)), int(np.floor(high)) + 1)
        bar.set_ticks(list(powers), labels=[rf"$10^{{{power}}}$" for power in powers])
        bar.ax.minorticks_off()

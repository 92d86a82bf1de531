"""How all figures look, and how the points that they show are called in them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from landscape.labels import fitted, short_labels, told_apart

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.artist import Artist

    from landscape.analysis import Result

__all__ = [
    "COLOURS",
    "LETTERS",
    "MARK",
    "MARKERS",
    "NOTE",
    "Net",
    "banded",
    "clean",
    "colours",
    "columns_for",
    "label_stride",
    "legend_above",
    "log_axis",
    "loss_label",
    "nets_of",
    "small_print",
    "spread",
]

# Okabe & Ito's colours, told apart by colour-blind readers; markers tell them apart in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
MARK = "#333333"  # what is written or marked on curves
NOTE: dict[str, Any] = {"fontsize": 7, "color": "0.35"}  # small print
LETTERS = 18  # of it in an inch
_MOST_LABELS = 40  # along one axis
_MOST_NAMED = 12  # in a legend
_NAME = 24  # letters of a point's name
_STROKE = 9  # letters, the room of a line and the gaps beside it in a legend


@dataclass(frozen=True, eq=False)
class Net:
    """One stored result as one curve of a figure.

    Attributes
    ----------
    label
        What tells it from the others; empty for the only one.
    data
        Its variables, without a dimension ``point``.
    converged
        Its verdict.
    """

    label: str
    data: xr.Dataset
    converged: bool = True

    @property
    def legend(self) -> str:
        """What a legend calls it."""
        if self.converged:
            return self.label
        return f"{self.label} (not converged)" if self.label else "not converged"


def nets_of(results: Sequence[Result]) -> list[Net]:
    """The results of single points; where there are none, the points of the combined ones."""
    single = [result for result in results if "point" not in result.data.dims]
    if single:
        options = [result.options for result in single]
        labels = told_apart(_named(["/".join(result.points) for result in single]), options)
        return [Net(label, one.data, one.converged) for label, one in zip(labels, single, strict=True)]
    parts = [(str(name), result.data.isel(point=index, drop=True))
             for result in results for index, name in enumerate(result.data["point"].values)]  # fmt: skip
    labels = told_apart(_named([name for name, _ in parts]), [{}] * len(parts))
    return [Net(label, data) for label, (_, data) in zip(labels, parts, strict=True)]


def _named(ids: Sequence[str]) -> list[str]:
    """A short name for each id; none where all are of one point."""
    short = short_labels(dict.fromkeys(ids))
    names = dict(zip(short, fitted(list(short.values()), _NAME), strict=True))
    return [names[one] if len(names) > 1 else "" for one in ids]


def spread(count: int) -> list[Any]:
    """Colours for ordered curves, dark to light, told apart by colour-blind readers."""
    return list(matplotlib.colormaps["viridis"](np.linspace(0, 0.92, count)))


def colours(count: int) -> list[Any]:
    """Colours for so many curves."""
    return list(COLOURS[:count]) if count <= len(COLOURS) else spread(count)


def clean(axes: Axes) -> None:
    """Left and lower spine alone, letters to be read at the width of a journal's column."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.tick_params(which="minor", labelsize=7)
    for text in (axes.xaxis.label, axes.yaxis.label, axes.title):
        text.set_fontsize(9)
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_offset_text().set_fontsize(8)


def banded(axes: Axes, places: np.ndarray, values: np.ndarray, errors: np.ndarray, **stroke: Any) -> Line2D:
    """A curve with a band of two standard errors, broken where it is not known."""
    (line,) = axes.plot(places, values, **stroke)
    width = 2 * np.nan_to_num(errors, posinf=0.0)
    if width.any():
        axes.fill_between(places, values - width, values + width, color=line.get_color(), alpha=0.25, lw=0)
    return line


def log_axis(axes: Axes, name: Literal["x", "y"]) -> None:
    """Make it logarithmic; over less than two decades with numbers between powers of ten, under one with equal steps.

    To be called once its limits are known.
    """
    (axes.set_xscale if name == "x" else axes.set_yscale)("log")
    axis: Axis = getattr(axes, f"{name}axis")
    low, high = sorted(axis.get_view_interval())
    axis.set_minor_formatter(NullFormatter())
    if high < 100 * low:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > 10 * low else MaxNLocator(6, steps=(1, 2, 5, 10)))
        axis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:.6g}"))


def loss_label(units: str) -> str:
    """What the axis of a loss in these units is called."""
    return units if units == "energy" else f"mean loss ({units})"


def columns_for(panels: int) -> int:
    """How many columns hold so many panels."""
    return 2 if panels == 4 else min(panels, 3)


def label_stride(count: int) -> int:
    """Of so many labels side by side every which one can be read."""
    return -(-count // _MOST_LABELS)


def small_print(figure: Figure, *sentences: str) -> None:
    """Lines below all panels, broken where the figure ends; nothing for none."""
    text = "; ".join(filter(None, sentences))
    if text:
        figure.supxlabel(textwrap.fill(text, int(LETTERS * figure.get_figwidth())), **NOTE)


def legend_above(figure: Figure, handles: Sequence[Artist]) -> None:
    """Above all panels, in as many columns as the figure is wide; of very many handles every which one has room."""
    shown = list(handles)[:: -(-len(handles) // _MOST_NAMED) or 1]
    if not shown:
        return
    longest = max(len(str(handle.get_label())) for handle in shown) + _STROKE
    columns = int(np.clip((7 / 8) * LETTERS * figure.get_figwidth() / longest, 1, len(shown)))
    figure.legend(handles=shown, loc="outside upper center", ncols=columns, frameon=False, fontsize=8)

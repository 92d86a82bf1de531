"""How all figures of this plugin look."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "MARKERS",
    "NEGATIVE",
    "NOTE",
    "POSITIVE",
    "UNITS",
    "clean",
    "columns_fit",
    "label_stride",
    "scientific",
    "signed_decades",
    "signed_power",
    "small_print",
    "spread",
]

# Okabe & Ito's colours, told apart by colour-blind readers; markers tell them apart in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
POSITIVE, NEGATIVE = COLOURS[0], COLOURS[1]
UNITS = "loss / parameter²"
NOTE: dict[str, Any] = {"fontsize": 7, "color": "0.35"}  # small print
LETTERS = 19  # of it in an inch
MOST_LABELS = 40  # along one axis


def spread(count: int) -> list[Any]:
    """Colours for ordered curves, dark to light, told apart by colour-blind readers."""
    return list(matplotlib.colormaps["viridis"](np.linspace(0, 0.92, count)))


def clean(axes: Axes) -> None:
    """Left and lower spine alone, letters to be read at the width of a journal's column."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.tick_params(which="minor", labelsize=7)
    for text in (axes.xaxis.label, axes.yaxis.label, axes.title):
        text.set_fontsize(9)
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_offset_text().set_fontsize(8)


def label_stride(count: int) -> int:
    """Of so many labels side by side every which one can be read."""
    return -(-count // MOST_LABELS)


def columns_fit(labels: Sequence[str], width: float) -> bool:
    """Whether labels below columns, over so many inches together, stand apart from each other."""
    longest = max(map(len, labels), default=0) + 3
    return longest * len(labels) < (7 / 8) * LETTERS * width  # they are larger than small print


def small_print(figure: Figure, text: str) -> None:
    """A line below all panels, broken where the figure ends."""
    figure.supxlabel(textwrap.fill(text, int(LETTERS * figure.get_figwidth())), **NOTE)


def scientific(value: float) -> str:
    """A number for small print: 0.03, 5.6×10⁻⁵."""
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.2g}"
    exponent = math.floor(math.log10(abs(value)))
    return rf"${value / 10**exponent:.2g}\times10^{{{exponent}}}$"


def signed_power(tick: float) -> str:
    """The label of such a tick: 0, 10⁻³, −10⁻³."""
    if tick == 0:
        return "0"
    return rf"${'-' if tick < 0 else ''}10^{{{round(math.log10(abs(tick)))}}}$"


def signed_decades(low: float, high: float, threshold: float, room: float) -> list[float]:
    """Ticks of an axis in asinh(λ / threshold): 0 and powers of ten of either sign.

    They are thinned until each has its ``room``, as a fraction of the axis.
    """
    least = room * (math.asinh(high / threshold) - math.asinh(low / threshold))
    stride = max(1, math.ceil(least / math.log(10)))
    last = math.floor(math.log10(max(-low, high)))
    first = math.ceil(math.log10(threshold * math.sinh(max(least, 1.0))))
    sizes = [10.0**exponent for exponent in range(last, first - 1, -stride)]
    return sorted(tick for tick in (0.0, *sizes, *(-size for size in sizes)) if low <= tick <= high)

"""How all figures of this plugin look."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = [
    "LINE",
    "LINE_ALIGNED",
    "MARK",
    "MOST",
    "PATH",
    "Stroke",
    "clean",
    "columns_for",
    "loss_label",
    "small_print",
]


@dataclass(frozen=True)
class Stroke:
    """A kind of curve: how its variables end, what it is called, how it is drawn."""

    suffix: str
    label: str
    style: dict[str, Any]


# Okabe & Ito's colours, told apart by colour-blind readers; strokes tell them apart in print.
LINE = Stroke("_linear", "straight line", {"color": "#D55E00", "lw": 1.3, "ls": "--"})
LINE_ALIGNED = Stroke("_linear_aligned", "straight line, aligned", {"color": "#009E73", "lw": 1.3, "ls": "-."})
PATH = Stroke("", "path", {"color": "#0072B2", "lw": 1.8, "ls": "-"})
MARK = "#333333"
MOST = 12  # panels of a figure
_NOTE: dict[str, Any] = {"fontsize": 7, "color": "0.35"}  # small print
_LETTERS = 19  # of it in an inch


def loss_label(units: str) -> str:
    """What the axis of a loss in these units is called."""
    return units if units == "energy" else f"mean loss ({units})"


def clean(axes: Axes) -> None:
    """Left and lower spine alone, letters to be read at the width of a journal's column."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.tick_params(which="minor", labelsize=7)
    for text in (axes.xaxis.label, axes.yaxis.label, axes.title):
        text.set_fontsize(9)


def small_print(figure: Figure, *sentences: str) -> None:
    """Lines below all panels, broken where the figure ends; nothing for none."""
    text = "; ".join(filter(None, sentences))
    if text:
        figure.supxlabel(textwrap.fill(text, int(_LETTERS * figure.get_figwidth())), **_NOTE)


def columns_for(panels: int) -> int:
    """How many columns hold so many panels."""
    return 2 if panels == 4 else min(panels, 3)

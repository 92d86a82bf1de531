"""How the figures of paths look, beyond what all figures share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from landscape.drawing import COLOURS

__all__ = ["LINE", "LINE_ALIGNED", "MOST", "PATH", "Stroke"]


@dataclass(frozen=True)
class Stroke:
    """A kind of curve: how its variables end, what it is called, how it is drawn."""

    suffix: str
    label: str
    style: dict[str, Any]


# Strokes tell them apart in print.
LINE = Stroke("_linear", "straight line", {"color": COLOURS[1], "lw": 1.3, "ls": "--"})
LINE_ALIGNED = Stroke("_linear_aligned", "straight line, aligned", {"color": COLOURS[2], "lw": 1.3, "ls": "-."})
PATH = Stroke("", "path", {"color": COLOURS[0], "lw": 1.8, "ls": "-"})
MOST = 12  # panels of a figure

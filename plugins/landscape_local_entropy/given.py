"""What is known of the curves of a result, and where on them the given β and γ lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from landscape.drawing import Net
from landscape.labels import number

__all__ = ["given", "given_words", "known", "mark"]

_LARGE = 2.2  # times the other markers


def known(net: Net, name: str) -> bool:
    """Whether it is there as a curve, not as one number, and anything of it is finite."""
    return name in net.data and net.data[name].ndim > 0 and bool(np.isfinite(net.data[name].values).any())


def given(net: Net, name: str) -> int | None:
    """Where on the coordinate of that name the given value lies; None where it is not there."""
    if name not in net.data.attrs or name not in net.data:
        return None
    places = net.data[name].values
    index = int(np.argmin(np.abs(places - float(net.data.attrs[name]))))
    return index if np.isclose(places[index], float(net.data.attrs[name])) else None


def mark(axes: Axes, place: float, value: float, style: dict[str, Any]) -> None:
    """A large marker on a curve."""
    axes.plot([place], [value], **{**style, "ms": _LARGE * style["ms"], "mec": "w", "zorder": 4})


def given_words(nets: Sequence[Net], name: str) -> str:
    """What the large markers say, and β and γ where all curves have the same; nothing without markers."""
    if not any(given(net, name) is not None for net in nets):
        return ""
    symbol = {"beta": "β", "gamma": "γ"}
    values = {one: {float(net.data.attrs.get(one, np.nan)) for net in nets} for one in symbol}
    same = ", ".join(f"{symbol[one]} = {number(*found)}" for one, found in values.items() if len(found) == 1)
    where = f" ({same})".replace(" = ", "\u00a0=\u00a0") if same else ""
    return f"large marker: the given {symbol[name]}{where}"

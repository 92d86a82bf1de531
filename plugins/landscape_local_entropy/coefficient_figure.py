"""The local learning coefficient against the inverse temperature: its integral is the local entropy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from landscape.drawing import MARKERS, Net, banded, clean, colours, legend_above, log_axis, small_print
from landscape_local_entropy.given import given, given_words, known, mark

__all__ = ["coefficient"]

_SHADED = 3  # more areas on top of each other cannot be told apart


def coefficient(nets: Sequence[Net]) -> Figure | None:
    """LLC(β) = β⟨ΔL⟩ at the given γ, shaded down to 0: the area over ln β is −Φ. None without it."""
    nets = [net for net in nets if known(net, "llc_beta")]
    if not nets:
        return None
    figure = Figure(figsize=(4.8, 3.4), layout="constrained")
    axes = figure.add_subplot()
    handles = []
    for index, (net, colour) in enumerate(zip(nets, colours(len(nets)), strict=True)):
        style = {"color": colour, "marker": MARKERS[index % len(MARKERS)], "ms": 3.5, "lw": 1.5}
        _curve(axes, net, style, shaded=len(nets) <= _SHADED)
        handles.append(Line2D([], [], label=net.legend, **style))
    log_axis(axes, "x")
    axes.axhline(0, color="0.75", lw=0.8, zorder=0)
    if all(np.nanmin(net.data["llc_beta"].values) >= 0 for net in nets):
        axes.set_ylim(bottom=0)
    axes.ticklabel_format(axis="y", scilimits=(-2, 4), useMathText=True)
    axes.set_xlabel("inverse temperature β  [1 / loss]")
    axes.set_ylabel("learning coefficient β⟨ΔL⟩")
    if len(nets) == 1:
        axes.set_title(_area(nets[0]), fontsize=9, loc="left")
    clean(axes)
    if len(nets) > 1 or not nets[0].converged:
        legend_above(figure, handles)
    area = "area under each curve, over ln β with its tail to the left: −Φ" if len(nets) > 1 else ""
    small_print(figure, area, "bands: ±2 standard errors", given_words(nets, "beta"))
    return figure


def _curve(axes: Axes, net: Net, style: dict[str, Any], shaded: bool) -> None:
    data = net.data
    line = banded(axes, data["beta"].values, data["llc_beta"].values, data["llc_beta_stderr"].values, **style)
    if shaded:
        axes.fill_between(*line.get_data(), color=style["color"], alpha=0.1, lw=0, zorder=0)
    if (index := given(net, "beta")) is not None:
        mark(axes, data["beta"].values[index], data["llc_beta"].values[index], style)


def _area(net: Net) -> str:
    """What the shaded area is, in words and, where it is known, in nats."""
    words = "shaded, with its tail to the left: −Φ"
    index = given(net, "gamma")
    if index is None or not known(net, "phi"):
        return words
    value, error = (float(net.data[name].values[index]) for name in ("phi", "phi_stderr"))
    return f"{words} = {-value:.4g} ± {error:.2g}"

"""The volume of solutions on a sphere, level by level, and at given distances from a point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from landscape.drawing import MARKERS, Net, banded, clean, colours, legend_above, small_print
from landscape_local_entropy.given import known

__all__ = ["levels"]


def levels(nets: Sequence[Net]) -> Figure | None:
    """The log fraction of the sphere against the threshold, and its Franz-Parisi entropy per dimension; None without.

    The entropy, where it was measured, has a panel of its own.
    """
    nets = [net for net in nets if known(net, "log_fraction")]
    if not nets:
        return None
    potentials = any(known(net, "franz_parisi") for net in nets)
    figure = Figure(figsize=(6.8, 3.2) if potentials else (4.8, 3.4), layout="constrained")
    panels = figure.subplots(1, 1 + potentials, squeeze=False)[0]
    handles = []
    for index, (net, colour) in enumerate(zip(nets, colours(len(nets)), strict=True)):
        style = {"color": colour, "marker": MARKERS[index % len(MARKERS)], "ms": 3.5, "lw": 1.5}
        _fraction(panels[0], net, style)
        if known(net, "franz_parisi"):
            _potential(panels[1], net, style)
        handles.append(Line2D([], [], label=net.legend, **style))
    for axes in panels:
        clean(axes)
    if len(nets) > 1 or not nets[0].converged:
        legend_above(figure, handles)
    small_print(figure, "bands: ±2 standard errors")
    return figure


def _fraction(axes: Axes, net: Net, style: dict[str, Any]) -> None:
    data = net.data
    curve = (data[name].values for name in ("threshold", "log_fraction", "log_fraction_stderr"))
    banded(axes, *curve, **style)
    axes.ticklabel_format(axis="x", scilimits=(-2, 4), useMathText=True)
    axes.set_xlabel("highest loss allowed")
    axes.set_ylabel("ln fraction of the sphere  [nats]")


def _potential(axes: Axes, net: Net, style: dict[str, Any]) -> None:
    """For each of the N dimensions; against the overlap where it is known."""
    data, overlaps, dimension = net.data, known(net, "overlap"), float(net.data.attrs["dimension"])
    values, errors = (data[name].values / dimension for name in ("franz_parisi", "franz_parisi_stderr"))
    banded(axes, data["overlap" if overlaps else "distance"].values, values, errors, **style)
    axes.set_xlabel("overlap q with the point" if overlaps else "distance from the point")
    axes.set_ylabel("Franz–Parisi entropy / N  [nats]")

"""How many solutions of a discrete landscape lie at each Hamming distance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from scipy.special import gammaln

from landscape.drawing import MARK, MARKERS, Net, clean, colours, legend_above, small_print
from landscape_local_entropy.given import known

__all__ = ["counts"]

_MEAN: dict[str, Any] = {"color": MARK, "lw": 1.2, "ls": "--"}


def counts(nets: Sequence[Net]) -> Figure | None:
    """Solutions at each distance from the point and on average over all, and S(d) of the same; None without them."""
    nets = [net for net in nets if known(net, "solutions")]
    if not nets:
        return None
    figure = Figure(figsize=(6.8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True)
    handles = []
    for index, (net, colour) in enumerate(zip(nets, colours(len(nets)), strict=True)):
        style = {"color": colour, "marker": MARKERS[index % len(MARKERS)], "ms": 3.5, "lw": 1.2}
        distances = net.data["distance"].values
        left.plot(distances, _positive(net.data["solutions"].values), **style)
        right.plot(distances, net.data["entropy"].values, **style)
        handles.append(Line2D([], [], label=net.legend or "from the point", **style))
    averaged = _means(left, nets)
    _all_configurations(right, nets)
    _label(left, right)
    legend_above(figure, handles + ([Line2D([], [], label="mean over all solutions", **_MEAN)] if averaged else []))
    gaps = any((net.data["solutions"].values == 0).any() for net in nets)
    small_print(figure, "dotted: all configurations", "distances without solutions are left out" if gaps else "")
    return figure


def _positive(numbers: np.ndarray) -> np.ndarray:
    """Numbers for a logarithmic axis: nothing is drawn where there are none."""
    return np.where(numbers > 0, numbers, np.nan)


def _means(axes: Axes, nets: Sequence[Net]) -> int:
    """The mean over all solutions, once for each landscape; how many."""
    means = {net.data["solutions_mean"].values.tobytes(): net for net in nets if known(net, "solutions_mean")}
    for net in means.values():
        axes.plot(net.data["distance"].values, _positive(net.data["solutions_mean"].values), **_MEAN)
    return len(means)


def _all_configurations(axes: Axes, nets: Sequence[Net]) -> None:
    """ln C(N, d) / N: the entropy if every configuration were a solution."""
    for dimension in {net.data.sizes["distance"] - 1 for net in nets}:
        distances = np.arange(dimension + 1)
        binomial = gammaln(dimension + 1) - gammaln(distances + 1) - gammaln(dimension - distances + 1)
        axes.plot(distances, binomial / dimension, color="0.6", lw=1, ls=":", zorder=0)


def _label(left: Axes, right: Axes) -> None:
    left.set_yscale("log")
    left.set_ylabel("number of solutions")
    right.set_ylabel("S(d) = ln(number) / N  [nats]")
    for axes in (left, right):
        axes.set_xlabel("Hamming distance d")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        clean(axes)

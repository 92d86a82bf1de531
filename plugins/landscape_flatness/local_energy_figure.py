"""How error and loss rise with the size of random perturbations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from landscape.drawing import MARKERS, Net, banded, clean, colours, legend_above, log_axis, small_print

__all__ = ["local_energy"]

_SPAN = 30.0  # logarithmic axes where the curves' ends differ by more than this factor


@dataclass(frozen=True)
class _Curve:
    """A variable over σ, what it is multiplied by when it is drawn, and what its axis is called."""

    name: str
    factor: float
    label: str

    def known(self, net: Net) -> bool:
        """Whether anything of it is."""
        return self.name in net.data and bool(np.isfinite(net.data[self.name].values).any())


_CURVES = (
    _Curve("local_energy_curve", 100.0, "local energy: rise of the error  [%]"),
    _Curve("local_loss_curve", 1.0, "rise of the mean loss"),
)


def local_energy(nets: Sequence[Net]) -> Figure | None:
    """Mean rise of the error, where there is one, and of the loss at σ z∘|w|, a curve for each net; None without."""
    shown = [curve for curve in _CURVES if any(map(curve.known, nets))]
    nets = [net for net in nets if any(curve.known(net) for curve in shown)]
    if not nets:
        return None
    figure = Figure(figsize=(6.8, 3.2) if len(shown) > 1 else (4.8, 3.4), layout="constrained")
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, curve in zip(panels, shown, strict=True):
        _panel(axes, curve, nets)
    if len(nets) > 1:
        handles = zip(nets, colours(len(nets)), MARKERS * len(nets), strict=False)
        legend_above(figure, [Line2D([], [], label=net.label, color=c, marker=m, ms=3.5) for net, c, m in handles])
    small_print(figure, "bands: ±2 standard errors over pairs of opposite perturbations, the same for all σ")
    return figure


def _panel(axes: Axes, curve: _Curve, nets: Sequence[Net]) -> None:
    ends, lowest = [], np.inf
    for net, colour, marker in zip(nets, colours(len(nets)), MARKERS * len(nets), strict=False):
        if not curve.known(net):
            continue
        values = curve.factor * net.data[curve.name].values
        errors = curve.factor * net.data[f"{curve.name}_stderr"].values
        banded(axes, net.data["sigma"].values, values, errors, color=colour, marker=marker, ms=3.5, lw=1.5)
        ends.append(float(np.nanmax(values)))
        lowest = min(lowest, float(np.nanmin(values)))
    if lowest > 0 and max(ends) > _SPAN * min(ends):
        log_axis(axes, "x")
        axes.set_yscale("log")
    else:
        axes.axhline(0, color="0.75", lw=0.8, zorder=0)
        axes.ticklabel_format(axis="y", scilimits=(-2, 4), useMathText=True)
    axes.set_xlabel("σ, relative to each weight")
    axes.set_ylabel(f"{curve.label}{_units(curve, nets)}")
    clean(axes)


def _units(curve: _Curve, nets: Sequence[Net]) -> str:
    """Those of the loss, as they were stored."""
    units = {str(net.data[curve.name].attrs.get("units", "loss")) for net in nets if curve.known(net)}
    return "" if "[" in curve.label else f"  [{' or '.join(sorted(units))}]"

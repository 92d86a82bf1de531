"""Local entropies and learning coefficients of several minima side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from landscape.drawing import COLOURS, Net, clean, label_stride, legend_above, small_print

__all__ = ["comparison"]

_SAMPLED: dict[str, Any] = {"color": COLOURS[0], "marker": "o", "ms": 4, "ls": "none"}
_LAPLACE: dict[str, Any] = {"color": COLOURS[1], "marker": "D", "ms": 4, "mfc": "none", "ls": "none"}


def comparison(nets: Sequence[Net]) -> Figure | None:
    """Φ, with its Laplace value, and LLC: a row for each point, the flattest first. None where they are no numbers."""
    nets = [net for net in nets if "phi" in net.data and net.data["phi"].ndim == 0]
    if not nets:
        return None
    order = np.argsort([-float(net.data["phi"]) for net in nets])  # what is not known comes last
    nets = [nets[index] for index in order]
    figure = Figure(figsize=(6.8, float(np.clip(1.4 + 0.25 * len(nets), 2.0, 7.0))), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    names = (("phi", "local entropy Φ  [nats]"), ("llc", "learning coefficient β⟨ΔL⟩"))
    for axes, (name, label) in zip(panels, names, strict=True):
        _rows(axes, nets, name)
        axes.set_xlabel(label)
        clean(axes)
    if "laplace_phi" in nets[0].data:
        panels[0].plot([float(net.data["laplace_phi"]) for net in nets], range(len(nets)), **_LAPLACE)
        legend_above(figure, [Line2D([], [], label="sampled", **_SAMPLED), Line2D([], [], label="Laplace", **_LAPLACE)])
    stride = label_stride(len(nets))
    panels[0].set_yticks(range(len(nets))[::stride], [net.label for net in nets][::stride])
    panels[0].set_ylim(len(nets) - 0.5, -0.5)
    small_print(figure, "the flattest first; bars: ±2 standard errors")
    return figure


def _rows(axes: Axes, nets: Sequence[Net], name: str) -> None:
    values = np.array([float(net.data[name]) for net in nets])
    errors = np.array([2 * float(net.data.get(f"{name}_stderr", 0.0)) for net in nets])
    axes.errorbar(values, range(len(nets)), xerr=errors, elinewidth=1, capsize=2, **_SAMPLED)
    axes.tick_params(axis="y", length=0)

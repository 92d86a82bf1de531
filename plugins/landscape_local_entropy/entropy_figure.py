"""The local entropy against the distance that it reaches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from landscape.drawing import MARK, MARKERS, Net, banded, clean, colours, legend_above, log_axis, small_print
from landscape_local_entropy.given import given, given_words, known, mark

__all__ = ["entropy"]

_LAPLACE: dict[str, Any] = {"ls": "--", "lw": 1.1, "marker": "o", "ms": 3, "mfc": "w"}
_SPAN = 30.0  # a logarithmic axis where entropies differ by more than this factor
_STROKE: dict[str, Any] = {"lw": 1.5, "ms": 3.5}


def entropy(nets: Sequence[Net]) -> Figure | None:
    """Φ(γ) against r_rms with its Laplace value, and the Franz-Parisi potential where there is one; None without Φ."""
    nets = [net for net in nets if known(net, "phi")]
    if not nets:
        return None
    potentials = any(known(net, "franz_parisi") for net in nets)
    figure = Figure(figsize=(6.8, 3.2) if potentials else (4.8, 3.4), layout="constrained")
    panels = figure.subplots(1, 1 + potentials, squeeze=False)[0]
    styles = [{"color": colour, "marker": MARKERS[index % len(MARKERS)], **_STROKE}
              for index, colour in enumerate(colours(len(nets)))]  # fmt: skip
    for net, style in zip(nets, styles, strict=True):
        _against_distance(panels[0], net, style)
        if known(net, "franz_parisi"):
            curve = (net.data[name].values for name in ("distance", "franz_parisi", "franz_parisi_stderr"))
            banded(panels[1], *curve, **style)
    _label(panels, nets)
    _legend(figure, nets, styles)
    laplace = any(known(net, "laplace") for net in nets)
    dashed = "dashed: Laplace value at the same γ, drawn at the sampled distance" if laplace else ""
    small_print(figure, "bands: ±2 standard errors", dashed, given_words(nets, "gamma"))
    return figure


def _against_distance(axes: Axes, net: Net, style: dict[str, Any]) -> None:
    data = net.data
    distances = data["r_rms"].values
    banded(axes, distances, data["phi"].values, data["phi_stderr"].values, **style)
    if (index := given(net, "gamma")) is not None:
        mark(axes, distances[index], data["phi"].values[index], style)
    if known(net, "laplace"):
        errors = data["laplace_stderr"].values
        banded(axes, distances, data["laplace"].values, errors, color=style["color"], **_LAPLACE)


def _label(panels: Sequence[Axes], nets: Sequence[Net]) -> None:
    names = ("local entropy Φ  [nats]", "Franz–Parisi potential  [nats]")
    metrics = {str(net.data.attrs.get("metric", "identity")) for net in nets}
    units = "parameter" if metrics == {"identity"} else "metric"
    places = ("distance $r_{\\mathrm{rms}}$  [parameter units]", f"distance r  [{units} units]")
    for axes, name, place in zip(panels, names, places, strict=False):
        log_axis(axes, "x")
        _entropy_axis(axes)
        axes.set_xlabel(place)
        axes.set_ylabel(name)
        clean(axes)


def _entropy_axis(axes: Axes) -> None:
    """Logarithmic in −Φ where entropies are all negative and differ by orders of magnitude."""
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.lines])
    if values.size and values.max() < 0 and values.min() < _SPAN * values.max():
        axes.set_yscale("symlog", linthresh=-float(values.max()) / 2)
        axes.set_ylim(1.5 * values.min(), values.max() / 1.5)


def _legend(figure: Figure, nets: Sequence[Net], styles: Sequence[dict[str, Any]]) -> None:
    """Above all panels: the nets, or for one what its curves are."""
    laplace = any(known(net, "laplace") for net in nets)
    if len(nets) == 1 and not laplace and nets[0].converged:
        return
    labels = [net.legend or "sampled" for net in nets]
    handles = [Line2D([], [], label=label, **style) for label, style in zip(labels, styles, strict=True)]
    colour = styles[0]["color"] if len(nets) == 1 else MARK
    baseline = [Line2D([], [], label="Laplace", color=colour, **_LAPLACE)] if laplace else []
    legend_above(figure, [*handles, *baseline])

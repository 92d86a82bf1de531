"""The trace of each layer, as far as it was estimated by parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from landscape.drawing import clean, colours, small_print
from landscape_hessian.blocks import layer_of
from landscape_hessian.palette import UNITS
from landscape_hessian.series import Series, matrix_name, plain

__all__ = ["trace"]

MOST_LAYERS = 30
MOST_GROUPS = 12
BAR = 0.8  # of the room between two layers


@dataclass(frozen=True)
class _Bar:
    """The trace of one layer and its standard error."""

    value: float
    error: float


@dataclass(frozen=True)
class _Group:
    """One result's bars by layer: a layer's name, or a block's where there are several blocks."""

    label: str
    bars: dict[str, _Bar] = field(default_factory=dict)


def trace(series: Sequence[Series]) -> Figure | None:
    """Horizontal bars for each layer, one for each result; None where there are not two layers to compare."""
    series = [one for one in series if "trace_by_parameter" in one.data]
    groups = _groups(series)
    every = list(dict.fromkeys(layer for group in groups for layer in group.bars))
    if len(every) < 2:
        return None
    shown, drawn = _largest(every, groups), groups[:MOST_GROUPS]
    figure = Figure(figsize=(4.8, max(1.8, 1.1 + len(shown) * max(0.2, 0.1 * len(drawn)))), layout="constrained")
    axes = figure.add_subplot()
    for index, (group, colour) in enumerate(zip(drawn, colours(len(drawn)), strict=True)):
        _bars(axes, group, shown, colour, BAR / len(drawn), offset=index - (len(drawn) - 1) / 2)
    axes.set_yticks(range(len(shown)), shown)
    axes.invert_yaxis()
    axes.axvline(0, color="0.3", lw=0.8)
    axes.ticklabel_format(axis="x", scilimits=(-2, 4), useMathText=True)
    axes.set_xlabel(f"trace of the {matrix_name(series)}  [{UNITS}]")
    clean(axes)
    axes.tick_params(axis="y", length=0)
    if len(drawn) > 1:
        axes.legend(frameon=False, fontsize=8)
    small_print(figure, _evidence(len(shown), len(every), len(drawn), len(groups)))
    return figure


def _bars(axes: Axes, group: _Group, shown: Sequence[str], colour: Any, thickness: float, offset: float) -> None:
    bars = [group.bars.get(layer, _Bar(np.nan, np.nan)) for layer in shown]
    axes.barh(
        np.arange(len(shown)) + offset * thickness,
        [bar.value for bar in bars],
        thickness,
        xerr=[bar.error for bar in bars],
        label=group.label or None,
        color=colour,
        alpha=0.75,
        error_kw={"elinewidth": 1, "capsize": 1.5, "ecolor": "0.1"},
    )


def _groups(series: Sequence[Series]) -> list[_Group]:
    """A group for each result."""
    groups: dict[str, _Group] = {}
    for one in series:
        group = groups.setdefault(one.result, _Group(one.result))
        for layer, bar in _by_layer(one).items():
            group.bars[layer] = bar
    return list(groups.values())


def _by_layer(one: Series) -> dict[str, _Bar]:
    """The sum over each layer's parameters; over all parameters for one block of several.

    Parameters share their probes, so that the sum of their errors is the most that the error of their sum can be.
    """
    data = one.data.dropna("parameter", subset=["trace_by_parameter"])
    errors = data.get("trace_by_parameter_stderr", 0 * data["trace_by_parameter"]).values
    bars: dict[str, _Bar] = {}
    for name, value, error in zip(data["parameter"].values, data["trace_by_parameter"].values, errors, strict=True):
        layer = one.block or plain(layer_of(str(name)))
        known = bars.get(layer, _Bar(0.0, 0.0))
        bars[layer] = _Bar(known.value + float(value), known.error + float(error))
    return bars


def _largest(layers: Sequence[str], groups: Sequence[_Group]) -> list[str]:
    """As many as can be read, in the network's order."""
    size = {layer: max(abs(group.bars[layer].value) for group in groups if layer in group.bars) for layer in layers}
    chosen = sorted(layers, key=lambda layer: -size[layer])[:MOST_LAYERS]
    return [layer for layer in layers if layer in chosen]


def _evidence(layers: int, of_layers: int, results: int, of_results: int) -> str:
    parts = [f"the {layers} largest of {of_layers}"] if layers < of_layers else []
    parts += [f"the first {results} of {of_results} results"] if results < of_results else []
    return "; ".join([*parts, "bars: standard errors, of a layer the sum over its parameters"])

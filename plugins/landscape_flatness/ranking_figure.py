"""Every measure of every point on one axis, so that it can be seen which measures disagree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from landscape.drawing import MARKERS, Net, clean, colours, legend_above, log_axis, small_print
from landscape.labels import number
from landscape.neighbourhood.equal_loss import loss_warning

__all__ = ["ranking"]

_DISSENT = "#B00020"  # a red that no point has
_STEP, _HALF = 0.34, 0.3  # of the room between two measures: from point to point, and half of what all have
_BARS = 4.0  # an axis follows bars this factor beyond the last marker


@dataclass(frozen=True, eq=False)
class _Row:
    """One measure of all points, turned so that small is flat and scaled to a geometric mean of 1.

    Attributes
    ----------
    label
        Its name, and how it was turned.
    invariant
        Whether rescaling leaves it as it is.
    ratios, low, high
        Shape ``(points,)``: value, and two standard errors to either side. NaN where it is not known, 0 or below where
        the value has no logarithm.
    """

    label: str
    invariant: bool
    ratios: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, nets: Sequence[Net], name: str) -> _Row:
        found = [net.data.sel(measure=name) for net in nets if name in net.data["measure"].values]
        flat, invariant = str(found[0]["flat"].values), bool(found[0]["invariant"])
        values, errors = (_column(nets, name, column) for column in ("value", "standard_error"))
        errors = 2 * np.nan_to_num(errors, posinf=0.0)
        words = name.replace("_", " ")
        low, high = values - errors, values + errors
        if flat == "large" and (values[np.isfinite(values)] < 0).any():
            words, values, low, high = f"−{words}", -values, -high, -low
        elif flat == "large":
            words, values, low, high = f"1 / {words}", _inverse(values), _inverse(high), _inverse(low)
        positive = values[np.isfinite(values) & (values > 0)]
        scale = float(np.exp(np.log(positive).mean())) if len(positive) else 1.0
        return cls(words, invariant, values / scale, low / scale, high / scale)

    @property
    def known(self) -> bool:
        """Whether there are two points to compare."""
        return int(np.isfinite(self.ratios).sum()) > 1

    @property
    def flattest(self) -> int:
        """Which point is."""
        return int(np.nanargmin(self.ratios))


def _column(nets: Sequence[Net], name: str, column: str) -> np.ndarray:
    """A column of the table for one measure; NaN for points that have none."""
    return np.array(
        [float(net.data[column].sel(measure=name)) if name in net.data["measure"].values else np.nan for net in nets]
    )


def _inverse(values: np.ndarray) -> np.ndarray:
    """1 / x; infinite from 0 downward, where a bar has no end."""
    return np.divide(1.0, values, out=np.full_like(values, np.inf), where=~(values <= 0))


def ranking(nets: Sequence[Net]) -> Figure | None:
    """Each measure as a row with error bars, invariant ones above the others, flat to the left.

    A thin line follows each point from row to row: where lines cross, measures disagree. None for fewer than two.
    """
    nets = [net for net in nets if "measure" in net.data.dims]
    if len(nets) < 2:
        return None
    names = dict.fromkeys(str(name) for net in nets for name in net.data["measure"].values)
    every = [_Row.of(nets, name) for name in names]
    rows = [row for row in every if row.known]
    if not rows:
        return None
    majority = _majority(rows)
    groups = [[row for row in rows if row.invariant is kind] for kind in (True, False)]
    groups = [group for group in groups if group]
    figure, panels = _panels(groups, len(nets))
    for axes, group in zip(panels, groups, strict=True):
        _limits(axes, rows)
        _panel(axes, group, colours(len(nets)), majority)
    panels[-1].set_xlabel("← flatter      value / geometric mean of all points", fontsize=9)
    legend_above(figure, _handles(nets))
    small_print(figure, *_notes(nets, every, majority))
    return figure


def _notes(nets: Sequence[Net], rows: Sequence[_Row], majority: int | None) -> Iterator[str]:
    """What the reader has to know of these rows."""
    yield "bars: ±2 standard errors"
    if majority is not None and any(row.known and _dissents(row, majority) for row in rows):
        yield f"red: {nets[majority].label}, flattest by most, is clearly not by this one"
    if any((row.ratios <= 0).any() for row in rows if row.known):
        yield "triangles: 0 or below"
    if left_out := ", ".join(row.label for row in rows if not row.known):
        yield f"not known of two points: {left_out}"
    yield _losses(nets)


def _panels(groups: Sequence[Sequence[_Row]], nets: int) -> tuple[Figure, list[Axes]]:
    """One panel for each group of measures, as high as it has rows."""
    counts = [len(group) for group in groups]
    height = 1.2 + 0.2 * len(groups) + sum(counts) * (0.2 + 0.02 * min(nets, 12))
    figure = Figure(figsize=(6.0, height), layout="constrained")
    panels = figure.subplots(len(groups), 1, squeeze=False, sharex=True, height_ratios=counts)[:, 0]
    return figure, list(panels)


def _limits(axes: Axes, rows: Sequence[_Row]) -> None:
    """A logarithmic axis on which all ratios lie, and their bars as far as they leave the ratios readable."""
    ratios = np.concatenate([row.ratios for row in rows])
    ratios = ratios[np.isfinite(ratios) & (ratios > 0)]
    low, high = (ratios.min(), ratios.max()) if len(ratios) else (1.0, 1.0)
    bars = np.concatenate([bar for row in rows for bar in (row.low, row.high)])
    bars = bars[(bars > low / _BARS) & (bars < high * _BARS)]
    low, high = min([low, *bars]), max([high, *bars])
    margin = max((high / low) ** 0.06, 1.02)
    axes.set_xlim(low / margin, high * margin)
    log_axis(axes, "x")


def _panel(axes: Axes, rows: Sequence[_Row], shades: Sequence[Any], majority: int | None) -> None:
    left, right = axes.get_xlim()
    half = min(_HALF, _STEP * (len(shades) - 1) / 2)
    offsets = np.linspace(-half, half, len(shades))
    for point, (colour, offset) in enumerate(zip(shades, offsets, strict=True)):
        ratios = np.array([row.ratios[point] for row in rows])
        places, drawn = np.arange(len(rows)) + offset, np.where(ratios <= 0, left, ratios)
        low, high = (np.array([getattr(row, end)[point] for row in rows]) for end in ("low", "high"))
        axes.hlines(places, np.clip(low, left, right), np.clip(high, left, right), color=colour, lw=1.2)
        axes.plot(drawn, places, color=colour, lw=0.6, alpha=0.5, zorder=1)
        style = {"color": colour, "mfc": colour if rows[0].invariant else "w", "ms": 4, "ls": "none"}
        axes.plot(np.where(ratios <= 0, np.nan, ratios), places, marker=MARKERS[point % len(MARKERS)], **style)
        axes.plot(np.where(ratios <= 0, left, np.nan), places, marker="<", clip_on=False, **style)
    axes.axvline(1, color="0.75", lw=0.8, zorder=0)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.set_title(
        "invariant to rescaling" if rows[0].invariant else "not invariant to rescaling", loc="left", fontsize=8
    )
    clean(axes)
    axes.tick_params(axis="y", length=0)
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_color(_DISSENT if majority is not None and _dissents(row, majority) else "k")


def _majority(rows: Sequence[_Row]) -> int | None:
    """The point that most measures call flattest; None where two are called so as often."""
    first, second = (*Counter(row.flattest for row in rows).most_common(2), (-1, 0))[:2]
    return first[0] if first[1] > second[1] else None


def _dissents(row: _Row, majority: int) -> bool:
    """Whether another point is flatter by this measure, and their bars stand apart."""
    return bool(row.high[row.flattest] < row.low[majority])


def _handles(nets: Sequence[Net]) -> list[Line2D]:
    shades = colours(len(nets))
    return [
        Line2D([], [], label=net.legend, color=colour, marker=MARKERS[index % len(MARKERS)], ms=4, lw=0.6)
        for index, (net, colour) in enumerate(zip(nets, shades, strict=True))
    ]


def _losses(nets: Sequence[Net]) -> str:
    """The training losses, or that they differ too much to compare these points."""
    losses = [float(net.data["loss"] if "loss" in net.data else net.data.attrs.get("loss", np.nan)) for net in nets]
    if not np.isfinite(losses).all():
        return ""
    warning = loss_warning(losses, [net.label for net in nets])
    return warning or f"training loss {' to '.join(dict.fromkeys([number(min(losses)), number(max(losses))]))}"

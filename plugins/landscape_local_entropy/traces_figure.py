"""The chains at the given β and γ, draw by draw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from landscape.drawing import MARK, NOTE, Net, clean, columns_for, small_print, spread
from landscape_local_entropy.given import given, known

__all__ = ["traces"]

_MOST = 12  # panels
_WARMUP = "0.75"  # a grey
_BEYOND = 0.25  # of the range of the draws: how far the axis follows the warm-up


def traces(nets: Sequence[Net]) -> Figure | None:
    """ΔL along each chain, warm-up in grey, with the mean and its error: a panel for each net. None without chains."""
    every = [net for net in nets if known(net, "rise_trace")]
    nets = every[:_MOST]
    if not nets:
        return None
    columns = columns_for(len(nets))
    rows = -(-len(nets) // columns)
    size = (4.8, 3.2) if len(nets) == 1 else (7.0, 0.6 + (2.4 if columns == 2 else 2.0) * rows)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for spare in grid.flat[len(nets) :]:
        spare.remove()
    panels = list(grid.flat[: len(nets)])
    for axes, net in zip(panels, nets, strict=True):
        _panel(axes, net)
    for axes in panels[-columns:]:
        axes.set_xlabel("draw", fontsize=9)
    units = {str(net.data["rise_trace"].attrs.get("units", "loss")) for net in nets}
    for axes in panels[::columns]:
        axes.set_ylabel(f"ΔL  [{' or '.join(sorted(units))}]", fontsize=9)
    cut = f"the first {_MOST} of {len(every)} results" if len(every) > _MOST else ""
    small_print(figure, cut, "grey: warm-up, not averaged; black: mean ± 2 standard errors")
    return figure


def _panel(axes: Axes, net: Net) -> None:
    draws = net.data["rise_trace"].values
    for chain, colour in zip(draws, spread(len(draws)), strict=True):
        axes.plot(np.arange(1, len(chain) + 1), chain, color=colour, lw=0.5, alpha=0.7)
    before = net.data["rise_warmup"].values if "rise_warmup" in net.data else np.empty((0, 0))
    for chain in before:
        axes.plot(np.arange(-len(chain), 0) + 1, chain, color=_WARMUP, lw=0.5, zorder=1)
    _mean(axes, net, draws)
    _limits(axes, draws, before)
    axes.ticklabel_format(axis="y", scilimits=(-2, 4), useMathText=True)
    clean(axes)
    axes.set_title(net.legend, fontsize=9, loc="left")
    axes.annotate(_evidence(net), (1, 1), (0, -1), xycoords="axes fraction", textcoords="offset points",
                  ha="right", va="top", bbox={"fc": "w", "ec": "none", "alpha": 0.8, "pad": 0.8}, **NOTE)  # fmt: skip


def _mean(axes: Axes, net: Net, draws: np.ndarray) -> None:
    """⟨ΔL⟩ = LLC / β with twice its standard error; of the draws as they are stored where LLC is not known."""
    index = given(net, "beta")
    if index is None or not known(net, "llc_beta"):
        axes.hlines(float(np.nanmean(draws)), 1, draws.shape[1], color=MARK, lw=1.2, zorder=5)
        return
    beta = float(net.data["beta"].values[index])
    mean, error = (float(net.data[name].values[index]) / beta for name in ("llc_beta", "llc_beta_stderr"))
    axes.hlines(mean, 1, draws.shape[1], color=MARK, lw=1.2, zorder=5)
    axes.fill_between([1, draws.shape[1]], mean - 2 * error, mean + 2 * error, color=MARK, alpha=0.3, lw=0, zorder=4)


def _limits(axes: Axes, draws: np.ndarray, before: np.ndarray) -> None:
    """All draws, and of the warm-up as much as leaves them readable."""
    finite = draws[np.isfinite(draws)]
    low, high = float(finite.min()), float(finite.max())
    room = _BEYOND * (high - low or abs(high) or 1.0)
    seen = before[np.isfinite(before) & (before > low - room) & (before < high + room)]
    low, high = min([low, *seen]), max([high, *seen])
    axes.set_ylim(low - 0.1 * room, high + 0.6 * room)


def _evidence(net: Net) -> str:
    """R-hat and ESS of these chains."""
    index = given(net, "beta")
    if index is None or not known(net, "rhat_beta"):
        return ""
    rhat, ess = (float(net.data[name].values[index]) for name in ("rhat_beta", "ess_beta"))
    return f"R̂ {rhat:.3f}, ESS {ess:.0f}"

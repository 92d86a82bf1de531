"""Figures of flatness, drawn from stored results: one or several, or a comparison of all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.figure import Figure

from landscape.analysis import Result
from landscape.drawing import Net, nets_of
from landscape_flatness.local_energy_figure import local_energy
from landscape_flatness.ranking_figure import ranking

__all__ = ["plot"]

FIGURES: dict[str, Callable[[Sequence[Net]], Figure | None]] = {"ranking": ranking, "local_energy": local_energy}


def plot(results: Sequence[Result]) -> dict[str, Figure]:
    """The figures that the results allow, by name, all results on the same axes.

    ``ranking``: two or more points by every measure; ``local_energy``: the rise of error and loss against σ. Combined
    results are drawn where no others are given.
    """
    nets = nets_of(results)
    drawn = {name: draw(nets) for name, draw in FIGURES.items()}
    return {name: figure for name, figure in drawn.items() if figure}

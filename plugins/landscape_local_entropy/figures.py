"""Figures of local entropies, drawn from stored results: one or several, of any kind of landscape."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.figure import Figure

from landscape.analysis import Result
from landscape.drawing import Net, nets_of
from landscape_local_entropy.coefficient_figure import coefficient
from landscape_local_entropy.comparison_figure import comparison
from landscape_local_entropy.counts_figure import counts
from landscape_local_entropy.entropy_figure import entropy
from landscape_local_entropy.levels_figure import levels
from landscape_local_entropy.traces_figure import traces

__all__ = ["plot"]

FIGURES: dict[str, Callable[[Sequence[Net]], Figure | None]] = {
    "entropy": entropy,
    "coefficient": coefficient,
    "traces": traces,
    "counts": counts,
    "levels": levels,
    "comparison": comparison,
}


def plot(results: Sequence[Result]) -> dict[str, Figure]:
    """The figures that the results allow, by name, all results on the same axes.

    Of chains ``entropy``: Φ and the Franz-Parisi potential against the distance; ``coefficient``: LLC against β;
    ``traces``: the chains themselves. Of a discrete landscape ``counts``: solutions at each Hamming distance. On a
    sphere ``levels``: the fraction left at each threshold. Combined results are drawn where no others are given: of
    chains as ``comparison``, Φ and LLC side by side.
    """
    nets = nets_of(results)
    drawn = {name: draw(nets) for name, draw in FIGURES.items()}
    return {name: figure for name, figure in drawn.items() if figure}

"""Figures of paths, drawn from stored results: of one pair, of several, of a comparison of all."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from landscape.analysis import Result
from landscape_neb.matrix_figure import barriers
from landscape_neb.path_figure import path
from landscape_neb.plane_figure import plane

__all__ = ["plot"]


def plot(results: Sequence[Result]) -> dict[str, Figure]:
    """The figures that the results allow, by name.

    ``path``: loss and error along lines and paths; ``plane``: the paths over the loss in their planes; of a combined
    result ``barriers``: between all points. Further combined results' are numbered.
    """
    combined = [result for result in results if "point" in result.data.dims]
    pairs = [result for result in results if "point" not in result.data.dims]
    drawn: dict[str, Figure | None] = {"path": path(pairs), "plane": plane(pairs)} if pairs else {}
    for index, result in enumerate(combined, start=1):
        drawn["barriers" if index == 1 else f"barriers-{index}"] = barriers(result.data)
    return {name: figure for name, figure in drawn.items() if figure}

"""Figures of spectra, drawn from stored results: one or several, of points or of whole trajectories."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from matplotlib.figure import Figure

from landscape.analysis import Result
from landscape_hessian.comparison_figures import comparison, evolution, overlap
from landscape_hessian.density_figure import density
from landscape_hessian.series import Series, series_of
from landscape_hessian.spectrum_figure import eigenvalues
from landscape_hessian.trace_figure import trace

__all__ = ["plot"]

SPECTRA: dict[str, Callable[[Sequence[Series]], Figure | None]] = {
    "eigenvalues": eigenvalues,
    "density": density,
    "trace": trace,
}


def plot(results: Sequence[Result]) -> dict[str, Figure]:
    """The figures that the results allow, by name.

    ``eigenvalues``: both ends with residuals; ``density``: the smoothed spectral density; ``trace``: by layer. Of a
    combined result ``overlap``: leading eigenspaces against each other; ``evolution``: against the training step, or
    else ``comparison``: the spectra side by side, where they are not drawn anyhow. Further combined results' are
    numbered.
    """
    combined = [result for result in results if "point" in result.data.dims]
    series = series_of([result for result in results if "point" not in result.data.dims])
    drawn = {name: draw(series) for name, draw in SPECTRA.items()}
    for index, result in enumerate(combined, start=1):
        for name, figure in _of_combined(result, alone=not series):
            drawn[name if index == 1 else f"{name}-{index}"] = figure
    return {name: figure for name, figure in drawn.items() if figure}


def _of_combined(result: Result, alone: bool) -> Iterator[tuple[str, Figure | None]]:
    yield "overlap", overlap(result.data)
    yield "evolution", evolution(result.data)
    if alone and "step" not in result.data:
        yield "comparison", comparison(result.data)

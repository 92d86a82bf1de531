"""The average sharpness over the square of sigma: level where the loss is quadratic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import xarray as xr
from matplotlib.figure import Figure

from landscape import Result

__all__ = ["plot"]


def plot(results: Sequence[Result]) -> dict[str, Figure]:
    """2 S(σ) / σ² with its standard error against σ, one line per point."""
    figure = Figure(figsize=(5.0, 3.4), layout="constrained")
    axes = figure.add_subplot()
    for label, data in _curves(results):
        sigma = data["sigma"].values
        to_trace = 2 / sigma**2
        axes.errorbar(
            sigma, to_trace * data["sharpness"].values, to_trace * data["sharpness_stderr"].values,
            marker="o", markersize=4, capsize=2, label=label,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel("σ per coordinate  [parameter]")
    axes.set_ylabel("2 S(σ) / σ²  [loss / parameter²]")
    axes.legend(frameon=False)
    return {"sharpness": figure}


def _curves(results: Sequence[Result]) -> Iterator[tuple[str, xr.Dataset]]:
    """Label and data of each point, of single results as well as of combined ones."""
    for result in results:
        if "point" in result.data.dims:
            yield from ((name, result.data.sel(point=name)) for name in result.data["point"].values)
        else:
            yield ", ".join(result.points), result.data

"""Local entropy where all solutions are known: how many lie at each distance from a point."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from landscape.errors import AnalysisError
from landscape.landscapes.protocol import Landscape
from landscape.landscapes.solutions import Solutions
from landscape.parameters import Point

__all__ = ["NEAR", "count", "remarks"]

NEAR = 3
"""The summary counts solutions up to this Hamming distance."""

Summary = dict[str, float | int | str | bool | list[Any]]


def count(landscape: Landscape, point: Point, solutions: Solutions) -> tuple[xr.Dataset, Summary]:
    """Solutions at every Hamming distance from a point, and from a solution on average; exact.

    The point is taken to its nearest configuration. ``entropy`` is ln(solutions)/N, NaN at distances where there are
    none. The summary's ``within_3_min``, ``_median`` and ``_max`` are over all solutions, each counted with itself;
    ``at_distance`` and ``mean_at_distance`` are lists for the distances 1, 2, 3. Costs two transforms of
    2^N numbers, the first of which other points of the call share.

    Raises
    ------
    AnalysisError
        If there is no solution at all.
    """
    if solutions.number == 0:
        raise AnalysisError(f"{landscape.info.name} has no solutions to be counted: take an easier instance of it")
    counts = solutions.counts_from(solutions.vertex_of(point.vector)).numpy()
    means = solutions.mean_counts().numpy()
    near = solutions.counts_within(NEAR).numpy()
    summary: Summary = {
        "num_solutions": solutions.number,
        "entropy_total": log(solutions.number) / solutions.dim,
        "isolated_fraction": len(solutions.isolated) / solutions.number,
        "mean_at_distance": means[1 : NEAR + 1].tolist(),
        "within_3_min": int(near.min()),
        "within_3_median": float(np.median(near)),
        "within_3_max": int(near.max()),
        "solutions_within_3": int(counts[: NEAR + 1].sum()),
        "at_distance": counts[1 : NEAR + 1].tolist(),
        "is_solution": bool(counts[0]),
    }
    dataset = _dataset(counts, means)
    dataset.attrs = {
        "dimension": solutions.dim,
        "loss": float(landscape.energies(point.vector[None])[0]),
    }
    return dataset, summary


def remarks(point: Point, solutions: Solutions) -> tuple[str, ...]:
    """What the reader of the counts has to know."""
    if solutions.indicator[solutions.vertex_of(point.vector)]:
        return ()
    return (f"{point.id} is not a solution: the counts are of solutions around a configuration that is none itself",)


def _dataset(counts: NDArray[np.int64], means: NDArray[np.float64]) -> xr.Dataset:
    dim = len(counts) - 1
    entropy = np.full(dim + 1, np.nan)
    np.log(counts, out=entropy, where=counts > 0)
    variables = {
        "solutions": (counts, "solutions at that distance from the point", "1"),
        "solutions_mean": (means, "the same from a solution, on average over all of them", "1"),
        "entropy": (entropy / dim, "ln(solutions)/N", "nat / coordinate"),
    }
    return xr.Dataset(
        {
            name: ("distance", values, {"long_name": words, "units": units})
            for name, (values, words, units) in variables.items()
        },
        coords={"distance": ("distance", range(dim + 1), {"long_name": "Hamming distance", "units": "coordinates"})},
    )

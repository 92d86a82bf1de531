"""Stored results as the series of a figure: one spectrum each, with a label that tells it from the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from landscape.analysis import Result
from landscape.labels import short_labels, told_apart

__all__ = ["NAMES", "Series", "blockwise", "matrix_name", "plain", "series_of"]

NAMES = {
    "hessian": "Hessian",
    "ggn": "Gauss–Newton",
    "fisher": "Fisher",
    "empirical-fisher": "empirical Fisher",
    "remainder": "Hessian − Gauss–Newton",
}


@dataclass(frozen=True, eq=False)
class Series:
    """One spectrum: a result, or one block of a result that has several.

    Attributes
    ----------
    result
        What tells its result from the others of the figure; empty for the only one.
    data
        Its variables, without a dimension ``block``.
    block
        Which block of several; empty where there is one.
    negative
        The fraction of eigenvalues below 0, or bounds on it; empty where it is not known.
    """

    result: str
    data: xr.Dataset
    block: str = ""
    negative: tuple[float, ...] = ()

    @property
    def label(self) -> str:
        """What a legend calls it."""
        return ", ".join(filter(None, [self.result, self.block]))

    @property
    def dimension(self) -> int:
        """n, the number of eigenvalues."""
        return int(self.data["dimension"] if "dimension" in self.data else self.data.attrs["dimension"])

    def end(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues and residuals of the end ``top`` or ``bottom``, those that are there."""
        if f"eigenvalue_{name}" not in self.data:
            return np.empty(0), np.empty(0)
        values, residuals = self.data[f"eigenvalue_{name}"].values, self.data[f"residual_{name}"].values
        known = np.isfinite(values)
        return values[known], residuals[known]

    @property
    def ends(self) -> bool:
        """Whether there are any eigenvalues."""
        return len(self.end("top")[0]) + len(self.end("bottom")[0]) > 0

    @property
    def sampling_error(self) -> np.ndarray | None:
        """What the choice of samples adds to the error of the largest, where it was estimated."""
        if "sampling_error_top" not in self.data:
            return None
        return self.data["sampling_error_top"].values[np.isfinite(self.data["eigenvalue_top"].values)]

    @property
    def density(self) -> tuple[np.ndarray, np.ndarray]:
        """Nodes and weights of the quadrature, shape ``(probes, nodes)``; padding has weight 0."""
        nodes, weights = self.data["density_node"].values, self.data["density_weight"].values
        known = np.isfinite(nodes) & (weights > 0)
        rows = known.any(axis=1)
        return np.where(known, nodes, 0.0)[rows], np.where(known, weights, 0.0)[rows]


def series_of(results: Sequence[Result]) -> list[Series]:
    """The series of results, blocks one by one."""
    labelled = zip(_labels(results), results, strict=True)
    return blockwise([Series(label, result.data, negative=_negative(result)) for label, result in labelled])


def blockwise(series: Sequence[Series]) -> list[Series]:
    """The same with one series for each block where there are several."""
    split: list[Series] = []
    for one in series:
        if "block" not in one.data.dims:
            split.append(one)
            continue
        for block in one.data["block"].values:
            split.append(Series(one.result, one.data.sel(block=block, drop=True), plain(str(block))))
    return split


def _negative(result: Result) -> tuple[float, ...]:
    fraction, bounds = (result.summary.get(f"density_mass_negative{end}") for end in ("", "_bounds"))
    if isinstance(fraction, float):
        return (fraction,)
    return tuple(bounds) if isinstance(bounds, list) else ()


def plain(name: str) -> str:
    """A name from outside, of which nothing is read as a formula."""
    return name.replace("$", r"\$")


def matrix_name(series: Sequence[Series]) -> str:
    """The matrix that all are of, in words; 'curvature' where they differ."""
    matrices = {str(one.data.attrs.get("matrix", "hessian")) for one in series}
    return NAMES.get(matrices.pop(), "curvature") if len(matrices) == 1 else "curvature"


def _labels(results: Sequence[Result]) -> list[str]:
    """Point, matrix, block and options, as far as they differ between the results."""
    points = short_labels(dict.fromkeys(point for result in results for point in result.points))
    traits = [
        {
            "point": plain(", ".join(points[point] for point in result.points)),
            "matrix": NAMES.get(str(result.data.attrs.get("matrix")), ""),
            "block": plain(str(result.data.attrs.get("block", ""))),
        }
        for result in results
    ]
    shown = [name for name in ("point", "matrix", "block") if len({trait[name] for trait in traits}) > 1]
    labels = [", ".join(trait[name] for name in shown if trait[name]) for trait in traits]
    return told_apart(labels, [result.options for result in results], but=("matrix", "blocks"))

"""The table of all measures and points: who is flattest by which measure, and which measures disagree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import xarray as xr

from landscape.analysis import Context, Result
from landscape.labels import joined, short_labels
from landscape.neighbourhood.equal_loss import loss_warning

__all__ = ["combine", "ranks"]

PER_MEASURE = ["invariant", "flat", "units", "definition"]

SAME = 1e-4  # relative: what rounding and float32 leave of equal values
CLEAR = 2.0  # standard errors


@dataclass(frozen=True, eq=False)
class _Row:
    """One measure at all points.

    Attributes
    ----------
    name, invariant
        Which one.
    values, errors
        Turned so that small is flat, shape ``(points,)``; NaN where it was not found. An exact value has no error.
    """

    name: str
    invariant: bool
    values: np.ndarray
    errors: np.ndarray

    def order(self, labels: Sequence[str]) -> list[str]:
        """The points that have it, flattest first; those that share a rank as one entry, ``a = b``."""
        found = ranks(self.values)
        return [
            " = ".join(label for label, its in zip(labels, found, strict=True) if its == rank)
            for rank in sorted(set(found[np.isfinite(found)]))
        ]

    def known(self, i: int, j: int) -> bool:
        """Whether both points have it."""
        return bool(np.isfinite(self.values[[i, j]]).all())

    def same(self, i: int, j: int) -> bool:
        """Whether rounding explains the difference of two points."""
        return bool(_same(self.values[i], self.values[j]))

    def flatter(self, i: int, j: int) -> int:
        """1 if the first of two points is flatter, -1 if the second is, 0 if that is not clear."""
        gap = self.values[j] - self.values[i]
        clear = self.known(i, j) and not self.same(i, j) and abs(gap) > CLEAR * np.hypot(*self.errors[[i, j]])
        return int(np.sign(gap)) if clear else 0


def combine(results: Sequence[Result], *, context: Context) -> Result:
    """Value, standard error and rank of each point by each measure. Costs nothing.

    Minima are compared at equal training loss, or not at all: a result whose losses differ by more than 10 % has not
    converged. Two points are told apart by a measure if they differ by more than two standard errors; as points share
    their random vectors, the error of a difference is smaller than that.
    """
    ids = [joined(result.points) for result in results]
    shortened = short_labels(ids)
    labels = [shortened[one] for one in ids]
    data = _table(results, ids)
    rows = [_row(data, str(name)) for name in data["measure"].values]
    data["rank"] = (("measure", "point"), np.array([ranks(row.values) for row in rows]), _RANK)
    warning = loss_warning(list(map(float, data["loss"].values)), labels)
    orders = {f"flattest_by_{row.name}": row.order(labels) for row in rows if np.isfinite(row.values).sum() > 1}
    compared = _two(rows, labels) if len(results) == 2 else _many(rows, len(results))
    return Result(
        data=data,
        summary={"points": len(ids), "losses_agree": warning is None, **orders},
        converged=warning is None and all(result.converged for result in results),
        messages=(*filter(None, [warning]), *_unconverged(results, labels), *compared),
    )


_RANK = {"long_name": "rank, 1 for the flattest; values that agree to 1e-4 share it", "units": "1"}


def ranks(values: np.ndarray) -> np.ndarray:
    """1 for the smallest value, then one more than there are smaller ones; NaN for NaN."""
    smaller = (values[None] < values[:, None]) & ~_same(values[None], values[:, None])
    return np.where(np.isfinite(values), 1.0 + smaller.sum(axis=1), np.nan)


def _same(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.abs(first - second) <= SAME * np.maximum(np.abs(first), np.abs(second))


def _table(results: Sequence[Result], ids: Sequence[str]) -> xr.Dataset:
    """Values and errors along ``measure`` and ``point``; NaN where a point lacks a measure."""
    measures = xr.concat([result.data[PER_MEASURE] for result in results], "measure").drop_duplicates("measure")
    names = list(measures["measure"].values)
    points = [result.data[["value", "standard_error"]].reindex(measure=names) for result in results]
    values = xr.concat(points, xr.Variable("point", list(ids))).transpose("measure", "point")
    losses = [float(result.data.attrs["loss"]) for result in results]
    table = xr.merge([values, measures], combine_attrs="drop")
    table["loss"] = ("point", losses, {"long_name": "mean loss", "units": "loss"})
    return table.assign_attrs(dimension=results[0].data.attrs["dimension"])


def _row(data: xr.Dataset, name: str) -> _Row:
    measure = data.sel(measure=name)
    sign = 1 if str(measure["flat"].values) == "small" else -1
    errors = np.nan_to_num(measure["standard_error"].values)
    return _Row(name, bool(measure["invariant"]), sign * measure["value"].values, errors)


def _unconverged(results: Sequence[Result], labels: Sequence[str]) -> Iterator[str]:
    names = [label for result, label in zip(results, labels, strict=True) if not result.converged]
    if names:
        yield f"{', '.join(names)} did not converge: see there"


def _two(rows: Sequence[_Row], labels: Sequence[str]) -> Iterator[str]:
    """Which measures are for either of two points."""
    first, second = labels
    known = [row for row in rows if row.known(0, 1)]
    for label, sign in ((first, 1), (second, -1)):
        yield from _listed(f"{label} is flatter by", [row.name for row in known if row.flatter(0, 1) == sign])
    yield from _listed("both are the same, to 1e-4, by", [row.name for row in known if row.same(0, 1)])
    close = [row.name for row in known if not row.flatter(0, 1) and not row.same(0, 1)]
    yield from _listed("within 2 standard errors, which leaves it open, by", close)


def _many(rows: Sequence[_Row], points: int) -> Iterator[str]:
    """Which measures order pairs otherwise than most of the invariant ones, and which leave pairs open."""
    pairs = list(combinations(range(points), 2))
    most = {pair: np.sign(sum(row.flatter(*pair) for row in rows if row.invariant)) for pair in pairs}
    against, open_ = [], []
    for row in rows:
        wrong = sum(row.flatter(*pair) * most[pair] < 0 for pair in pairs)
        unclear = sum(row.known(*pair) and not row.flatter(*pair) for pair in pairs)
        against += [f"{row.name} ({wrong} of {len(pairs)})"] if wrong else []
        open_ += [f"{row.name} ({unclear} of {len(pairs)})"] if unclear else []
    yield from _listed("pairs of points ordered otherwise than by most of the invariant measures:", against)
    yield from _listed("pairs of points within 2 standard errors, which leaves their order open:", open_)


def _listed(text: str, names: Sequence[str]) -> Iterator[str]:
    if names:
        yield f"{text} {', '.join(names)}"

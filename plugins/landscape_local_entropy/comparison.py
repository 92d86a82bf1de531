"""Several minima side by side: which has the larger local entropy, by how many standard errors, and who disagrees."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise
from math import copysign, hypot, inf

import xarray as xr

from landscape.analysis import Context, Result
from landscape.labels import joined, short_labels
from landscape.neighbourhood.equal_loss import loss_warning

__all__ = ["combine"]

_SIGNS = {"phi": -1, "llc": 1, "laplace_phi": -1, "trace": 1, "eigenvalue_max": 1}
"""Which way each quantity points: +1 where small is flat."""
_SAMPLED = {"phi": "local entropy", "llc": "learning coefficient"}
_CLEAR = 2.0  # standard errors
_SAME = 1e-4  # relative: what rounding and float32 leave of equal values


def combine(results: Sequence[Result], *, context: Context) -> Result:
    """Φ, LLC and the quantities of the Hessian of all points, ranked from the flattest on. Costs nothing.

    Minima are compared at equal training loss, or not at all: a result whose losses differ by more than 10 % has not
    converged. Counts of solutions and volumes on a sphere are put side by side as they are.
    """
    ids = [joined(result.points) for result in results]
    names = [name for name in _SIGNS if all(name in result.summary for result in results)]
    shortened = short_labels(ids)
    labels = [shortened[one] for one in ids]
    converged = all(result.converged for result in results)
    if not names:
        return Result(_beside(results, ids), {"points": len(ids)}, converged, tuple(_unconverged(results, labels)))
    ranked = {name: _ranked(results, labels, name) for name in names}
    warning = loss_warning([float(result.data.attrs["loss"]) for result in results], labels)
    messages = [
        *filter(None, [warning]),
        *_unconverged(results, labels),
        *_separations(results, labels, [name for name in names if name in _SAMPLED]),
        *_disagreeing(results, names),
    ]
    return Result(
        data=_table(results, ids, names),
        summary={"points": len(ids), **{f"flattest_by_{name}": order for name, order in ranked.items()}},
        converged=warning is None and converged,
        messages=tuple(messages),
    )


def _number(result: Result, name: str) -> float:
    return float(str(result.summary.get(name, "nan")))


def _ranked(results: Sequence[Result], labels: Sequence[str], name: str) -> list[str]:
    """The flattest first."""
    values = [_SIGNS[name] * _number(result, name) for result in results]
    return [label for _, label in sorted(zip(values, labels, strict=True))]


def _table(results: Sequence[Result], ids: Sequence[str], names: Sequence[str]) -> xr.Dataset:
    columns = [*names, *(f"{name}_stderr" for name in names), "r_rms"]
    known = [column for column in columns if all(column in result.summary for result in results)]
    variables = {column: ("point", [_number(result, column) for result in results]) for column in known}
    variables["loss"] = ("point", [float(result.data.attrs["loss"]) for result in results])
    attrs = {name: results[0].data.attrs[name] for name in ("beta", "gamma", "metric")}
    return xr.Dataset(variables, coords={"point": list(ids)}, attrs=attrs)


def _beside(results: Sequence[Result], ids: Sequence[str]) -> xr.Dataset:
    """Variables over the distance from each point, where all have the same distances."""
    parts = [
        result.data[[name for name in result.data if result.data[name].dims == ("distance",)]] for result in results
    ]
    return xr.concat(parts, xr.Variable("point", list(ids)), join="outer", combine_attrs="drop")


def _unconverged(results: Sequence[Result], labels: Sequence[str]) -> list[str]:
    names = [label for result, label in zip(results, labels, strict=True) if not result.converged]
    return [f"{', '.join(names)} did not converge: see there"] if names else []


def _separations(results: Sequence[Result], labels: Sequence[str], names: Sequence[str]) -> list[str]:
    """How clearly each minimum is flatter than the next."""
    lines = []
    for name in names:
        order = sorted(zip(results, labels, strict=True), key=lambda pair: _SIGNS[name] * _number(pair[0], name))
        for (flat, first), (steep, second) in pairwise(order):
            lines.append(f"by its {_SAMPLED[name]} {first} is flatter than {second} by {_apart(flat, steep, name)}")
    return lines


def _apart(first: Result, second: Result, name: str) -> str:
    gap, error = abs(_number(first, name) - _number(second, name)), _error(first, second, name)
    errors = gap / error if error else inf if gap else 0.0
    return f"{gap:.3g}, {errors:.2g} standard errors" + ("" if errors > _CLEAR else ": no difference")


def _error(first: Result, second: Result, name: str) -> float:
    """The standard error of a difference; 0 of what is exact."""
    return hypot(*(float(str(result.summary.get(f"{name}_stderr", 0.0))) for result in (first, second)))


def _flatter(first: Result, second: Result, name: str) -> float:
    """1 if the first of two points is clearly the flatter one, -1 if the second is, 0 where that is open."""
    here, there = (_SIGNS[name] * _number(result, name) for result in (first, second))
    open_ = max(_CLEAR * _error(first, second, name), _SAME * max(abs(here), abs(there)))
    return copysign(1, there - here) if abs(there - here) > open_ else 0


def _disagreeing(results: Sequence[Result], names: Sequence[str]) -> list[str]:
    """Which quantities of the Hessian order two minima clearly otherwise than what was sampled."""
    sampled = [name for name in names if name in _SAMPLED]
    against: dict[str, None] = {}
    for pair in combinations(results, 2):
        signs = {_flatter(*pair, name) for name in sampled} - {0}
        if len(signs) > 1:
            return ["phi and llc order the points differently"]
        against |= dict.fromkeys(name for name in names if -_flatter(*pair, name) in signs)
    return [f"ordered otherwise by {', '.join(against)}"] if against else []

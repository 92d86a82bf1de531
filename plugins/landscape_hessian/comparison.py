"""Spectra of several points side by side, and how far their leading eigenvectors span the same subspace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from landscape.analysis import Context, Result
from landscape_hessian.gaps import outliers, why_open

__all__ = ["combine", "subspace_overlap"]

ENDS = ("eigenvalue_top", "residual_top", "eigenvalue_bottom", "residual_bottom")


def subspace_overlap(first: Float[Tensor, "k P"], second: Float[Tensor, "k P"]) -> float:
    """tr(P₁P₂)/k of the subspaces that k orthonormal rows span: 1 for the same one, k/P on average for random ones."""
    return float((first @ second.T).double().square().sum()) / len(first)


def combine(results: Sequence[Result], *, context: Context) -> Result:
    """The spectra of all points, and tr(P₁P₂)/k between the spans of their k leading eigenvectors. Costs no product.

    For a classifier with C classes k is C - 1, where a gap closes that subspace at most points; else the number of
    outliers that the most points share. A point whose own subspace is not closed by a gap has NaN for overlaps, and a
    message says why. Where all points know their training step and no two share one, they are ordered by it.
    """
    results, stepped = _by_step(results)
    ids = [", ".join(result.points) for result in results]
    data = _side_by_side(results, ids, stepped)
    summary: dict[str, float | int | str | bool | list[float]] = {"points": len(results)}
    k, messages = _subspace_dimension(results, ids)
    if k is not None:
        overlap, open_ends = _overlaps(results, ids, k)
        random = k / int(data.attrs["dimension"])
        described = {"long_name": f"overlap tr(P₁P₂)/{k} of leading eigenspaces", "units": "1"}
        data = data.assign(overlap=(("point", "other"), overlap, described)).assign_coords(other=ids)
        data = data.assign_attrs(subspace_dimension=k, overlap_random=random)
        summary |= {"subspace_dimension": k, **_mean_and_min(overlap), "overlap_random": random}
        messages = open_ends
    return Result(data, summary, converged=all(result.converged for result in results), messages=tuple(messages))


def _by_step(results: Sequence[Result]) -> tuple[Sequence[Result], bool]:
    """In the order of the training step, where that makes a trajectory of them; whether it does."""
    steps = {_step(result) for result in results if "step" in result.data}
    return (sorted(results, key=_step), True) if len(steps) == len(results) else (results, False)


def _step(result: Result) -> int:
    return int(result.data["step"].max())  # the same for all blocks


def _side_by_side(results: Sequence[Result], ids: list[str], stepped: bool) -> xr.Dataset:
    """What all measured, along ``point``; NaN where one has fewer eigenvalues than another."""
    parts = [xr.merge([result.data[[n for n in ENDS if n in result.data]], _trace(result)]) for result in results]
    shared = [name for name in parts[0].data_vars if all(name in part for part in parts)]
    data = xr.concat(
        [part[shared] for part in parts], "point", data_vars="all", coords="minimal", compat="override", join="outer"
    ).assign_coords(point=ids)
    if stepped:
        data["step"] = ("point", [_step(result) for result in results], {"long_name": "training step"})
    attrs = results[0].data.attrs
    data.attrs = {name: attrs[name] for name in ("matrix", "block", "dimension") if name in attrs}
    return data


def _trace(result: Result) -> xr.Dataset:
    """The trace with its standard error, as far as they are known; of each block where there are several."""
    data = result.data
    if "block" not in data.dims:
        return xr.Dataset({name: result.summary[name] for name in ("trace", "trace_stderr") if name in result.summary})
    if "trace" in data:
        return data[[name for name in ("trace", "trace_stderr") if name in data]]
    if "trace_by_parameter" not in data:
        return xr.Dataset()
    # the parameters share their probes: the sum of their errors is the most that the error of the sum can be
    sources = {"trace": "trace_by_parameter", "trace_stderr": "trace_by_parameter_stderr"}
    return xr.Dataset({name: data[of].sum("parameter", min_count=1) for name, of in sources.items() if of in data})


def _subspace_dimension(results: Sequence[Result], ids: list[str]) -> tuple[int | None, list[str]]:
    """k; None, and why, where there is no subspace to compare."""
    if any("block" in result.data.dims or "eigenvalue_top" not in result.data for result in results):
        return None, []
    bare = [name for name, result in zip(ids, results, strict=True) if "top" not in result.vectors]
    if bare:
        return None, [f"no subspace overlaps, as {bare[0]} has no eigenvectors stored: add --hessian.vectors true"]
    classes = results[0].data.attrs.get("num_classes")
    if classes and sum(_why_open(result, int(classes) - 1) is None for result in results) > len(results) / 2:
        return int(classes) - 1, []
    counts = Counter(outliers(result.data["eigenvalue_top"], result.data["residual_top"])[0] for result in results)
    shared = [(points, k) for k, points in counts.items() if k is not None and points > 1]
    if shared:
        return max(shared)[1], []
    why = "no two points have the same number of outliers"
    if classes:
        k = int(classes) - 1
        found = ((name, _why_open(result, k)) for name, result in zip(ids, results, strict=True))
        name, reason = next((name, reason) for name, reason in found if reason)
        why += f", nor {k}, one less than the classes: at {name} {reason}"
    return None, [f"no subspace overlaps: {why}"]


def _why_open(result: Result, k: int) -> str | None:
    return why_open(result.data["eigenvalue_top"], result.data["residual_top"], k)


def _overlaps(results: Sequence[Result], ids: list[str], k: int) -> tuple[np.ndarray, list[str]]:
    """The matrix of overlaps, and for each point without any the reason."""
    overlap = np.full((len(results), len(results)), np.nan)
    reasons = [_why_open(result, k) for result in results]
    closed = [index for index, reason in enumerate(reasons) if reason is None]
    for i, j in combinations_with_replacement(closed, 2):
        first, second = (results[index].vectors["top"][:k].cpu() for index in (i, j))
        overlap[i, j] = overlap[j, i] = subspace_overlap(first, second)
    found = [(name, reason) for name, reason in zip(ids, reasons, strict=True) if reason]
    if not found:
        return overlap, []
    name, reason = found[0]
    others = f", nor of {', '.join(name for name, _ in found[1:])}" if len(found) > 1 else ""
    line = f"no overlaps of {name}, whose {k} leading eigenvectors are not closed by a gap ({reason}){others}"
    return overlap, [line]


def _mean_and_min(overlap: np.ndarray) -> dict[str, float]:
    """Over the pairs that have one; nothing where none has."""
    pairs = overlap[np.triu_indices(len(overlap), 1)]
    pairs = pairs[np.isfinite(pairs)]
    return {"overlap_mean": float(pairs.mean()), "overlap_min": float(pairs.min())} if len(pairs) else {}

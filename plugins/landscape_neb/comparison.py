"""The barriers between all points of a call, as matrices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import networkx as nx
import numpy as np
import xarray as xr

from landscape.analysis import Context, Result
from landscape.labels import joined, short_labels
from landscape_neb.barriers import connected

__all__ = ["combine"]

_MATRICES = {
    "barrier": "barrier of the path",
    "barrier_linear": "barrier of the straight line",
    "barrier_linear_aligned": "barrier of the straight line to the aligned point",
    "distance": "distance in parameter space",
    "distance_aligned": "distance in parameter space to the aligned point",
}
_NAMED = 3  # pairs named in a message


def combine(results: Sequence[Result], *, context: Context) -> Result:
    """Barriers and distances between all points, from the summaries of the pairs. Costs nothing.

    Matrices are symmetric, 0 on the diagonal and NaN where a pair was not measured. A pair is connected if its barrier
    is at most a hundredth of the line's. ``barrier_spanning_tree`` is the highest barrier of the minimum spanning
    tree: the lowest level at which every point is reached from every other one through the pairs measured.
    """
    ids = list(dict.fromkeys(point for result in results for point in result.points))
    units = results[0].data["energy"].attrs["units"]
    found = {name: _matrix(results, ids, name) for name in _MATRICES}
    data = xr.Dataset(
        {
            name: (("point", "other"), matrix, {"long_name": _MATRICES[name], "units": _units(name, units)})
            for name, matrix in found.items()
            if matrix is not None
        },
        coords={"point": ids, "other": ids},
    )
    tree, messages = _spanning_tree(results, ids)
    messages = [*_unconverged(results), *messages]
    return Result(data, _summary(results, ids) | tree, all(result.converged for result in results), tuple(messages))


def _units(name: str, loss: str) -> str:
    return "parameters" if name.startswith("distance") else loss


def _value(result: Result, name: str) -> float:
    """A number of a summary; NaN where it does not apply."""
    return float(str(result.summary.get(name, "nan")))


def _values(results: Iterable[Result], name: str) -> np.ndarray:
    return np.array([_value(result, name) for result in results])


def _matrix(results: Sequence[Result], ids: Sequence[str], name: str) -> np.ndarray | None:
    """A quantity of all pairs; None where no pair has it."""
    if np.isnan(_values(results, name)).all():
        return None
    matrix = np.full((len(ids), len(ids)), np.nan)
    np.fill_diagonal(matrix, 0)
    for result in results:
        a, b = (ids.index(point) for point in result.points)
        matrix[a, b] = matrix[b, a] = _value(result, name)
    return matrix


def _summary(results: Sequence[Result], ids: Sequence[str]) -> dict[str, float | int]:
    barriers = _values(results, "barrier")
    summary: dict[str, float | int] = {
        "points": len(ids),
        "pairs": len(results),
        "pairs_connected": sum(map(_connected, results)),
        "barrier_max": float(barriers.max()),
        "barrier_mean": float(barriers.mean()),
        "barrier_linear_mean": float(_values(results, "barrier_linear").mean()),
    }
    aligned = _values(results, "barrier_linear_aligned")
    if np.isfinite(aligned).any():
        summary["barrier_linear_aligned_mean"] = float(np.nanmean(aligned))
    return summary


def _connected(result: Result) -> bool:
    return connected(*(_value(result, name) for name in ("barrier", "barrier_linear", "max_loss")))


def _spanning_tree(results: Sequence[Result], ids: Sequence[str]) -> tuple[dict[str, float], list[str]]:
    """The highest barrier of the minimum spanning tree; where the pairs measured leave points apart, that instead."""
    graph = nx.Graph()
    graph.add_nodes_from(ids)
    for result in results:
        graph.add_edge(*result.points, weight=_value(result, "barrier"))
    parts = list(nx.connected_components(graph))
    if len(parts) > 1:
        names = short_labels(ids)
        apart = joined([names[point] for point in ids if point in min(parts, key=len)], ", ")
        return {}, [f"no spanning tree: no path from {apart} to the other points was measured"]
    tree = nx.minimum_spanning_edges(graph, data=True)
    return {"barrier_spanning_tree": max(edge["weight"] for _, _, edge in tree)}, []


def _unconverged(results: Sequence[Result]) -> list[str]:
    names = short_labels(dict.fromkeys(point for result in results for point in result.points))
    pairs = [" – ".join(names[point] for point in result.points) for result in results if not result.converged]
    if not pairs:
        return []
    more = ", …" if len(pairs) > _NAMED else ""
    return [f"{len(pairs)} of {len(results)} paths have not converged: {', '.join(pairs[:_NAMED])}{more}"]

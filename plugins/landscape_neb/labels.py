"""How points are called in figures: short, and still told apart."""

from __future__ import annotations

from collections.abc import Sequence

from landscape.analysis import Result
from landscape.labels import fitted, short_labels

__all__ = ["pair_titles"]

_TITLE = 14  # letters of a point in the title of a panel


def pair_titles(results: Sequence[Result]) -> list[str]:
    """What stands above the panel of each pair: its points, and the finder where that tells results apart."""
    names = short_labels(dict.fromkeys(point for result in results for point in result.points))
    labels = dict(zip(names, fitted(list(names.values()), _TITLE), strict=True))
    pairs = [" – ".join(labels[point] for point in result.points) for result in results]
    if len(set(pairs)) == len(pairs):
        return pairs
    finders = (str(result.summary["finder"]) for result in results)
    return [f"{pair}\n{finder}" for pair, finder in zip(pairs, finders, strict=True)]

"""How points are called in figures: short, and still told apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile

from landscape.analysis import Result
from landscape.labels import short_labels

__all__ = ["fitted", "pair_titles"]

_TITLE = 14  # letters of a point in the title of a panel


def fitted(labels: Sequence[str], letters: int) -> list[str]:
    """Labels of about so many letters that still differ, numbered where they would not; no formula is read in them.

    Of longer ones what they begin and end with alike goes first, then the middle.
    """
    start, end = _alike(labels)
    cut = [_cut(_window(label, start, end, letters), letters) for label in labels]
    if len(set(cut)) < len(set(labels)):
        cut = [f"{index} {label}" for index, label in enumerate(cut, start=1)]
    return [label.replace("$", r"\$") for label in cut]


def _alike(labels: Sequence[str]) -> tuple[int, int]:
    """How many letters all labels begin with, and how many of the others all end with."""
    if len(set(labels)) < 2:
        return 0, 0
    start, end = _shared(labels), _shared(label[::-1] for label in labels)
    return start, min(end, min(map(len, labels)) - start)


def _shared(labels: Iterable[str]) -> int:
    return sum(1 for _ in takewhile(lambda letters: len(set(letters)) == 1, zip(*labels, strict=False)))


def _window(label: str, start: int, end: int, letters: int) -> str:
    """What differs, with as much around it as there is room for; an ellipsis stands for what was alike."""
    if len(label) <= letters:
        return label
    around = max(2, letters - (len(label) - start - end))
    first = max(0, min(start - around // 2, len(label) - letters))
    last = min(len(label), max(first + letters, len(label) - end + 1))
    head, tail = "…" * (first > 0), "…" * (last < len(label))
    return f"{head}{label[first + len(head) : last - len(tail)]}{tail}"


def _cut(label: str, letters: int) -> str:
    """The label without its middle."""
    if len(label) <= letters:
        return label
    tail = (letters - 1) // 2
    return f"{label[: letters - 1 - tail]}…{label[len(label) - tail :]}"


def pair_titles(results: Sequence[Result]) -> list[str]:
    """What stands above the panel of each pair: its points, and the finder where that tells results apart."""
    names = short_labels(dict.fromkeys(point for result in results for point in result.points))
    labels = dict(zip(names, fitted(list(names.values()), _TITLE), strict=True))
    pairs = [" – ".join(labels[point] for point in result.points) for result in results]
    if len(set(pairs)) == len(pairs):
        return pairs
    finders = (str(result.summary["finder"]) for result in results)
    return [f"{pair}\n{finder}" for pair, finder in zip(pairs, finders, strict=True)]

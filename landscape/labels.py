"""How points and values are written where people read them: in figures, tables and the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any

__all__ = ["fitted", "heading", "joined", "number", "short_labels", "told_apart"]

MANY = 4
"""More points than that are not all named."""


def short_labels(ids: Iterable[str]) -> dict[str, str]:
    """A label for each id: ``seed0/checkpoints/last`` and ``seed1/checkpoints/last`` become ``seed0`` and ``seed1``.

    Trailing path components that all ids share are dropped as long as the labels stay distinct and not empty.
    """
    labels = {name: name for name in ids}
    while len(labels) > 1:
        split = {name: label.rpartition("/") for name, label in labels.items()}
        shorter = {name: head for name, (head, _, _) in split.items()}
        same_end = len({tail for _, _, tail in split.values()}) == 1
        if not same_end or "" in shorter.values() or len(set(shorter.values())) < len(labels):
            break
        labels = shorter
    return labels


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


def told_apart(labels: Sequence[str], options: Sequence[Mapping[str, Any]], but: Collection[str] = ()) -> list[str]:
    """The labels of results; where some are the same, with the options that differ, and a number if that is not enough.

    Budgets, and the options named in ``but``, say nothing of a result.
    """
    if len(set(labels)) < len(labels):
        labels = _with_options(labels, options, but)
    return _numbered(labels)


def _with_options(labels: Sequence[str], options: Sequence[Mapping[str, Any]], but: Collection[str]) -> list[str]:
    every = dict.fromkeys(name for chosen in options for name in chosen)
    names = [name for name in every if name not in but and not name.startswith("max_")]
    differ = [name for name in names if len({repr(chosen.get(name)) for chosen in options}) > 1]
    parts = ([f"{name} {number(chosen.get(name))}" for name in differ] for chosen in options)
    return [", ".join(filter(None, [label, *part])) for label, part in zip(labels, parts, strict=True)]


def _numbered(labels: Sequence[str]) -> list[str]:
    """What is still the same gets a number."""
    counts, seen = Counter(labels), Counter[str]()
    numbered = []
    for label in labels:
        seen[label] += 1
        numbered.append(f"{label} #{seen[label]}".strip() if counts[label] > 1 else label)
    return numbered


def joined(labels: Sequence[str], joint: str = " – ") -> str:
    """What a result of several points is called: ``seed0 – seed1``; of many ``step1 … step512 (10 points)``."""
    if len(labels) > MANY:
        return f"{labels[0]} … {labels[-1]} ({len(labels)} points)"
    return joint.join(labels)


def heading(analysis: str, num_points: int, sizes: Collection[int]) -> str:
    """What stands above results of so many points each, where those of an analysis are of these sizes.

    An analysis of single points or of pairs that also has a result of more compares them in it.
    """
    return f"{analysis}: points compared" if num_points > min(sizes) else analysis


def number(value: Any) -> str:
    """A value at the precision people read; empty for what does not apply (None)."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(number, value))
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)

"""How points and values are written where people read them: in figures, tables and the report."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

__all__ = ["heading", "joined", "number", "short_labels"]

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

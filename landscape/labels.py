"""Short labels for figures and tables: what is common to the ends of all ids is left out."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["short_labels"]


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

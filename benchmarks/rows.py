"""Rows of the table, and the goals that ours is held to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["Goal", "Row", "at_most", "of_best_peer", "of_peer", "row", "written"]

Goal = Callable[[str, Mapping[str, float]], tuple[str, float | None]]
"""From a problem's name and what each library took: the goal in words, empty where there is none, and what ours may
take, None where no peer did what was asked."""


@dataclass(frozen=True)
class Row:
    """One measurement on one problem.

    Attributes
    ----------
    values
        What each library took, by name, where it did what was asked.
    cells
        The same in words, with errors and failures.
    goal, limit
        In words, and as a number.
    """

    what: str
    problem: str
    values: Mapping[str, float]
    cells: Mapping[str, str]
    goal: str
    limit: float | None

    @property
    def verdict(self) -> str:
        """Whether ours is within the limit, and what part of it is used."""
        if not self.goal:
            return ""
        ours = self.values.get("landscape")
        if ours is None or not self.limit:
            return "not measured"
        return f"{'yes' if ours <= self.limit else '**no**'}, {ours / self.limit:.2f} of it"


def row(what: str, problem: str, values: Mapping[str, float], cells: Mapping[str, str], goal: Goal) -> Row:
    """A row with its goal worked out."""
    return Row(what, problem, values, cells, *goal(problem, values))


def at_most(limits: Mapping[str, float]) -> Goal:
    """A number for each problem."""
    return lambda problem, values: (f"≤ {limits[problem]}", limits[problem])


def of_peer(peer: str, factor: float, only: str | None = None) -> Goal:
    """So many times what one peer took, perhaps on one problem only."""

    def goal(problem: str, values: Mapping[str, float]) -> tuple[str, float | None]:
        if only not in (None, problem):
            return "", None
        return f"≤ {factor} × {peer}", factor * values[peer] if peer in values else None

    return goal


def of_best_peer(factor: float) -> Goal:
    """So many times what the cheapest peer took that did what was asked."""

    def goal(problem: str, values: Mapping[str, float]) -> tuple[str, float | None]:
        peers = {name: value for name, value in values.items() if name not in ("landscape", "its plugin")}
        return f"≤ {factor} × best peer", factor * min(peers.values()) if peers else None

    return goal


def written(value: float) -> str:
    """Three digits, never as a power of ten."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"

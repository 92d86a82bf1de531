"""Searches that ask for what they need, so that those of many pairs are answered in one batch.

A search is a generator written as if it were alone: it yields an :class:`Energies`, :class:`Errors` or
:class:`Gradients` and is sent the answer. ``alone`` answers one, ``together`` many at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.memory import spare_bytes
from landscape.errors import LandscapeError
from landscape.landscapes.protocol import Landscape

__all__ = [
    "Ask",
    "Energies",
    "Errors",
    "Gradients",
    "Search",
    "alone",
    "energies_of",
    "errors_of",
    "gradients_of",
    "together",
]

_ROWS = 300  # parameter vectors that one search may hold: images, moments, gradients, a dense evaluation
_HOST_MEMORY = 4 << 30  # bytes that searches may take where the device does not say what it has


@dataclass(frozen=True, eq=False)
class Energies:
    """Full-data energies of these points are wanted; the answer has shape ``(K,)``, float64, on the CPU."""

    points: Float[Tensor, "K P"]


@dataclass(frozen=True, eq=False)
class Errors:
    """Fractions of wrong answers of these points are wanted; the answer is as for energies, or None."""

    points: Float[Tensor, "K P"]


@dataclass(frozen=True, eq=False)
class Gradients:
    """Energies ``(K,)`` and gradients ``(K, P)`` are wanted, on one mini-batch or (None) on the full data."""

    points: Float[Tensor, "K P"]
    batch: int | None = None


Ask: TypeAlias = Energies | Errors | Gradients

T = TypeVar("T")
Search: TypeAlias = Generator[Ask, Any, T]


def energies_of(points: Float[Tensor, "K P"]) -> Search[Float[Tensor, " K"]]:
    """Ask for full-data energies: ``energies = yield from energies_of(points)``."""
    return (yield Energies(points))


def errors_of(points: Float[Tensor, "K P"]) -> Search[Float[Tensor, " K"] | None]:
    """Ask for fractions of wrong answers."""
    return (yield Errors(points))


def gradients_of(
    points: Float[Tensor, "K P"], batch: int | None = None
) -> Search[tuple[Float[Tensor, " K"], Float[Tensor, "K P"]]]:
    """Ask for energies and gradients."""
    return (yield Gradients(points, batch))


def alone(landscape: Landscape, search: Search[T]) -> T:
    """What one search returns; what it raises is raised."""
    ((_, result),) = together([landscape], [search])
    if isinstance(result, LandscapeError):
        raise result
    return result


def together(
    landscapes: Sequence[Landscape], searches: Sequence[Search[T]]
) -> Iterator[tuple[int, T | LandscapeError]]:
    """What each search returns, as it ends; for one that fails, the error.

    What the searches ask at a time is answered by one call for each kind and mini-batch. As many run at once as memory
    holds; the others begin as these end.

    Parameters
    ----------
    landscapes
        One for each search, all anchored copies of the same.
    """
    return _Crowd(landscapes, searches).run() if searches else iter(())


@dataclass
class _Crowd(Generic[T]):
    landscapes: Sequence[Landscape]
    searches: Sequence[Search[T]]
    asks: dict[int, Ask] = field(default_factory=dict)
    ended: deque[tuple[int, T | LandscapeError]] = field(default_factory=deque)
    stacks: dict[tuple[tuple[int, int], ...], Landscape] = field(default_factory=dict)

    def run(self) -> Iterator[tuple[int, T | LandscapeError]]:
        queue, most = deque(range(len(self.searches))), _at_once(self.landscapes[0])
        while queue or self.asks:
            while queue and len(self.asks) < most:
                self._advance(queue.popleft(), None)
            for group in self._groups():
                self._answer(group)
            while self.ended:
                yield self.ended.popleft()

    def _groups(self) -> list[list[int]]:
        """Which searches are answered together next: gradients only once nobody asks for energies any more.

        So searches that measure catch up with those that move, and mini-batches stay shared.
        """
        for kind in (Energies, Errors):
            asking = [index for index, ask in self.asks.items() if isinstance(ask, kind)]
            if asking:
                return [asking]
        by_batch: dict[int | None, list[int]] = {}
        for index, ask in self.asks.items():
            by_batch.setdefault(ask.batch if isinstance(ask, Gradients) else None, []).append(index)
        return list(by_batch.values())

    def _answer(self, group: Sequence[int]) -> None:
        asks = [self.asks[index] for index in group]
        try:
            answers = self._answers(group, asks)
        except LandscapeError as error:
            for index in group:
                self._advance(index, error)
            return
        for index, answer in zip(group, answers, strict=True):
            self._advance(index, answer)

    def _answers(self, group: Sequence[int], asks: Sequence[Ask]) -> Sequence[Any]:
        rows = [len(ask.points) for ask in asks]
        landscape = self._stacked(tuple(zip(group, rows, strict=True)))
        points = asks[0].points if len(asks) == 1 else torch.cat([ask.points for ask in asks])
        if isinstance(asks[0], Energies):
            return torch.split(landscape.energies(points).cpu(), rows)
        if isinstance(asks[0], Errors):
            errors = landscape.errors(points)
            return [None] * len(asks) if errors is None else torch.split(errors.cpu(), rows)
        energies, gradients = landscape.gradients(points, asks[0].batch)
        return list(zip(torch.split(energies, rows), torch.split(gradients, rows), strict=True))

    def _stacked(self, key: tuple[tuple[int, int], ...]) -> Landscape:
        """The landscape in which each search's rows have its own anchors; the last one is kept."""
        if len(key) == 1:
            return self.landscapes[key[0][0]]
        if key not in self.stacks:
            parts = [self.landscapes[index] for index, _ in key]
            self.stacks = {key: parts[0].stacked(parts, [rows for _, rows in key])}
        return self.stacks[key]

    def _advance(self, index: int, answer: Any) -> None:
        """Hand a search its answer, or throw it the error, up to what it asks next."""
        self.asks.pop(index, None)
        search = self.searches[index]
        try:
            ask = search.throw(answer) if isinstance(answer, LandscapeError) else search.send(answer)
        except StopIteration as stop:
            self.ended.append((index, stop.value))
        except LandscapeError as error:
            self.ended.append((index, error))
        else:
            self.asks[index] = ask


def _at_once(landscape: Landscape) -> int:
    """How many searches memory holds."""
    vector = landscape.space.dim * torch.finfo(landscape.dtype).bits // 8
    return max(1, spare_bytes(landscape.device, _HOST_MEMORY) // (_ROWS * vector))

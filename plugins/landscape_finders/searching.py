"""What all finders share: pairs that are advanced together, the mini-batches they share, where a search begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from landscape.analysis import Context
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point
from landscape.paths import Path, Search, measuring_line, rounding_of, straight, together

__all__ = ["Beginning", "MiniBatches", "beginning", "each_pair"]

_SAME_END = 1e-4  # of the distance of the ends
_SPENT = ("gradient_evaluations", "energy_evaluations")

SearchOfPair = Callable[[Landscape, Point, Point, Context], Search[Path]]
"""``search(landscape, a, b, task)``: the landscape is anchored at both ends, the task's context is the pair's own."""


def each_pair(
    landscape: Landscape, pairs: Sequence[Sequence[Point]], context: Context, search: SearchOfPair
) -> Iterator[tuple[int, Path | Exception]]:
    """The path of each pair as it is found; for a pair that fails, why. All pairs are advanced together."""
    between = [landscape.anchored(pair) for pair in pairs]
    searches = [search(between[i], a, b, context.task(i)) for i, (a, b) in enumerate(pairs)]
    yield from together(between, searches)


class MiniBatches:
    """Which mini-batch step n is made on: all of them once before any comes again, in an order drawn from the seed.

    All pairs of a call share it, so that their steps are one call; and a pair's path depends on no other pair.
    """

    def __init__(self, number: int, seed: int) -> None:
        self._epoch = lru_cache(maxsize=4)(lambda epoch: _order(number, seed, epoch))
        self.number = number

    def __call__(self, step: int) -> int:
        return self._epoch(step // self.number)[step % self.number]


def _order(number: int, seed: int, epoch: int) -> list[int]:
    rng = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
    return torch.randperm(number, generator=rng).tolist()


@dataclass(frozen=True, eq=False)
class Beginning:
    """Where the search for a path begins.

    Attributes
    ----------
    line
        The straight line, measured.
    tolerance
        What counts as no change of the barrier, in units of the loss.
    knots
        The path stored under a smaller budget, or given to start from; else the line's.
    given
        Whether there was such a path.
    gradient_evaluations, energy_evaluations
        What was spent before: on the stored path, and on the line.
    answer
        The path itself, where nothing is to be searched: equal ends, or a line without a barrier.
    path
        A measured path that is the answer unless a lower one is found.
    """

    line: Path
    tolerance: float
    knots: Tensor
    given: bool = False
    gradient_evaluations: int = 0
    energy_evaluations: int = 0
    answer: Path | None = None
    path: Path | None = None


def beginning(landscape: Landscape, a: Point, b: Point, task: Context, tolerance: float | None) -> Search[Beginning]:
    """Where the search for a path from ``a`` to ``b`` begins. Costs about 45 energies."""
    ends = torch.stack([a.vector, b.vector])
    if torch.equal(*ends):
        path = yield from measuring_line(landscape, ends)
        text = "both ends are the same point: there is nothing to cross"
        return Beginning(path, tolerance or 0.0, ends, answer=replace(path, messages=(text,)))
    knots = straight(landscape, a.vector, b.vector, task.rng)
    line = yield from measuring_line(landscape, knots, tolerance=torch.inf)
    spent, rounding = line.energy_evaluations, rounding_of(line.energies, knots.dtype)
    if line.barrier <= max(tolerance or 0.0, rounding):
        path = yield from measuring_line(landscape, knots, tolerance)
        path = replace(path, energy_evaluations=spent + path.energy_evaluations)
        text = "the straight line has no barrier to lower"
        if path.barrier <= max(tolerance or 0.0, rounding):
            return Beginning(line, tolerance or 0.0, knots, answer=replace(path, messages=(text,)))
        line, spent = path, path.energy_evaluations
    tolerance = tolerance or max(1e-3 * line.barrier, rounding)
    previous = task.previous
    if previous is not None and _joins(previous.vectors["path"], ends):
        stored = _between(previous.vectors["path"], ends)
        gradients, energies = (int(str(previous.summary[name])) for name in _SPENT)
        return Beginning(line, tolerance, stored, True, gradients, energies + spent)
    if task.start is not None:
        return Beginning(line, tolerance, _between(task.start, ends), True, energy_evaluations=spent)
    return Beginning(line, tolerance, knots, energy_evaluations=spent)


def _joins(knots: Tensor, ends: Tensor) -> bool:
    """Whether a stored path has these ends, but for rounding; else the second one was aligned otherwise."""
    apart = torch.linalg.vector_norm(knots[[0, -1]].to(ends) - ends, dim=1)
    return bool((apart <= _SAME_END * torch.linalg.vector_norm(ends[1] - ends[0])).all())


def _between(knots: Tensor, ends: Tensor) -> Tensor:
    """The knots with exactly these ends."""
    knots = knots.to(ends)
    return torch.cat([ends[:1], knots[1:-1], ends[1:]])

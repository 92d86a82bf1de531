"""How many points go through vmap at once: measured, never guessed."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from landscape.errors import AnalysisError

__all__ = ["Choice", "Chunking"]

Evaluate = Callable[[slice, bool], tuple[Tensor, ...]]
"""``evaluate(rows, vmapped)``: results with one row per point, by vmap or by a loop of its own."""

CLEARLY_FASTER = 0.9
"""vmap is chosen when it takes at most this fraction of the loop's time per point."""

LONG = 0.1
"""Seconds for one point on one mini-batch beyond which arithmetic, not overhead, sets the speed."""

REPEATS = 3


@dataclass(frozen=True)
class Choice:
    """A chunk size and why.

    Attributes
    ----------
    size
        Points at once; 1 is the plain loop.
    reason
        What was measured, or what vmap could not do.
    """

    size: int
    reason: str


class Chunking:
    """Runs calls over many points in chunks, choosing the size for each kind of call by measuring it once.

    Tried are the loop, 4, 8 and all points (sizes between two powers of two share a choice). The loop is kept unless
    vmap is clearly faster. What vmap cannot do (recurrent layers, ``.item()``, branches on data, randomness) is left to
    the loop; ``choices`` says so. When the device runs out of memory the chunk is halved and the work goes on.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.choices: dict[tuple[str, int], Choice] = {}
        self._seconds: dict[tuple[str, int], float] = {}

    def run(self, kind: str, count: int, evaluate: Evaluate) -> tuple[Tensor, ...]:
        """Results of all ``count`` points, concatenated."""
        key = kind, 1 << (count - 1).bit_length()
        if key not in self.choices:
            self.choices[key] = self._choose(kind, count, evaluate) if count > 1 else Choice(1, "one point")
        done: list[tuple[Tensor, ...]] = []
        start = 0
        while start < count:
            size = self.choices[key].size
            rows = slice(start, min(start + size, count) if size > 1 else count)
            try:
                done.append(evaluate(rows, size > 1))
            except torch.OutOfMemoryError as error:
                self.choices[key] = self._halved(kind, size, error)
                continue
            start = rows.stop
        return tuple(torch.cat(parts) for parts in zip(*done, strict=True))

    def _halved(self, kind: str, size: int, error: Exception) -> Choice:
        if size == 1:
            raise AnalysisError(
                f"{self.device} ran out of memory for {kind} of one point: lower --batch-size"
            ) from error
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return Choice(size // 2, f"{size} points at once ran out of memory")

    def _choose(self, kind: str, count: int, evaluate: Evaluate) -> Choice:
        try:
            reference = evaluate(slice(0, 1), False)
            loop = self._time(kind, 1, evaluate)
        except torch.OutOfMemoryError as error:
            return self._halved(kind, 1, error)
        if loop > LONG:
            return Choice(1, f"one point takes {loop:.2g} s: nothing to gain")
        best, seconds = 1, loop
        for size in sorted({min(4, count), min(8, count), count}):
            try:
                with warnings.catch_warnings():
                    warnings.filterwarnings("error", message="There is a performance drop")
                    found = evaluate(slice(0, size), True)
                    taken = self._time(kind, size, evaluate)
            except torch.OutOfMemoryError:
                break
            except Exception as error:  # whatever vmap raises, the loop is right and shows real errors
                return Choice(1, f"vmap: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
            if not _agree(reference, found):
                return Choice(1, "vmap gave other results than the loop")
            if taken < CLEARLY_FASTER * loop and taken < seconds:
                best, seconds = size, taken
        if best == count:
            best = 1 << (count - 1).bit_length()
        return Choice(best, f"{seconds * 1e3:.3g} ms per point, the loop {loop * 1e3:.3g} ms")

    def _time(self, kind: str, size: int, evaluate: Evaluate) -> float:
        """Seconds per point, the least of a few repeats."""
        if (kind, size) not in self._seconds:
            taken = [self._seconds_of(size, evaluate) for _ in range(REPEATS)]
            self._seconds[kind, size] = min(taken) / size
        return self._seconds[kind, size]

    def _seconds_of(self, size: int, evaluate: Evaluate) -> float:
        self._synchronise()
        start = time.perf_counter()
        evaluate(slice(0, size), size > 1)
        self._synchronise()
        return time.perf_counter() - start

    def _synchronise(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def _agree(one: tuple[Tensor, ...], several: tuple[Tensor, ...]) -> bool:
    """Whether the first rows are the same up to rounding."""
    return all(_close(a[0], b[0]) for a, b in zip(one, several, strict=True))


def _close(a: Tensor, b: Tensor) -> bool:
    a, b = a.double(), b.double()
    if not a.isfinite().all():
        return True
    scale = a.abs().max()
    return bool((a - b).abs().max() <= 1e-3 * scale + 1e-5)

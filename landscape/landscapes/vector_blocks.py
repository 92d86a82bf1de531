"""Blocks of vectors through a graph: one after another, or several at once where that is measured to be faster."""

from __future__ import annotations

import time
import warnings

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.landscapes.graphs import SecondOrderGraph

__all__ = ["VectorBlocks"]

SIZES = (4, 16, 64)
"""Vectors at once that are tried, one size after another as long as each is faster than the one before."""

CLEARLY_FASTER = 0.9
"""A larger size is taken when it needs at most this fraction of the time per vector."""

WARM = 3
"""Products of the loop of which the quickest counts."""

LONG = {"cpu": 1e-3, "cuda": 50e-3}
"""Seconds for one product beyond which arithmetic, not the launching of operations, sets the speed."""


class VectorBlocks:
    """Pushes blocks of vectors through graphs of one kind.

    The loop is timed on the first products that are asked for. Where it is quick, blocks of each size are timed in
    their turn, on products that are asked for too but made twice, and one of them is held against the loop. What cannot
    be done for several vectors at once (group norm) is left to the loop; when the device runs out of memory the size is
    halved and the work goes on.

    Attributes
    ----------
    size
        How many vectors go at once; 1 is the loop.
    """

    def __init__(self, device: torch.device, most: int) -> None:
        self.size = 1
        self._device = device
        self._trials = [size for size in SIZES if size <= most]
        self._loop: list[float] = []
        self._seconds = 0.0

    def push(self, graph: SecondOrderGraph, vectors: Float[Tensor, "K P"], retain: bool) -> Float[Tensor, "K P"]:
        """A v for each row v."""
        if len(vectors) == 1 and not self._trials:
            return graph.push(vectors[0], retain)[None]
        products: list[Tensor] = []
        start = 0
        while start < len(vectors):
            left = len(vectors) - start
            trial = len(self._loop) == WARM and bool(self._trials) and self._trials[0] <= left
            rows = vectors[start : start + (self._trials[0] if trial else self.size)]
            try:
                products.append(self._tried(graph, rows) if trial else self._plain(graph, rows, retain, left))
            except torch.OutOfMemoryError:
                if len(rows) == 1:
                    raise
                self._settle(max(1, len(rows) // 2) if not trial else self.size)
                continue
            start += len(products[-1])
        if len(products) == 1:
            return products[0]
        return torch.cat(products) if products else torch.zeros_like(vectors)

    def _plain(self, graph: SecondOrderGraph, rows: Tensor, retain: bool, left: int) -> Tensor:
        """Products by the size that was chosen; the first ones ever are timed."""
        retain = retain or len(rows) < left
        if len(rows) > 1:
            return graph.push(rows, retain)
        if len(self._loop) == WARM or not self._trials:
            return graph.push(rows[0], retain)[None]
        before = self._now()
        product = graph.push(rows[0], retain)[None]
        self._loop.append(self._now() - before)
        if len(self._loop) == WARM:
            self._seconds = min(self._loop)
            if self._seconds > LONG.get(self._device.type, 0.0):
                self._settle(1)
        return product

    def _tried(self, graph: SecondOrderGraph, rows: Tensor) -> Tensor:
        """Products several at once, timed; the first alone if that fails or is wrong."""
        alone = graph.push(rows[0], True)[None] if self.size == 1 else None
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", message="There is a performance drop")
                products, seconds = self._timed(graph, rows)
        except torch.OutOfMemoryError:
            raise
        except Exception:  # whatever vmap raises, the loop is right and shows real errors
            products, seconds = None, 0.0
        if products is None or (alone is not None and not _agree(products[:1], alone)):
            self._settle(self.size)
            return graph.push(rows[: self.size], True) if alone is None else alone
        if seconds < CLEARLY_FASTER * self._seconds:
            self.size, self._seconds = self._trials.pop(0), seconds
        else:
            self._settle(self.size)
        return products

    def _timed(self, graph: SecondOrderGraph, rows: Tensor) -> tuple[Tensor, float]:
        """Products and seconds for each; the first call, in which kernels are loaded, does not count."""
        graph.push(rows, True)
        before = self._now()
        products = graph.push(rows, True)
        return products, (self._now() - before) / len(rows)

    def _settle(self, size: int) -> None:
        self.size, self._trials = size, []
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()


def _agree(found: Tensor, expected: Tensor) -> bool:
    difference = torch.linalg.vector_norm(found - expected)
    return bool(difference <= torch.finfo(expected.dtype).eps ** 0.5 * torch.linalg.vector_norm(expected))

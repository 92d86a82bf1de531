"""Several vectors at once: only where that is faster and the same."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field

import pytest
import torch
from network_cases import CASES
from torch import Tensor, nn

from landscape.landscapes import vector_blocks
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import cross_entropy
from landscape.landscapes.vector_blocks import SIZES, WARM, VectorBlocks
from landscape.parameters import Point

CPU = torch.device("cpu")
MATRIX = torch.randn(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
VECTORS = torch.randn(200, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@dataclass
class Clock:
    """Time that passes only when a graph is pushed through."""

    now: float = 0.0


@dataclass
class Graph:
    """A matrix that takes its time."""

    clock: Clock
    alone: float = 1e-4
    together: float = 1e-5
    most: int = 10**6
    error: Exception | None = None
    wrong: bool = False
    calls: list[int] = field(default_factory=list)
    retained: list[bool] = field(default_factory=list)

    weight = rows = torch.ones(())
    roots: tuple[Tensor, ...] = ()
    tensors: tuple[Tensor, ...] = ()

    def push(self, vectors: Tensor, retain: bool) -> Tensor:
        count = 1 if vectors.ndim == 1 else len(vectors)
        self.calls.append(count)
        self.retained.append(retain)
        self.clock.now += self.alone if vectors.ndim == 1 else self.together * count
        if vectors.ndim == 2:
            if count > self.most:
                raise torch.OutOfMemoryError
            if self.error is not None:
                raise self.error
        return vectors @ MATRIX * (1 + self.wrong * (vectors.ndim - 1))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(vector_blocks, "time", type("Time", (), {"perf_counter": lambda: clock.now}))
    return clock


def test_the_largest_size_that_gains_is_taken(clock: Clock) -> None:
    blocks, graph = VectorBlocks(CPU, 1000), Graph(clock, together=1e-5)
    torch.testing.assert_close(blocks.push(graph, VECTORS, True), VECTORS @ MATRIX)
    assert blocks.size == SIZES[0]  # 16 at once take as long for each as 4
    assert graph.calls[:WARM] == [1] * WARM
    assert graph.calls[-1] == 1 + (len(VECTORS) - WARM - 1) % SIZES[0]


def test_vectors_go_one_by_one_where_that_is_as_fast(clock: Clock) -> None:
    blocks, graph = VectorBlocks(CPU, 1000), Graph(clock, together=9.5e-5)
    torch.testing.assert_close(blocks.push(graph, VECTORS, True), VECTORS @ MATRIX)
    assert blocks.size == 1
    assert graph.calls.count(1) >= len(VECTORS) - SIZES[0]


@pytest.mark.parametrize(
    "graph", [{"error": RuntimeError("no batching rule")}, {"wrong": True}, {"most": 3}], ids=["fails", "wrong", "full"]
)
def test_what_cannot_go_together_goes_one_by_one(clock: Clock, graph: dict[str, object]) -> None:
    blocks, slow = VectorBlocks(CPU, 1000), Graph(clock, **graph)
    torch.testing.assert_close(blocks.push(slow, VECTORS, True), VECTORS @ MATRIX)
    assert blocks.size == 1


def test_a_warning_that_together_is_slow_counts_as_failure(clock: Clock) -> None:
    class Warns(Graph):
        def push(self, vectors: Tensor, retain: bool) -> Tensor:
            if vectors.ndim == 2:
                warnings.warn("There is a performance drop because ...", UserWarning, stacklevel=1)
            return super().push(vectors, retain)

    blocks = VectorBlocks(CPU, 1000)
    torch.testing.assert_close(blocks.push(Warns(clock), VECTORS, True), VECTORS @ MATRIX)
    assert blocks.size == 1


def test_the_size_is_halved_when_memory_runs_out(clock: Clock) -> None:
    blocks, graph = VectorBlocks(CPU, 1000), Graph(clock)
    blocks.push(graph, VECTORS, True)
    graph.most = 2
    torch.testing.assert_close(blocks.push(graph, VECTORS, True), VECTORS @ MATRIX)
    assert blocks.size == 2


def test_running_out_of_memory_with_one_vector_is_left_to_the_caller(clock: Clock) -> None:
    class Full(Graph):
        def push(self, vectors: Tensor, retain: bool) -> Tensor:
            raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        VectorBlocks(CPU, 1000).push(Full(clock), VECTORS, True)


def test_long_products_and_little_memory_are_not_tried(clock: Clock) -> None:
    for most, alone in ((1000, 1.0), (3, 1e-4)):
        graph = Graph(clock, alone=alone)
        VectorBlocks(CPU, most).push(graph, VECTORS, True)
        assert set(graph.calls) == {1}


@pytest.mark.parametrize("count", [1, 2, 5, 200])
def test_only_the_last_push_lets_go_of_the_graph(clock: Clock, count: int) -> None:
    blocks, graph = VectorBlocks(CPU, 0), Graph(clock)
    blocks.push(graph, VECTORS[:count], False)
    assert graph.retained == [True] * (count - 1) + [False]


@pytest.mark.parametrize("name", ["mlp", "conv, batch norm", "layer norm", "attention", "bce", "tied weights"])
def test_products_of_networks_do_not_depend_on_the_number_at_once(name: str, rng: torch.Generator) -> None:
    landscape = next(case for case in CASES if case.name == name).landscape()
    vector = landscape.space.flatten(dict(landscape.function.model.named_parameters())).detach()
    vectors = torch.randn(7, len(vector), generator=rng, dtype=torch.float64)
    for matrix in ("hessian", "ggn", "empirical-fisher", "remainder"):
        graph = landscape.curvature(Point(vector, "w"), matrix=matrix)._kept
        assert graph is not None
        alone = torch.stack([graph.push(row, True) for row in vectors])
        together = graph.push(vectors, True)
        torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12 * alone.abs().max().item())


def test_group_norm_is_left_to_the_loop(rng: torch.Generator) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4), nn.GroupNorm(2, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    x, y = torch.randn(8, 6, generator=rng, dtype=torch.float64), torch.randint(3, (8,), generator=rng)
    landscape = NetworkLandscape(model, cross_entropy, _batches(x, y))
    vector = landscape.space.flatten(dict(model.named_parameters())).detach()
    vectors = torch.randn(30, len(vector), generator=rng, dtype=torch.float64)
    hessian = landscape.curvature(Point(vector, "w"))
    one_by_one = torch.cat([hessian.matmat(row[None]) for row in vectors])
    torch.testing.assert_close(hessian.matmat(vectors), one_by_one, rtol=1e-12, atol=1e-14)


def _batches(x: Tensor, y: Tensor) -> object:
    from landscape.landscapes.batches import Batches

    return Batches(((x, y),), len(x), "made up", "data")


def test_the_clock_of_the_tests_is_that_of_the_module() -> None:
    assert vector_blocks.time is time

"""The chunk size: what is chosen, what falls back to the loop, what happens when memory runs out."""

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.func import vmap

from landscape.errors import AnalysisError
from landscape.landscapes.chunking import Choice, Chunking

CPU = torch.device("cpu")


def squares(function: Callable[[Tensor], Tensor] = torch.square) -> Callable[[slice, bool], tuple[Tensor, ...]]:
    """Rows 0, 1, 2, ... through a function."""
    points = torch.arange(40, dtype=torch.float64)

    def evaluate(rows: slice, vmapped: bool) -> tuple[Tensor, ...]:
        if vmapped:
            return (vmap(function)(points[rows]),)
        return (torch.stack([function(point) for point in points[rows]]),)

    return evaluate


class Timed(Chunking):
    """Seconds per point by chunk size, without a clock."""

    def __init__(self, seconds: dict[int, float]) -> None:
        super().__init__(CPU)
        self.table = seconds

    def _time(self, kind: str, size: int, evaluate: object) -> float:
        return self.table[size]


@pytest.mark.parametrize(
    ("seconds", "size"),
    [
        ({1: 1e-3, 4: 0.95e-3, 8: 0.92e-3, 20: 2e-3}, 1),
        ({1: 1e-3, 4: 0.5e-3, 8: 0.6e-3, 20: 2e-3}, 4),
        ({1: 1e-3, 4: 0.5e-3, 8: 0.4e-3, 20: 0.45e-3}, 8),
        ({1: 1e-3, 4: 0.5e-3, 8: 0.4e-3, 20: 0.3e-3}, 32),
        ({1: 1.0, 4: 0.1, 8: 0.1, 20: 0.1}, 1),
    ],
    ids=["not clearly faster", "4", "8", "all", "too long to matter"],
)
def test_the_fastest_size_is_chosen_if_it_clearly_beats_the_loop(seconds: dict[int, float], size: int) -> None:
    chunking = Timed(seconds)
    (found,) = chunking.run("energies", 20, squares())
    assert chunking.choices["energies", 32].size == size
    torch.testing.assert_close(found, torch.arange(20.0, dtype=torch.float64) ** 2, rtol=0, atol=0)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 9, 17, 40])
def test_all_rows_come_back_in_order(count: int) -> None:
    (found,) = Chunking(CPU).run("energies", count, squares())
    assert torch.equal(found, torch.arange(count, dtype=torch.float64) ** 2)


def test_each_kind_is_measured_once() -> None:
    calls: list[tuple[slice, bool]] = []
    chunking, inner = Chunking(CPU), squares()

    def evaluate(rows: slice, vmapped: bool) -> tuple[Tensor, ...]:
        calls.append((rows, vmapped))
        return inner(rows, vmapped)

    chunking.run("energies", 4, evaluate)
    calls.clear()
    chunking.run("energies", 4, evaluate)
    assert calls == [(slice(0, 4), chunking.choices["energies", 4].size > 1)]


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: x * x.item(), r"\.item\(\)"),
        (lambda x: x if x > 3 else -x, "data-dependent control flow"),
        (lambda x: x + torch.rand(()), "random"),
    ],
    ids=["item", "branch", "randomness"],
)
def test_what_vmap_cannot_do_is_left_to_the_loop(function: Callable[[Tensor], Tensor], reason: str) -> None:
    chunking = Chunking(CPU)
    (found,) = chunking.run("energies", 6, squares(function))
    assert len(found) == 6
    choice = chunking.choices["energies", 8]
    assert choice.size == 1
    assert choice.reason.startswith("vmap: ")
    assert re.search(reason, choice.reason)


def test_what_vmap_does_wrong_is_left_to_the_loop() -> None:
    def evaluate(rows: slice, vmapped: bool) -> tuple[Tensor, ...]:
        return (torch.ones(rows.stop - rows.start) * (2 if vmapped else 1),)

    chunking = Chunking(CPU)
    assert torch.equal(chunking.run("energies", 6, evaluate)[0], torch.ones(6))
    assert "other results" in chunking.choices["energies", 8].reason


def limited(most: int) -> Callable[[slice, bool], tuple[Tensor, ...]]:
    """Squares on a device that holds ``most`` points at once."""
    inner = squares()

    def evaluate(rows: slice, vmapped: bool) -> tuple[Tensor, ...]:
        if (rows.stop - rows.start if vmapped else 1) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return inner(rows, vmapped)

    return evaluate


def test_out_of_memory_halves_the_chunk_and_goes_on() -> None:
    chunking = Chunking(CPU)
    chunking.choices["gradients", 32] = Choice(32, "measured before")
    (found,) = chunking.run("gradients", 30, limited(5))
    assert torch.equal(found, torch.arange(30, dtype=torch.float64) ** 2)
    assert chunking.choices["gradients", 32].size == 4


@pytest.mark.parametrize("count", [1, 30])
def test_out_of_memory_for_one_point_says_what_to_do(count: int) -> None:
    with pytest.raises(AnalysisError, match=r"gradients of one point: lower --batch-size"):
        Chunking(CPU).run("gradients", count, limited(0))


def test_out_of_memory_while_measuring_leaves_the_smaller_sizes() -> None:
    chunking = Chunking(CPU)
    (found,) = chunking.run("gradients", 30, limited(4))
    assert torch.equal(found, torch.arange(30, dtype=torch.float64) ** 2)
    assert chunking.choices["gradients", 32].size <= 4

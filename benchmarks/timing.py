"""Seconds in units of one gradient: ratios inside one process hardly depend on the machine."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import torch

__all__ = ["Timed", "interleaved", "machine", "median_seconds", "refusal", "seconds_of"]

T = TypeVar("T")
UNIT_SECONDS = 0.1  # so long at least is the gradient repeated whenever its cost is taken
MOST_UNITS = 50


@dataclass
class Timed(Generic[T]):
    """What some runs of one function took, in gradients, what they answered, or why it cannot be run."""

    costs: list[float] = field(default_factory=list)
    answers: list[T] = field(default_factory=list)
    failure: str = ""


def seconds_of(function: Callable[[], T], device: torch.device) -> tuple[float, T]:
    """CPU seconds of a call; on a GPU, whose work the CPU's clock does not see, wall-clock seconds to its end."""
    on_gpu = device.type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    if on_gpu:
        torch.cuda.synchronize(device)
    start = clock()
    answer = function()
    if on_gpu:
        torch.cuda.synchronize(device)
    return clock() - start, answer


def median_seconds(function: Callable[[], object], device: torch.device, repeats: int) -> float:
    """The median over some calls, after one off the clock."""
    function()
    return statistics.median(seconds_of(function, device)[0] for _ in range(repeats))


def _unit(gradient: Callable[[], object], device: torch.device) -> float:
    """Seconds of one gradient: the median of as many as fill a tenth of a second, three at least."""
    taken: list[float] = []
    while len(taken) < 3 or (sum(taken) < UNIT_SECONDS and len(taken) < MOST_UNITS):
        taken.append(seconds_of(gradient, device)[0])
    return statistics.median(taken)


def interleaved(
    functions: Mapping[str, Callable[[int], T]],
    gradient: Callable[[], object],
    repeats: int,
    device: torch.device,
    warm: bool = False,
) -> dict[str, Timed[T]]:
    """Each function, called with the number of the repeat, in turn, ``repeats`` times.

    The gradient is timed before and after each of them, so that a machine that slows down slows both. What raises is
    noted and not called again.

    Parameters
    ----------
    warm
        Call each once before, off the clock: for what is set up once and used often.
    """
    timed: dict[str, Timed[T]] = {name: Timed() for name in functions}
    before = _unit(gradient, device)
    for repeat in range(-1 if warm else 0, repeats):
        for name, function in functions.items():
            entry = timed[name]
            if entry.failure:
                continue
            try:
                seconds, answer = seconds_of(lambda: function(max(repeat, 0)), device)  # noqa: B023
            except Exception as error:  # a peer may raise anything, and its cell says so
                entry.failure = refusal(error)
                continue
            after = _unit(gradient, device)
            if repeat >= 0:
                entry.costs.append(2 * seconds / (before + after))
                entry.answers.append(answer)
            before = after
    return timed


def refusal(error: Exception) -> str:
    """What a cell says of a library that raises: the kind of the error and the first words."""
    return f"raises {type(error).__name__}: {' '.join(str(error).split())[:70]}"


def machine() -> str:
    """The processor's name and the number of its cores, in words."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{model}, one thread of {os.cpu_count()} cores"

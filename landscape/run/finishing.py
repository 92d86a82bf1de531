"""What a run adds to a result before it is stored: a check that it can be, and what it cost."""

from __future__ import annotations

import math
import resource
import time
from dataclasses import replace
from typing import Any

import torch
import xarray as xr

from landscape.analysis import Cost, Result
from landscape.errors import AnalysisError
from landscape.landscapes.protocol import Landscape

__all__ = ["Meter", "check", "total_cost"]


def check(result: Any, analysis: str) -> None:
    """Refuse, in the plugin's name, what is no result or cannot be stored as one.

    Raises
    ------
    AnalysisError
        With the name and the value met.
    """
    if not isinstance(result, Result) or not isinstance(result.data, xr.Dataset):
        raise AnalysisError(f"{analysis} returned a {type(result).__name__}, wanted a Result with an xarray.Dataset")
    if isinstance(result.messages, str) or not all(isinstance(message, str) for message in result.messages):
        raise AnalysisError(f"{analysis} gave messages {result.messages!r}, wanted a tuple of strings")
    for name, value in result.summary.items():
        for part in value if isinstance(value, list) else [value]:
            if type(part) not in (bool, int, float, str):
                raise AnalysisError(
                    f"{analysis} gave {name} = {part!r}, wanted plain numbers, strings or a list of them"
                )
            if isinstance(part, float) and not math.isfinite(part):
                raise AnalysisError(f"{analysis} gave {name} = {part}, which is not a number to report")


class Meter:
    """What was spent on a landscape, shared among the groups that were under way.

    Attributes
    ----------
    open
        How many groups are: what is spent counts as much for each. Groups that come one after another are one.
    """

    def __init__(self, landscape: Landscape) -> None:
        self.open = 1
        self.work = landscape.work
        self.device = landscape.device
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        self._before = self._now()
        self._shared = Cost()

    def lap(self) -> Cost:
        """The cost of a group that has ended: its share of all that was spent while it was under way."""
        now = self._now()
        spent = _sum(self._shared, _sum(now, self._before, -1.0), 1 / self.open)
        self._before = now
        self._shared = spent if self.open > 1 else Cost()
        self.open = max(1, self.open - 1)
        return spent

    def _now(self) -> Cost:
        work = self.work
        return Cost(time.perf_counter(), work.gradients, work.hvps, work.energies, self._peak_memory())

    def _peak_memory(self) -> float:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _sum(first: Cost, second: Cost, factor: float = 1.0) -> Cost:
    """One cost and a multiple of another; of memory the larger."""
    return Cost(
        first.seconds + factor * second.seconds,
        first.gradients + factor * second.gradients,
        first.hvps + factor * second.hvps,
        first.energies + factor * second.energies,
        max(first.peak_memory_mb, second.peak_memory_mb),
    )


def total_cost(result: Result, metered: Cost, continued: Result | None) -> Cost:
    """What a result took: as its analysis counted or else as metered, on top of that of the result it continued."""
    own = result.cost
    if any((own.gradients, own.hvps, own.energies)):
        metered = replace(metered, gradients=own.gradients, hvps=own.hvps, energies=own.energies)
    return _sum(continued.cost, metered) if continued is not None and continued.budget_spent else metered

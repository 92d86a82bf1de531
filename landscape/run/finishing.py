"""What a run adds to a result before it is stored: a check that it can be, and what it cost."""

from __future__ import annotations

import math
import resource
import time
from typing import Any

import torch
import xarray as xr

from landscape.analysis import Cost, Result
from landscape.errors import AnalysisError
from landscape.landscapes.protocol import Landscape

__all__ = ["Meter", "check"]


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
    """What was spent on a landscape since the last lap."""

    def __init__(self, landscape: Landscape) -> None:
        self.work = landscape.work
        self.device = landscape.device
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        self._before = self._now()

    def lap(self, continued: Result | None = None) -> Cost:
        """The cost since the last lap, on top of that of a result whose budget it continued."""
        now, before = self._now(), self._before
        self._before = now
        earlier = continued.cost if continued is not None and continued.budget_spent else Cost()
        return Cost(
            earlier.seconds + now.seconds - before.seconds,
            earlier.gradients + now.gradients - before.gradients,
            earlier.hvps + now.hvps - before.hvps,
            earlier.energies + now.energies - before.energies,
            max(earlier.peak_memory_mb, now.peak_memory_mb),
        )

    def _now(self) -> Cost:
        work = self.work
        return Cost(time.perf_counter(), work.gradients, work.hvps, work.energies, self._peak_memory())

    def _peak_memory(self) -> float:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10

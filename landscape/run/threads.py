"""How many threads serve a landscape best: for small networks on a busy machine it is one."""

from __future__ import annotations

import os
import time

import torch

from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point

__all__ = ["settle_threads"]

WORTH = 1.2
"""Several threads must be so many times faster than one to be used: they can fall far behind on a busy machine."""
REPEATS = 3


def settle_threads(landscape: Landscape, point: Point) -> None:
    """Go on with one torch thread, unless torch's own number is clearly faster for one mini-batch gradient.

    It changes the process, so it is for the command line; ``OMP_NUM_THREADS`` overrules it.
    """
    several = torch.get_num_threads()
    if landscape.device.type != "cpu" or several == 1 or "OMP_NUM_THREADS" in os.environ:
        return
    seconds = {count: _seconds(landscape, point, count) for count in (several, 1)}
    torch.set_num_threads(several if seconds[1] > WORTH * seconds[several] else 1)


def _seconds(landscape: Landscape, point: Point, threads: int) -> float:
    torch.set_num_threads(threads)
    laps = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        landscape.gradients(point.vector[None], batch=0)
        laps.append(time.perf_counter() - start)
    return min(laps)

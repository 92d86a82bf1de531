"""Keep a Krylov space while it grows, so that a larger budget, or the same call after a crash, goes on from it."""

from __future__ import annotations

import time
from collections.abc import Callable

from landscape.analysis import Context
from landscape.curvature.lanczos import Krylov, resumed, state

__all__ = ["resumed_space", "saver"]

MAX_BYTES = 2**30
"""A larger space is made anew rather than stored."""

EVERY = 60.0
"""Seconds between two savings."""


def resumed_space(context: Context, fresh: Krylov) -> Krylov:
    """The space that this task saved last, or the fresh one."""
    stored = context.load()
    return resumed(fresh, stored) if stored else fresh


def saver(context: Context, space: Krylov) -> Callable[[bool], None]:
    """A function that stores the space: at once if it is told so, else where the last time is a minute ago."""
    last = time.monotonic()

    def save(now: bool) -> None:
        nonlocal last
        if not now and time.monotonic() - last < EVERY:
            return
        tensors = state(space)
        if sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) <= MAX_BYTES:
            context.save(tensors)
        last = time.monotonic()

    return save

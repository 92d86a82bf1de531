"""When a barrier is one, and how it is written."""

from __future__ import annotations

import math

__all__ = ["barrier_words", "connected", "negligible", "scientific"]

_NEGLIGIBLE = 1e-6  # of the line's barrier, or of the loss
_CONNECTED = 1e-2  # of the line's barrier


def negligible(barrier: float, line: float, loss: float) -> bool:
    """Whether a barrier is none: below a millionth of the line's barrier, or of the highest loss on the path."""
    return barrier <= _NEGLIGIBLE * max(line, abs(loss))


def connected(barrier: float, line: float, loss: float) -> bool:
    """Whether a path connects its ends: its barrier is at most a hundredth of the line's, or none at all."""
    return barrier <= _CONNECTED * line or negligible(barrier, line, loss)


def barrier_words(barrier: float, line: float, loss: float) -> str:
    """``barrier 0.0021``, or why it is none."""
    if not negligible(barrier, line, loss):
        return f"barrier {scientific(barrier)}"
    if barrier <= 0:
        return "no barrier"
    return rf"no barrier ($<10^{{-6}}$ of the {'line’s' if barrier <= _NEGLIGIBLE * line else 'loss'})"


def scientific(value: float, digits: int = 3) -> str:
    """A number for a figure: 0.0210, 147, 5.61×10⁻⁵."""
    if value == 0:
        return "0"
    value = float(f"{value:.{digits - 1}e}")  # 0.99996 is written as 1.00
    exponent = math.floor(math.log10(abs(value)))
    if -4 <= exponent < 4:
        return f"{value:.{max(0, digits - 1 - exponent)}f}"
    return rf"${value / 10**exponent:.{digits - 1}f}\times10^{{{exponent}}}$"

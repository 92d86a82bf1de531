"""How the figures of spectra look, beyond what all figures share."""

from __future__ import annotations

import math
from collections.abc import Sequence

from landscape.drawing import COLOURS, LETTERS

__all__ = ["NEGATIVE", "POSITIVE", "UNITS", "columns_fit", "scientific", "signed_decades", "signed_power"]

POSITIVE, NEGATIVE = COLOURS[0], COLOURS[1]
UNITS = "loss / parameter²"


def columns_fit(labels: Sequence[str], width: float) -> bool:
    """Whether labels below columns, over so many inches together, stand apart from each other."""
    longest = max(map(len, labels), default=0) + 3
    return longest * len(labels) < (7 / 8) * LETTERS * width  # they are larger than small print


def scientific(value: float) -> str:
    """A number for small print: 0.03, 5.6×10⁻⁵."""
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.2g}"
    exponent = math.floor(math.log10(abs(value)))
    return rf"${value / 10**exponent:.2g}\times10^{{{exponent}}}$"


def signed_power(tick: float) -> str:
    """The label of such a tick: 0, 10⁻³, −10⁻³."""
    if tick == 0:
        return "0"
    return rf"${'-' if tick < 0 else ''}10^{{{round(math.log10(abs(tick)))}}}$"


def signed_decades(low: float, high: float, threshold: float, room: float) -> list[float]:
    """Ticks of an axis in asinh(λ / threshold): 0 and powers of ten of either sign.

    They are thinned until each has its ``room``, as a fraction of the axis.
    """
    least = room * (math.asinh(high / threshold) - math.asinh(low / threshold))
    stride = max(1, math.ceil(least / math.log(10)))
    last = math.floor(math.log10(max(-low, high)))
    first = math.ceil(math.log10(threshold * math.sinh(max(least, 1.0))))
    sizes = [10.0**exponent for exponent in range(last, first - 1, -stride)]
    return sorted(tick for tick in (0.0, *sizes, *(-size for size in sizes)) if low <= tick <= high)

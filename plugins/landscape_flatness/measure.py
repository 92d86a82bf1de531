"""What a measure of flatness is, and what was found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from landscape.analysis import Cost

__all__ = ["Found", "Measure"]


@dataclass(frozen=True)
class Measure:
    """One way to say how flat a minimum is.

    Attributes
    ----------
    name
        What the summary calls it.
    definition
        Its formula in one line, with its source.
    invariant
        Whether it is the same for a ReLU network whose layers were rescaled without changing the function.
    flat
        Which end of its scale is the flat one.
    units
        Of its value.
    """

    name: str
    definition: str
    invariant: bool
    flat: Literal["small", "large"] = "small"
    units: str = "loss"


@dataclass(frozen=True)
class Found:
    """The value of a measure at a point.

    Attributes
    ----------
    measure
        Which one.
    value, standard_error
        What was found, and the standard deviation of the estimate where it is one (None where it is exact).
    cost
        What it took, in full-data equivalents; what several measures share counts for the first of them.
    messages
        What the reader has to know of it.
    converged
        Whether the value can be relied on; if not, the first message says why.
    """

    measure: Measure
    value: float
    standard_error: float | None = None
    cost: Cost = field(default_factory=Cost)
    messages: tuple[str, ...] = ()
    converged: bool = True

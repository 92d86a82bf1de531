"""Linear or logarithmic: how losses are drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from landscape_neb.barriers import scientific

__all__ = ["LossScale"]

_DECADES = 30.0  # logarithmic where losses differ by more than this factor
_DEEPEST = 1e-8  # of the highest loss: a logarithmic axis goes no lower


@dataclass(frozen=True)
class LossScale:
    """How losses are drawn: on a linear axis, or on a logarithmic one that ends at a floor.

    Attributes
    ----------
    logarithmic
        Which of the two.
    floor
        On a logarithmic axis lower values, zero among them, are drawn there.
    """

    logarithmic: bool
    floor: float = -math.inf

    @classmethod
    def of(cls, values: np.ndarray, against: float) -> LossScale:
        """Logarithmic if no value is negative and the highest stands out ``against`` another by decades."""
        highest = float(values.max())
        if values.min() < 0 or highest <= _DECADES * against:
            return cls(False)
        return cls(True, _DEEPEST * highest)

    def drawn(self, values: np.ndarray) -> np.ndarray:
        """The values as they are drawn."""
        return np.maximum(values, self.floor)

    def note(self, values: np.ndarray) -> str:
        """What the reader has to know of the floor; nothing where all values are above."""
        return f"losses below {scientific(self.floor)} are drawn there" if values.min() < self.floor else ""

"""Options of the curves with few free points."""

from __future__ import annotations

from dataclasses import dataclass

from landscape_finders.options import check_search

__all__ = ["CurveOptions"]


@dataclass(frozen=True)
class CurveOptions:
    """Options of Bezier curves and polygons.

    Attributes
    ----------
    max_gradients
        Budget: gradient evaluations of a pair, one for each step.
    connected_below
        Stop as soon as the barrier is below this, in units of the loss; looked at after each quarter of the budget.
    tolerance
        What counts as no change of the barrier, and how close its maximum is bracketed, in units of the loss; by
        default a thousandth of the straight line's barrier.
    learning_rate
        First rate of Adam, in units of the pair's root-mean-square distance per coordinate; it falls to zero as a
        cosine.
    free_points
        Control points between the ends: the degree of a Bezier curve less one, the bends of a polygon.
    """

    max_gradients: int = 2000
    connected_below: float | None = None
    tolerance: float | None = None
    learning_rate: float = 0.1
    free_points: int = 1

    def __post_init__(self) -> None:
        check_search(self.max_gradients, self.connected_below, self.tolerance)
        if not 1 <= self.free_points <= 100:
            raise ValueError(f"free_points must be from 1 to 100, got {self.free_points}")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")

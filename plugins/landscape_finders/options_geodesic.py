"""Options of the great circles after normalisation."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GeodesicOptions"]


@dataclass(frozen=True)
class GeodesicOptions:
    """Options of the great circles after normalisation.

    Attributes
    ----------
    tolerance
        How close to bracket the maximum, in units of the loss; by default a thousandth of the barrier.
    points
        About how many points of the path are evaluated before its maximum is refined.
    knots
        Knots of the path: a quarter of them on the way from each end to its normalised network, the rest between.
    """

    tolerance: float | None = None
    points: int = 65
    knots: int = 33

    def __post_init__(self) -> None:
        if self.tolerance is not None and self.tolerance <= 0:
            raise ValueError(f"tolerance must be above 0, got {self.tolerance}")
        if self.points < 3:
            raise ValueError(f"points must be at least 3, got {self.points}")
        if self.knots < 8:
            raise ValueError(f"knots must be at least 8, got {self.knots}")

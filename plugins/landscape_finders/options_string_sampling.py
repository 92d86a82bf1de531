"""Options of dynamic string sampling."""

from __future__ import annotations

from dataclasses import dataclass

from landscape_finders.options import check_search

__all__ = ["StringSamplingOptions"]


@dataclass(frozen=True)
class StringSamplingOptions:
    """Options of dynamic string sampling.

    Attributes
    ----------
    max_gradients
        Budget: gradient evaluations of a pair, beads x mini-batches.
    connected_below
        The barrier to reach, in units of the loss; by default a hundredth of the straight line's.
    tolerance
        How close the maximum is bracketed, in units of the loss; by default a thousandth of the straight line's
        barrier.
    levels
        In how many steps of equal ratio the level falls from the straight line's barrier to the wanted one.
    learning_rate
        First rate of Adam, in units of the pair's root-mean-square distance per coordinate; it falls to zero over the
        budget as a cosine.
    max_depth
        How often a segment of the line may be divided, and its parts again.
    points_per_segment
        Points inside each segment at which it is measured on the full data.
    """

    max_gradients: int = 8000
    connected_below: float | None = None
    tolerance: float | None = None
    levels: int = 6
    learning_rate: float = 0.02
    max_depth: int = 10
    points_per_segment: int = 9

    def __post_init__(self) -> None:
        check_search(self.max_gradients, self.connected_below, self.tolerance)
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")
        for name in ("levels", "max_depth", "points_per_segment"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

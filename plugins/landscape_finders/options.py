"""Options of the path finders."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AutonebOptions", "BezierAutonebOptions", "Draxler2018Options", "LinearOptions", "check_search"]


def check_search(max_gradients: int, connected_below: float | None, tolerance: float | None) -> None:
    """Refuse wrong values of the options that all searches share."""
    if max_gradients < 1:
        raise ValueError(f"max_gradients must be at least 1, got {max_gradients}")
    if connected_below is not None and connected_below < 0:
        raise ValueError(f"connected_below is a barrier, at least 0, got {connected_below}")
    if tolerance is not None and tolerance <= 0:
        raise ValueError(f"tolerance must be above 0, got {tolerance}")


@dataclass(frozen=True)
class LinearOptions:
    """Options of the straight line.

    Attributes
    ----------
    tolerance
        How close to bracket the maximum, in units of the loss; by default a thousandth of the barrier.
    points
        How many points of the line are evaluated before its maximum is refined.
    """

    tolerance: float | None = None
    points: int = 41

    def __post_init__(self) -> None:
        check_search(1, None, self.tolerance)
        if self.points < 3:
            raise ValueError(f"points must be at least 3, got {self.points}")


@dataclass(frozen=True)
class AutonebOptions:
    """Options of the growing string.

    Attributes
    ----------
    max_gradients
        Budget: gradient evaluations of a pair, images x mini-batches.
    climb
        Whether the highest point of the path is then moved to the saddle, with full-data gradients. It is given a
        quarter of the budget.
    connected_below
        Stop as soon as the barrier is below this, in units of the loss.
    tolerance
        What counts as no change of the barrier, and how close its maximum is bracketed, in units of the loss; by
        default a thousandth of the straight line's barrier.
    learning_rate
        First rate of Adam, in units of the pair's root-mean-square distance per coordinate; it falls to zero as a
        cosine.
    cycles
        How often the path is measured and may grow.
    images
        Images between the ends at the start.
    max_images
        Images between the ends at most.
    points_per_segment
        Points inside each segment at which a cycle's end measures the loss on the full data.
    """

    max_gradients: int = 8000
    climb: bool = False
    connected_below: float | None = None
    tolerance: float | None = None
    learning_rate: float = 0.04
    cycles: int = 8
    images: int = 3
    max_images: int = 29
    points_per_segment: int = 9

    def __post_init__(self) -> None:
        check_search(self.max_gradients, self.connected_below, self.tolerance)
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")
        for name in ("cycles", "images", "points_per_segment"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.max_images < self.images:
            raise ValueError(f"max_images ({self.max_images}) is less than images ({self.images})")


@dataclass(frozen=True)
class Draxler2018Options:
    """Options of the published AutoNEB schedule.

    Attributes
    ----------
    max_gradients
        Budget: gradient evaluations of a pair, images x mini-batches. The whole schedule takes at most 248,000; a
        smaller budget shortens all its cycles alike.
    climb
        Whether the highest point of the path is then moved to the saddle (not published with the schedule). It is
        given a quarter of the budget.
    connected_below
        Stop as soon as the barrier is below this, in units of the loss.
    tolerance
        What counts as no change of the barrier, and how close its maximum is bracketed, in units of the loss; by
        default a thousandth of the straight line's barrier.
    """

    max_gradients: int = 248_000
    climb: bool = False
    connected_below: float | None = None
    tolerance: float | None = None

    def __post_init__(self) -> None:
        check_search(self.max_gradients, self.connected_below, self.tolerance)


@dataclass(frozen=True)
class BezierAutonebOptions:
    """Options of the curve that a growing string goes on from where it is not low enough.

    Attributes
    ----------
    max_gradients
        Budget: gradient evaluations of a pair, images x mini-batches.
    climb
        Whether the highest point of the path is then moved to the saddle, with full-data gradients. The string then
        runs in any case, and a quarter of what the curve left is kept for the climb.
    connected_below
        Stop as soon as the barrier is below this, in units of the loss. Where it is not given, the string goes on from
        the curve if the barrier is above a hundredth of the straight line's or above the higher end's own loss, and
        then takes what is left of the budget.
    tolerance
        What counts as no change of the barrier, and how close its maximum is bracketed, in units of the loss; by
        default a thousandth of the straight line's barrier.
    curve_share
        Which part of the budget the curve may take.
    free_points
        Control points of the curve between the ends.
    images
        Images of the string between the ends at its start.
    """

    max_gradients: int = 8000
    climb: bool = False
    connected_below: float | None = None
    tolerance: float | None = None
    curve_share: float = 0.25
    free_points: int = 1
    images: int = 5

    def __post_init__(self) -> None:
        check_search(self.max_gradients, self.connected_below, self.tolerance)
        if not 0 < self.curve_share < 1:
            raise ValueError(f"curve_share must be between 0 and 1, got {self.curve_share}")
        if not 1 <= self.free_points <= 100:
            raise ValueError(f"free_points must be from 1 to 100, got {self.free_points}")
        if not 1 <= self.images <= AutonebOptions.max_images:
            raise ValueError(f"images must be from 1 to {AutonebOptions.max_images}, got {self.images}")

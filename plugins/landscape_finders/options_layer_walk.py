"""Options of the walk by layers."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LayerWalkOptions"]


@dataclass(frozen=True)
class LayerWalkOptions:
    """Options of the walk by layers.

    Attributes
    ----------
    max_gradients
        Budget: gradient evaluations of a pair. Each step of the walk may take an even share of what is left.
    connected_below
        The barrier that the walk aims at, in units of the loss; by default a hundredth of the straight line's.
    tolerance
        How close the maximum is bracketed, in units of the loss; by default a thousandth of the straight line's
        barrier.
    threshold
        The loss that each point of the walk is retrained to; by default the higher end's and half of
        ``connected_below``: the other half is for the way from point to point.
    steps
        In how many steps a layer walks to its target.
    max_knots
        Points of the path, at most: with many layers each makes fewer steps, one at least.
    iterations
        Gradients of retraining between two looks at the full-data loss; by default as many as there are mini-batches,
        at least 10.
    learning_rate
        Rate of Adam, in units of the pair's root-mean-square distance per coordinate.
    """

    max_gradients: int = 8000
    connected_below: float | None = None
    tolerance: float | None = None
    threshold: float | None = None
    steps: int = 10
    max_knots: int = 200
    iterations: int | None = None
    learning_rate: float = 0.03

    def __post_init__(self) -> None:
        for name, least in (("max_gradients", 1), ("steps", 1), ("iterations", 1), ("max_knots", 3)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        for name in ("tolerance", "learning_rate"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be above 0, got {value}")
        if self.connected_below is not None and self.connected_below < 0:
            raise ValueError(f"connected_below is a barrier, at least 0, got {self.connected_below}")

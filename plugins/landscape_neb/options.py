"""Options of ``neb``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["NebOptions"]


@dataclass(frozen=True)
class NebOptions:
    """Options of the minimum-energy path.

    Attributes
    ----------
    finder
        Which path finder to use; ``landscape plugins`` lists them.
    finder_options
        Options of that finder alone, by name.
    preset
        ``draxler2018`` runs the published AutoNEB schedule; it takes up to 248,000 gradient evaluations if
        max_gradients allows.
    max_gradients
        Budget: gradient evaluations of each pair, images x mini-batches.
    climb
        Whether the highest point of the path is moved to the saddle, with full-data gradients.
    connected_below
        Stop as soon as the barrier is below this, in units of the loss.
    tolerance
        How close to bracket the maximum, in units of the loss, and what counts as no change of the barrier; by
        default a thousandth of the straight line's barrier.
    partner
        With one checkpoint: ``retrain`` for a second one trained from a new start, or the file of one.
    max_partner_gradients
        Budget of that training, in full-data gradients (epochs).
    """

    finder: str = "autoneb"
    finder_options: dict[str, Any] = field(default_factory=dict)
    preset: Literal["draxler2018"] | None = None
    max_gradients: int = 8000
    climb: bool = False
    connected_below: float | None = None
    tolerance: float | None = None
    partner: str = "retrain"
    max_partner_gradients: float = 1000.0

    def __post_init__(self) -> None:
        if self.preset not in (None, "draxler2018"):
            raise ValueError(f"preset must be draxler2018, got {self.preset!r}")
        if self.preset is not None and self.finder not in ("autoneb", self.preset):
            raise ValueError(f"preset {self.preset} is a finder of its own: leave out finder {self.finder!r}")
        if self.max_gradients < 1:
            raise ValueError(f"max_gradients must be at least 1, got {self.max_gradients}")
        if self.max_partner_gradients <= 0:
            raise ValueError(f"max_partner_gradients must be above 0, got {self.max_partner_gradients}")
        if self.tolerance is not None and self.tolerance <= 0:
            raise ValueError(f"tolerance must be above 0, got {self.tolerance}")
        if self.connected_below is not None and self.connected_below < 0:
            raise ValueError(f"connected_below is a barrier, at least 0, got {self.connected_below}")

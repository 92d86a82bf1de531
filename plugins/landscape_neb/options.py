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
    align
        How the units of the second end are brought into the order (and scale) of the first before the search:
        ``weights`` matches weights, ``activations`` what the units answer to the data, ``none`` leaves them. The loss
        does not change, the path ends at the aligned copy.
    symmetry
        A YAML or JSON file that says which units can be exchanged, where that is not found by itself.
    start
        A run directory: the path stored there between the same points is where the search begins.
    max_gradients
        Budget: gradient evaluations of each pair, images x mini-batches.
    max_total_gradients
        Budget of all pairs of the call together, shared evenly.
    climb
        Whether the highest point of the path is moved to the saddle, with full-data gradients.
    connected_below
        Stop as soon as the barrier is below this, in units of the loss. The default finder also goes on from the curve
        to the string only where the barrier is above it, or above a hundredth of the straight line's.
    tolerance
        How close to bracket the maximum, in units of the loss, and what counts as no change of the barrier; by
        default a thousandth of the straight line's barrier.
    saddle_eigenvalues
        How many of the Hessian's lowest eigenvalues to take at the highest point of the path: how many of them are
        negative is its index.
    plane
        Points per side of the grid on which the loss is measured in the plane of the path, 0 for none. By default 21
        where that takes at most 8,000 mini-batches.
    partner
        With one checkpoint: ``retrain`` for a second one trained from a new start, ``permuted`` for a copy with its
        units exchanged, or the file of one; a folder stands for its checkpoints, each paired with the given one.
    max_partner_gradients
        Budget of that training, in full-data gradients (epochs).
    """

    finder: str = "bezier-autoneb"
    finder_options: dict[str, Any] = field(default_factory=dict)
    preset: Literal["draxler2018"] | None = None
    align: Literal["weights", "activations", "none"] = "weights"
    symmetry: str | None = field(default=None, metadata={"names": "mapping"})
    start: str | None = field(default=None, metadata={"names": "path"})
    max_gradients: int = 8000
    max_total_gradients: int | None = None
    climb: bool = False
    connected_below: float | None = None
    tolerance: float | None = None
    saddle_eigenvalues: int = 0
    plane: int | None = None
    partner: str = "retrain"
    max_partner_gradients: float = 1000.0

    def __post_init__(self) -> None:
        if self.preset not in (None, "draxler2018"):
            raise ValueError(f"preset must be draxler2018, got {self.preset!r}")
        if self.preset is not None and self.finder not in (NebOptions.finder, self.preset):
            raise ValueError(f"preset {self.preset} is a finder of its own: leave out finder {self.finder!r}")
        if self.align not in ("weights", "activations", "none"):
            raise ValueError(f"align must be weights, activations or none, got {self.align!r}")
        if self.align == "none" and self.symmetry is not None:
            raise ValueError(f"symmetry {self.symmetry!r} is of no use with align none: leave one of them out")
        for name in ("max_gradients", "max_total_gradients"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if self.max_partner_gradients <= 0:
            raise ValueError(f"max_partner_gradients must be above 0, got {self.max_partner_gradients}")
        if self.tolerance is not None and self.tolerance <= 0:
            raise ValueError(f"tolerance must be above 0, got {self.tolerance}")
        if self.connected_below is not None and self.connected_below < 0:
            raise ValueError(f"connected_below is a barrier, at least 0, got {self.connected_below}")
        if self.saddle_eigenvalues < 0:
            raise ValueError(
                f"saddle_eigenvalues is a number of eigenvalues, at least 0, got {self.saddle_eigenvalues}"
            )
        if self.plane is not None and self.plane != 0 and not 3 <= self.plane <= 201:
            raise ValueError(f"plane must be 0 or from 3 to 201 points per side, got {self.plane}")

"""A path between two points and what was measured along it."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from landscape.paths.polyline import path_length
from landscape.paths.profile import Profile

__all__ = ["Path"]


@dataclass(frozen=True, eq=False)
class Path:
    """A polyline between two points of a landscape, with the energy along it and the evidence for it.

    Attributes
    ----------
    points
        Knots, both ends among them, shape ``(m, P)``.
    times
        Normalised arc lengths at which the energy was taken, shape ``(n,)``, from 0 to 1.
    energies
        Full-data energies at those times, shape ``(n,)``, float64, in the units of the loss. The ends keep their own.
    bracket
        How far above the highest of them the maximum of the curve can be, in the units of the loss (see ``refine``).
    errors
        Fractions of wrong answers at those times, shape ``(n,)``, where they were asked for.
    gradient_evaluations, energy_evaluations
        Images x mini-batches, and full-data energies, that the search took.
    converged, messages, budget_spent
        The verdict, the reasons for it, and whether a larger budget would have gone on.
    """

    points: Float[Tensor, "m P"]
    times: Float[Tensor, " n"]
    energies: Float[Tensor, " n"]
    bracket: float
    errors: Float[Tensor, " n"] | None = None
    gradient_evaluations: int = 0
    energy_evaluations: int = 0
    converged: bool = True
    messages: tuple[str, ...] = ()
    budget_spent: bool = False

    @property
    def profile(self) -> Profile:
        """What was measured along the path, by itself."""
        return Profile(self.times, self.energies, self.bracket)

    @property
    def max_loss(self) -> float:
        """The highest energy measured."""
        return float(self.energies.max())

    @property
    def saddle_time(self) -> float:
        """Normalised arc length at which the highest energy was measured."""
        return float(self.times[self.energies.argmax()])

    @property
    def barrier(self) -> float:
        """Highest energy over the higher end. (``barrier_above_chord`` is the other definition.)"""
        return self.profile.barrier

    @property
    def barrier_above_chord(self) -> float:
        """Largest excess over the straight line between the ends' energies, as linear mode connectivity defines it."""
        chord = (1 - self.times) * self.energies[0] + self.times * self.energies[-1]
        return float((self.energies - chord).max())

    @property
    def length(self) -> float:
        """Euclidean length of the polyline."""
        return path_length(self.points)

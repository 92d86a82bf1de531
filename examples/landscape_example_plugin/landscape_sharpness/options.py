"""What can be asked of the average sharpness."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import isfinite

__all__ = ["AverageSharpnessOptions"]


@dataclass(frozen=True)
class AverageSharpnessOptions:
    """Options of the average sharpness.

    Attributes
    ----------
    sigmas
        Standard deviations of the perturbation of each coordinate, ascending, such as [0.01,0.1]. The perturbation as a
        whole has length sigma * sqrt(P).
    num_samples
        Independent draws of the direction z. Each serves every sigma with both signs: 2 energies per sigma.
    rtol
        A value has converged when its standard error, rounding included, is at most rtol times the value.
    max_energies
        Budget in energies over the full data. All draws take 1 + 2 * sigmas * samples.
    """

    sigmas: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03)
    num_samples: int = 50
    rtol: float = 0.2
    max_energies: int = 1000

    def __post_init__(self) -> None:
        positive = all(isfinite(sigma) and sigma > 0 for sigma in self.sigmas)
        ascending = all(low < high for low, high in pairwise(self.sigmas))
        if not (self.sigmas and positive and ascending):
            raise ValueError(f"sigmas must be positive numbers in ascending order, at least one, got {self.sigmas}")
        if self.num_samples < 2:
            raise ValueError(f"num_samples must be at least 2, to know an error, got {self.num_samples}")
        if not 0 < self.rtol < 1:
            raise ValueError(f"rtol must lie between 0 and 1, got {self.rtol}")
        if self.affordable_samples < 2:
            least = 1 + 4 * len(self.sigmas)
            raise ValueError(f"max_energies must be at least {least}, two draws at each sigma, got {self.max_energies}")

    @property
    def affordable_samples(self) -> int:
        """The draws that are asked for, or as many of them as the budget allows."""
        return min(self.num_samples, (self.max_energies - 1) // (2 * len(self.sigmas)))

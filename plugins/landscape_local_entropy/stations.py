"""What the chains at one temperature and stiffness say."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from landscape_local_entropy.diagnostics import Evidence, evidence_of, virial_of
from landscape_local_entropy.draws import Draws, Node

__all__ = ["Station", "station"]


@dataclass(frozen=True, eq=False)
class Station:
    """A node, its draws and the evidence for their averages.

    Attributes
    ----------
    rise, pull
        ΔL and x·∇ΔL.
    virial, virial_stderr
        (β⟨x·∇ΔL⟩ + γ⟨|x|²⟩)/D, 1 in equilibrium, and its standard error.
    """

    node: Node
    draws: Draws
    rise: Evidence
    pull: Evidence
    virial: float
    virial_stderr: float

    @property
    def llc(self) -> float:
        """β⟨ΔL⟩."""
        return self.node.beta * self.rise.mean

    @property
    def llc_stderr(self) -> float:
        """The standard error of β⟨ΔL⟩."""
        return self.node.beta * self.rise.standard_error

    @property
    def slope(self) -> float:
        """∂Φ/∂ln γ = (β/2)⟨x·∇ΔL⟩."""
        return self.node.beta / 2 * self.pull.mean

    @property
    def slope_stderr(self) -> float:
        """Its standard error."""
        return self.node.beta / 2 * self.pull.standard_error

    @property
    def r_rms(self) -> float:
        """√⟨|δ|²⟩, in the weights."""
        return sqrt(float(self.draws.distance2.mean()))

    @property
    def rhat(self) -> float:
        """The larger R-hat of the two averages."""
        return max(self.rise.rhat, self.pull.rhat)

    @property
    def ess(self) -> float:
        """The smaller effective sample size."""
        return min(self.rise.ess, self.pull.ess)


def station(node: Node, draws: Draws, dim: int) -> Station:
    """The evidence at a node; see ``diagnostics``."""
    virial, error = virial_of(draws, node, dim)
    return Station(node, draws, evidence_of(draws.rise), evidence_of(draws.pull), virial, error)

"""The measures that are sampled: exp(-βΔL(x) - γ|x|²/2), one for each row of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor

from landscape.errors import AnalysisError
from landscape.neighbourhood.around import Neighbourhood
from landscape_local_entropy.draws import Node

__all__ = ["State", "Streams", "Tilted", "joined"]

HALVINGS = 20  # a start from which no chain would come back is brought nearer to the point as often
TYPICAL, SPREAD = 2.0, 10.0  # U of a start, in units of D and in nats: up to four times that of a bowl, and its scatter


@dataclass(frozen=True, eq=False)
class State:
    """Where chains are, a row each, on the landscape's device.

    Attributes
    ----------
    x
        Displacements, in the units of the metric.
    rise
        ΔL there, float64.
    slope
        ∇_x ΔL there.
    """

    x: Float[Tensor, "R P"]
    rise: Float[Tensor, " R"]
    slope: Float[Tensor, "R P"]

    def take(self, rows: Int[Tensor, " r"]) -> State:
        """Some of the rows."""
        return State(self.x[rows], self.rise[rows], self.slope[rows])

    def replaced(self, rows: Int[Tensor, " r"], by: State) -> State:
        """The state with some rows replaced."""
        return State(
            self.x.index_copy(0, rows, by.x),
            self.rise.index_copy(0, rows, by.rise),
            self.slope.index_copy(0, rows, by.slope),
        )

    def where(self, kept: Tensor, other: State) -> State:
        """These rows where ``kept``, those of another state elsewhere."""
        tall = kept[:, None]
        return State(
            torch.where(tall, self.x, other.x),
            torch.where(kept, self.rise, other.rise),
            torch.where(tall, self.slope, other.slope),
        )


def joined(states: Sequence[State]) -> State:
    """All rows, one state after the other."""
    if len(states) == 1:
        return states[0]
    return State(*(torch.cat([getattr(state, one.name) for state in states]) for one in fields(State)))


@dataclass(frozen=True, eq=False)
class Streams:
    """One generator for each node, so that its chains are the same whoever else is in the batch.

    Attributes
    ----------
    generators
        On the CPU.
    chains
        Rows of each node.
    like
        A tensor of the device and the dtype that are wanted.
    """

    generators: tuple[torch.Generator, ...]
    chains: int
    like: Float[Tensor, " P"]

    def normal(self) -> Float[Tensor, "R P"]:
        """Standard normal numbers for all coordinates of all rows."""
        size = self.chains, len(self.like)
        return torch.cat([torch.randn(size, generator=g, dtype=self.like.dtype) for g in self.generators]).to(self.like)

    def uniform(self) -> Float[Tensor, " R"]:
        """Uniform numbers in [0, 1), float64."""
        parts = [torch.rand(self.chains, generator=g, dtype=torch.float64) for g in self.generators]
        return torch.cat(parts).to(self.like.device)

    def orders(self, count: int) -> Int[Tensor, "R count"]:
        """A random order of so many things for each row, on the CPU."""
        return torch.cat([torch.rand(self.chains, count, generator=g).argsort(dim=1) for g in self.generators])


@dataclass(frozen=True, eq=False)
class Tilted:
    """exp(-βΔL(x) - γ|x|²/2), β and γ a number for each row, and a mass matrix fitted to it.

    The mass M = β max(diag H, 0) + γ is the curvature of the exponent where H is diagonal: in units of 1/√M all
    frequencies are then 1. Coordinates that cannot move (s = 0) have no velocity, so that they stay 0.

    Attributes
    ----------
    around
        ΔL.
    beta, gamma
        Shape ``(R,)``, float64.
    mass
        The diagonal of M, shape ``(R, P)``.
    """

    around: Neighbourhood
    beta: Float[Tensor, " R"]
    gamma: Float[Tensor, " R"]
    mass: Float[Tensor, "R P"]

    @classmethod
    def of(cls, around: Neighbourhood, nodes: Sequence[Node], chains: int, diagonal: Tensor | None) -> Tilted:
        """The measures of some nodes, ``chains`` rows each. Without a diagonal of H the mass is γ."""
        like = around.scales
        beta, gamma = (
            torch.tensor(values, dtype=torch.float64, device=like.device).repeat_interleave(chains)
            for values in ([node.beta for node in nodes], [node.gamma for node in nodes])
        )
        curvature = torch.zeros_like(like) if diagonal is None else diagonal.to(like).clamp(min=0)
        return cls(around, beta, gamma, beta.to(like)[:, None] * curvature + gamma.to(like)[:, None])

    def take(self, rows: Int[Tensor, " r"]) -> Tilted:
        """Some of the rows."""
        return Tilted(self.around, self.beta[rows], self.gamma[rows], self.mass[rows])

    def at(self, x: Float[Tensor, "R P"]) -> State:
        """The state of chains that are at x. Costs a gradient for each row."""
        return State(x, *self.around.slopes(x))

    def potential(self, state: State) -> Float[Tensor, " R"]:
        """U = βΔL + γ|x|²/2, float64."""
        return self.beta * state.rise + self.gamma / 2 * state.x.square().sum(dim=1, dtype=torch.float64)

    def slope(self, state: State) -> Float[Tensor, "R P"]:
        """∇U = β∇ΔL + γx."""
        beta, gamma = (factor.to(state.x)[:, None] for factor in (self.beta, self.gamma))
        return beta * state.slope + gamma * state.x

    def thermal(self, streams: Streams) -> Float[Tensor, "R P"]:
        """Gaussian vectors of covariance 1/M: velocities, or starts that spread as widely as the measure seems to."""
        return streams.normal() * self.mass.rsqrt() * (self.around.scales > 0)

    def start(self, streams: Streams) -> tuple[State, Int[Tensor, " R"]]:
        """Dispersed chains, and the gradients that each took; see ``thermal``.

        Those that met numbers that are not finite, or a potential far above that of a bowl (D/2 on average), start
        nearer to the point: from there no step size that suits the others would bring them back.

        Raises
        ------
        AnalysisError
            If loss or gradient are not finite next to the point.
        """
        highest = TYPICAL * self.around.dim + SPREAD
        state = self.at(self.thermal(streams))
        taken = torch.ones_like(state.rise).long()
        for _ in range(HALVINGS):
            finite = state.rise.isfinite() & state.slope.isfinite().all(dim=1)
            rows = (~finite | (self.potential(state) > highest)).nonzero()[:, 0]
            if not len(rows):
                return state, taken
            nearer = self.take(rows).at(state.x[rows] / 2)
            taken[rows] += 1
            state = state.replaced(rows, nearer)
        if finite.all():
            return state, taken
        raise AnalysisError(
            f"{self.around.point.id}: {int((~finite).sum())} of {len(finite)} chains cannot start, as loss or gradient "
            "are not finite even next to the point; check the model there, or take --dtype float64 or a larger "
            "--local-entropy.gamma"
        )

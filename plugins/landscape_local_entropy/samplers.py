"""The samplers as one kind of thing: how each is tuned in its warm-up, and how it then moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from landscape.neighbourhood.around import Neighbourhood
from landscape_local_entropy import hmc, sgld
from landscape_local_entropy.adaptation import DualAveraging
from landscape_local_entropy.draws import Node
from landscape_local_entropy.hmc import Info
from landscape_local_entropy.tilted import State, Streams, Tilted

__all__ = ["Hamiltonian", "Langevin", "Sampler", "Tuning", "Warmed"]

GOLDEN = (5**0.5 - 1) / 2
LEAST_ACCEPTANCE = 1e-2  # so that one rejected proposal does not make a harmonic mean zero
SHORT, LONG = 8, 256  # leapfrog steps at most, before a length is learnt and after


@dataclass(frozen=True, eq=False)
class Tuning:
    """How the chains of each node move, float64 on the CPU.

    Attributes
    ----------
    step_size
        ε.
    duration
        Time of a trajectory; of a sampler with single steps, ε.
    """

    step_size: Float[Tensor, " N"]
    duration: Float[Tensor, " N"]


@dataclass(frozen=True, eq=False)
class Warmed:
    """What a part of the warm-up leaves.

    Attributes
    ----------
    rises
        ΔL of each row after each transition.
    gradients
        Gradients spent on a row of each node, full data.
    """

    state: State
    tuning: Tuning
    rises: Float[Tensor, "R iterations"]
    gradients: Float[Tensor, " N"]


class Sampler(Protocol):
    """A way to move chains that leaves a tilted measure as it is, or nearly."""

    @property
    def warm_up(self) -> tuple[int, ...]:
        """Transitions in each part of the warm-up."""
        ...

    def begin(self, around: Neighbourhood, nodes: Sequence[Node], rng: torch.Generator) -> Tuning:
        """A first guess."""
        ...

    def gradients(self, tuning: Tuning, iteration: Int[Tensor, " N"]) -> Float[Tensor, " N"]:
        """What that transition costs a chain of each node, in gradients over the full data."""
        ...

    def step(
        self, tilted: Tilted, state: State, tuning: Tuning, iteration: Int[Tensor, " N"], streams: Streams
    ) -> tuple[State, Info]:
        """One transition of all chains."""
        ...

    def tune(self, tilted: Tilted, state: State, tuning: Tuning, part: int, streams: Streams) -> Warmed:
        """A part of the warm-up."""
        ...

    def foreseen(self, tuning: Tuning, part: int) -> Float[Tensor, " N"]:
        """What that part will cost a chain of each node, if the tuning stays as it is."""
        ...

    def typical_steps(self, tuning: Tuning) -> Int[Tensor, " N"]:
        """Steps of a transition, before they are varied."""
        ...


@dataclass(frozen=True)
class Hamiltonian:
    """Hamiltonian Monte Carlo, or with ``single`` steps MALA.

    The warm-up has two parts, each with a search for the step size; after each the duration of trajectories is
    learnt (``decorrelation_times``). Both are then fixed. The number of steps varies
    from one transition to the next, by a factor between 1/2 and 3/2 that all chains share, so that no oscillation
    keeps returning to where it began. The factors are multiples of the golden ratio modulo 1: fixed in advance, so that
    every transition leaves the measure invariant, and evenly spread however few they are.

    Attributes
    ----------
    acceptance
        The harmonic mean over chains of the acceptance that is aimed at. The mean itself would leave a chain behind
        that is stuck where the loss is stiffer than elsewhere (Hoffman, Radul & Sountsov, An adaptive-MCMC scheme for
        setting trajectory lengths in Hamiltonian Monte Carlo, 2021, section 4).
    """

    acceptance: float
    single: bool = False
    warm_up: tuple[int, ...] = (20, 30)

    @classmethod
    def hmc(cls) -> Hamiltonian:
        """With trajectories, at the acceptance .65 (the optimum is flat between .6 and .9)."""
        return cls(0.65)

    @classmethod
    def mala(cls) -> Hamiltonian:
        """With one step, at the acceptance .574 that is optimal for it (Roberts & Rosenthal 1998)."""
        return cls(0.574, single=True)

    def begin(self, around: Neighbourhood, nodes: Sequence[Node], rng: torch.Generator) -> Tuning:
        """What suits a Gaussian of covariance 1/M in D dimensions: steps of D^(-1/4) (MALA D^(-1/6)) for a time π/2."""
        step_size = torch.full((len(nodes),), around.dim ** (-1 / 6 if self.single else -1 / 4), dtype=torch.float64)
        return Tuning(step_size, step_size if self.single else torch.full_like(step_size, pi / 2))

    def num_steps(self, tuning: Tuning, iteration: Int[Tensor, " N"], most: int = LONG) -> Int[Tensor, " N"]:
        """Leapfrog steps of a chain of each node in that transition, on the CPU."""
        return self._steps(tuning, 0.5 + (iteration + 1) * GOLDEN % 1, most)

    def typical_steps(self, tuning: Tuning) -> Int[Tensor, " N"]:
        return self._steps(tuning, torch.ones(()), LONG)

    def _steps(self, tuning: Tuning, factor: Tensor, most: int) -> Int[Tensor, " N"]:
        if self.single:
            return torch.ones_like(tuning.step_size).long()
        return (factor * tuning.duration / tuning.step_size).round().clamp(1, most).long()

    def foreseen(self, tuning: Tuning, part: int) -> Float[Tensor, " N"]:
        steps = self._steps(tuning, torch.ones(()), LONG if part else SHORT)
        turning = 0 if self.single else self.typical_steps(tuning)
        return (self.warm_up[part] * steps + turning).double()

    def gradients(self, tuning: Tuning, iteration: Int[Tensor, " N"]) -> Float[Tensor, " N"]:
        return self.num_steps(tuning, iteration).double()

    def step(
        self, tilted: Tilted, state: State, tuning: Tuning, iteration: Int[Tensor, " N"], streams: Streams
    ) -> tuple[State, Info]:
        steps = self.num_steps(tuning, iteration).repeat_interleave(streams.chains)
        return hmc.step(tilted, state, _rows(tuning.step_size, tilted, streams), steps, streams)

    def tune(self, tilted: Tilted, state: State, tuning: Tuning, part: int, streams: Streams) -> Warmed:
        search, rises = DualAveraging.init(tuning.step_size), []
        gradients = torch.zeros_like(tuning.step_size)
        for iteration in range(self.warm_up[part]):
            now = Tuning(search.step_size, search.step_size if self.single else tuning.duration)
            index = torch.full(now.step_size.shape, iteration)
            steps = self.num_steps(now, index, LONG if part else SHORT)
            sizes = _rows(now.step_size, tilted, streams)
            state, info = hmc.step(tilted, state, sizes, steps.repeat_interleave(streams.chains), streams)
            accepted = _of_nodes(info.acceptance, streams).clamp(min=LEAST_ACCEPTANCE)
            search = search.step(1 / (1 / accepted).mean(dim=1), self.acceptance)
            gradients += steps
            rises.append(state.rise)
        tuned = Tuning(search.averaged, search.averaged)
        if not self.single:
            sizes = _rows(tuned.step_size, tilted, streams)
            times, taken = hmc.decorrelation_times(tilted, state, sizes, LONG, streams)
            tuned, gradients = Tuning(tuned.step_size, times), gradients + taken
        return Warmed(state, tuned, torch.stack(rises, dim=1), gradients)


@dataclass(frozen=True)
class Langevin:
    """Stochastic-gradient Langevin dynamics at a fixed step; a transition is one pass over the data.

    Attributes
    ----------
    fraction
        ε in units of 1 / (βλ_max + γ).
    num_batches
        Mini-batches in a pass.
    """

    fraction: float
    num_batches: int
    warm_up: tuple[int, ...] = (100,)

    def begin(self, around: Neighbourhood, nodes: Sequence[Node], rng: torch.Generator) -> Tuning:
        """The step sizes. Costs some products with the Hessian."""
        largest = sgld.largest_curvature(around, rng)
        sizes = torch.tensor(
            [self.fraction / (node.beta * largest + node.gamma) for node in nodes], dtype=torch.float64
        )
        return Tuning(sizes, sizes)

    def typical_steps(self, tuning: Tuning) -> Int[Tensor, " N"]:
        return torch.full(tuning.step_size.shape, self.num_batches)

    def foreseen(self, tuning: Tuning, part: int) -> Float[Tensor, " N"]:
        return self.warm_up[part] * self.gradients(tuning, torch.zeros(tuning.step_size.shape).long())

    def gradients(self, tuning: Tuning, iteration: Int[Tensor, " N"]) -> Float[Tensor, " N"]:
        return torch.full(iteration.shape, 1.0 if self.num_batches == 1 else 2.0, dtype=torch.float64)

    def step(
        self, tilted: Tilted, state: State, tuning: Tuning, iteration: Int[Tensor, " N"], streams: Streams
    ) -> tuple[State, Info]:
        return sgld.step(tilted, state, _rows(tuning.step_size, tilted, streams), streams)

    def tune(self, tilted: Tilted, state: State, tuning: Tuning, part: int, streams: Streams) -> Warmed:
        """Burn-in: there is nothing to learn."""
        rises, gradients = [], torch.zeros_like(tuning.step_size)
        for iteration in range(self.warm_up[part]):
            index = torch.full(tuning.step_size.shape, iteration)
            state, _ = self.step(tilted, state, tuning, index, streams)
            gradients += self.gradients(tuning, index)
            rises.append(state.rise)
        return Warmed(state, tuning, torch.stack(rises, dim=1), gradients)


def _rows(of_nodes: Float[Tensor, " N"], tilted: Tilted, streams: Streams) -> Float[Tensor, " R"]:
    """A number for each row, on the device."""
    return of_nodes.to(tilted.beta.device).repeat_interleave(streams.chains)


def _of_nodes(rows: Tensor, streams: Streams) -> Float[Tensor, "N chains"]:
    """Numbers of rows by node, float64 on the CPU."""
    return rows.double().cpu().reshape(-1, streams.chains)

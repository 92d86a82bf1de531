"""Hamiltonian Monte Carlo, all chains in one batch; with one leapfrog step it is MALA."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from landscape_local_entropy.tilted import State, Streams, Tilted, joined

__all__ = [
    "Info",
    "decorrelation_times",
    "init",
    "leapfrog",
    "step",
    "trajectory",
]

FALLEN = 0.2  # of its first value, where a trajectory is taken to have forgotten its start


@dataclass(frozen=True, eq=False)
class Info:
    """What a transition went through, for each row.

    Attributes
    ----------
    acceptance
        The Metropolis probability, min(1, exp(-ΔH)), float64.
    divergent
        Whether the proposal was not finite; it is then rejected.
    """

    acceptance: Float[Tensor, " R"]
    divergent: Bool[Tensor, " R"]


def init(tilted: Tilted, x: Float[Tensor, "R P"]) -> State:
    """Chains at x. Costs a gradient for each row."""
    return tilted.at(x)


def step(
    tilted: Tilted,
    state: State,
    step_size: Float[Tensor, " R"],
    num_steps: Int[Tensor, " R"],
    streams: Streams,
) -> tuple[State, Info]:
    """One transition: fresh velocities, a trajectory, accepted with probability min(1, exp(-ΔH)).

    H = U(x) + Σ M_i v_i²/2. Costs ``num_steps`` gradients for each row: the gradient at the end of a trajectory is that
    at the beginning of the next.

    Source: Neal, MCMC using Hamiltonian dynamics (2011), with a diagonal mass matrix; with one step it is the
    Metropolis-adjusted Langevin algorithm (section 5.2 there).
    """
    velocity = tilted.thermal(streams)
    end, last = trajectory(tilted, state, velocity, step_size, num_steps)
    change = _energy(tilted, end, last) - _energy(tilted, state, velocity)
    finite = change.isfinite()
    acceptance = torch.where(finite, (-change).clamp(max=0).exp(), 0)
    return end.where(streams.uniform() < acceptance, state), Info(acceptance, ~finite)


def trajectory(
    tilted: Tilted,
    state: State,
    velocity: Float[Tensor, "R P"],
    step_size: Float[Tensor, " R"],
    num_steps: Int[Tensor, " R"],
) -> tuple[State, Float[Tensor, "R P"]]:
    """Where ``num_steps`` leapfrog steps lead each row, and with what velocity. Rows that have theirs leave the batch.

    Parameters
    ----------
    num_steps
        On the CPU, each 1 or more.
    """
    rows, taken, ends, velocities, order = torch.arange(len(num_steps)), 0, [], [], []
    for length in sorted(set(num_steps.tolist())):
        for _ in range(length - taken):
            state, velocity = leapfrog(tilted, state, velocity, step_size)
        ended, taken = num_steps[rows] == length, length
        there = ended.nonzero()[:, 0].to(step_size.device)
        ends.append(state.take(there))
        velocities.append(velocity[there])
        order.append(rows[ended])
        on = (~ended).nonzero()[:, 0].to(step_size.device)
        rows, tilted, state, velocity, step_size = (
            rows[~ended],
            tilted.take(on),
            state.take(on),
            velocity[on],
            step_size[on],
        )
    back = torch.cat(order).argsort().to(step_size.device)
    return joined(ends).take(back), torch.cat(velocities)[back]


def leapfrog(
    tilted: Tilted, state: State, velocity: Float[Tensor, "R P"], step_size: Float[Tensor, " R"]
) -> tuple[State, Float[Tensor, "R P"]]:
    """x and v after a time ε, to second order, for dx/dt = v, M dv/dt = -∇U. Costs a gradient for each row."""
    epsilon = step_size.to(velocity)[:, None]
    velocity = velocity - epsilon / 2 * tilted.slope(state) / tilted.mass
    state = tilted.at(state.x + epsilon * velocity)
    return state, velocity - epsilon / 2 * tilted.slope(state) / tilted.mass


def decorrelation_times(
    tilted: Tilted, state: State, step_size: Float[Tensor, " R"], most: int, streams: Streams
) -> tuple[Float[Tensor, " N"], Int[Tensor, " N"]]:
    """For each node the time in which the pull of a trajectory's start, c(t) = ⟨∇ΔL(x_0)·x_t⟩, falls to .2 c(0).

    On a Gaussian whose frequencies in the units of M are ω_i, c(t) = Σ_i βλ_i/(βλ_i + γ) cos(ω_i t): each direction
    counts by what it adds to the learning coefficient. Trajectories of this length, varied by half, cost at most 1.25
    times what the best length would for an effective sample of ΔL, on bowls of conditions 1 to 1e4 with a mass that
    fits or does not; up to the U-turn of the position they cost three times as much, as that waits for the slowest
    directions.

    The mean is over the chains, less their mean positions. At most ``most`` steps are taken, a gradient for each step
    and row; the second result is their number. Where c(0) is not positive the time is π/2, the quarter of a period of
    M.
    """
    chains, velocity, slope = streams.chains, tilted.thermal(streams), state.slope
    first = last = _pull(slope, state.x, chains)
    times = torch.full((len(first),), pi / 2, dtype=torch.float64)
    steps, sizes, nodes = torch.zeros(len(first), dtype=torch.long), step_size[::chains].cpu(), torch.arange(len(first))
    on = (first > 0).nonzero()[:, 0]
    for taken in range(1, most + 1):
        rows = (on[:, None] * chains + torch.arange(chains)).flatten().to(step_size.device)
        tilted, state, velocity, slope = tilted.take(rows), state.take(rows), velocity[rows], slope[rows]
        nodes, first, last, step_size = nodes[on], first[on], last[on], step_size[rows]
        if not len(nodes):
            break
        state, velocity = leapfrog(tilted, state, velocity, step_size)
        now = _pull(slope, state.x, chains)
        part = ((last - FALLEN * first) / (last - now)).nan_to_num(1).clamp(0, 1)  # of the step, where it crosses
        steps[nodes], times[nodes] = taken, (taken - 1 + part) * sizes[nodes]
        on, last = (now > FALLEN * first).nonzero()[:, 0], now
    return times, steps


def _pull(slope: Float[Tensor, "R P"], x: Float[Tensor, "R P"], chains: int) -> Float[Tensor, " N"]:
    """The mean of slope·x over the chains of each node, less that of their means, float64 on the CPU."""
    x = x.reshape(-1, chains, x.shape[1])
    centred = (x - x.mean(dim=1, keepdim=True)).reshape(slope.shape)
    return (slope * centred).sum(dim=1, dtype=torch.float64).reshape(-1, chains).mean(dim=1).cpu()


def _energy(tilted: Tilted, state: State, velocity: Float[Tensor, "R P"]) -> Float[Tensor, " R"]:
    """H = U + Σ M_i v_i²/2, float64."""
    return tilted.potential(state) + (tilted.mass * velocity.square()).sum(dim=1, dtype=torch.float64) / 2

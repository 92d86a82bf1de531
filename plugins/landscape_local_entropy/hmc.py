"""Hamiltonian Monte Carlo, all chains in one batch; with one leapfrog step it is MALA."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from landscape_local_entropy.tilted import State, Streams, Tilted, joined

__all__ = ["Info", "init", "leapfrog", "step", "trajectory", "turning_times"]


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
    for length in num_steps.unique().tolist():
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


def turning_times(
    tilted: Tilted, state: State, step_size: Float[Tensor, " R"], most: int, streams: Streams
) -> tuple[Float[Tensor, " R"], Int[Tensor, " R"]]:
    """When the velocity of each row has turned by a right angle, v_0·M v_t < 0, and the steps until then.

    At most ``most`` steps are taken, a gradient for each step and row. On a Gaussian whose frequencies in the units of M
    are ω_i, v_0·M v_t averages Σ cos(ω_i t): that is a quarter of a period for a mass that fits, and then the best length
    of a trajectory; with a spectrum of frequencies it is the quarter of a typical one. The time to a U-turn of the
    position is that of the slowest few, three times longer than what is best for ΔL on a rotated bowl of condition 1e4.
    """
    steps, size, first = torch.full_like(step_size, most).long(), step_size, tilted.thermal(streams)
    rows, velocity = torch.arange(len(step_size), device=step_size.device), first
    for taken in range(1, most + 1):
        state, velocity = leapfrog(tilted, state, velocity, size)
        onward = (first * tilted.mass * velocity).sum(dim=1, dtype=torch.float64) >= 0
        steps[rows[~onward]] = taken
        on = onward.nonzero()[:, 0]
        if not len(on):
            break
        rows, tilted, state, size = rows[on], tilted.take(on), state.take(on), size[on]
        first, velocity = first[on], velocity[on]
    return steps * step_size, steps


def _energy(tilted: Tilted, state: State, velocity: Float[Tensor, "R P"]) -> Float[Tensor, " R"]:
    """H = U + Σ M_i v_i²/2, float64."""
    return tilted.potential(state) + (tilted.mass * velocity.square()).sum(dim=1, dtype=torch.float64) / 2

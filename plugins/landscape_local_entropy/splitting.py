"""What fraction of a sphere lies below a level of the energy, by multilevel splitting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import exp, inf, log, pi, sqrt

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["Energy", "Splitting", "split"]

Energy = Callable[[Tensor], Tensor]
"""Energies, float64 on the CPU, of unit vectors, float64 on the CPU, shape ``(K, N)``."""

SURVIVING = 0.5
"""Of the particles at each level. Fewer make fewer levels, whose errors grow together."""

ACCEPTANCE = 0.4
LEAST_MOVES, MOST_MOVES = 8, 2000
"""At each level. Where regions are round the least rules, and keeps a bias of the order of 1 / particles small."""

CORRELATION = 0.9
"""Moves go on until the positions are less correlated with those they left. The widest directions, which hold most of
this correlation, matter least for the energy; what is left of it is in the standard error."""

FAMILIES = 30
"""Fewer in effect (1 / Σ f² for shares f) tell little of a variance: the survivors then found families of their own."""


@dataclass(frozen=True, eq=False)
class Splitting:
    """How the fraction was found, level by level.

    Attributes
    ----------
    thresholds
        Energies that the levels lie at, shape ``(levels,)``, falling. The last is the one that was asked for, if it
        was reached.
    log_fractions, standard_errors
        ln of the fraction of the sphere at or below each of them, and the standard error of that.
    acceptances
        Of the moves that led to each level; 1 for the first, whose particles are drawn independently.
    correlations
        Between positions before and after these moves; 0 for the first.
    energies
        How many were evaluated.
    converged
        Whether the threshold was reached by particles that moved. Else ``log_fraction`` is that of the last level that
        was reached, an upper bound.
    messages
        What stood in the way.
    budget_spent
        Whether it was the budget.
    """

    thresholds: Float[Tensor, " levels"]
    log_fractions: Float[Tensor, " levels"]
    standard_errors: Float[Tensor, " levels"]
    acceptances: Float[Tensor, " levels"]
    correlations: Float[Tensor, " levels"]
    energies: int
    converged: bool
    messages: tuple[str, ...] = ()
    budget_spent: bool = False

    @property
    def log_fraction(self) -> float:
        """ln of the fraction at or below the last level; 0 if there is none."""
        return float(self.log_fractions[-1]) if len(self.log_fractions) else 0.0

    @property
    def standard_error(self) -> float:
        """Of ``log_fraction``."""
        return float(self.standard_errors[-1]) if len(self.standard_errors) else 0.0


@dataclass(frozen=True, eq=False)
class _Particles:
    """Unit vectors, their energies, which family each belongs to, and how they were moved."""

    positions: Float[Tensor, "n N"]
    energies: Float[Tensor, " n"]
    families: Int[Tensor, " n"]
    step: float = pi / 2
    acceptance: float = 1.0
    correlation: float = 0.0
    moves: int = 0


@dataclass
class _Descent:
    """The levels so far. ``variance`` is that of ln fraction up to where the present families were founded.

    The founders share the fraction with Σ f² = ``founded``, and their descendants with a larger sum: the rise is the
    relative variance of the estimate since then, as for a sum of independent parts (Du & Guyader 2021).
    """

    founded: float
    threshold: float
    log_fraction: float = 0.0
    variance: float = 0.0
    levels: list[tuple[float, float, float, float, float]] = field(default_factory=list)

    def add(self, particles: _Particles, level: float) -> _Particles:
        """Go down to a level; the particles that survive."""
        alive = particles.energies < level
        # Below a level at one particle's own energy the others are spread as they should be, that one is not.
        if level <= self.threshold or int((particles.energies == level).sum()) > 1 or not alive.any():
            alive = particles.energies <= level
        total, left = len(alive), int(alive.sum())
        # To order 1 / n the k-th of n energies lies at (k - 1/2) / (n + 1/2) in the mean of the logarithm, with k - 1
        # left, and a binomial k has its probability at (k + 1/2) / (n + 1/2).
        self.log_fraction += log((left + 0.5) / (total + 0.5))
        families = particles.families[alive]
        together = float((torch.bincount(families).double() / left).square().sum())
        # where all survive, half a particle might not have
        variance = self.variance + max(together - self.founded, 0.5 / total**2)
        if together > 1 / FAMILIES:
            self.variance, self.founded, families = variance, 1 / left, torch.arange(left)
        evidence = (sqrt(variance), particles.acceptance, particles.correlation)
        self.levels.append((level, self.log_fraction, *evidence))
        return _Particles(particles.positions[alive], particles.energies[alive], families, particles.step)

    def ended(self, energies: int, doubt: str = "", budget_spent: bool = False) -> Splitting:
        """What was found."""
        table = torch.tensor(self.levels, dtype=torch.float64).reshape(-1, 5)
        levels, fractions, errors, acceptances, correlations = table.unbind(dim=1)
        messages = (doubt,) if doubt else ()
        return Splitting(
            levels, fractions, errors, acceptances, correlations, energies, not doubt, messages, budget_spent
        )

    def stopped(self, energies: int, reason: str, budget_spent: bool = False) -> Splitting:
        """What was found before the threshold was reached."""
        wanted = f"a loss of {self.threshold:.6g} is wanted, so that this is an upper bound"
        return self.ended(energies, f"{reason} and {wanted}", budget_spent)


def split(
    energy: Energy,
    dim: int,
    threshold: float,
    particles: int,
    rng: torch.Generator,
    *,
    max_energies: int,
    resolution: float = 1e-7,
    report: Callable[[int, float], None] | None = None,
) -> Splitting:
    """ln of the fraction of the unit sphere in R^N where the energy is at most ``threshold``.

    Particles that are uniform on the sphere are cut off at the median of their energies, the survivors duplicated and
    moved by rotations of random angle and direction that stay below the cut, which keep the uniform measure there; and
    so on down to the threshold, the last cut. The fraction is the product over levels. It needs nothing of the energy
    but its value, and finds a region only through the ever larger ones around it: one that is cut off early, with no
    particle in it, is missed without a sign.

    The relative error is about √(1.4 · (-ln fraction) / particles) or more. It is taken from how unequally families of
    particles with a common ancestor survive, which also holds what duplicates still have in common.

    Parameters
    ----------
    dim
        N, at least 2.
    max_energies
        Work ends, unconverged, before more are evaluated.
    resolution
        An angle, in radians: work ends, unconverged, where the region is narrower. At a minimum energies are flat to
        rounding within about the square root of the precision.
    report
        Told energies spent and the level after each level.

    References
    ----------
    .. [1] Kahn & Harris, Estimation of particle transmission by random sampling, 1951.
    .. [2] Au & Beck, Estimation of small failure probabilities in high dimensions by subset simulation, 2001.
    .. [3] Cérou & Guyader, Adaptive multilevel splitting for rare event analysis, 2007.
    .. [4] Du & Guyader, Variance estimation in adaptive sequential Monte Carlo, Ann. Appl. Probab. 2021.
    """
    if dim < 2:
        raise ValueError(f"a sphere to move on has dim 2 or more, got {dim}")
    descent = _Descent(founded=1 / particles, threshold=threshold)
    if particles > max_energies:
        return descent.stopped(0, f"{max_energies} energies do not suffice for {particles} particles", True)
    swarm, level, spent, slowest = _scattered(energy, dim, particles, rng), inf, particles, 0.0
    least = resolution / sqrt(dim)  # random steps in N dimensions are so much shorter than the region is wide
    while True:
        below = _next_level(swarm.energies, level, threshold)
        if below is None:
            return descent.stopped(spent, f"no particle came below the loss {level:.6g}")
        level, slowest = below, max(slowest, swarm.correlation)
        survivors = descent.add(swarm, level)
        if report:
            report(spent, level)
        if level <= threshold:
            return descent.ended(spent, _doubt(slowest))
        most = min((max_energies - spent) // particles, MOST_MOVES)
        swarm = _moved(energy, _duplicated(survivors, particles, rng), level, rng, most, least)
        spent += swarm.moves * particles
        if swarm.step < least:
            return descent.stopped(spent, f"particles cannot move by {least:.1e} at the loss {level:.6g}")
        if spent + particles > max_energies and swarm.correlation > CORRELATION:
            return descent.stopped(spent, f"{spent} energies led down to the loss {level:.6g}", True)


def _doubt(correlation: float) -> str:
    if correlation <= CORRELATION:
        return ""
    return f"after {MOST_MOVES} moves at one level positions were correlated by {correlation:.3f} with their past"


def _next_level(energies: Float[Tensor, " n"], level: float, threshold: float) -> float | None:
    """The median, or the threshold above it; where the median is no lower than the last level, what is; else None."""
    median = float(energies.sort().values[int(SURVIVING * len(energies)) - 1])
    if median >= level:
        lower = energies[energies < level]
        if not len(lower):
            return None
        median = float(lower.max())
    return max(median, threshold)


def _scattered(energy: Energy, dim: int, particles: int, rng: torch.Generator) -> _Particles:
    positions = _unit(torch.randn(particles, dim, generator=rng, dtype=torch.float64))
    return _Particles(positions, _finite(energy(positions)), torch.arange(particles))


def _duplicated(survivors: _Particles, particles: int, rng: torch.Generator) -> _Particles:
    """Each survivor as often as any other, or once more."""
    order = torch.randperm(len(survivors.energies), generator=rng)
    parents = order[torch.arange(particles) % len(order)]
    return _Particles(
        survivors.positions[parents], survivors.energies[parents], survivors.families[parents], survivors.step
    )


def _moved(
    energy: Energy, start: _Particles, level: float, rng: torch.Generator, most: int, least: float
) -> _Particles:
    """Particles that have walked below the level until their positions tell little of where they started.

    A step is a rotation towards a random tangent direction by an angle from a symmetric density: its inverse is as
    likely. The density is Cauchy's, so that steps of all sizes are tried: the long ones succeed along regions that are
    much longer than wide. Its width follows the acceptance over all particles.
    """
    centre = start.positions.mean(dim=0)
    deviations = start.positions - centre
    x, energies, step, accepted, moves, correlation = start.positions, start.energies, start.step, 0.0, 0, 1.0
    while moves < most and (moves < LEAST_MOVES or correlation > CORRELATION) and step >= least:
        proposed = _rotated(x, step, rng)
        found = _finite(energy(proposed))
        inside = found <= level
        x, energies = torch.where(inside[:, None], proposed, x), torch.where(inside, found, energies)
        acceptance = float(inside.double().mean())
        step = min(step * exp(acceptance - ACCEPTANCE), pi)
        accepted, moves = accepted + acceptance, moves + 1
        correlation = float(((x - centre) * deviations).sum() / deviations.square().sum().clamp(min=1e-300))
    return _Particles(x, energies, start.families, step, accepted / max(moves, 1), correlation, moves)


def _rotated(x: Float[Tensor, "n N"], step: float, rng: torch.Generator) -> Float[Tensor, "n N"]:
    direction = torch.randn(x.shape, generator=rng, dtype=x.dtype)
    direction = _unit(direction - (direction * x).sum(dim=1, keepdim=True) * x)
    one, other = torch.randn(2, len(x), 1, generator=rng, dtype=x.dtype)
    angle = step * one / other
    return _unit(x * angle.cos() + direction * angle.sin())


def _unit(vectors: Float[Tensor, "n N"]) -> Float[Tensor, "n N"]:
    return vectors / torch.linalg.vector_norm(vectors, dim=1, keepdim=True)


def _finite(energies: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """What is not a number lies above every level."""
    return energies.masked_fill(energies.isnan(), inf)

"""Chains at all temperatures at once: warmed up, sampled in rounds until they have what is wanted, and stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.analysis import Context
from landscape.curvature.memory import spare_bytes
from landscape.neighbourhood.around import Neighbourhood
from landscape_local_entropy.draws import BudgetError, Draws, Node
from landscape_local_entropy.ledger import QUANTITIES, Ledger, restored, tensors
from landscape_local_entropy.options import LocalEntropyOptions
from landscape_local_entropy.samplers import Hamiltonian, Langevin, Sampler, Tuning
from landscape_local_entropy.targets import Shortfall, shortfall, wanted_errors
from landscape_local_entropy.tilted import State, Streams, Tilted

__all__ = ["Draws", "Node", "Sampled", "sample"]

ROUND, GROWTH = 25, 4  # draws of the first round; each later one adds a fourth of what there is
FEWEST = 4  # draws of each chain, however small the budget
ROW_VECTORS = 24  # parameter vectors that a chain takes while it moves: states, velocities, masses, their new values
HOST_MEMORY = 4 << 30  # bytes that chains may take where the device does not say what it has


@dataclass(frozen=True, eq=False)
class Sampled:
    """Chains of all nodes and what they took.

    Attributes
    ----------
    draws
        Of each node.
    positions
        Where the chains ended, on the CPU.
    gradients
        Spent in all, full data, those of earlier runs included.
    done
        Whether every node has what is aimed at.
    reason
        If not, what is lacking, the worst node first.
    """

    draws: tuple[Draws, ...]
    positions: Float[Tensor, "nodes chains P"]
    gradients: float
    done: bool
    reason: str


def sample(
    around: Neighbourhood,
    nodes: Sequence[Node],
    diagonal: Float[Tensor, " P"] | None,
    options: LocalEntropyOptions,
    context: Context,
    *,
    budget: float,
) -> Sampled:
    """Draws from exp(-βΔL - γ|x|²/2) at each node, by ``options.sampler``, until ``wanted_errors`` and R-hat, effective
    sample size and virial ratio are met or the budget leaves no further round.

    All chains of all nodes move in one batch, as many at once as memory holds; a node that has what it needs leaves it.
    Each node draws from its own generator, so that its chains do not depend on the others. After each round all is
    stored, and a larger budget goes on from there to the numbers that an undisturbed run would have given.

    Parameters
    ----------
    diagonal
        Of the Hessian of ΔL in x, for the mass matrix; None for the identity.
    budget
        Gradients over the full data, all runs together.

    Raises
    ------
    BudgetError
        If the budget does not cover the warm-up of chains that mix well.
    AnalysisError
        If loss and gradient are not finite next to the point.
    """
    crowd = _Crowd(around, tuple(nodes), diagonal, options.chains, _sampler(around, options))
    ledgers = _begun(crowd, context)
    for part in range(int(ledgers[0].parts), len(crowd.sampler.warm_up)):
        if _spent(ledgers) + crowd.cost_of_part(ledgers, part) > budget:
            return _curtailed(crowd, ledgers, part, options, budget)
        crowd.warm_up(ledgers, part)
        context.save(tensors(ledgers))
        context.progress(_spent(ledgers), budget, "warm-up")
    while True:
        short = _shortfalls(crowd, ledgers, options.rtol)
        members = sorted(short)
        count = max(ROUND, min((ledgers[i].length for i in members), default=0) // GROWTH)
        if not members or _spent(ledgers) + crowd.cost_of_draws(ledgers, members, count) > budget:
            break
        crowd.draw(ledgers, members, count)
        context.save(tensors(ledgers))
        context.progress(_spent(ledgers), budget, f"{len(members)} of {len(nodes)} nodes still sampled")
    if not ledgers[0].length:
        return _curtailed(crowd, ledgers, len(crowd.sampler.warm_up), options, budget)
    return crowd.sampled(ledgers, _words(short, nodes))


def _sampler(around: Neighbourhood, options: LocalEntropyOptions) -> Sampler:
    if options.sampler == "sgld":
        return Langevin(options.sgld_step, around.landscape.num_batches)
    return Hamiltonian.hmc() if options.sampler == "hmc" else Hamiltonian.mala()


def _spent(ledgers: Sequence[Ledger]) -> float:
    return sum(float(ledger.gradients) for ledger in ledgers)


def _begun(crowd: _Crowd, context: Context) -> list[Ledger]:
    """Where an earlier call left the chains, or nothing done yet. Either way one number of the context's generator."""
    rng = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=context.rng)))
    stored = context.load()
    return restored(stored, len(crowd.nodes)) if stored is not None else crowd.begin(rng)


def _shortfalls(crowd: _Crowd, ledgers: Sequence[Ledger], rtol: float) -> dict[int, Shortfall]:
    """What is lacking of the nodes that lack something."""
    draws = crowd.draws(ledgers)
    llc = [
        node.beta * float(d.rise.mean()) if d.rise.numel() else 0.0 for node, d in zip(crowd.nodes, draws, strict=True)
    ]
    wanted = wanted_errors(crowd.nodes, llc, rtol)
    found = (
        shortfall(*of, crowd.around.dim, want)
        for of, want in zip(zip(draws, crowd.nodes, strict=True), wanted, strict=True)
    )
    return {i: short for i, short in enumerate(found) if short is not None}


def _words(short: dict[int, Shortfall], nodes: Sequence[Node]) -> str:
    """The node that is furthest from what it needs, and how many others there are."""
    if not short:
        return ""
    worst = max(short, key=lambda i: short[i].times)
    return f"{len(short)} of {len(nodes)} nodes lack draws, most of all {nodes[worst]}: {short[worst].words}"


def _curtailed(
    crowd: _Crowd, ledgers: Sequence[Ledger], part: int, options: LocalEntropyOptions, budget: float
) -> Sampled:
    """A few draws where the budget ends before the first round; not stored, so that a larger one begins where this did.

    Raises
    ------
    AnalysisError
        If not even the first part of the warm-up fits.
    """
    ahead = sum(crowd.cost_of_part(ledgers, later) for later in range(part, len(crowd.sampler.warm_up)))
    every = range(len(ledgers))
    needed = ceil(_spent(ledgers) + ahead + crowd.cost_of_draws(ledgers, every, ROUND))
    words = (
        f"a budget of {budget:g} gradients does not cover the warm-up and first draws of {len(ledgers)} nodes with "
        f"{crowd.chains} chains each, which take about {needed}: raise --local-entropy.max-gradients, or lower "
        "--local-entropy.nodes or --local-entropy.chains"
    )
    if not part:
        raise BudgetError(words)
    few, each = list(ledgers), crowd.cost_of_draws(ledgers, every, ROUND) / ROUND
    crowd.draw(few, every, max(FEWEST, min(ROUND, int((budget - _spent(ledgers)) / each))))
    return crowd.sampled(few, words)


@dataclass(frozen=True, eq=False)
class _Crowd:
    """The chains of all nodes: moves those of some, in groups that memory holds."""

    around: Neighbourhood
    nodes: tuple[Node, ...]
    diagonal: Tensor | None
    chains: int
    sampler: Sampler

    def begin(self, rng: torch.Generator) -> list[Ledger]:
        tuning = self.sampler.begin(self.around, self.nodes, rng)
        seeds = torch.randint(2**62, (len(self.nodes),), generator=rng).tolist()
        positions = self.around.scales.new_zeros(self.chains, len(self.around.scales)).cpu()
        zero, nothing = torch.zeros((), dtype=torch.float64), torch.zeros(self.chains, 0, dtype=torch.float64)
        trace = nothing.expand(len(QUANTITIES), -1, -1)
        return [
            Ledger(
                positions, torch.Generator().manual_seed(seed).get_state(), size, duration, zero, zero, nothing, trace
            )
            for seed, size, duration in zip(seeds, tuning.step_size, tuning.duration, strict=True)
        ]

    def warm_up(self, ledgers: list[Ledger], part: int) -> None:
        """A part of the warm-up of all nodes."""
        for group in self._groups(range(len(ledgers))):
            tilted, x, tuning, streams = self._placed(ledgers, group)
            state, begun = (tilted.at(x), torch.ones(len(x))) if part else tilted.start(streams)
            first = self._apart(begun)
            warmed = self.sampler.tune(tilted, state, tuning, part, streams)
            positions, rises = (self._apart(rows) for rows in (warmed.state.x, warmed.rises))
            for k, i in enumerate(group):
                ledgers[i] = replace(
                    ledgers[i],
                    positions=positions[k],
                    stream=streams.generators[k].get_state(),
                    step_size=warmed.tuning.step_size[k],
                    duration=warmed.tuning.duration[k],
                    parts=ledgers[i].parts + 1,
                    gradients=ledgers[i].gradients + first[k].sum() + self.chains * warmed.gradients[k],
                    warmup=torch.cat([ledgers[i].warmup, rises[k]], dim=1),
                )

    def draw(self, ledgers: list[Ledger], members: Sequence[int], count: int) -> None:
        """So many more draws of some nodes. Costs a gradient for each chain besides those of its transitions."""
        for group in self._groups(members):
            tilted, x, tuning, streams = self._placed(ledgers, group)
            first = torch.tensor([ledgers[i].length for i in group])
            state, rows = tilted.at(x), []
            for iteration in range(count):
                state, info = self.sampler.step(tilted, state, tuning, first + iteration, streams)
                rows.append(
                    torch.stack([*_measured(self.around, state), info.acceptance, info.divergent.double()], dim=1)
                )
            positions, traces = self._apart(state.x), self._apart(torch.stack(rows, dim=2))
            for k, i in enumerate(group):
                ledgers[i] = replace(
                    ledgers[i],
                    positions=positions[k],
                    stream=streams.generators[k].get_state(),
                    gradients=ledgers[i].gradients + self.cost_of_draws(ledgers, [i], count),
                    trace=torch.cat([ledgers[i].trace, traces[k].movedim(1, 0)], dim=2),
                )

    def cost_of_draws(self, ledgers: Sequence[Ledger], members: Sequence[int], count: int) -> float:
        """Gradients of a round, exactly."""
        tuning, first = self._tuning(ledgers, members), torch.tensor([ledgers[i].length for i in members])
        steps = sum(float(self.sampler.gradients(tuning, first + iteration).sum()) for iteration in range(count))
        return self.chains * (len(members) + steps)

    def cost_of_part(self, ledgers: Sequence[Ledger], part: int) -> float:
        """Gradients of a part of the warm-up, as far as can be foreseen."""
        tuning = self._tuning(ledgers, range(len(ledgers)))
        return self.chains * (len(ledgers) + float(self.sampler.foreseen(tuning, part).sum()))

    def draws(self, ledgers: Sequence[Ledger]) -> tuple[Draws, ...]:
        tuning = self._tuning(ledgers, range(len(ledgers)))
        steps = self.sampler.typical_steps(tuning).tolist()
        behind = self.sampler.warm_up[-1]
        return tuple(ledger.draws(number, behind) for ledger, number in zip(ledgers, steps, strict=True))

    def sampled(self, ledgers: Sequence[Ledger], reason: str) -> Sampled:
        positions = torch.stack([ledger.positions for ledger in ledgers])
        return Sampled(self.draws(ledgers), positions, _spent(ledgers), not reason, reason)

    def _groups(self, members: Sequence[int]) -> list[list[int]]:
        """Which nodes move together: all, unless memory holds fewer."""
        scales = self.around.scales
        row = ROW_VECTORS * len(scales) * scales.element_size()
        at_once = max(1, spare_bytes(scales.device, HOST_MEMORY) // (row * self.chains))
        return [list(members[start : start + at_once]) for start in range(0, len(members), at_once)]

    def _placed(self, ledgers: Sequence[Ledger], group: Sequence[int]) -> tuple[Tilted, Tensor, Tuning, Streams]:
        """The measures of some nodes, where their chains are, how they move and what they draw from."""
        tilted = Tilted.of(self.around, [self.nodes[i] for i in group], self.chains, self.diagonal)
        x = torch.cat([ledgers[i].positions for i in group]).to(self.around.scales)
        generators = tuple(torch.Generator() for _ in group)
        for generator, i in zip(generators, group, strict=True):
            generator.set_state(ledgers[i].stream)
        return tilted, x, self._tuning(ledgers, group), Streams(generators, self.chains, self.around.scales)

    def _tuning(self, ledgers: Sequence[Ledger], members: Sequence[int]) -> Tuning:
        return Tuning(
            torch.stack([ledgers[i].step_size for i in members]), torch.stack([ledgers[i].duration for i in members])
        )

    def _apart(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Rows by node, on the CPU."""
        return torch.split(rows.cpu(), self.chains)


def _measured(around: Neighbourhood, state: State) -> tuple[Tensor, ...]:
    """ΔL, x·∇ΔL, |x|² and |s ∘ x|², float64."""
    squares = state.x.square()
    return (
        state.rise,
        (state.x * state.slope).sum(dim=1, dtype=torch.float64),
        squares.sum(dim=1, dtype=torch.float64),
        (around.scales.square() * squares).sum(dim=1, dtype=torch.float64),
    )

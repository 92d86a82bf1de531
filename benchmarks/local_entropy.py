"""What sampling a neighbourhood costs: ``python benchmarks/local_entropy.py [--quick] [--write]``.

One process, one thread, CPU time. A chain-step against a bare loop and devinterp, which is left out where it is not
installed (``pip install -e '.[bench]'``), and gradients for an independent draw by sampler. Takes about ten minutes.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", TQDM_DISABLE="1")  # before torch is imported

import torch
from chain_steps import CHAINS, StepCosts, step_costs
from effective_samples import SAMPLERS, Efficiency, efficiency, langevin_per_sample
from landscape_zoo.bowl import Bowl
from timing import machine

PAGE = Path(__file__).with_suffix(".md")
BATCHES = (64, 400)
BOWLS = (Bowl(100), Bowl(1000), Bowl(100, seed=0), Bowl(1000, seed=0))
EXACT = SAMPLERS[:-1]
BUDGETS = {"HMC, diagonal": 60_000, "HMC": 150_000, "MALA, diagonal": 60_000, "MALA": 150_000}
SETTLED = 100.0  # effective samples: with fewer, their number is not known
PEER_GOAL, BARE_GOAL, DRAW_GOAL = 0.25, 1.10, 0.2
DRAWS = 1000  # of a call of the peer, over which it spreads what a chain costs to set up


def main() -> None:
    """Measure, print, and with ``--write`` keep the tables beside this file."""
    parser = argparse.ArgumentParser(description="Chain-steps and gradients per effective sample.")
    parser.add_argument("--quick", action="store_true", help="a minute: few repeats, small budgets, the small bowls")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    text = report(arguments.quick)
    print(text)
    if arguments.write:
        PAGE.write_text(f"# Local entropy\n\nWritten by `python benchmarks/local_entropy.py --write`.\n\n{text}\n")


def report(quick: bool = False) -> str:
    """The tables, in Markdown."""
    when = f"Measured {datetime.date.today():%d %B %Y}: {machine()}; torch {torch.__version__}."
    costs = []
    for dtype in (torch.float32,) if quick else (torch.float32, torch.float64):
        for batch_size in BATCHES:
            costs.append(step_costs(batch_size, 100 if quick else 200, 3 if quick else 9, dtype))
            print(costs[-1], file=sys.stderr, flush=True)
    bowls = [bowl for bowl in BOWLS if not quick or bowl.dim == 100]
    budgets = dict.fromkeys(EXACT, 20_000) if quick else BUDGETS
    return "\n\n".join([when, step_table(costs), draw_table(bowls, budgets)])


def step_table(costs: Sequence[StepCosts]) -> str:
    """Chain-steps in plain gradients, and the two goals."""
    heads = ["mini-batch", "a plain gradient", "bare loop", *(f"ours, {chains}" for chains in CHAINS)]
    heads += [
        "devinterp: a further step",
        f"all of a call of {DRAWS:,} draws",
        f"{CHAINS[-1]} / the one",
        "/ the other",
    ]
    heads += ["1 / bare loop"]
    lines = ["### A chain-step of tanh 64-16-10, in plain gradients", "", _row(heads), "|---" * len(heads) + "|"]
    for cost in costs:
        ours = [f"{cost.ours[chains]:.2f}" for chains in CHAINS]
        first = [f"{cost.batch_size}, {cost.dtype}", f"{cost.gradient:.3f} ms", f"{cost.bare:.2f}", *ours]
        lines.append(_row([*first, *_against_peer(cost), _judged(cost.ours[1] / cost.bare, BARE_GOAL)]))
    return "\n".join(lines)


def _against_peer(cost: StepCosts) -> list[str]:
    """A further step of a chain, and a step with its share of what a chain costs before the first; ours over each."""
    if cost.peer is None or cost.peer_set_up is None:
        return ["–", "–", "not measured", "not measured"]
    both = cost.peer, cost.peer + cost.peer_set_up / DRAWS
    return [*(f"{peer:.2f}" for peer in both), *(_judged(cost.ours[CHAINS[-1]] / peer, PEER_GOAL) for peer in both)]


def draw_table(bowls: Sequence[Bowl], budgets: Mapping[str, int]) -> str:
    """Gradients per effective sample of ΔL, and the goal."""
    heads = ["bowl", *EXACT, "ULA (exact)", "HMC with the diagonal / ULA"]
    title = "### Gradients for an effective sample of ΔL, condition number 1e4, β = 1e3, γ = 1, after the warm-up"
    lines = [title, "", _row(heads), "|---" * len(heads) + "|"]
    for bowl in bowls:
        found = {sampler: efficiency(sampler, bowl, budgets[sampler]) for sampler in EXACT}
        print(bowl, found, file=sys.stderr, flush=True)
        langevin = langevin_per_sample(bowl)
        name = f"D = {bowl.dim}{'' if bowl.seed is None else ', rotated'}"
        last = found[EXACT[0]]
        verdict = _judged(last.per_sample / langevin, DRAW_GOAL) if last.samples >= SETTLED else "not measured"
        lines.append(_row([name, *(_draws(found[sampler]) for sampler in EXACT), f"{langevin:.0f}", verdict]))
    return "\n".join(lines)


def _draws(found: Efficiency) -> str:
    if found.samples < SETTLED:
        return f"not settled: {found.samples:.0f} samples"
    return f"{found.per_sample:.1f} (warm-up {found.warm_up:,.0f})"


def _judged(ratio: float, goal: float) -> str:
    return f"{ratio:.2f} {'≤' if ratio <= goal else '**>**'} {goal:g}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()

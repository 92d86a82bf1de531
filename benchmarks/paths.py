"""Path finders on pairs of trained nets: ``python benchmarks/paths.py [--write]``.

One process, one thread; nets are trained first. Takes about an hour.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before torch is imported

import torch
from path_measurements import ENTRIES, STEPS, Descent, Entry, descent, speeds
from path_problems import PATH_PROBLEMS, PathProblem
from timing import machine

import landscape

PAGE = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- paths: begin -->", "<!-- paths: end -->"
GOALS = {("bezier", False): 2000, ("bezier", True): 1000}
LOW = 0.001


def main() -> None:
    """Measure, print, and with ``--write`` put the tables into benchmarks/README.md."""
    arguments = _arguments()
    torch.set_num_threads(1)
    problems = [problem for problem in PATH_PROBLEMS if problem.name in arguments.problems]
    installed = landscape.context().finders
    entries = [entry for entry in ENTRIES if entry.finder in installed and entry.finder in arguments.finders]
    text = report(problems, [_within(entry, arguments.most) for entry in entries])
    print(text)
    if arguments.write:
        before, rest = PAGE.read_text().split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Path finders on all pairs of six nets.")
    parser.add_argument("--write", action="store_true", help="put the tables into benchmarks/README.md")
    names = [problem.name for problem in PATH_PROBLEMS]
    parser.add_argument("--problems", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    finders = list(dict.fromkeys(entry.finder for entry in ENTRIES))
    parser.add_argument("--finders", nargs="+", choices=finders, default=finders, metavar="NAME")
    parser.add_argument("--most", type=int, default=8000, metavar="N", help="leave out budgets above this")
    return parser.parse_args()


def _within(entry: Entry, most: int) -> Entry:
    return replace(entry, budgets=tuple(budget for budget in entry.budgets if budget <= most))


def report(problems: Sequence[PathProblem], entries: Sequence[Entry]) -> str:
    """The tables, in Markdown."""
    parts = [f"Measured {datetime.date.today():%d %B %Y}: {machine()}; torch {torch.__version__}."]
    for problem in problems:
        ends = problem.landscape().energies(torch.stack([point.vector for point in problem.points]))
        trained = f"{problem.seeds} nets trained to a loss of {float(ends.min()):.4f} to {float(ends.max()):.4f}"
        parts.append(f"### {problem.name}: {trained}, {len(problem.pairs)} pairs")
        parts.append(_table(problem, entries))
    parts.append(_speeds(problems))
    return "\n\n".join(parts)


def _table(problem: PathProblem, entries: Sequence[Entry]) -> str:
    budgets = sorted({budget for entry in entries for budget in entry.budgets})
    heads = ["finder", *(f"{budget:,}" for budget in budgets), "CPU s per pair", "goal met"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for entry in entries:
        runs = {}
        for budget in entry.budgets:
            runs[budget] = descent(problem, entry, budget)
            print(f"{problem.name}, {entry.name}, {budget}: {runs[budget]}", file=sys.stderr, flush=True)
        cells = [str(runs[budget]) if budget in runs else "" for budget in budgets]
        lines.append(f"| {' | '.join([entry.name, *cells, _seconds(runs), _verdict(entry, runs)])} |")
    return "\n".join(lines)


def _seconds(runs: dict[int, Descent]) -> str:
    """At 1,000 gradient evaluations, or at the least that were run."""
    budget = 1000 if 1000 in runs else min(runs, default=0)
    return f"{runs[budget].seconds:.2f} at {budget:,}" if runs else "–"


def _verdict(entry: Entry, runs: dict[int, Descent]) -> str:
    budget = GOALS.get((entry.finder, entry.aligned))
    if budget not in runs:
        return "–"
    return f"{'yes' if runs[budget].median <= LOW else '**no**'}: ≤ .001 at {budget:,}"


def _speeds(problems: Sequence[PathProblem]) -> str:
    heads = ["problem", "batch size", "a gradient of all pairs", f"`bezier`, {STEPS} steps of all pairs"]
    lines = ["### Together against one after another (CPU time ratio)", ""]
    lines += [f"| {' | '.join(heads)} |", "|---|---|---|---|"]
    for problem in problems:
        for batch_size in (32, 128):
            gradient, search = speeds(problem, batch_size)
            lines.append(f"| {problem.name} | {batch_size} | {gradient:.2f} × | {search:.2f} × |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

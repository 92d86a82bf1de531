"""Hessian spectra, ours and the peers' on the same three problems: ``python benchmarks/hessian.py [--write]``.

One process, one thread. Costs are CPU time (on a GPU wall-clock time) in units of one gradient of the same loss on the
same batch, medians of interleaved repeats. Needs the peers: ``pip install -e '.[bench]'``. Takes about half an hour.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before torch is imported

import torch
from libraries import LIBRARIES
from library import Library
from measurements import measure
from problems import PROBLEMS, Problem
from rows import Row
from timing import machine

PAGE = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def main() -> None:
    """Measure, print, and with ``--write`` put the tables into benchmarks/README.md."""
    arguments = _arguments()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module=r"pyhessian|curvlinops|hessian_eigenthings|torch\..*")
    libraries = [library for library in LIBRARIES if _installed(library)]
    chosen = [problem for problem in PROBLEMS if problem.name in arguments.problems]
    parts = [f"Measured {datetime.date.today():%d %B %Y}: {machine()}; {', '.join(_versions(libraries))}."]
    parts.append(f"### CPU\n\n{_measured(chosen, libraries)}")
    parts.append(_on_gpu(chosen, libraries))
    text = "\n\n".join(parts)
    print(text)
    if arguments.write:
        before, rest = PAGE.read_text().split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Hessian spectra: this library and its peers on the same problems.")
    parser.add_argument("--write", action="store_true", help="put the tables into benchmarks/README.md")
    names = [problem.name for problem in PROBLEMS]
    parser.add_argument("--problems", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    return parser.parse_args()


def _on_gpu(problems: Sequence[Problem], libraries: Sequence[Library]) -> str:
    if not torch.cuda.is_available():
        return "### GPU\n\nNot measured: there was none."
    from gpu_language_model import report

    device = torch.device("cuda")
    table = _measured([replace(problem, device=device) for problem in problems], libraries)
    return f"### GPU: {torch.cuda.get_device_name()}\n\n{table}\n\n{report(device)}"


def _measured(problems: Sequence[Problem], libraries: Sequence[Library]) -> str:
    rows: list[Row] = []
    for problem in problems:
        for row in measure(problem, libraries):
            print(f"{row.problem}, {row.what}: {dict(row.cells)} {row.goal} {row.verdict}", file=sys.stderr, flush=True)
            rows.append(row)
    kinds = list(dict.fromkeys(_kind(row) for row in rows))
    return _table(sorted(rows, key=lambda row: kinds.index(_kind(row))), libraries)


def _kind(row: Row) -> str:
    """What was measured, without the numbers that differ between problems."""
    return row.what.split(",")[0]


def _table(rows: Iterable[Row], libraries: Sequence[Library]) -> str:
    names = [library.name for library in libraries]
    lines = [f"| what | problem | {' | '.join(names)} | goal | met |", f"|---|---|{'---|' * len(names)}---|---|"]
    for row in rows:
        cells = [row.cells.get(name, "–").replace("|", "/") for name in names]
        lines.append(f"| {' | '.join([row.what, row.problem, *cells, row.goal or '–', row.verdict or '–'])} |")
    return "\n".join(lines)


def _installed(library: Library) -> bool:
    if not library.distribution:
        return True
    try:
        version(library.distribution)
    except PackageNotFoundError:
        print(f"{library.name} is not installed and left out: pip install -e '.[bench]'", file=sys.stderr)
        return False
    return True


def _versions(libraries: Sequence[Library]) -> list[str]:
    peers = [f"{library.name} {version(library.distribution)}" for library in libraries if library.distribution]
    return [f"Python {platform.python_version()}", f"torch {torch.__version__}", *peers]


if __name__ == "__main__":
    main()

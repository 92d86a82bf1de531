"""Peak memory of one search for ten eigenpairs, in a fresh process: above what it took to import and load."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import torch
from library import Library
from problems import PROBLEMS, Problem

__all__ = ["peak_memory"]


def peak_memory(library: Library, problem: Problem, attempt: int) -> float:
    """Megabytes that the attempt of that number takes at its peak, measured in a process of its own.

    Raises
    ------
    RuntimeError
        If that process fails, with the last line that it said.
    """
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, "weights.pt")  # training takes more memory than what is to be measured
        torch.save(problem.model.state_dict(), weights)
        words = [library.name, problem.name, str(problem.device), str(weights), str(attempt)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return float(json.loads(done.stdout.splitlines()[-1]))


STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def _peak(device: torch.device) -> float:
    """The largest resident size so far, or the largest allocation on a GPU, in megabytes.

    Where there is no /proc it comes from ``getrusage``, which on Linux would count the process that started this one.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def _forget_peak() -> None:
    """Lets the peak start again from what is resident now, so that importing does not hide what is measured."""
    if CLEAR.exists():
        CLEAR.write_text("5")


def _measure(name: str, problem_name: str, device: str, weights: str, attempt: str) -> float:
    from libraries import LIBRARIES

    torch.set_num_threads(1)
    library = next(library for library in LIBRARIES if library.name == name)
    trained = next(problem for problem in PROBLEMS if problem.name == problem_name)
    problem = replace(trained, device=torch.device(device), weights=Path(weights))
    for module in library.modules:
        import_module(module)
    problem.gradient()
    _forget_peak()
    assert library.top is not None
    attempts = library.top(problem)
    chosen = next(a for number, a in enumerate(attempts) if number == int(attempt))
    before = _peak(problem.device)
    chosen.run()
    return _peak(problem.device) - before


if __name__ == "__main__":
    print(json.dumps(_measure(*sys.argv[1:])))

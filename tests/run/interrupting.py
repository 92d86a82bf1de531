"""Killing a real process at random moments, and what must hold afterwards; the acceptance run does it ten times."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KILLS_IN_TESTS = 2
CALL = ["zoo:mueller-brown", "--plugin", "neb", "--neb.climb", "true", "--neb.max-gradients", "3000", "--json"]
BETWEEN = (1.5, 5.0)
"""Seconds after which a process is killed: it has loaded by the first and may just have finished by the second."""


@dataclass(frozen=True)
class Killed:
    """How often a run was cut short, after how many finished tasks each time, and the final document."""

    finished: list[int]
    document: dict[str, Any]


def _process(out: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "landscape", "analyze", *CALL, "--out", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def _finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate()
    assert process.returncode == 0, err
    return json.loads(out)


def _results(out: Path) -> dict[str, bytes]:
    """The stored results of pairs; the comparison of all is made anew each time."""
    stored = {path.parent.name: path.read_bytes() for path in out.glob("results/*/result.json")}
    return {name: record for name, record in stored.items() if len(json.loads(record)["points"]) == 2}


def check_killed_runs(folder: Path, kills: int, seed: int) -> Killed:
    """Kill a run ``kills`` times, let it end, and compare: finished tasks to the bit, the rest within tolerance."""
    rng, out = random.Random(seed), folder / "killed"
    finished: list[int] = []
    known: dict[str, bytes] = {}
    for _ in range(kills):
        process = _process(out)
        try:
            process.wait(rng.uniform(*BETWEEN))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.communicate()
        stored = _results(out)
        assert {name: stored[name] for name in known} == known, "a finished task was computed again, or lost"
        known = stored
        finished.append(len(stored))
    document = _finish(_process(out))
    stored = _results(out)
    assert {name: stored[name] for name in known} == known
    pairs = [result for result in document["results"] if len(result["points"]) == 2]
    assert sum(result["cached"] for result in pairs) == len(known)
    undisturbed = _finish(_process(folder / "undisturbed"))
    for cut, whole in zip(document["results"], undisturbed["results"], strict=True):
        assert cut["points"] == whole["points"]
        if len(whole["points"]) > 2:
            continue  # the comparison of all
        tolerance = 1e-3 * whole["summary"]["barrier_linear"]
        assert abs(cut["summary"]["barrier"] - whole["summary"]["barrier"]) <= tolerance
    return Killed(finished, document)

"""`kill -9` in the middle of a run, then the same command again."""

from __future__ import annotations

from pathlib import Path

from interrupting import KILLS_IN_TESTS, check_killed_runs


def test_a_killed_run_goes_on_and_loses_nothing(tmp_path: Path) -> None:
    check_killed_runs(tmp_path, KILLS_IN_TESTS, seed=0)

"""Collects what the acceptance tests measured into a table, benchmarks/acceptance.md."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "tests" / part) for part in ("run", "landscapes")]
sys.path.insert(0, str(HERE.parent / "examples" / "plain_torch"))

torch.set_num_threads(1)
_rows: list[tuple[str, str, str]] = []


@pytest.fixture
def row() -> Callable[[str, str, object], None]:
    """Note what was measured, what was wanted, and the figure: it stands in the table even if the test fails."""

    def note(what: str, wanted: str, measured: object) -> None:
        _rows.append((what, wanted, f"{measured:.3g}" if isinstance(measured, float) else str(measured)))

    return note


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not _rows or session.config.option.keyword:  # a part of the measurements is no table
        return
    machine = f"Python {platform.python_version()}, torch {version('torch')}, one thread, {platform.machine()}"
    lines = [
        "# Acceptance",
        "",
        "Written by `make acceptance`; do not edit. Each row is asserted by `benchmarks/test_acceptance.py`,",
        "except those that only measure (wanted: –). Seconds depend on the machine; gradients and ratios hardly do.",
        "",
        machine
        + (", GPU " + torch.cuda.get_device_name() if torch.cuda.is_available() else ", GPU: not measured")
        + ".",
        "",
        "| what | wanted | measured |",
        "|---|---|---|",
        *(f"| {what} | {wanted} | {measured} |" for what, wanted, measured in _rows),
        "",
    ]
    (HERE / "acceptance.md").write_text("\n".join(lines))

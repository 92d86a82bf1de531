"""Nets with the blocks of modern ones are connected by the default finder; a quarter of an hour."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import pytest
from modern_nets import SeparableNet, TokenNet
from trained_nets import Build, opened, trained

import landscape
from landscape.analysis import Result

Row = Callable[[str, str, object], None]


@pytest.mark.parametrize(("build", "epochs"), [(SeparableNet, 40), (TokenNet, 60)])
def test_modern_nets_are_connected(build: Build, epochs: int, row: Row) -> None:
    models = [trained(build, seed, epochs, 5e-3) for seed in range(11)]
    scape, points = opened(models)
    results = pairs_of(landscape.analyze(scape, points, "neb", pairs="chain", plane=0))
    ends = [float(max(result.data["energy"].values[[0, -1]])) for result in results]
    highest = [float(result.summary["max_loss"]) for result in results]
    lines = [float(result.summary["barrier_linear"]) for result in results]
    met = sum(loss <= max(0.01, 3 * end) for loss, end in zip(highest, ends, strict=True))
    spent = [int(result.summary["gradient_evaluations"]) for result in results]
    worst = max(range(10), key=lambda index: highest[index] / ends[index])
    row(f"{build.__name__}, ten pairs of seeds, default finder: connected, `max_loss` ≤ max(.01, 3 × the worse end)",
        "10 of 10", f"{met} of 10")  # fmt: skip
    row("the same: worst `max_loss` over its worse end; least line barrier; median gradient evaluations", "–",
        f"{highest[worst]:.3g} over {ends[worst]:.3g}; {min(lines):.3g}; {statistics.median(spent):,.0f}")  # fmt: skip
    assert met == 10


def pairs_of(results: Sequence[Result]) -> list[Result]:
    return [result for result in results if len(result.points) == 2]

"""Promises of the path finders that take longer than a test may; see test_acceptance.py for the others."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import pytest
import torch
from modern_nets import ResidualNet
from nets import MLP, digits
from path_problems import PATH_PROBLEMS
from torch import nn
from torch.nn.functional import cross_entropy
from trained_nets import Build, opened, trained

import landscape

Row = Callable[[str, str, object], None]

_cnn = next(problem.build for problem in PATH_PROBLEMS if problem.name == "CNN")


class FlatCNN(nn.Module):
    """The small CNN with flatten, for rows of 64 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = _cnn()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x.reshape(-1, 1, 8, 8))


@pytest.mark.parametrize("build", [MLP, FlatCNN, ResidualNet])
def test_permuted_copies(build: Build, row: Row) -> None:
    raw, aligned = [], []
    for seed in range(5):
        scape, points = opened([trained(build, seed, 8, 0.01)])
        summary = landscape.analyze(scape, points, "neb", seed=seed, partner="permuted", plane=0)[0].summary
        raw.append(float(summary["barrier_linear"]))
        aligned.append(max(float(summary["barrier_linear_aligned"]), float(summary["barrier"])))
    name = f"permuted copy of a {build.__name__}, five seeds"
    row(f"{name}: least barrier of the line", "> 0", min(raw))
    row(f"{name}: largest barrier after alignment, of line and path", "< 1e-6", max(aligned))
    assert min(raw) > 0.05
    assert max(aligned) < 1e-6


@pytest.mark.parametrize("align", ["weights", "none"])
def test_fifty_seeds_agree(align: str, row: Row) -> None:
    scape, points = opened([trained(MLP, seed, 100, 0.02) for seed in (0, 1)])
    results = [
        landscape.analyze(scape, points, "neb", seed=seed, align=align, plane=0, max_gradients=4000)[0]
        for seed in range(50)
    ]
    line = float(results[0].summary["barrier_linear"])
    barriers = [float(result.summary["barrier"]) / line for result in results]
    what = f"digits MLPs, fifty seeds of the search, align {align}: barrier over the line's"
    row(f"{what}, standard deviation", "≤ .01", statistics.stdev(barriers))
    row(f"{what}, highest", "≤ .05", max(barriers))
    assert statistics.stdev(barriers) <= 0.01
    assert max(barriers) <= 0.05


def test_ends_on_batch_norm_nets(row: Row) -> None:
    models = [trained(ResidualNet, seed, 5, 0.01) for seed in (0, 1)]
    inputs, targets = digits().tensors
    with torch.no_grad():
        own = [float(cross_entropy(model(inputs), targets)) for model in models]
    apart = 0.0
    for policy in ("recalibrate", "frozen", "interpolate"):
        scape, points = opened(models, bn=policy)
        result = landscape.analyze(scape, points, "neb", max_gradients=100, plane=0)[0]
        ends = result.data["energy"].values[[0, -1]]
        apart = max(apart, *(abs(end - loss) for end, loss in zip(ends, own, strict=True)))
    row(
        "residual nets with batch norm: energies at the ends against the checkpoints' own, each policy", "≤ 1e-6", apart
    )
    assert apart <= 1e-6

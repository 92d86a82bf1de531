"""The benchmark of the path finders at toy size."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from path_measurements import ENTRIES, Descent, Entry, descent, speeds
from path_problems import PATH_PROBLEMS, PathProblem
from paths import report

import landscape


@pytest.fixture(scope="module")
def toy() -> PathProblem:
    def build() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.ReLU(), nn.Linear(6, 10))

    return PathProblem("toy", build, 3e-2, 12, seeds=3, samples=256)


@pytest.mark.parametrize(("problem", "wanted"), list(zip(PATH_PROBLEMS, (3_466, 3_658), strict=True)))
def test_sizes_of_the_problems(problem: PathProblem, wanted: int) -> None:
    assert sum(parameter.numel() for parameter in problem.build().parameters()) == wanted


def test_what_is_measured_is_there() -> None:
    assert {entry.finder for entry in ENTRIES} <= set(landscape.context().finders)


def test_aligned_nets_are_the_same_function_and_nearer(toy: PathProblem) -> None:
    scape = toy.landscape()
    assert len(toy.pairs) == 3
    for (a, b), (same, moved) in zip(toy.pairs, toy.aligned, strict=True):
        assert same is a
        before, after = scape.energies(b.vector[None]), scape.energies(moved.vector[None])
        assert float(after) == pytest.approx(float(before), rel=1e-5)
        assert (moved.vector - a.vector).norm() < (b.vector - a.vector).norm()


def test_a_descent_reports_the_highest_loss_of_each_pair(toy: PathProblem) -> None:
    run = descent(toy, Entry("bezier", (40,)), 40)
    assert len(run.max_losses) == 3
    assert run.gradients <= 40
    assert run.seconds > 0
    assert not run.failure
    assert str(Descent((0.00123, 0.5, 2.0))) == ".5000 (2.00)"
    assert str(Descent((0.0012, 0.0012, 0.0456))) == ".0012 (.0456)"


def test_speeds_are_ratios(toy: PathProblem) -> None:
    assert all(ratio > 0 for ratio in speeds(toy, 128, repeats=1, steps=4))


def test_report_on_a_toy(toy: PathProblem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paths.speeds", lambda problem, batch_size: (2.0, 3.0))
    text = report([toy], [Entry("bezier", (20, 40)), Entry("linear", (40,))])
    assert "3 nets trained to a loss of" in text
    assert "| finder | 20 | 40 | CPU s per pair | goal met |" in text
    assert "| `linear` |  | " in text
    assert "| toy | 128 | 2.00 × | 3.00 × |" in text
    assert "nan" not in text

"""What the benchmark takes for exact, and its language model, at sizes for a test. The peers are not needed."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from exact import dense_spectrum, distance, plain_product, residual, trace_by_curvature_of_loss
from gpu_language_model import GPT2, LanguageModel, Shape, report
from library import Density, Eigenpairs
from problems import PROBLEMS, Problem, Residual


def _residual_network() -> nn.Module:
    layers = nn.Conv2d(1, 2, 3, stride=2), nn.ReLU(), nn.MaxPool2d(2), Residual(2, 3, 1), nn.Flatten(), nn.Linear(3, 10)
    return nn.Sequential(*layers)


@pytest.fixture(scope="module")
def small() -> Problem:
    return replace(PROBLEMS[2], build=_residual_network, samples=24, pixels=8)


def test_trace_from_the_loss_is_that_of_the_dense_hessian(small: Problem) -> None:
    assert trace_by_curvature_of_loss(small, chunk=10) == pytest.approx(float(dense_spectrum(small).sum()), rel=1e-5)


def test_residual_of_an_eigenpair_and_of_another_vector(small: Problem) -> None:
    product = plain_product(small)
    axes = torch.eye(small.num_parameters)
    values, vectors = torch.linalg.eigh(torch.stack([product(axis) for axis in axes]))
    found = Eigenpairs(values[-2:].flip(0), vectors.T[-2:].flip(0))
    assert residual(product, found) < 1e-4
    wrong = Eigenpairs(found.values, found.vectors.flip(0))
    assert residual(product, wrong) == pytest.approx(float(1 - found.values[1] / found.values[0]), rel=1e-3)


def test_distance_between_densities() -> None:
    spectrum = torch.tensor([0.0, 0.0, 1.0, 4.0])
    assert distance(Density(spectrum, torch.full((4,), 0.25)), spectrum) == pytest.approx(0, abs=1e-12)
    moved = Density(torch.tensor([0.0, 2.0, 4.0]), torch.tensor([0.5, 0.25, 0.25]))
    assert distance(moved, spectrum) == pytest.approx(0.25 / 4)


@pytest.mark.parametrize(("problem", "wanted"), list(zip(PROBLEMS, (3_466, 38_282, 307_690), strict=True)))
def test_sizes_of_the_problems(problem: Problem, wanted: int) -> None:
    assert sum(parameter.numel() for parameter in problem.build().parameters()) == wanted


def test_size_of_the_language_model() -> None:
    with torch.device("meta"):
        model = LanguageModel(GPT2)
    assert sum(parameter.numel() for parameter in model.parameters()) == 124_046_592


def test_report_on_a_toy_language_model() -> None:
    toy = Shape(layers=2, heads=2, width=32, vocabulary=101, context=16, sequences=6, batch_size=2)
    text = report(torch.device("cpu"), toy, steps=5)
    assert "29,216 parameters" in text
    assert ", converged," in text
    assert "nan" not in text

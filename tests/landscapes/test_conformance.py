"""Curvature operators of the table of small networks against dense matrices that were made independently."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from curvature_cases import CURVATURE_CASES, CurvatureCase, labels, normal
from dense import double_reverse, flat, gauss_newton, jacobian, softmax_curvature
from network_cases import RAGGED, SAMPLES
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from landscape.curvature.operator import SymmetricOperator

EACH = pytest.mark.parametrize("case", CURVATURE_CASES, ids=lambda case: case.name)
MATRIX = pytest.mark.parametrize("matrix", ["hessian", "ggn"])


def error(found: Tensor, expected: Tensor) -> float:
    """Relative to the Frobenius norm of what was expected."""
    return float(torch.linalg.norm(found.double() - expected) / torch.linalg.norm(expected))


def dense(operator: SymmetricOperator, dtype: torch.dtype = torch.float64) -> Tensor:
    return operator.matmat(torch.eye(operator.dim, dtype=dtype))


@EACH
def test_the_reference_is_the_slope_of_plain_gradients(case: CurvatureCase, rng: torch.Generator) -> None:
    """Two wrong double derivatives would agree: central differences of first ones know better."""
    x, energy, _, _ = case.functions()
    hessian = case.dense("hessian")
    moving = (hessian != 0).any(1)  # the vector of a padding word moves the energy, but no gradient is taken there
    direction = 1e-5 * moving * torch.randn(len(x), generator=rng, dtype=torch.float64)
    ahead, behind = (jacobian(lambda x: energy(x)[None], x + step)[0] for step in (direction, -direction))
    assert error((ahead - behind) / 2, hessian @ direction) < 1e-6
    assert error(hessian.T, hessian) < 1e-14


def test_both_references_of_softmax_regression_are_the_one_written_out() -> None:
    torch.manual_seed(0)
    x, y = normal(4), labels()
    w, at = flat(nn.Linear(4, 3).double())
    logits = at(w)(x)
    j = jacobian(lambda w: at(w)(x).flatten(), w)
    expected = j.T @ softmax_curvature(logits) @ j
    assert error(double_reverse(lambda w: F.cross_entropy(at(w)(x), y), w), expected) < 1e-14
    found = gauss_newton(lambda w: at(w)(x).flatten(), lambda z: F.cross_entropy(z.view_as(logits), y), w)
    assert error(found, expected) < 1e-14


@EACH
@MATRIX
def test_the_operator_is_the_dense_matrix(case: CurvatureCase, matrix: str) -> None:
    expected = case.dense(matrix)
    assert len(expected) < 500
    assert torch.linalg.norm(expected) > 1e-3
    operator = case.landscape().curvature(case.point(), matrix=matrix)
    assert operator.mode == "kept graph"
    columns = slice(None, None, 1 + len(expected) // 64)  # the blocks of vectors below see the others too
    found = operator.matmat(torch.eye(len(expected), dtype=torch.float64)[columns])
    assert error(found, expected[columns]) < 1e-11


@EACH
@MATRIX
def test_streamed_graphs_other_batches_and_other_blocks_change_nothing(
    case: CurvatureCase, matrix: str, rng: torch.Generator
) -> None:
    expected = case.dense(matrix)
    vectors = torch.randn(3, len(expected), generator=rng, dtype=torch.float64)
    for sizes, memory in (RAGGED, 0), ((SAMPLES,), None):
        operator = case.landscape(sizes).curvature(case.point(), matrix=matrix, graph_memory=memory)
        assert operator.mode == ("kept graph" if memory is None else "streamed")
        assert error(operator.matmat(vectors), vectors @ expected) < 1e-11
        assert error(operator.matmat(vectors[:1]), vectors[:1] @ expected) < 1e-11


@pytest.mark.parametrize("name", ["mlp", "relu, mse", "bce", "nll of log-softmax", "language model"])
def test_the_fisher_information_of_a_known_loss_is_its_ggn(name: str) -> None:
    case = next(case for case in CURVATURE_CASES if case.name == name)
    fisher = dense(case.landscape().curvature(case.point(), matrix="fisher"))
    assert error(fisher, case.dense("ggn")) < 1e-11


@EACH
@MATRIX
def test_a_block_of_parameters_is_a_diagonal_block_of_the_matrix(
    case: CurvatureCase, matrix: str, rng: torch.Generator
) -> None:
    landscape = case.landscape()
    names = landscape.space.names[1::2] or landscape.space.names
    inside = torch.cat(
        [
            torch.full((size,), name in names)
            for name, size in zip(landscape.space.names, landscape.space.sizes, strict=True)
        ]
    )
    expected = case.dense(matrix)[inside][:, inside]
    operator = landscape.curvature(case.point(), matrix=matrix, parameters=names)
    assert operator.dim == inside.sum()
    assert operator.space.names == names
    vectors = torch.randn(2, operator.dim, generator=rng, dtype=torch.float64)
    assert torch.linalg.norm(operator.matmat(vectors) - vectors @ expected) < 1e-11 * torch.linalg.norm(vectors)


@EACH
@MATRIX
def test_single_precision_is_near(case: CurvatureCase, matrix: str, rng: torch.Generator) -> None:
    expected = case.dense(matrix)
    vectors = torch.randn(3, len(expected), generator=rng, dtype=torch.float64)
    operator = case.landscape(dtype=torch.float32).curvature(case.point(torch.float32), matrix=matrix)
    found = operator.matmat(vectors.float())
    assert found.dtype == torch.float32
    assert error(found, vectors @ expected) < 1e-4


@MATRIX
def test_half_precision_weights_are_computed_in_single_precision(matrix: str) -> None:
    rounded = replace(CURVATURE_CASES[0], model=lambda: CURVATURE_CASES[0].model().bfloat16())
    operator = rounded.landscape(dtype=torch.bfloat16).curvature(rounded.point(torch.bfloat16), matrix=matrix)
    expected = rounded.dense(matrix)
    assert error(dense(operator, torch.float32), expected) < 1e-5
    assert error(CURVATURE_CASES[0].dense(matrix), expected) > 1e-4

"""Permutations by activations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from symmetry_nets import BY_NAME
from torch import nn

from landscape.symmetry.activations import activation_matching, correlations, makers, responses
from landscape.symmetry.groups import Axis, Group


def test_correlations_are_those_of_numpy(rng):
    first, second = (torch.randn(50, 4, generator=rng, dtype=torch.float64) for _ in range(2))
    both = np.corrcoef(first.T, second.T)
    np.testing.assert_allclose(correlations(first, second), both[:4, 4:], rtol=0, atol=1e-14)


def test_a_constant_unit_correlates_with_nothing(rng):
    first = torch.randn(50, 3, generator=rng, dtype=torch.float64)
    first[:, 1] = 0.1
    assert correlations(first, first)[1].tolist() == [0, 0, 0]
    assert float(correlations(first, first)[0, 0]) == pytest.approx(1, abs=1e-14)


def test_scale_and_offset_of_a_unit_do_not_matter(rng):
    first = torch.randn(50, 6, generator=rng, dtype=torch.float64)
    order = torch.randperm(6, generator=rng)
    second = torch.empty_like(first)
    second[:, order] = torch.linspace(0.1, 9, 6, dtype=torch.float64) * first - 3
    assert torch.equal(activation_matching(first, second), order)


def test_an_inverted_unit_is_no_match(rng):
    """Correlation -1 is the worst, not the best."""
    first = torch.randn(500, 2, generator=rng, dtype=torch.float64)
    second = torch.stack([-first[:, 0] + 0.1 * first[:, 1], first[:, 0]], dim=1)
    assert activation_matching(first, second).tolist() == [1, 0]


def test_responses_have_a_column_for_each_unit():
    """Two layers make the units; in the second each unit is a block of two channels."""
    answers = {"a": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "b": torch.tensor([[5.0, 6.0, 7.0, 8.0]])}
    made = {
        "a": Axis("a.weight", 0, torch.tensor([[1], [0]]), "out"),
        "b": Axis("b.weight", 0, torch.tensor([[0, 1], [2, 3]]), "out"),
    }
    assert responses(answers, made).tolist() == [[2.0, 1.0], [4.0, 3.0], [5.0, 7.0], [6.0, 8.0]]


@pytest.mark.parametrize(
    ("layer", "dim", "answers"),
    [
        (nn.Linear(3, 4), 0, True),
        (nn.Conv2d(3, 4, 3), 0, True),
        (nn.Embedding(3, 4), 1, True),
        (nn.Embedding(3, 4), 0, False),
        (nn.ConvTranspose2d(3, 4, 3), 0, False),
        (nn.BatchNorm2d(4), 0, False),
    ],
)
def test_layers_that_answer_with_their_units(layer, dim, answers):
    axis = Axis("0.weight", dim, torch.arange(4)[:, None], "out")
    assert list(makers(nn.Sequential(layer), Group("0", 4, (axis,)))) == (["0"] if answers else [])


def test_gates_are_no_answers():
    net = BY_NAME["lstm"]
    axis = Axis("core.weight_ih_l0", 0, torch.arange(20).reshape(4, 5).T, "out")
    assert makers(net.model(), Group("core.l0", 5, (axis,))) == {}

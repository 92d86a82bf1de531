"""Relative flatness against the sum over blocks of dense Hessians; measures without probes."""

from __future__ import annotations

import pytest
import torch
from landscape_flatness.norms import fisher_rao, norm
from landscape_flatness.relative import relative_flatness
from perturbation_cases import quadratic, relu_classifier, rescaled, symmetric, zoo_pair
from torch import nn

from landscape.landscapes.batches import Batches
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import cross_entropy, mse
from landscape.parameters import ParameterSpace, Point


def convolution(rng):
    """A convolution with two input channels, and a wide readout."""
    model = nn.Sequential(nn.Conv2d(2, 3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(12, 3)).double()
    space = ParameterSpace.of(model.named_parameters())
    inputs = torch.randn(30, 2, 3, 3, generator=rng, dtype=torch.float64)
    targets = torch.randint(3, (30,), generator=rng)
    batch = Batches(((inputs, targets),), 30, "made up", "made up")
    return NetworkLandscape(model, cross_entropy, batch), Point(
        torch.randn(space.dim, generator=rng, dtype=torch.float64), id="w"
    )


def by_blocks(landscape, point):
    """Σ_(s,s') (w_s·w_s') tr H_ss' of each layer, block by block."""
    dense = landscape.hessian(point).matmat(torch.eye(landscape.space.dim, dtype=torch.float64))
    start, found = 0, {}
    for name, tensor in landscape.space.unflatten(point.vector).items():
        if tensor.ndim >= 2:
            rows = tensor.flatten(1)
            m, n = rows.shape
            block = dense[start : start + m * n, start : start + m * n]
            kappa = 0.0
            for s in range(m):
                for t in range(m):
                    part = block[s * n : (s + 1) * n, t * n : (t + 1) * n]
                    kappa += float(rows[s] @ rows[t]) * float(part.trace())
            found[name] = kappa
        start += tensor.numel()
    return found


def measured(landscape, point, probes=16, seed=0):
    return relative_flatness(landscape, landscape.hessian(point), point, probes, seed)


@pytest.mark.parametrize("case", [relu_classifier, convolution])
def test_layers_agree_with_the_blocks_of_a_dense_hessian(case, rng):
    landscape, point = case(rng)
    truth = by_blocks(landscape, point)
    found = measured(landscape, point, probes=1000)
    assert found.layers == tuple(truth)
    z = (found.values - torch.tensor(list(truth.values()))) / found.standard_errors
    assert float(z.abs().max()) < 4
    assert float((found.standard_errors / found.values.abs()).max()) < 0.2
    total = sum(truth.values())
    assert found.found.value == pytest.approx(total, abs=4 * found.found.standard_error)
    assert found.found.value == pytest.approx(float(found.values.sum()), rel=1e-12)
    assert found.found.cost.hvps == 1000


def test_errors_are_those_of_the_scatter(rng):
    landscape, point = convolution(rng)
    truth = torch.tensor(list(by_blocks(landscape, point).values()))
    runs = [measured(landscape, point, seed=seed) for seed in range(40)]
    z = torch.stack([(run.values - truth) / run.standard_errors for run in runs])
    assert float(z.mean(0).abs().max()) < 4 / 40**0.5
    assert float(z.std(0).min()) > 0.75
    assert float(z.std(0).max()) < 1.4


def test_a_layer_of_one_unit_has_the_square_of_its_norm_times_its_trace():
    """m = 1: κ = |w|² tr H. The Hessian is diagonal here and signs see it without noise."""
    data = torch.eye(4, dtype=torch.float64), torch.zeros(4, 1, dtype=torch.float64)
    landscape = NetworkLandscape(nn.Linear(4, 1, bias=False).double(), mse, Batches((data,), 4, "axes", "axes"))
    point = Point(torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64), id="w")
    found = measured(landscape, point, probes=2)
    assert found.found.value == pytest.approx(14.25 * 2, rel=1e-12)
    assert found.found.standard_error == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("factors", [torch.full((6,), 4.0), torch.full((6,), 0.3)])
def test_rescaled_layers_change_nothing_with_the_same_probes(factors, rng):
    landscape, point = relu_classifier(rng)
    other = rescaled(landscape, point, factors.double())
    first, second = measured(landscape, point), measured(landscape, other)
    torch.testing.assert_close(second.values, first.values, rtol=1e-9, atol=0)
    assert second.found.value == pytest.approx(first.found.value, rel=1e-9)
    assert fisher_rao_of(landscape, other) == pytest.approx(fisher_rao_of(landscape, point), rel=1e-9)


def test_the_pair_of_the_zoo_is_the_same_by_both():
    landscape, a, b = zoo_pair()
    assert measured(landscape, b).found.value == pytest.approx(measured(landscape, a).found.value, rel=1e-9)
    assert fisher_rao_of(landscape, b) == pytest.approx(fisher_rao_of(landscape, a), rel=1e-9)
    assert norm(b).value > 2 * norm(a).value


def fisher_rao_of(landscape, point):
    return fisher_rao(landscape, landscape.hessian(point), point).value


def test_a_weight_of_zero_has_no_relative_flatness(rng):
    landscape, point = relu_classifier(rng)
    zero = Point(torch.zeros_like(point.vector), id="zero")
    assert measured(landscape, zero).found.value == 0


def test_one_vector_has_no_layers(rng):
    landscape, point = quadratic(symmetric(5, rng), torch.zeros(5).double(), torch.ones(5).double())
    assert measured(landscape, point) is None


def test_curvature_along_the_weights_and_their_norm(rng):
    matrix, w = symmetric(5, rng), torch.randn(5, generator=rng, dtype=torch.float64)
    landscape, point = quadratic(matrix, torch.zeros(5).double(), w)
    found = fisher_rao(landscape, landscape.hessian(point), point)
    assert found.value == pytest.approx(float(w @ matrix @ w), rel=1e-12)
    assert (found.standard_error, found.cost.hvps) == (None, 1)
    assert norm(point).value == pytest.approx(float(w.norm()), rel=1e-12)

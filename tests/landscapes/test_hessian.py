"""Hessian products against dense Hessians that were made independently, row by row, on a flat vector."""

from math import prod
from typing import Any

import pytest
import torch
from network_cases import CASES, RAGGED, SAMPLES, Apply, Case, batches_of
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils import parameters_to_vector

from landscape.curvature.operator import SymmetricOperator
from landscape.errors import AnalysisError
from landscape.landscapes.curvature import NetworkCurvature
from landscape.landscapes.graphs import graph_bytes
from landscape.landscapes.hessian import hessian_graph
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import cross_entropy, mse
from landscape.parameters import Point


def dense_hessian(case: Case) -> Tensor:
    """Double reverse mode over the flat vector, all samples in one batch."""
    model = case.network()
    named = dict(model.named_parameters())
    x = parameters_to_vector(named.values()).detach().requires_grad_()
    parts = x.split([prod(p.shape) for p in named.values()])
    tensors = {name: part.view_as(p) for part, (name, p) in zip(parts, named.items(), strict=True)}
    *inputs, target = case.data()
    with sdpa_kernel(SDPBackend.MATH):
        energy = case.mean(functional_call(model, tensors, tuple(inputs)), target)
    (gradient,) = torch.autograd.grad(energy, x, create_graph=True)
    return torch.stack([torch.autograd.grad(entry, x, retain_graph=True)[0] for entry in gradient])


def operator(case: Case, sizes: tuple[int, ...] = RAGGED, **options: int) -> NetworkCurvature:
    landscape = NetworkLandscape(case.network(), case.objective, batches_of(case.data(), sizes), batch_norm="frozen")
    vector = parameters_to_vector(case.network().parameters()).detach()
    return landscape.curvature(Point(vector, "minimum"), **options)


def dense(hessian: SymmetricOperator) -> Tensor:
    return hessian.matmat(torch.eye(hessian.dim, dtype=torch.float64))


@pytest.mark.parametrize("memory", [2**30, 0], ids=["kept graph", "streamed"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_operator_is_the_dense_hessian(case: Case, memory: int) -> None:
    hessian = operator(case, graph_memory=memory)
    assert hessian.dim < 500
    assert hessian.mode == ("kept graph" if memory else "streamed")
    expected = dense_hessian(case)
    assert torch.linalg.norm(expected) > 1e-3
    torch.testing.assert_close(dense(hessian), expected, rtol=1e-9, atol=1e-11 * expected.abs().max().item())


def test_ragged_batches_have_the_largest_eigenvalue_of_one_batch() -> None:
    whole, ragged = (torch.linalg.eigvalsh(dense(operator(CASES[0], s)))[-1] for s in ((SAMPLES,), (SAMPLES - 1, 1)))
    torch.testing.assert_close(ragged, whole, rtol=1e-12, atol=0)


@pytest.mark.parametrize("outputs", [1, 3])
def test_least_squares_in_ragged_batches_is_exact(outputs: int, rng: torch.Generator) -> None:
    n, d = 37, 4
    x = torch.randn(n, d, generator=rng, dtype=torch.float64)
    y = torch.randn(n, outputs, generator=rng, dtype=torch.float64)
    model = nn.Linear(d, outputs, bias=False).double()
    landscape = NetworkLandscape(model, mse, batches_of((x, y), (20, 10, 7)))
    vector = model.weight.detach().reshape(-1)
    expected = torch.kron(torch.eye(outputs, dtype=torch.float64), 2 * x.T @ x / (n * outputs))
    torch.testing.assert_close(dense(landscape.hessian(Point(vector, "w"))), expected, rtol=1e-12, atol=1e-14)


def test_softmax_regression_at_zero_weights_is_exact(rng: torch.Generator) -> None:
    n, d, classes = 20, 3, 3
    x, y = torch.randn(n, d, generator=rng, dtype=torch.float64), torch.randint(classes, (n,), generator=rng)
    model = nn.Linear(d, classes, bias=False).double()
    landscape = NetworkLandscape(model, cross_entropy, batches_of((x, y), (13, 7)))
    zero = Point(torch.zeros(d * classes, dtype=torch.float64), "zero")
    gram = torch.linalg.eigvalsh(x.T @ x / (3 * n))
    expected = torch.cat([torch.zeros(d, dtype=torch.float64), gram.repeat_interleave(2)])
    torch.testing.assert_close(torch.linalg.eigvalsh(dense(landscape.hessian(zero))), expected, rtol=1e-10, atol=1e-14)


def test_a_product_of_linear_layers_has_its_known_eigenvalues() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)).double()
    one = torch.ones(1, 1, dtype=torch.float64)
    landscape = NetworkLandscape(model, mse, batches_of((one, one), (1,)))  # twice (w2 w1 - 1)^2 / 2
    for vector, eigenvalues in (((2.0, 0.5), (0.0, 8.5)), ((0.0, 0.0), (-2.0, 2.0))):
        point = Point(torch.tensor(vector, dtype=torch.float64), "w")
        found = torch.linalg.eigvalsh(dense(landscape.hessian(point)))
        torch.testing.assert_close(found, torch.tensor(eigenvalues, dtype=torch.float64), rtol=1e-12, atol=1e-13)


def test_float32_products_stay_float32_and_near(rng: torch.Generator) -> None:
    case = CASES[0]
    data = tuple(t.float() if t.is_floating_point() else t for t in case.data())
    landscape = NetworkLandscape(case.network().float(), cross_entropy, batches_of(data, RAGGED))
    vector = parameters_to_vector(case.network().parameters()).detach()
    probes = torch.randn(3, len(vector), generator=rng, dtype=torch.float64)
    found = landscape.hessian(Point(vector, "w")).matmat(probes.float())
    assert found.dtype == torch.float32
    expected = probes @ dense_hessian(case)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


def test_a_loss_linear_in_the_parameters_has_zero_curvature() -> None:
    from landscape.landscapes.objectives import Objective

    model, x = nn.Linear(3, 1).double(), torch.ones(5, 3, dtype=torch.float64)
    linear = Objective("linear", lambda m, batch: (m(batch[0]).sum(), len(batch[0])))
    landscape = NetworkLandscape(model, linear, batches_of((x, x), (5,)))
    hessian = landscape.hessian(Point(torch.ones(4, dtype=torch.float64), "w"))
    assert torch.equal(dense(hessian), torch.zeros(4, 4, dtype=torch.float64))


@pytest.mark.parametrize("option", [{"scale_grad_by_freq": True}, {"max_norm": 1.0}, {"sparse": True}], ids=str)
def test_an_embedding_whose_gradient_is_no_slope_is_refused(option: dict[str, Any]) -> None:
    model = Apply(lambda m, x: m.out(m.embed(x).mean(1)), embed=nn.Embedding(7, 4, **option), out=nn.Linear(4, 3))
    words = torch.randint(7, (SAMPLES, 4)), torch.randint(3, (SAMPLES,))
    landscape = NetworkLandscape(model.double(), cross_entropy, batches_of(words, RAGGED))
    point = landscape.initial(torch.Generator())
    for matrix in ("hessian", "ggn"):
        with pytest.raises(AnalysisError, match=f"embed has {next(iter(option))}=.*build it without"):
            landscape.curvature(point, matrix=matrix)


def test_a_layer_without_second_derivative_is_named() -> None:
    model = Apply(lambda m, x: m.out(m.bag(x)), bag=nn.EmbeddingBag(7, 4), out=nn.Linear(4, 3))
    words = torch.randint(7, (SAMPLES, 4)), torch.randint(3, (SAMPLES,))
    landscape = NetworkLandscape(model.double(), cross_entropy, batches_of(words, RAGGED))
    point = landscape.initial(torch.Generator())
    with pytest.raises(AnalysisError, match=r"embedding_bag.* has no second derivative.*replace"):
        landscape.hessian(point).matmat(point.vector[None])


def test_the_graph_is_measured_in_bytes() -> None:
    """Of a linear layer with mean squares: the inputs (for the second derivative) and the residuals, but no weight."""
    x, y = torch.ones(8, 3), torch.zeros(8, 2)
    landscape = NetworkLandscape(nn.Linear(3, 2), mse, batches_of((x, y), (8,)))
    loss = landscape._loss_at(landscape.initial(torch.Generator()), landscape.space)
    graph = hessian_graph(loss(landscape.batches.batches))
    inputs, residuals = 4 * x.numel(), 4 * y.numel()
    assert inputs <= graph_bytes(graph, loss.leaves) <= 2 * inputs + 6 * residuals


def test_the_estimate_grows_with_the_data() -> None:
    sizes = []
    for samples in (100, 1000):
        x, y = torch.ones(samples, 6), torch.zeros(samples, dtype=torch.long)
        landscape = NetworkLandscape(CASES[0].network().float(), cross_entropy, batches_of((x, y), (samples,)))
        loss = landscape._loss_at(landscape.initial(torch.Generator()), landscape.space)
        sizes.append(graph_bytes(hessian_graph(loss(landscape.batches.batches)), loss.leaves))
    assert 9 < sizes[1] / sizes[0] < 10.1


def test_weights_that_a_graph_only_refers_to_do_not_count() -> None:
    model = nn.Sequential(nn.Linear(2, 300), nn.Tanh(), nn.Linear(300, 300), nn.Tanh(), nn.Linear(300, 2))
    landscape = NetworkLandscape(model, mse, batches_of((torch.ones(1, 2), torch.ones(1, 2)), (1,)))
    loss = landscape._loss_at(landscape.initial(torch.Generator()), landscape.space)
    assert 300 * 4 < graph_bytes(hessian_graph(loss(landscape.batches.batches)), loss.leaves) < 300 * 300 * 4

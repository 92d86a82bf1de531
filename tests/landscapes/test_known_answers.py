"""Networks whose curvature is known on paper, or known to have a certain form."""

from __future__ import annotations

import pytest
import torch
from network_cases import batches_of
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils import parameters_to_vector

import landscape
from landscape.curvature import lanczos
from landscape.curvature.operator import SymmetricOperator
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import Objective, cross_entropy, mse
from landscape.parameters import Point

CLASSES = 10


def dense(operator: SymmetricOperator) -> Tensor:
    return operator.matmat(torch.eye(operator.dim, dtype=torch.float64))


def at(*coordinates: float) -> Point:
    return Point(torch.tensor(coordinates, dtype=torch.float64), "w")


@pytest.mark.parametrize("matrix", ["hessian", "ggn", "fisher"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_least_squares(outputs: int, matrix: str, rng: torch.Generator) -> None:
    n, d = 37, 4
    x, y = (torch.randn(n, k, generator=rng, dtype=torch.float64) for k in (d, outputs))
    model = nn.Linear(d, outputs, bias=False).double()
    network = NetworkLandscape(model, mse, batches_of((x, y), (20, 10, 7)))
    found = dense(network.curvature(Point(model.weight.detach().reshape(-1), "w"), matrix=matrix))
    expected = torch.kron(torch.eye(outputs, dtype=torch.float64), 2 * x.T @ x / (n * outputs))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("matrix", ["hessian", "ggn", "fisher"])
def test_softmax_regression(matrix: str, rng: torch.Generator) -> None:
    """H = mean (diag p - p p^T) (x) x x^T; d eigenvalues vanish: one vector added to all classes changes nothing."""
    n, d, classes = 20, 3, 4
    x, y = torch.randn(n, d, generator=rng, dtype=torch.float64), torch.randint(classes, (n,), generator=rng)
    model = nn.Linear(d, classes, bias=False).double()
    network = NetworkLandscape(model, cross_entropy, batches_of((x, y), (13, 7)))
    w = torch.randn(classes, d, generator=rng, dtype=torch.float64)
    p = (x @ w.T).softmax(1)
    blocks = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    expected = torch.einsum("nab,ni,nj->aibj", blocks, x, x).reshape(classes * d, -1) / n
    found = dense(network.curvature(Point(w.reshape(-1), "w"), matrix=matrix))
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-14)
    eigenvalues = torch.linalg.eigvalsh(found)
    assert eigenvalues[:d].abs().max() < 1e-14
    assert eigenvalues[d] > 1e-3


def test_softmax_regression_at_zero(rng: torch.Generator) -> None:
    n, d = 20, 3
    x, y = torch.randn(n, d, generator=rng, dtype=torch.float64), torch.randint(3, (n,), generator=rng)
    network = NetworkLandscape(nn.Linear(d, 3, bias=False).double(), cross_entropy, batches_of((x, y), (13, 7)))
    found = torch.linalg.eigvalsh(dense(network.curvature(at(*[0.0] * 9))))
    twice = torch.linalg.eigvalsh(x.T @ x / (3 * n)).repeat_interleave(2)
    expected = torch.cat([torch.zeros(d, dtype=torch.float64), twice])
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize(
    ("place", "hessian", "ggn"),
    [((2.0, 0.5), (0.0, 4.25), (0.0, 4.25)), ((0.0, 0.0), (-1.0, 1.0), (0.0, 0.0))],
    ids=["minimum", "saddle"],
)
def test_a_product_of_two_weights(place: tuple[float, ...], hessian: tuple[float, ...], ggn: tuple[float, ...]) -> None:
    """(w2 w1 x - y)^2 / 2 with x = y = 1. At its minimum H = GGN; at the saddle the remainder is all there is."""
    half = Objective("half", lambda model, batch: (F.mse_loss(model(batch[0]), batch[1], reduction="sum") / 2, 1))
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)).double()
    one = torch.ones(1, 1, dtype=torch.float64)
    network = NetworkLandscape(model, half, batches_of((one, one), (1,)))
    for matrix, expected in ("hessian", hessian), ("ggn", ggn):
        found = torch.linalg.eigvalsh(dense(network.curvature(at(*place), matrix=matrix)))
        torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("depth", [1, 3])
def test_relu_networks_with_cross_entropy_have_equal_traces(depth: int, rng: torch.Generator) -> None:
    """The outputs are piecewise linear in each single weight, so that tr H = tr GGN, whatever H - GGN is."""
    layers = [layer for _ in range(depth) for layer in (nn.Linear(4, 4), nn.ReLU())]
    model = nn.Sequential(*layers, nn.Linear(4, 3)).double()
    x, y = torch.randn(13, 4, generator=rng, dtype=torch.float64), torch.randint(3, (13,), generator=rng)
    network = NetworkLandscape(model, cross_entropy, batches_of((x, y), (8, 5)))
    point = network.initial(rng)
    hessian, ggn, remainder = (dense(network.curvature(point, matrix=m)) for m in ("hessian", "ggn", "remainder"))
    torch.testing.assert_close(hessian.trace(), ggn.trace(), rtol=1e-13, atol=0)
    torch.testing.assert_close(remainder, hessian - ggn, rtol=0, atol=1e-14)
    assert torch.linalg.norm(remainder) > 0.1 * torch.linalg.norm(hessian)
    assert torch.linalg.eigvalsh(ggn)[0] > -1e-14 > torch.linalg.eigvalsh(hessian)[0]


@pytest.fixture(scope="module")
def digits() -> tuple[nn.Module, Tensor, Tensor]:
    """A ReLU network 64-16-16-10 after three epochs on scikit-learn's digits, and the digits."""
    torch.manual_seed(0)
    pixels, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(pixels, dtype=torch.float32) / 16, torch.tensor(labels)
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, CLASSES))
    adam = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(3):
        for rows in torch.randperm(len(x)).split(128):
            adam.zero_grad()
            F.cross_entropy(model(x[rows]), y[rows]).backward()
            adam.step()
    return model.double(), x.double(), y


Trained = tuple[nn.Module, Tensor, Tensor]


def largest(trained: Trained, sizes: tuple[int, ...], matrix: str, count: int) -> Tensor:
    model, x, y = trained
    network = NetworkLandscape(model, cross_entropy, batches_of((x, y), sizes))
    point = Point(parameters_to_vector(model.parameters()).detach(), "trained")
    operator = network.curvature(point, matrix=matrix)
    start = torch.randn(operator.dim, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    space = lanczos.init(start)
    found = lanczos.extreme_eigenpairs(operator, space, top=count, bottom=0, rtol=1e-6, max_products=200)
    return found.top.values


@pytest.mark.parametrize("matrix", ["hessian", "ggn"])
def test_a_trained_classifier_has_one_outlier_less_than_classes(digits: Trained, matrix: str) -> None:
    values = largest(digits, (1797,), matrix, CLASSES + 2)
    ratios = values[:-1] / values[1:]
    assert int(ratios.argmax()) + 1 == CLASSES - 1
    assert ratios[CLASSES - 2] > 3


def test_the_plugin_counts_the_outliers_of_a_trained_classifier(digits: Trained) -> None:
    model, x, y = digits
    point = Point(parameters_to_vector(model.parameters()).detach(), "trained")
    network = NetworkLandscape(model, cross_entropy, batches_of((x, y), (1792, 5)))
    result = landscape.analyze(network, [point], "hessian", top=CLASSES + 2, bottom=0, probes=30, density_probes=0)[0]
    assert result.converged, result.messages
    assert result.summary["outliers"] == CLASSES - 1
    assert result.data.attrs["num_classes"] == CLASSES
    assert result.summary["gap_ratio"] > 3
    eigenvalues = torch.tensor(result.data["eigenvalue_top"].values)
    torch.testing.assert_close(eigenvalues, largest(digits, (1797,), "hessian", CLASSES + 2), rtol=1e-4, atol=0)


def test_ragged_batches_have_the_largest_eigenvalue_of_one_batch(digits: Trained) -> None:
    whole, ragged = (largest(digits, sizes, "hessian", 1) for sizes in ((1797,), (1792, 5)))
    torch.testing.assert_close(ragged, whole, rtol=1e-10, atol=0)

"""Gauss-Newton and Fisher matrices against enumeration over labels and loops over samples."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from network_cases import RAGGED, batches_of
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils import parameters_to_vector

from landscape.curvature.operator import SymmetricOperator
from landscape.errors import AnalysisError
from landscape.landscapes.batches import Batches
from landscape.landscapes.curvature import NetworkCurvature
from landscape.landscapes.gauss_newton import GaussNewtonGraph
from landscape.landscapes.loss_curvature import ByAutograd, ClosedForm
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import Objective, bce, cross_entropy, mse
from landscape.parameters import Point

SAMPLES = sum(RAGGED)
X = torch.randn(SAMPLES, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
CLASSES = torch.randint(3, (SAMPLES,), generator=torch.Generator().manual_seed(2))
VALUES = torch.randn(SAMPLES, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
BITS = (VALUES > 0).double()
WEIGHTS = torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64)


def network(last: nn.Module | None = None) -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3)]
    return nn.Sequential(*layers, *([] if last is None else [last])).double()


def operator(
    objective: Objective | Callable[[nn.Module, Any], Any],
    target: Tensor = CLASSES,
    matrix: str = "ggn",
    model: nn.Module | None = None,
    sizes: tuple[int, ...] = RAGGED,
    inputs: Tensor = X,
) -> NetworkCurvature:
    model = network() if model is None else model
    objective = objective if isinstance(objective, Objective) else Objective("own", objective)
    landscape = NetworkLandscape(model, objective, batches_of((inputs, target), sizes))
    return landscape.curvature(Point(vector_of(model), "w"), matrix=matrix)


def vector_of(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def dense(matrix: SymmetricOperator) -> Tensor:
    return matrix.matmat(torch.eye(matrix.dim, dtype=torch.float64))


def gradient(model: nn.Module, loss: Callable[[nn.Module], Tensor]) -> Tensor:
    parts = torch.autograd.grad(loss(model), list(model.parameters()))
    return torch.cat([part.reshape(-1) for part in parts])


def close(found: Tensor, expected: Tensor) -> None:
    assert torch.linalg.norm(expected) > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12 * expected.abs().max().item())


# The Fisher information: the mean over samples, and over what the model itself holds for likely answers


def test_fisher_of_a_softmax_is_the_mean_over_predicted_labels() -> None:
    model = network()
    expected = torch.zeros(43, 43, dtype=torch.float64)
    for x in X:
        probabilities = model(x).softmax(0).detach()
        for label, probability in enumerate(probabilities):
            g = gradient(model, lambda m: F.cross_entropy(m(x), torch.tensor(label)))  # noqa: B023
            expected += probability * torch.outer(g, g) / SAMPLES
    close(dense(operator(cross_entropy, CLASSES, "fisher")), expected)


def test_fisher_of_logits_is_the_mean_over_predicted_bits() -> None:
    model = network()
    expected = torch.zeros(43, 43, dtype=torch.float64)
    for x in X:
        for k, probability in enumerate(model(x).sigmoid().detach()):
            for bit, weight in ((1.0, probability), (0.0, 1 - probability)):
                target = torch.tensor(bit, dtype=torch.float64)
                g = gradient(model, lambda m: F.binary_cross_entropy_with_logits(m(x)[k], target))  # noqa: B023
                expected += weight * torch.outer(g, g) / BITS.numel()
    close(dense(operator(bce, BITS, "fisher")), expected)


def test_fisher_of_squared_errors_is_that_of_a_gaussian_of_variance_a_half() -> None:
    """The gradient of (z - y)² is -2 (y - z) dz, whose mean square over y of variance 1/2 is 2 dz²."""
    model = network()
    expected = torch.zeros(43, 43, dtype=torch.float64)
    for x in X:
        for k in range(3):
            g = gradient(model, lambda m: m(x)[k])  # noqa: B023
            expected += 2 * torch.outer(g, g) / VALUES.numel()
    close(dense(operator(mse, VALUES, "fisher")), expected)


@pytest.mark.parametrize(("objective", "target"), [(cross_entropy, CLASSES), (mse, VALUES), (bce, BITS)])
def test_fisher_is_the_ggn_and_the_remainder_the_rest_of_the_hessian(objective: Objective, target: Tensor) -> None:
    hessian, ggn, fisher, remainder = (
        dense(operator(objective, target, matrix)) for matrix in ("hessian", "ggn", "fisher", "remainder")
    )
    close(fisher, ggn)
    close(remainder, hessian - ggn)


# The empirical Fisher matrix: one sample after another


def mean_outer_product(model: nn.Module, losses: list[Callable[[nn.Module], Tensor]]) -> Tensor:
    gradients = torch.stack([gradient(model, loss) for loss in losses])
    return gradients.T @ gradients / len(losses)


@pytest.mark.parametrize(
    ("objective", "target", "loss"),
    [
        (cross_entropy, CLASSES, F.cross_entropy),
        (mse, VALUES, F.mse_loss),
        (bce, BITS, F.binary_cross_entropy_with_logits),
        (
            lambda m, b: (F.cross_entropy(m(b[0]), b[1]) * len(b[1]), len(b[1])),
            CLASSES,
            F.cross_entropy,
        ),
        (
            lambda m, b: (F.huber_loss(m(b[0]), b[1], reduction="sum"), len(b[1])),
            VALUES,
            lambda z, y: F.huber_loss(z, y, reduction="sum"),
        ),
        (
            lambda m, b: (F.cross_entropy(m(b[0]), b[1], reduction="sum") + m(b[0]).square().sum(), len(b[1])),
            CLASSES,
            lambda z, y: F.cross_entropy(z, y) + z.square().sum(),
        ),
    ],
    ids=["cross-entropy", "mse", "bce", "mean", "huber", "two terms"],
)
def test_empirical_fisher_is_the_mean_over_samples(objective: Any, target: Tensor, loss: Any) -> None:
    losses = [lambda m, x=x, y=y: loss(m(x[None]), y[None]) for x, y in zip(X, target, strict=True)]
    close(dense(operator(objective, target, "empirical-fisher")), mean_outer_product(network(), losses))


def tokens() -> tuple[Tensor, Tensor]:
    """Texts of five words; the next words, of which each text has another number that counts."""
    rng = torch.Generator().manual_seed(4)
    targets = torch.randint(3, (SAMPLES, 5), generator=rng)
    targets[torch.arange(5) > torch.arange(SAMPLES)[:, None] % 5] = -100
    return torch.randn(SAMPLES, 5, 6, generator=rng, dtype=torch.float64), targets


@pytest.mark.parametrize("mean", [False, True])
def test_empirical_fisher_of_language_is_the_mean_over_tokens_that_count(mean: bool) -> None:
    texts, targets = tokens()

    def per_text(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
        """A sum over tokens whose mean is over texts: each token's gradient keeps its share of the total."""
        loss = F.cross_entropy(model(batch[0]).movedim(2, 1), batch[1], reduction="sum")
        return loss, len(batch[1])

    model, count = network(), int((targets != -100).sum())
    losses = [
        lambda m, x=x, y=y: F.cross_entropy(m(x), y)
        for x, y in zip(texts.reshape(-1, 6), targets.reshape(-1), strict=True)
        if y != -100
    ]
    scale = 1.0 if mean else (count / SAMPLES) ** 2
    objective: Any = cross_entropy if mean else per_text
    found = dense(operator(objective, targets, "empirical-fisher", inputs=texts))
    close(found, scale * mean_outer_product(model, losses))


def test_empirical_fisher_takes_the_heads_of_a_sample_together() -> None:
    def both(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
        hidden = model[1](model[0](batch[0]))
        loss = F.cross_entropy(model[2](hidden), batch[1], reduction="sum")
        return loss + F.mse_loss(hidden, torch.ones_like(hidden), reduction="sum"), len(batch[1])

    losses = [lambda m, x=x, y=y: both(m, (x[None], y[None]))[0] for x, y in zip(X, CLASSES, strict=True)]
    close(dense(operator(both, CLASSES, "empirical-fisher")), mean_outer_product(network(), losses))


# Where the outputs are, and whether the closed form serves


def summed(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[nn.Module, Any], Any]:
    return lambda model, batch: (loss(model(batch[0]), batch[1]), len(batch[1]))


def with_its_loss(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
    returned = SimpleNamespace(loss=F.cross_entropy(model(batch[0]), batch[1]))
    return returned.loss * len(batch[1]), len(batch[1])


def with_a_metric(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
    """A loss for show that does not enter the total."""
    z = model(batch[0])
    F.mse_loss(z, torch.zeros_like(z))
    return F.cross_entropy(z, batch[1], reduction="sum"), len(batch[1])


def mixed(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
    """Two labels for each sample."""
    z, other = model(batch[0]), (batch[1] + 1) % 3
    loss = 0.7 * F.cross_entropy(z, batch[1], reduction="none") + 0.3 * F.cross_entropy(z, other, reduction="none")
    return loss.sum(), len(batch[1])


def by_hand(model: nn.Module, batch: Any) -> Tensor:
    """The outputs, without a call of the model as a whole."""
    return model[2](model[1](model[0](batch[0]))) if isinstance(model, nn.Sequential) else model(batch[0])


def with_a_penalty_inside(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
    z = by_hand(model, batch)
    return F.cross_entropy(z, batch[1], reduction="sum") + z.square().sum(), len(batch[1])


def of_a_part_too(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
    """A second loss, of what is computed from the scores of the first."""
    z = by_hand(model, batch)
    part = F.mse_loss(z[:, :2], torch.ones_like(z[:, :2]), reduction="sum")
    return F.cross_entropy(z, batch[1], reduction="sum") + part + z.exp().sum(), len(batch[1])


ALREADY = Objective("cross-entropy once more", summed(lambda z, y: F.nll_loss(z.log_softmax(1), y, reduction="sum")))


@pytest.mark.parametrize(
    ("objective", "closed"),
    [
        (cross_entropy, True),
        (summed(lambda z, y: nn.CrossEntropyLoss(reduction="sum")(z, y)), True),
        (summed(lambda z, y: nn.NLLLoss(reduction="sum")(nn.LogSoftmax(1)(z), y)), True),
        (summed(lambda z, y: F.nll_loss(torch.log_softmax(z, 1), y, reduction="sum")), True),
        (ALREADY, True),
        (with_its_loss, True),
        (with_a_metric, True),
        (mixed, True),
        (summed(lambda z, y: F.cross_entropy(z, y, reduction="sum", label_smoothing=0.2)), True),
        (summed(lambda z, y: F.cross_entropy(2 * z, y, reduction="sum") / 4), True),
        (summed(lambda z, y: F.cross_entropy(z, y, WEIGHTS, reduction="sum")), False),
        (summed(lambda z, y: F.cross_entropy(z, y, reduction="sum") + z.square().sum()), False),
        (summed(lambda z, y: F.cross_entropy(z, y, reduction="sum") ** 2), False),
        (with_a_penalty_inside, False),
        (of_a_part_too, False),
        (summed(lambda z, y: (z.logsumexp(1) - z.gather(1, y[:, None])[:, 0]).sum()), False),
    ],
    ids=(
        "objective,module,nll module,torch.log_softmax,method,own loss,metric,mixed,smoothing,temperature,weights,"
        "penalty,squared,inside,part,by hand"
    ).split(","),
)
def test_the_closed_form_is_taken_where_it_is_right(objective: Any, closed: bool) -> None:
    ggn = operator(objective)
    assert isinstance(ggn._kept, GaussNewtonGraph)
    assert isinstance(ggn._kept.curvature, ClosedForm if closed else ByAutograd)
    model = network()
    loss = objective.loss if isinstance(objective, Objective) else objective
    expected = torch.zeros(43, 43, dtype=torch.float64)
    for x, y in zip(X.split(RAGGED), CLASSES.split(RAGGED), strict=True):
        z = model(x).detach()
        jacobian = torch.stack([gradient(model, lambda m: m(x).reshape(-1)[k]) for k in range(z.numel())])  # noqa: B023
        in_outputs = torch.autograd.functional.hessian(lambda z: loss(Returns(z), (x, y))[0], z)  # noqa: B023
        expected += jacobian.T @ in_outputs.reshape(z.numel(), z.numel()) @ jacobian / SAMPLES
    close(dense(ggn), expected)


class Returns(nn.Module):
    """A model of which only the outputs are known."""

    def __init__(self, z: Tensor) -> None:
        super().__init__()
        self._z = z

    def forward(self, x: Tensor) -> Tensor:
        return self._z


def test_a_squared_error_is_found_with_its_arguments_swapped() -> None:
    swapped = operator(summed(lambda z, y: F.mse_loss(y, z, reduction="sum") / 3), VALUES, "fisher")
    close(dense(swapped), dense(operator(mse, VALUES)))


def test_log_probabilities_of_the_model_are_curved_in_its_logits() -> None:
    likelihood = summed(lambda z, y: F.nll_loss(z, y, reduction="sum"))
    model = network(nn.LogSoftmax(1))
    close(dense(operator(likelihood, model=model, matrix="fisher")), dense(operator(cross_entropy)))


def test_targets_that_do_not_count_have_a_closed_form_too() -> None:
    texts, targets = tokens()
    ggn = operator(cross_entropy, targets, inputs=texts)
    assert isinstance(ggn._kept, GaussNewtonGraph)
    assert isinstance(ggn._kept.curvature, ClosedForm)
    counted = targets.reshape(-1) != -100
    close(
        dense(ggn), dense(operator(cross_entropy, targets.reshape(-1)[counted], inputs=texts.reshape(-1, 6)[counted],
                                   sizes=(int(counted.sum()),)))
    )  # fmt: skip


def test_a_mini_batch_without_targets_leaves_the_form_open() -> None:
    texts, targets = tokens()
    targets[: RAGGED[0]] = -100
    weighted = Objective("weighted", lambda m, b: (
        F.cross_entropy(m(b[0]).movedim(2, 1), b[1], WEIGHTS, reduction="sum"), (b[1] != -100).sum()
    ))  # fmt: skip
    streamed = NetworkLandscape(network(), weighted, batches_of((texts, targets), RAGGED))
    whole = NetworkLandscape(network(), weighted, batches_of((texts, targets), (SAMPLES,)))
    point = Point(vector_of(network()), "w")
    found = streamed.curvature(point, matrix="ggn", graph_memory=0)
    assert found.mode == "streamed"
    close(dense(found), dense(whole.curvature(point, matrix="ggn")))


@pytest.mark.parametrize(
    ("objective", "matrix", "complaint"),
    [
        (
            lambda m, b: (F.cross_entropy(m(b[0]), b[1]) + m[0].weight.square().sum(), 1),
            "ggn",
            "otherwise than through the model's outputs",
        ),
        (lambda m, b: (m[2](m[1](m[0](b[0]))).exp().sum(), 1), "ggn", "no outputs were seen"),
        (summed(lambda z, y: z.sum()), "ggn", "linear in what the model returns"),
        (summed(lambda z, y: F.nll_loss(z.log_softmax(1).view(-1, 3), y)), "fisher", "Fisher information is known for"),
        (summed(lambda z, y: (z.square() - 1).square().sum()), "ggn", "not convex"),
        (summed(lambda z, y: -F.cross_entropy(z, y)), "ggn", "not convex"),
        (summed(lambda z, y: F.cross_entropy(z, y, WEIGHTS)), "fisher", "without class weights"),
        (summed(lambda z, y: z.sum(0).square().sum()), "fisher", "Fisher information is known for"),
        (lambda m, b: (m(b[0]).flatten().exp().sum(), 1), "nonsense", "unknown matrix 'nonsense'; wanted one of"),
    ],
)
def test_what_has_no_meaning_is_refused_in_one_line(objective: Any, matrix: str, complaint: str) -> None:
    with pytest.raises(Exception, match=complaint) as caught:
        operator(objective, matrix=matrix)
    assert "\n" not in str(caught.value)


def test_likelihoods_of_reshaped_log_probabilities_are_not_taken_for_flat() -> None:
    likelihood = summed(lambda z, y: F.nll_loss(z.view(-1, 3), y, reduction="sum"))
    with pytest.raises(AnalysisError, match="linear in what the model returns"):
        operator(likelihood, model=network(nn.LogSoftmax(1)))


def test_a_loss_that_is_not_convex_for_one_sample_only_is_refused() -> None:
    """u² ... of which one in eleven has the opposite sign: a single random probe would not see it."""
    signs = torch.ones(SAMPLES, 1, dtype=torch.float64)
    signs[7] = -1
    almost = summed(lambda z, y: (signs * z.square()).sum())
    with pytest.raises(AnalysisError, match="not convex"):
        operator(almost, sizes=(SAMPLES,))


def test_outputs_without_rows_have_no_empirical_fisher() -> None:
    class Pooled(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).mean(0)

    pooled = Pooled(*network())
    with pytest.raises(AnalysisError, match=r"shape \(3,\) for 5 samples.*one row for each sample"):
        operator(summed(lambda z, y: z.exp().sum()), matrix="empirical-fisher", model=pooled)


def test_samples_of_two_kinds_have_no_empirical_fisher() -> None:
    def objective(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
        z = model(batch[0])
        pooled = z.mean(1)
        loss = F.cross_entropy(z.movedim(2, 1), batch[1]) + F.mse_loss(pooled, torch.zeros_like(pooled))
        return loss, 1

    texts, targets = tokens()
    with pytest.raises(AnalysisError, match="do not have the same samples"):
        operator(objective, targets, "empirical-fisher", inputs=texts)


def test_models_are_left_without_hooks() -> None:
    ggn = operator(cross_entropy)
    assert not ggn._loss.function.model._forward_hooks


@pytest.mark.parametrize("matrix", ["ggn", "fisher", "remainder"])
def test_a_network_that_is_certain_of_its_answers_has_a_ggn(matrix: str) -> None:
    """In float32 the curvature of a saturated sample is rounding, of either sign."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    x = torch.randn(200, 6)
    y = model(x).argmax(1)
    with torch.no_grad():
        model[2].weight *= 60
        model[2].bias *= 60
    landscape = NetworkLandscape(model, cross_entropy, Batches(((x, y),), 200, "made up", "data"))
    point = Point(parameters_to_vector(model.parameters()).detach(), "certain")
    operator = landscape.curvature(point, matrix=matrix)
    dense = operator.matmat(torch.eye(operator.dim)).double()
    assert float((dense - dense.T).norm()) <= 1e-2 * float(dense.norm())
    if matrix != "remainder":
        assert float(torch.linalg.eigvalsh((dense + dense.T) / 2)[0]) > -1e-4 * float(dense.norm())


def test_a_remainder_that_is_zero_is_zero() -> None:
    """Softmax regression has no curvature but the loss's own: rounding is not reported as such."""
    model = nn.Linear(6, 3)
    torch.manual_seed(0)
    data = torch.randn(40, 6), torch.randint(3, (40,))
    landscape = NetworkLandscape(model, cross_entropy, Batches((data,), 40, "made up", "data"))
    operator = landscape.curvature(Point(parameters_to_vector(model.parameters()).detach(), "w"), matrix="remainder")
    assert not operator.matmat(torch.randn(5, 21)).any()

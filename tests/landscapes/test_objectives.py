"""Losses and errors against their means in plain PyTorch, and what cannot be a loss."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from landscape.errors import CheckpointError
from landscape.landscapes.batch_parts import num_samples
from landscape.landscapes.objectives import (
    Objective,
    as_objective,
    bce,
    cross_entropy,
    measured,
    mse,
    training_step_objective,
)

IDENTITY = nn.Identity()


def energy(objective: Objective, model: nn.Module, *batches: Any) -> float:
    values = [measured(objective.loss, model, batch) for batch in batches]
    return (sum(total for total, _ in values) / sum(weight for _, weight in values)).item()


def wrong(objective: Objective, batch: Any) -> float:
    assert objective.error is not None
    count, weight = measured(objective.error, IDENTITY, batch)
    return (count / weight).item()


@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 4), (6, 3, 4, 5)], ids=["vectors", "sequences", "images"])
def test_cross_entropy_counts_what_is_not_ignored(shape: tuple[int, ...], rng: torch.Generator) -> None:
    logits = torch.randn(shape, generator=rng, dtype=torch.float64)
    target = torch.randint(3, (shape[0], *shape[2:]), generator=rng)
    target[0] = -100
    expected = F.cross_entropy(logits, target).item()
    uneven = (logits[:2], target[:2]), (logits[2:], target[2:])
    assert energy(cross_entropy, IDENTITY, (logits, target)) == pytest.approx(expected, rel=1e-14)
    assert energy(cross_entropy, IDENTITY, *uneven) == pytest.approx(expected, rel=1e-14)
    kept = target != -100
    expected_error = (logits.argmax(1) != target)[kept].double().mean().item()
    assert wrong(cross_entropy, (logits, target)) == pytest.approx(expected_error, rel=1e-14)


def test_cross_entropy_of_language_models_has_the_classes_last(rng: torch.Generator) -> None:
    logits, target = torch.randn(2, 5, 7, generator=rng), torch.randint(7, (2, 5), generator=rng)
    expected = F.cross_entropy(logits.reshape(10, 7), target.reshape(10)).item()
    assert energy(cross_entropy, IDENTITY, (logits, target)) == pytest.approx(expected, rel=1e-6)
    assert wrong(cross_entropy, (logits, target)) == pytest.approx((logits.argmax(2) != target).double().mean().item())


def test_mse_and_bce_are_means_over_elements(rng: torch.Generator) -> None:
    out, target = torch.randn(5, 3, generator=rng), torch.randn(5, 3, generator=rng)
    labels = (target > 0).long()
    assert energy(mse, IDENTITY, (out[:4], target[:4]), (out[4:], target[4:])) == pytest.approx(
        F.mse_loss(out, target).item(), rel=1e-6
    )
    expected = F.binary_cross_entropy_with_logits(out, labels.float()).item()
    assert energy(bce, IDENTITY, (out, labels)) == pytest.approx(expected, rel=1e-6)
    assert wrong(bce, (out, labels)) == pytest.approx(((out > 0) != (labels == 1)).double().mean().item())


def test_a_column_against_a_vector_is_not_broadcast() -> None:
    out, target = torch.tensor([[1.0], [2.0]]), torch.tensor([1.0, 4.0])
    assert energy(mse, IDENTITY, (out, target)) == 2.0


class Added(nn.Module):
    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return first + 2 * second


@pytest.mark.parametrize(
    "batch",
    [
        (1.0, 10.0, 24.0),
        [1.0, 10.0, 24.0],
        {"second": 10.0, "first": 1.0, "labels": 24.0},
        {"target": 24.0, "first": 1.0, "second": 10.0},
    ],
    ids=["tuple", "list", "names in another order", "target first"],
)
def test_several_inputs(batch: Any) -> None:
    wrap = lambda value: torch.full((2, 1), value)  # noqa: E731
    tensors = {k: wrap(v) for k, v in batch.items()} if isinstance(batch, dict) else type(batch)(map(wrap, batch))
    assert energy(mse, Added(), tensors) == 9.0
    assert num_samples(tensors) == 2


def test_a_single_named_input_may_have_any_name_and_answers_may_carry_logits() -> None:
    class Answer(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return type("Output", (), {"logits": x})()

    batch = {"pixels": torch.tensor([1.0, 2.0]), "y": torch.tensor([1.0, 4.0])}
    assert energy(mse, Answer(), batch) == 2.0


@pytest.mark.parametrize(
    ("objective", "batch", "message"),
    [
        (cross_entropy, (torch.ones(4, 3), torch.ones(4, 3)), r"shape \(4, 3\), the targets \(4, 3\).*--objective mse"),
        (mse, (torch.ones(4, 3), torch.ones(4, dtype=torch.long)), r"wanted the same.*--objective cross_entropy"),
        (mse, torch.ones(4), r"type Tensor has no target: wanted \(input, target\)"),
        (Objective("mean", lambda m, b: m(b[0]).mean()), (torch.ones(4),), r"a tensor of shape \(\); wanted \(sum"),
        (Objective("none", lambda m, b: None), (torch.ones(4),), r"returned NoneType; wanted \(sum"),
        (Objective("rows", lambda m, b: (m(b[0]), 4)), (torch.ones(4),), r"a sum of shape \(4,\); wanted a scalar"),
    ],
    ids=["labels of the wrong shape", "labels for mse", "no target", "a mean", "nothing", "not summed"],
)
def test_what_is_no_loss_is_refused_in_one_line(objective: Objective, batch: Any, message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as error:
        measured(objective.loss, IDENTITY, batch)
    assert "\n" not in str(error.value)


def doubled(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
    return 2 * model(batch[0]).sum(), len(batch[0])


def test_functions_are_objectives_named_by_where_they_are() -> None:
    objective = as_objective(doubled)
    assert objective.name == f"{__name__}:doubled"
    assert as_objective(objective) is objective
    assert energy(objective, IDENTITY, (torch.ones(3),)) == 2.0
    with pytest.raises(CheckpointError, match="'huber' is no objective"):
        as_objective("huber")


def test_the_fingerprint_follows_the_source() -> None:
    assert as_objective(doubled).fingerprint == as_objective(doubled).fingerprint
    assert Objective("a", doubled).fingerprint != Objective("b", doubled).fingerprint
    assert Objective("a", doubled).fingerprint != Objective("a", cross_entropy.loss).fingerprint
    assert len(Objective("a", len).fingerprint) == 64  # no source to be had


class Steps(nn.Module):
    """What of a LightningModule an objective needs."""

    def training_step(self, batch: Any) -> Any:
        return {"loss": batch[0].mean(), "weight": 3}


def test_a_training_step_may_name_its_weight() -> None:
    total, weight = measured(training_step_objective(Steps()).loss, Steps(), (torch.tensor([1.0, 3.0]),))
    assert (total.item(), weight.item()) == (6.0, 3.0)


def test_a_training_step_without_a_loss_is_refused() -> None:
    class Silent(Steps):
        def training_step(self, batch: Any, batch_idx: int) -> None: ...

    with pytest.raises(CheckpointError, match=r"Silent.training_step returned NoneType; wanted the mean loss"):
        training_step_objective(Silent()).loss(Silent(), (torch.ones(2),))


def test_a_lightning_training_step_is_its_cross_entropy(rng: torch.Generator) -> None:
    from network_cases import batches_of

    from landscape.landscapes.network import NetworkLandscape

    pl = pytest.importorskip("pytorch_lightning")

    class Lit(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Dropout(), nn.Linear(5, 3))

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            loss = F.cross_entropy(self.net(batch[0]), batch[1])
            self.log("train_loss", loss, prog_bar=True)
            return loss

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x)

    data = torch.randn(11, 6, generator=rng, dtype=torch.float64), torch.randint(3, (11,), generator=rng)
    model, batches = Lit().double(), batches_of(data, (5, 4, 2))
    stepped = NetworkLandscape(model, training_step_objective(model), batches)
    plain = NetworkLandscape(model, cross_entropy, batches)
    points = torch.stack([plain.initial(torch.Generator().manual_seed(k)).vector for k in range(5)])
    for found, expected in zip(stepped.gradients(points), plain.gradients(points), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    assert stepped.info.objective == "training_step"

"""Small networks with data, each with its mean loss written a second time in plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from landscape.landscapes.batches import Batches
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import Objective, bce, cross_entropy, mse

SAMPLES = 11
RAGGED = (5, 4, 2)


def batches_of(tensors: Sequence[Tensor], sizes: Sequence[int]) -> Batches:
    parts = zip(*(t.split(list(sizes)) for t in tensors), strict=True)
    return Batches(tuple(parts), sum(sizes), "made up", "data")


class Apply(nn.Module):
    """A module with a forward of its own, given as ``forward(self, *inputs)``."""

    def __init__(self, forward: Callable[..., Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self._of = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self._of(self, *inputs)


def _tied() -> nn.Module:
    model = Apply(
        lambda m, x: m.out(torch.tanh(m.embed(x)).mean(1)), embed=nn.Embedding(7, 4), out=nn.Linear(4, 7, False)
    )
    model.out.weight = model.embed.weight
    return model


def _conv() -> nn.Module:
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 3)
    )
    model[1].running_mean.normal_()
    model[1].running_var.uniform_(0.5, 2)
    return model


def _two_losses(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
    x, y = batch
    out = model(x)
    return F.cross_entropy(out, y, reduction="sum") + 0.3 * out.square().sum(), len(y)


def _mean_two_losses(out: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(out, y) + 0.3 * out.square().sum(1).mean()


@dataclass(frozen=True)
class Case:
    name: str
    model: Callable[[], nn.Module]
    inputs: Callable[[], tuple[Tensor, ...]]
    classes: int = 3
    objective: Objective = cross_entropy
    mean: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy
    vmaps: bool = True

    def data(self) -> tuple[Tensor, ...]:
        """Inputs and targets of all samples."""
        torch.manual_seed(1)
        inputs = self.inputs()
        if self.objective is mse:
            return *inputs, torch.randn(SAMPLES, self.classes, dtype=torch.float64)
        if self.objective is bce:
            return *inputs, torch.randint(2, (SAMPLES, self.classes))
        return *inputs, torch.randint(self.classes, (SAMPLES,))

    def network(self) -> nn.Module:
        torch.manual_seed(0)
        return self.model().double().eval()

    def landscape(self, sizes: Sequence[int] = RAGGED) -> NetworkLandscape:
        return NetworkLandscape(self.network(), self.objective, batches_of(self.data(), sizes))

    def plain_energy(self, model: nn.Module) -> Tensor:
        """The mean loss over all samples at once."""
        *inputs, target = self.data()
        return self.mean(model(*inputs), target)


def _normal(*shape: int) -> Callable[[], tuple[Tensor, ...]]:
    return lambda: (torch.randn(SAMPLES, *shape, dtype=torch.float64),)


def _words() -> tuple[Tensor, ...]:
    return (torch.randint(7, (SAMPLES, 4)),)


def _several() -> tuple[Tensor, ...]:
    return torch.randn(SAMPLES, 4, dtype=torch.float64), torch.randn(SAMPLES, 2, dtype=torch.float64)


def _last(module: nn.Module, x: Tensor) -> Tensor:
    return module.out(module.core(x)[0][:, -1])


CASES = [
    Case("mlp", lambda: nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)), _normal(6)),
    Case(
        "relu, mse", lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2)), _normal(6), 2, mse, F.mse_loss
    ),
    Case(
        "bce",
        lambda: nn.Sequential(nn.Linear(6, 5), nn.GELU(), nn.Linear(5, 2)),
        _normal(6),
        2,
        bce,
        lambda out, y: F.binary_cross_entropy_with_logits(out, y.double()),
    ),
    Case(
        "attention",
        lambda: Apply(
            lambda m, x: m.out(m.core(x, x, x, need_weights=False)[0].mean(1)),
            core=nn.MultiheadAttention(4, 2, batch_first=True),
            out=nn.Linear(4, 3),
        ),
        _normal(5, 4),
    ),
    Case(
        "transformer",
        lambda: Apply(
            lambda m, x: m.out(m.core(x).mean(1)),
            core=nn.TransformerEncoderLayer(4, 2, 3, batch_first=True, norm_first=False),
            out=nn.Linear(4, 3),
        ),
        _normal(5, 4),
    ),
    Case(
        "lstm",
        lambda: Apply(_last, core=nn.LSTM(3, 3, batch_first=True), out=nn.Linear(3, 3)),
        _normal(4, 3),
        vmaps=False,
    ),
    Case(
        "gru",
        lambda: Apply(_last, core=nn.GRU(3, 3, batch_first=True), out=nn.Linear(3, 3)),
        _normal(4, 3),
        vmaps=False,
    ),
    Case("conv, batch norm", _conv, _normal(1, 6, 6)),
    Case(
        "padded embedding",
        lambda: Apply(
            lambda m, x: m.out(torch.tanh(m.embed(x)).sum(1)),
            embed=nn.Embedding(7, 4, padding_idx=0),
            out=nn.Linear(4, 3),
        ),
        _words,
    ),
    Case("tied weights", _tied, _words, 7),
    Case("layer norm", lambda: nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.Tanh(), nn.Linear(5, 3)), _normal(6)),
    Case(
        "two inputs",
        lambda: Apply(
            lambda m, x, z: m.out(torch.tanh(m.one(x) + m.two(z))),
            one=nn.Linear(4, 4),
            two=nn.Linear(2, 4),
            out=nn.Linear(4, 3),
        ),
        _several,
    ),
    Case(
        "two losses",
        lambda: nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)),
        _normal(6),
        3,
        Objective("two losses", _two_losses),
        _mean_two_losses,
    ),
]

EACH_CASE = [(case.name, case) for case in CASES]

"""Networks of the conformance table: modules, and forward passes ``(module, *inputs)`` for ``Apply``."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


def mlp(activation: Callable[[], nn.Module] = nn.Tanh, classes: int = 3) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5), activation(), nn.Linear(5, classes))


def frozen() -> nn.Module:
    model = mlp()
    model[0].weight.requires_grad_(False)
    return model


# Convolutions


class Residual(nn.Module):
    """x + f(x) with batch norm in f, on statistics that are not those of the data."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 3, 3, padding=1)
        self.inner = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3), nn.ReLU(inplace=True))
        self.out = nn.Linear(3, 3)
        self.inner[1].running_mean.normal_()
        self.inner[1].running_var.uniform_(0.5, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.out(F.adaptive_avg_pool2d(x + self.inner(x), 1).flatten(1))


def depthwise() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.Hardswish(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))


def group_norm() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.SiLU(), nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(16, 3)
    )


def instance_norm() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(2, 3, 3, padding=1, padding_mode="circular"),
        nn.InstanceNorm1d(3, affine=True),
        nn.ELU(),
        nn.Flatten(),
        nn.Linear(15, 3),
    )


def autoencoder() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 2, stride=2), nn.Tanh(), nn.ConvTranspose2d(2, 1, 2, stride=2))


def upsampled() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, stride=2, padding=1),
        nn.Softplus(),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Conv2d(3, 3, 1),
    )


# Recurrent networks


def bidirectional(m: nn.Module, x: Tensor) -> Tensor:
    _, (hidden, _) = m.core(x)
    return m.out(hidden.movedim(0, 1).flatten(1))


def last_state(m: nn.Module, x: Tensor) -> Tensor:
    return m.out(m.core(x)[0][:, -1])


def packed(m: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    return m.out(m.core(packed)[1][0])


def unrolled(m: nn.Module, x: Tensor) -> Tensor:
    hidden = x.new_zeros(len(x), 3)
    for step in x.unbind(1):
        hidden = m.cell(step, hidden)
    return m.out(hidden)


# Attention and language


class CausalModel(nn.Module):
    """One transformer block, its head tied to its embedding; 7 words, at most 4 of them."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(7, 4), nn.Embedding(4, 4)
        self.first, self.second = nn.RMSNorm(4), nn.RMSNorm(4)
        self.attend, self.project = nn.Linear(4, 12), nn.Linear(4, 4)
        self.up, self.gate, self.down = nn.Linear(4, 3), nn.Linear(4, 3), nn.Linear(3, 4)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.words(tokens) + self.places(torch.arange(tokens.shape[1]))
        q, k, v = self.attend(self.first(x)).unflatten(2, (3, 2, 2)).permute(2, 0, 3, 1, 4)
        x = x + self.project(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        y = self.second(x)
        x = x + self.down(self.up(y) * F.silu(self.gate(y)))
        return x @ self.words.weight.T


class WithLoss(CausalModel):
    """A language model that takes the labels and returns its loss, as those of Hugging Face do."""

    def forward(self, input_ids: Tensor, labels: Tensor) -> Any:  # type: ignore[override]
        logits = super().forward(input_ids)
        return SimpleNamespace(loss=F.cross_entropy(logits.flatten(0, 1), labels.flatten()), logits=logits)


def masked(m: nn.Module, x: Tensor, padding: Tensor) -> Tensor:
    return m.out(m.core(x, src_key_padding_mask=padding)[:, 0])


# Several outputs


class TwoHeads(nn.Module):
    def __init__(self, named: bool) -> None:
        super().__init__()
        self.body, self.classes, self.value, self.named = nn.Linear(6, 5), nn.Linear(5, 3), nn.Linear(5, 2), named

    def forward(self, x: Tensor) -> Any:
        x = torch.tanh(self.body(x))
        both = self.classes(x), self.value(x)
        return dict(zip(("classes", "value"), both, strict=True)) if self.named else both


class Cascade(nn.Module):
    """Two guesses, of which the second is made from the first."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(6, 3), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first = self.one(x)
        return first, self.two(torch.tanh(first))


# Parameters and steps of one's own


class Steps(nn.Module):
    """What of a LightningModule an objective needs; the step's mean is over the tokens that count."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.criterion = CausalModel(), nn.CrossEntropyLoss()

    def forward(self, tokens: Tensor) -> Tensor:
        return self.net(tokens)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        tokens, targets = batch
        loss = self.criterion(self(tokens).transpose(1, 2), targets)
        return {"loss": loss, "weight": (targets != -100).sum()}


class Loose(nn.Module):
    """Parameters outside layers: a scalar, one used three times, one not used at all."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.5))
        self.matrix = nn.Parameter(torch.randn(6, 6) / 2)
        self.idle = nn.Parameter(torch.randn(2))
        self.out = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = torch.tanh(x @ self.matrix) * self.scale
        return self.out(F.normalize(x, dim=1))


def tied_autoencoder(m: nn.Module, x: Tensor) -> Tensor:
    return torch.tanh(m.code(x)) @ m.code.weight

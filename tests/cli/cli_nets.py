"""A small model and its data, named as `cli_nets:Net` and `cli_nets:data`, and what a command shows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

RECIPE = ["--model", "cli_nets:Net", "--data", "cli_nets:data", "--objective", "cross_entropy"]


@dataclass(frozen=True)
class Shown:
    """What a command gave back."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line that says what is wrong."""
        lines = [line for line in self.err.splitlines() if line.startswith("landscape: ")]
        assert len(lines) == 1, self.err
        return lines[0]


class Net(nn.Module):
    def __init__(self, width: int = 5) -> None:
        super().__init__()
        self.first = nn.Linear(3, width)
        self.last = nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(x)))


class Noisy(Net):
    """Dropout that does not know of eval()."""

    def forward(self, x: Tensor) -> Tensor:
        return self.last(functional.dropout(torch.tanh(self.first(x)), 0.5))


class Talkative(Net):
    """Prints where it should compute."""

    def forward(self, x: Tensor) -> Tensor:
        print("hello from forward")
        return super().forward(x)


class Exiting(Net):
    def forward(self, x: Tensor) -> Tensor:
        raise SystemExit(0)


class Frozen(Net):
    def __init__(self) -> None:
        super().__init__()
        self.requires_grad_(False)


class Checkpointed(Net):
    """Reentrant activation checkpointing: one derivative, not two."""

    def forward(self, x: Tensor) -> Tensor:
        hidden = checkpoint(lambda h: torch.tanh(self.first(h)), x.requires_grad_(), use_reentrant=True)
        return self.last(hidden)


def data(scale: float = 1.0, count: int = 24) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(count, 3, generator=rng)
    return scale * x, (x.sum(1) > 0).long()


def narrow_data() -> tuple[Tensor, Tensor]:
    x, y = data()
    return x[:, :2], y


def no_objective(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return functional.cross_entropy(model(batch[0]), batch[1])

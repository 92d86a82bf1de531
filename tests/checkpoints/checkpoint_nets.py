"""Models and data that the checkpoint tests name in recipes."""

from __future__ import annotations

from collections.abc import Callable

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset


class Net(nn.Module):
    """Weights, batch-norm buffers and one frozen parameter."""

    def __init__(self, width: int = 4, activation: Callable[[Tensor], Tensor] = torch.tanh) -> None:
        super().__init__()
        self.activation = activation
        self.first = nn.Linear(3, width)
        self.norm = nn.BatchNorm1d(width)
        self.last = nn.Linear(width, 2)
        self.last.bias.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.activation(self.norm(self.first(x))))


class WideNet(Net):
    """Passes what it does not know on."""

    def __init__(self, depth: int, **others: object) -> None:
        super().__init__(**others)
        self.depth = depth


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(3, 3, bias=False)
        self.decoder = nn.Linear(3, 3, bias=False)
        self.decoder.weight = self.encoder.weight


class Lit(pl.LightningModule):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = Net(width)

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD((p for p in self.parameters() if p.requires_grad), lr=0.1)


class Data(pl.LightningDataModule):
    def __init__(self, samples: int = 12, batch_size: int = 5) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.samples, self.batch_size = samples, batch_size

    def _loader(self, offset: float) -> DataLoader:
        x = torch.arange(self.samples * 3, dtype=torch.float32).reshape(-1, 3) / 10 + offset
        return DataLoader(TensorDataset(x, torch.arange(self.samples) % 2), self.batch_size)

    def train_dataloader(self) -> DataLoader:
        return self._loader(0.0)

    def val_dataloader(self) -> DataLoader:
        return self._loader(1.0)


class Noisy(Dataset):
    """Augmentation: every draw differs."""

    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.randn(2) + index, index


def make_numbers(n: int = 3) -> list[int]:
    return list(range(n))

"""The model and the data of the demonstration."""

from __future__ import annotations

from typing import Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

__all__ = ["DigitsDataModule", "LitMLP", "digits"]

TRAIN_FRACTION = 0.8


def digits(split: Literal["train", "val"] | None = None) -> TensorDataset:
    """The 1,797 digits of 8 × 8 pixels, scaled to [0, 1]: all, or four fifths to train, or the rest to validate."""
    pixels, labels = load_digits(return_X_y=True)
    inputs, targets = torch.tensor(pixels, dtype=torch.float32) / 16, torch.tensor(labels)
    if split is None:
        return TensorDataset(inputs, targets)
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))
    first, rest = order.tensor_split([int(TRAIN_FRACTION * len(order))])
    chosen = first if split == "train" else rest
    return TensorDataset(inputs[chosen], targets[chosen])


class DigitsDataModule(pl.LightningDataModule):
    """The digits, split for training and validation.

    Parameters
    ----------
    batch_size
        Samples in a mini-batch.
    """

    def __init__(self, batch_size: int = 128) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.batch_size = batch_size

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return DataLoader(digits("train"), batch_size=self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return DataLoader(digits("val"), batch_size=self.batch_size)


class LitMLP(pl.LightningModule):
    """A ReLU network 64 – width – width – 10 with softmax cross-entropy.

    Parameters
    ----------
    width
        Units in each of the two hidden layers.
    learning_rate
        Adam's rate at the start; it falls to zero over the training.
    """

    def __init__(self, width: int = 32, learning_rate: float = 2e-2) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.learning_rate = learning_rate
        self.net = nn.Sequential(
            nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        return self.net(inputs)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        inputs, targets = batch
        return functional.cross_entropy(self(inputs), targets)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        inputs, targets = batch
        self.log("val_loss", functional.cross_entropy(self(inputs), targets))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = torch.optim.Adam(self.parameters(), lr=self.learning_rate)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

"""A model and its data, as any training script has them. `landscape` is not imported here."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset


class MLP(nn.Sequential):
    """A ReLU network 64 - width - width - 10."""

    def __init__(self, width: int = 32) -> None:
        super().__init__(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))


def digits() -> TensorDataset:
    """The 1,797 handwritten digits that come with scikit-learn."""
    pixels, labels = load_digits(return_X_y=True)
    return TensorDataset(torch.tensor(pixels, dtype=torch.float32) / 16, torch.tensor(labels))

"""The three networks with data that every library is measured on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

__all__ = ["PROBLEMS", "Problem", "Residual"]

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Problem:
    """A classifier, its data as one batch, and how much of each measurement is asked for.

    Attributes
    ----------
    build
        A new network with random weights, in training mode.
    samples, pixels
        How many digits, and the side of each in pixels.
    trace_products
        Products that a trace may take.
    density_probes, density_steps
        Random vectors of a density, and Lanczos steps for each.
    training_steps
        Steps of Adam on the whole batch, so that outliers have left the bulk.
    repeats
        How often what takes long is timed.
    device
        Where the network and its data lie.
    weights
        A stored state dict to take instead of training.
    """

    name: str
    build: Callable[[], nn.Module]
    samples: int
    pixels: int
    trace_products: int
    density_probes: int
    density_steps: int
    training_steps: int
    repeats: int
    device: torch.device = CPU
    weights: Path | None = None

    @cached_property
    def data(self) -> tuple[Tensor, Tensor]:
        """Inputs of shape (samples, 1, pixels, pixels) in [0, 1] and classes; the digits start over when they end."""
        pixels, labels = load_digits(return_X_y=True)
        rows = torch.arange(self.samples) % len(labels)
        images = torch.tensor(pixels, dtype=torch.float32).reshape(-1, 1, 8, 8)[rows] / 16
        images = F.interpolate(images, size=self.pixels, mode="bilinear")
        return images.to(self.device), torch.tensor(labels)[rows].to(self.device)

    @cached_property
    def model(self) -> nn.Module:
        """The network after a short training, in eval mode."""
        torch.manual_seed(0)
        model = self.build().to(self.device)
        if self.weights:
            model.load_state_dict(torch.load(self.weights, map_location=self.device, weights_only=True))
            return model.eval()
        inputs, targets = self.data
        optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
        for _ in range(self.training_steps):
            optimiser.zero_grad()
            F.cross_entropy(model(inputs), targets).backward()
            optimiser.step()
        model.zero_grad()
        return model.eval()

    def gradient(self) -> tuple[Tensor, ...]:
        """The unit of cost: the mean loss of the batch and its gradient, in plain PyTorch."""
        inputs, targets = self.data
        return torch.autograd.grad(F.cross_entropy(self.model(inputs), targets), list(self.model.parameters()))

    @property
    def num_parameters(self) -> int:
        """P."""
        return sum(parameter.numel() for parameter in self.model.parameters())


class Residual(nn.Module):
    """Two convolutions with batch norm around which the input is added; a 1 x 1 convolution where the shape changes."""

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out_channels, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels, momentum=0.5)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels, momentum=0.5)
        same = stride == 1 and channels == out_channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels, out_channels, 1, stride, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = F.relu(self.norm1(self.conv1(inputs)))
        return F.relu(self.norm2(self.conv2(hidden)) + self.shortcut(inputs))


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))


def _cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def _resnet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32, momentum=0.5), nn.ReLU(),
        Residual(32, 32, 1), Residual(32, 64, 2), Residual(64, 128, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10),
    )  # fmt: skip


PROBLEMS = (
    Problem("MLP", _mlp, 1797, 8, 99, 10, 50, 60, 7),
    Problem("CNN", _cnn, 2048, 8, 30, 2, 20, 20, 5),
    Problem("ResNet", _resnet, 256, 16, 12, 1, 15, 10, 3),
)

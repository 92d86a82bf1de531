"""Nets on digits whose minima are to be connected, all pairs of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from landscape.demo.digits import digits
from landscape.landscapes.batches import materialise
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import cross_entropy
from landscape.parameters import Point
from landscape.symmetry.align import align
from landscape.symmetry.discovery import symmetry_of

__all__ = ["PATH_PROBLEMS", "PathProblem"]

CPU = torch.device("cpu")
Pair = tuple[Point, Point]


@dataclass(frozen=True)
class PathProblem:
    """A classifier trained from several seeds.

    Attributes
    ----------
    build
        A new network with random weights.
    learning_rate, epochs
        Of Adam, its rate falling to zero as a cosine, on mini-batches of 128.
    seeds
        Number of nets.
    samples
        Number of digits at most.
    """

    name: str
    build: Callable[[], nn.Module]
    learning_rate: float
    epochs: int
    seeds: int = 6
    samples: int = 1437

    @cached_property
    def data(self) -> tuple[Tensor, Tensor]:
        """Images of shape (samples, 1, 8, 8) and classes, of the split that is trained on."""
        inputs, targets = digits("train").tensors
        return inputs[: self.samples].reshape(-1, 1, 8, 8), targets[: self.samples]

    def landscape(self, batch_size: int = 128) -> NetworkLandscape:
        """The loss in mini-batches of this size."""
        data = materialise(self.data, batch_size=batch_size, device=CPU, dtype=torch.float32)
        return NetworkLandscape(self.build(), cross_entropy, data, name=self.name)

    @cached_property
    def points(self) -> list[Point]:
        """The trained nets."""
        space = self.landscape().space
        return [Point(space.flatten(self._trained(seed).state_dict()), id=f"seed{seed}") for seed in range(self.seeds)]

    @cached_property
    def pairs(self) -> list[Pair]:
        """All pairs of nets as they came."""
        return list(combinations(self.points, 2))

    @cached_property
    def aligned(self) -> list[Pair]:
        """All pairs, the second net of each with its units in the order that matches the first one's weights."""
        landscape, rng = self.landscape(), torch.Generator().manual_seed(0)
        symmetry = symmetry_of(landscape, rng=rng)
        return [(a, align(landscape, a, b, symmetry, rng=rng).point) for a, b in self.pairs]

    def _trained(self, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        model, (inputs, targets) = self.build(), self.data
        optimiser = torch.optim.Adam(model.parameters(), lr=self.learning_rate)
        batches = -(-len(inputs) // 128)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, self.epochs * batches)
        for _ in range(self.epochs):
            for chosen in torch.randperm(len(inputs)).split(128):
                optimiser.zero_grad()
                F.cross_entropy(model(inputs[chosen]), targets[chosen]).backward()
                optimiser.step()
                schedule.step()
        return model


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))


def _cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10),
    )  # fmt: skip


PATH_PROBLEMS = (PathProblem("MLP", _mlp, 2e-2, 140), PathProblem("CNN", _cnn, 1e-2, 200))

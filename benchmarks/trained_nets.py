"""Nets trained on digits for the acceptance measurements."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from nets import digits
from torch import nn
from torch.nn.functional import cross_entropy

import landscape
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point

__all__ = ["Build", "opened", "trained"]

Build = Callable[[], nn.Module]


def trained(build: Build, seed: int, epochs: int, rate: float) -> nn.Module:
    """Adam on mini-batches of 128 digits, the rate falling to zero as a cosine."""
    torch.manual_seed(seed)
    model, (inputs, targets) = build(), digits().tensors
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    steps, step = epochs * math.ceil(len(inputs) / 128), 0
    for _ in range(epochs):
        for chosen in torch.randperm(len(inputs)).split(128):
            optimiser.param_groups[0]["lr"] = rate * 0.5 * (1 + math.cos(math.pi * step / steps))
            optimiser.zero_grad()
            cross_entropy(model(inputs[chosen]), targets[chosen]).backward()
            optimiser.step()
            step += 1
    return model.eval()


def opened(models: Sequence[nn.Module], **options: str) -> tuple[Landscape, list[Point]]:
    return landscape.load(*models, data=digits, objective="cross_entropy", **options)

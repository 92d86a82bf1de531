"""First-order updates of all images at once, the moments handed in and out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Moments", "adam", "momentum"]

_BETA1, _EPSILON = 0.9, 1e-8


@dataclass(frozen=True, eq=False)
class Moments:
    """Running moments of the images' gradients, each of shape ``(images, P)``, and the number of updates in them."""

    first: Tensor
    second: Tensor
    updates: int = 0

    @classmethod
    def none(cls, images: Tensor) -> Moments:
        """Before the first update."""
        return cls(torch.zeros_like(images), torch.zeros_like(images))


def adam(gradients: Tensor, moments: Moments, beta2: float = 0.999) -> tuple[Tensor, Moments]:
    """The step of Adam at rate 1, downhill (Kingma & Ba 2015, algorithm 1), and the new moments."""
    updates = moments.updates + 1
    first = torch.lerp(moments.first, gradients, 1 - _BETA1)
    second = torch.lerp(moments.second, gradients.square(), 1 - beta2)
    size = (second / (1 - beta2**updates)).sqrt() + _EPSILON
    return -first / (1 - _BETA1**updates) / size, Moments(first, second, updates)


def momentum(gradients: Tensor, moments: Moments) -> tuple[Tensor, Moments]:
    """The step of SGD with momentum 0.9 at rate 1, downhill, and the new moments."""
    first = 0.9 * moments.first + gradients
    return -first, Moments(first, moments.second, moments.updates + 1)

"""Whether a landscape lives on R^P, where any displacement leads to another point of it."""

from __future__ import annotations

import torch

from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point

__all__ = ["is_flat"]


def is_flat(landscape: Landscape, point: Point) -> bool:
    """Whether twice the point is a point too: on a curved or a discrete space ``project`` brings it back."""
    doubled = 2 * point.vector[None]
    return torch.equal(landscape.project(doubled), doubled)

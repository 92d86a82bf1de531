"""Opening a reference landscape in tests, its dense Hessian, and the semicircle to compare spectra with."""

from __future__ import annotations

from math import pi

import torch
from jaxtyping import Float
from landscape_zoo.opening import open_zoo
from torch import Tensor

from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point

CPU = torch.device("cpu")


def opened(name: str, dtype: torch.dtype | None = None) -> tuple[Landscape, dict[str, Point]]:
    landscape, points = open_zoo(name, device=CPU, dtype=dtype)
    return landscape, {point.id: point for point in points}


def dense(landscape: Landscape, x: Tensor) -> Float[Tensor, "P P"]:
    eye = torch.eye(landscape.space.dim, dtype=x.dtype)
    return landscape.hessian(Point(x, id="x")).matmat(eye)


def distance(values: Float[Tensor, " n"], cumulative: Float[Tensor, " n"]) -> float:
    """Kolmogorov-Smirnov distance: the most by which the steps at the sorted values leave a cumulative distribution."""
    steps = torch.arange(len(values) + 1, dtype=torch.float64) / len(values)
    return float(torch.maximum((cumulative - steps[:-1]).abs(), (cumulative - steps[1:]).abs()).max())


def semicircle(values: Float[Tensor, " n"], centre: float, radius: float) -> Float[Tensor, " n"]:
    """The semicircle's cumulative distribution."""
    u = ((values - centre) / radius).clamp(-1, 1)
    return 0.5 + (u * torch.sqrt(1 - u**2) + torch.asin(u)) / pi

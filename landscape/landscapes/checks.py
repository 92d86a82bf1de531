"""Whether a landscape can be trusted at a point: the same energy twice, and a finite one."""

from __future__ import annotations

import math

import torch
from torch import nn

from landscape.errors import CheckpointError
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point

__all__ = ["check_deterministic", "check_finite"]

GPU_ROUNDING = 64
"""Kernels that add in no fixed order may differ by this many units of rounding."""


def check_deterministic(landscape: Landscape, point: Point) -> None:
    """Refuses a landscape whose energy differs between two evaluations of one point.

    On the CPU they must agree bit for bit, on other devices to rounding. Costs two energies.
    """
    points = point.to(landscape.device, landscape.dtype).vector[None]
    first, second = (float(landscape.energies(points)[0]) for _ in range(2))
    allowed = 0.0 if landscape.device.type == "cpu" else GPU_ROUNDING * torch.finfo(landscape.dtype).eps * abs(first)
    if math.isfinite(first) and abs(first - second) > allowed:
        raise CheckpointError(
            f"{point.id}: not deterministic, two evaluations gave losses {first:.8g} and {second:.8g}: "
            f"is dropout left on? {_suspects(landscape)}"
        )


def check_finite(landscape: Landscape, point: Point) -> float:
    """The energy of a point; refuses one that is not a finite number. Costs one energy."""
    energy = float(landscape.energies(point.to(landscape.device, landscape.dtype).vector[None])[0])
    if not math.isfinite(energy):
        samples = "" if landscape.info.samples is None else f" over {landscape.info.samples} samples"
        raise CheckpointError(
            f"{point.id}: the loss{samples} is {energy}: look for bad values in the data and at the objective "
            f"({landscape.info.objective}), or try --dtype float64"
        )
    return energy


def _suspects(landscape: Landscape) -> str:
    """Where randomness may come from, in words."""
    model = landscape.function.model if isinstance(landscape, NetworkLandscape) else nn.Module()
    names = [n for n, m in model.named_modules() if isinstance(m, nn.modules.dropout._DropoutNd) and m.training]
    if names:
        return f"{', '.join(names[:3])} stayed in training mode after eval()"
    return (
        "No dropout module is on: look for F.dropout without training=self.training, or torch.rand in forward or loss"
    )

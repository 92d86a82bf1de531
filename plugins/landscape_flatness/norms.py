"""Measures that take no probes: the norm of the weights, and the curvature along them."""

from __future__ import annotations

import torch

from landscape.curvature.operator import SymmetricOperator
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point
from landscape_flatness.cost import counted
from landscape_flatness.measure import Found, Measure

__all__ = ["FISHER_RAO", "NORM", "fisher_rao", "norm"]

FISHER_RAO = Measure(
    "fisher_rao",
    "wᵀHw, the curvature of the loss along the weights: the Fisher-Rao norm with the Hessian H (Liang et al. 2019)",
    invariant=True,
)
NORM = Measure("norm", "|w|, the Euclidean norm of all parameters", invariant=False, units="weight")


def fisher_rao(landscape: Landscape, operator: SymmetricOperator, point: Point) -> Found:
    """wᵀHw, exact. Costs one product."""
    spent = counted(landscape.work)
    image = operator.matmat(point.vector[None])[0]
    return Found(FISHER_RAO, float((point.vector * image).sum(dtype=torch.float64)), cost=spent())


def norm(point: Point) -> Found:
    """|w|. Costs nothing."""
    return Found(NORM, float(torch.linalg.vector_norm(point.vector, dtype=torch.float64)))

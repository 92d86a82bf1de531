"""Gradient flow on a sphere, down to a minimum at the level of rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.errors import AnalysisError
from landscape_zoo.sphere import Sphere

__all__ = ["Derivatives", "descend", "tangent_hessian"]

ROUNDING = 1e-13  # of the energy and of the gradient's parts, relative: some hundred units in the last place
FIRST_TIME, GROWTH, SHRINKAGE = 0.05, 1.2, 0.5  # of the time step, in units of 1 / curvature


class Derivatives(NamedTuple):
    """E, ∇E and ∂²E of a function on R^N at one point."""

    energy: float
    gradient: Float[Tensor, " N"]
    hessian: Float[Tensor, "N N"]


def tangent_hessian(sphere: Sphere, x: Float[Tensor, " N"], here: Derivatives) -> Float[Tensor, "N N"]:
    """The Riemannian Hessian P ∂²E P - (∇E·x/N) P with P = 1 - xxᵀ/N; x itself has eigenvalue zero."""
    normal = torch.outer(x, x) / sphere.n
    tangent = torch.eye(sphere.n, dtype=x.dtype, device=x.device) - normal
    return tangent @ here.hessian @ tangent - (here.gradient @ x / sphere.n) * tangent


def descend(
    derivatives: Callable[[Tensor], Derivatives], sphere: Sphere, x: Float[Tensor, " N"], max_steps: int = 1000
) -> Float[Tensor, " N"]:
    """The minimum that gradient flow on the sphere leads to from x, up to the error of the steps, to rounding.

    Each step solves the flow dx/dt = -∇E exactly for the quadratic model of E at x, in the eigenvectors of its Hessian
    (exponential Euler: Hochbruck & Ostermann, Acta Numerica 19, 209 (2010)). It is kept where E does not rise, and the
    next one is then longer: short steps follow the flow, long ones become Newton's. Some fifty steps, each with an
    eigendecomposition. The flow leaves saddles along their negative eigenvalues. Raises ``AnalysisError`` after
    ``max_steps``.
    """
    here, time = derivatives(x), FIRST_TIME
    for _ in range(max_steps):
        gradient = sphere.tangent(x, here.gradient)
        if gradient.norm() <= ROUNDING * here.gradient.norm():
            return x
        end = sphere.project(x + _flow(tangent_hessian(sphere, x, here), gradient, time))
        there = derivatives(end)  # not a number where the flow along a negative eigenvalue overflows: refused below
        if there.energy <= here.energy + ROUNDING * abs(here.energy):
            x, here, time = end, there, time * GROWTH
        else:
            time *= SHRINKAGE
    raise AnalysisError(
        f"no minimum after {max_steps} steps of descent, where |gradient| = {gradient.norm():.1e}; take another seed"
    )


def _flow(hessian: Float[Tensor, "N N"], gradient: Float[Tensor, " N"], time: float) -> Float[Tensor, " N"]:
    """The displacement -(1 - exp(-Ht))/H g: where dx/dt = -(g + Hx) has led from 0."""
    values, vectors = torch.linalg.eigh(hessian)
    flat = values.abs() * time < ROUNDING  # there (1 - exp(-λt))/λ = t
    factors = torch.where(flat, time, -torch.expm1(-values * time) / values.where(~flat, 1.0))
    return -(vectors @ (factors * (vectors.T @ gradient)))

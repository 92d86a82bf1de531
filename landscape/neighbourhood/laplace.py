"""Laplace's approximation of a local entropy: the landscape taken for the parabola that osculates it."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.density import SpectralDensity

__all__ = ["laplace", "negative_part", "spectral_sum"]

ROUNDING = 1e-7  # of the largest eigenvalue: nearer to zero a sign means nothing in float32


def laplace(density: SpectralDensity, dim: int, beta: float, gamma: float) -> tuple[float, float]:
    """-½ Σᵢ ln(1 + βλᵢ/γ) and its standard error over probes: Φ(β, γ) of the bowl ½ xᵀHx, exactly.

    A negative eigenvalue counts as flat: ``negative_part`` says what that leaves out. Zero eigenvalues and coordinates
    that cannot move add nothing. One density serves all β and γ.

    Parameters
    ----------
    density
        Of the Hessian in the scaled coordinates.
    dim
        D, how many eigenvalues it stands for.
    """

    def free_energies(eigenvalues: Tensor) -> Tensor:
        return -torch.log1p(eigenvalues.clamp(min=0) * (beta / gamma)) / 2

    return spectral_sum(density, dim, free_energies)


def spectral_sum(
    density: SpectralDensity,
    dim: int,
    function: Callable[[Float[Tensor, "K M"]], Float[Tensor, "K M"]],
) -> tuple[float, float]:
    """Σᵢ f(λᵢ) over all eigenvalues, and its standard error over probes.

    Raises
    ------
    ValueError
        If the density comes from a single probe, whose error is unknown.
    """
    if len(density.nodes) < 2:
        raise ValueError("the density has one probe, which tells no error: want two or more")
    # rows are padded with zeros of weight 0
    sums = dim * (density.weights * function(density.nodes)).sum(dim=1)
    return float(sums.mean()), float(sums.std()) / sqrt(len(sums))


def negative_part(density: SpectralDensity, dim: int) -> tuple[float, float]:
    """How many eigenvalues are negative, and their share of Σᵢ |λᵢ|; both estimates where the density is one."""
    negative = density.nodes < -ROUNDING * density.nodes.abs().max()
    number, _ = spectral_sum(density, dim, lambda _: negative.double())
    total, _ = spectral_sum(density, dim, torch.abs)
    part, _ = spectral_sum(density, dim, lambda eigenvalues: eigenvalues.abs() * negative)
    return number, part / total if total else 0.0

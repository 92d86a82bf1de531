"""Relative flatness: the curvature of each layer, weighted with the scalar products of its neurons' weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.operator import SymmetricOperator
from landscape.curvature.trace import rademacher
from landscape.landscapes.protocol import Landscape
from landscape.parameters import ParameterSpace, Point
from landscape_flatness.cost import counted
from landscape_flatness.measure import Found, Measure

__all__ = ["RELATIVE_FLATNESS", "RelativeFlatness", "relative_flatness"]

RELATIVE_FLATNESS = Measure(
    "relative_flatness",
    "Σ_(s,s') (w_s·w_s') tr H_ss' over the rows w_s of a layer's weights, summed over layers (Petzka et al. 2021)",
    invariant=True,
)

BLOCK = 8  # probes that are multiplied at once; no result depends on it


@dataclass(frozen=True, eq=False)
class RelativeFlatness:
    """κ of each layer and their sum.

    Attributes
    ----------
    found
        The sum over layers.
    layers
        Names of the weight matrices.
    values, standard_errors
        κ of each layer, shape ``(layers,)``, float64 on the CPU, and the standard errors over probes. The layers share
        their probes: the errors are correlated.
    """

    found: Found
    layers: tuple[str, ...]
    values: Float[Tensor, " layers"]
    standard_errors: Float[Tensor, " layers"]


def relative_flatness(
    landscape: Landscape, operator: SymmetricOperator, point: Point, num_probes: int, seed: int
) -> RelativeFlatness | None:
    """κ = Σ_(s,s') (w_s·w_s') tr H_ss' of each layer, and the sum over layers; None where there are no layers.

    The w_s are the m rows of a layer's weights W, shape ``(m, n)`` (filters of convolutions flattened), H_ss' the n × n
    block of the Hessian between two of them. Choose F with F Fᵀ = W Wᵀ, and independent signs Z. The direction V = F Z
    has E[V_sa V_s'b] = Σ_kl F_sk F_s'l E[Z_ka Z_lb] = (F Fᵀ)_ss' δ_ab, so that

        E[V · HV] = Σ_(s,s') (w_s·w_s') Σ_a (H_ss')_aa = κ.

    The signs of different layers are independent: one product with the directions of all layers at once tells the κ of
    each without bias, as V_l · (HV)_l. F comes from Wᵀ = Q Fᵀ, so that it follows the scale of W, and the same signs
    give the same estimate for a rescaled network. Costs ``num_probes`` products.

    Source: Petzka, Kamp, Adilova, Sminchisescu & Boley 2021, definition 3.
    """
    shapes = zip(landscape.space.names, landscape.space.shapes, landscape.space.sizes, strict=True)
    layers = tuple(name for name, shape, size in shapes if len(shape) >= 2 and size)
    if not layers:
        return None
    spent = counted(landscape.work)
    factors = _factors(landscape.space, point.vector, layers)
    rng = torch.Generator().manual_seed(seed)
    samples = []
    for start in range(0, num_probes, BLOCK):
        rows = [
            _direction(landscape.space, factors, point.vector, rng)
            for _ in range(start, min(start + BLOCK, num_probes))
        ]
        directions = torch.stack(rows)
        products = landscape.space.unflatten(directions * operator.matmat(directions))
        samples.append(
            torch.stack([products[name].flatten(1).sum(dim=1, dtype=torch.float64) for name in layers], dim=1)
        )
    means, errors = _mean(torch.cat(samples).cpu())
    found = Found(RELATIVE_FLATNESS, float(means[-1]), float(errors[-1]), spent())
    return RelativeFlatness(found, layers, means[:-1], errors[:-1])


def _factors(space: ParameterSpace, vector: Tensor, layers: Sequence[str]) -> dict[str, Float[Tensor, "m k"]]:
    """F with F Fᵀ = W Wᵀ of each layer, k = min(m, n)."""
    tensors = space.unflatten(vector)
    return {name: torch.linalg.qr(tensors[name].flatten(1).T, mode="r").R.T for name in layers}


def _direction(
    space: ParameterSpace, factors: Mapping[str, Tensor], like: Float[Tensor, " P"], rng: torch.Generator
) -> Float[Tensor, " P"]:
    """F Z of each layer, zero elsewhere."""
    row = torch.zeros_like(like)
    for name, part in space.unflatten(row).items():
        if name in factors:
            factor, width = factors[name], part[0].numel()
            signs = rademacher(factor.shape[1], part.new_empty(width), rng)
            part.copy_((factor @ signs).view(part.shape))
    return row


def _mean(samples: Float[Tensor, "K layers"]) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Mean and standard error over probes of each layer, and of the sum over layers behind them."""
    samples = torch.cat([samples, samples.sum(dim=1, keepdim=True)], dim=1)
    return samples.mean(dim=0), samples.std(dim=0) / sqrt(len(samples))

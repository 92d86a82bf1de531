"""In which units a displacement of the weights is measured."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.parameters import ParameterSpace

__all__ = ["METRICS", "scales"]

METRICS = ("identity", "weights", "filter")
"""Each coordinate in its own units, in those of its weight's absolute value, or of its filter's root mean square."""


def scales(space: ParameterSpace, vector: Float[Tensor, " P"], metric: str) -> Float[Tensor, " P"]:
    """s, the length of each coordinate's unit: a displacement is δ = s ∘ x, and S = diag(1/s²) its metric tensor.

    With "weights" or "filter" s follows the weights where a rescaling symmetry moves them: one α for all units of a
    ReLU layer leaves whatever is measured in x unchanged, with "weights" one for each unit too. A weight of zero then
    has no neighbourhood in its direction. A filter is what one output unit reads; parameters of one dimension (biases,
    norms) have one entry per unit, taken by itself.
    """
    if metric == "identity":
        return torch.ones_like(vector)
    if metric == "weights":
        return vector.abs()
    if metric == "filter":
        return space.flatten({name: _by_filter(tensor) for name, tensor in space.unflatten(vector).items()})
    raise ValueError(f"metric must be one of {', '.join(METRICS)}, got {metric!r}")


def _by_filter(tensor: Tensor) -> Tensor:
    if tensor.ndim < 2:
        return tensor.abs()
    return tensor.square().mean(dim=tuple(range(1, tensor.ndim)), keepdim=True).sqrt().expand_as(tensor)

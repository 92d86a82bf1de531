"""Which units of a network can be exchanged, and where each unit lives in the network's tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["Axis", "Group", "Role", "Symmetry", "Tensors"]

Tensors = Mapping[str, Tensor]
"""A network's parameters and buffers by name."""

Role = Literal["out", "in", "affine", "statistic"]
"""What a unit does on an axis: it is made there (weight rows, biases), consumed there (columns of the next layer),
scaled and shifted by a normalisation layer, or described by its running statistics."""


@dataclass(frozen=True, eq=False)
class Axis:
    """One dimension of one tensor along which the units of a group lie.

    Attributes
    ----------
    tensor, dim
        Name of the parameter or buffer, and the dimension.
    index
        Coordinates along that dimension that belong to each unit, shape ``(units, width)``: one for a plain layer, a
        block of H W for a channel that was flattened, one in each of the four gates of an LSTM.
    role
        What the unit does there.
    """

    tensor: str
    dim: int
    index: Int[Tensor, "units width"]
    role: Role


@dataclass(frozen=True, eq=False)
class Group:
    """Units that any permutation leaves equivalent: the network's function does not change.

    Attributes
    ----------
    name
        The layer that makes the units.
    size
        How many there are.
    axes
        All places that a permutation of them moves.
    homogeneous
        Whether a unit may also be multiplied by any positive number where it is made and divided by it where it is
        consumed (ReLU).
    """

    name: str
    size: int
    axes: tuple[Axis, ...]
    homogeneous: bool = False

    def permuted(self, tensors: Tensors, permutation: Int[Tensor, " units"]) -> dict[str, Tensor]:
        """All tensors, those of this group changed: unit u of the result is unit ``permutation[u]``."""
        moved = dict(tensors)
        for axis in self.axes:
            tensor = moved[axis.tensor]
            index = axis.index.to(tensor.device)
            source = torch.arange(tensor.shape[axis.dim], device=tensor.device)
            source[index.reshape(-1)] = index[permutation.to(tensor.device)].reshape(-1)
            moved[axis.tensor] = tensor.index_select(axis.dim, source)
        return moved

    def scaled(self, tensors: Tensors, scales: Float[Tensor, " units"]) -> dict[str, Tensor]:
        """All tensors with unit u multiplied by ``scales[u] > 0`` where it is made and divided where it is consumed.

        Where a normalisation layer stands between, its scale and shift are where the unit is made.
        """
        moved = dict(tensors)
        makes = "affine" if any(axis.role == "affine" for axis in self.axes) else "out"
        for axis in self.axes:
            if axis.role not in (makes, "in"):
                continue
            tensor = moved[axis.tensor]
            factors = torch.ones(tensor.shape[axis.dim], dtype=tensor.dtype, device=tensor.device)
            each = scales.to(tensor) if axis.role == makes else 1 / scales.to(tensor)
            factors[axis.index.to(tensor.device)] = each[:, None].expand(axis.index.shape)
            shape = [1] * tensor.ndim
            shape[axis.dim] = -1
            moved[axis.tensor] = tensor * factors.reshape(shape)
        return moved


@dataclass(frozen=True, eq=False)
class Symmetry:
    """The permutation symmetry of a network, each group verified to leave its function unchanged.

    Attributes
    ----------
    groups
        The groups, in the order of the layers.
    messages
        What is not covered, and what was left out because it changed the function.
    """

    groups: tuple[Group, ...] = ()
    messages: tuple[str, ...] = ()

    def permuted(self, tensors: Tensors, permutations: Sequence[Int[Tensor, " _"]]) -> dict[str, Tensor]:
        """All groups permuted, one permutation for each."""
        moved = dict(tensors)
        for group, permutation in zip(self.groups, permutations, strict=True):
            moved = group.permuted(moved, permutation)
        return moved

    def scaled(self, tensors: Tensors, scales: Mapping[str, Float[Tensor, " _"]]) -> dict[str, Tensor]:
        """The homogeneous groups named rescaled."""
        moved = dict(tensors)
        for group in self.groups:
            if group.name in scales:
                moved = group.scaled(moved, scales[group.name])
        return moved

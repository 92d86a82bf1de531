"""What belongs to each unit of a group in a tensor, as one row a unit; groups that share it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.symmetry.groups import Axis, Group, Tensors

__all__ = ["in_float64", "overlap", "slabs", "with_slabs"]


def slabs(tensor: Float[Tensor, " ..."], axis: Axis) -> Float[Tensor, "units n"]:
    """Row u: all entries of the tensor that belong to unit u."""
    index = axis.index.to(tensor.device)
    taken = tensor.index_select(axis.dim, index.reshape(-1)).movedim(axis.dim, 0)
    return taken.reshape(len(index), -1)


def with_slabs(tensor: Float[Tensor, " ..."], axis: Axis, rows: Float[Tensor, "units n"]) -> Float[Tensor, " ..."]:
    """The tensor with these rows in place of its own."""
    index = axis.index.to(tensor.device).reshape(-1)
    first = tensor.movedim(axis.dim, 0).clone()
    first[index] = rows.reshape(len(index), *first.shape[1:])
    return first.movedim(0, axis.dim)


def overlap(one: Group, other: Group) -> bool:
    """Whether two groups move the same coordinates, as the channels of a group norm and its blocks do."""
    return any(
        mine.tensor == theirs.tensor and mine.dim == theirs.dim and bool(torch.isin(mine.index, theirs.index).any())
        for mine in one.axes
        for theirs in other.axes
    )


def in_float64(tensors: Tensors) -> dict[str, Tensor]:
    """The same tensors, real numbers in float64."""
    return {name: t.double() if t.is_floating_point() else t for name, t in tensors.items()}

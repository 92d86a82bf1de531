"""Where a layer keeps the channels that it makes and those that it consumes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from landscape.symmetry.groups import Role

__all__ = ["NORMS", "Place", "directions_of", "hidden_places", "is_depthwise", "places_of"]

NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm)
"""Layers with a scale and a shift for each channel."""


@dataclass(frozen=True, eq=False)
class Place:
    """A dimension of a tensor along which channels of a layer lie.

    Attributes
    ----------
    tensor, dim, role
        As in ``Axis``.
    coordinates
        Where each channel lies, shape ``(channels, width)``.
    first
        Number of the first of these channels among all of the layer.
    parts
        Into how many blocks the layer cuts its channels; units of different blocks are not equivalent.
    """

    tensor: Tensor
    dim: int
    role: Role
    coordinates: Int[Tensor, "channels width"]
    first: int = 0
    parts: int = 1


def is_depthwise(module: nn.Module) -> bool:
    """Whether a convolution keeps every channel to itself."""
    return isinstance(module, _ConvNd) and module.groups == module.out_channels == module.in_channels > 1


def _gates(module: nn.RNNBase) -> int:
    """How many blocks of rows a recurrent layer's weights have: 4 for an LSTM, 3 for a GRU, 1 for a plain one."""
    return module.get_parameter("weight_hh_l0").shape[0] // module.hidden_size


def places_of(module: nn.Module | Tensor, makes: bool, dim: int = -1) -> Iterator[Place]:
    """Where a layer (or a bare parameter, along ``dim``) keeps the channels that it makes, or those that it consumes.

    A layer that hands channels on one by one (normalisation, a depthwise convolution) makes and consumes them at once.
    """
    if isinstance(module, Tensor):
        yield _whole(module, dim % module.ndim, "out")
    elif isinstance(module, NORMS):
        yield from _norm(module)
    elif isinstance(module, nn.PReLU):
        yield _whole(module.weight, 0, "statistic")  # a slope belongs to the unit but is not scaled with it
    elif isinstance(module, nn.Embedding):
        yield _whole(module.weight, 1, "out")
    elif isinstance(module, nn.RNNBase):
        yield from _recurrent_outputs(module) if makes else _recurrent_inputs(module)
    elif isinstance(module, nn.MultiheadAttention):
        yield from _layer(module.out_proj) if makes else _attention_inputs(module)
    elif isinstance(module, nn.Linear | _ConvNd):
        yield from _layer(module) if makes or is_depthwise(module) else _consumed(module)


def _whole(tensor: Tensor, dim: int, role: Role, parts: int = 1) -> Place:
    return Place(tensor, dim, role, torch.arange(tensor.shape[dim])[:, None], parts=parts)


def _norm(module: nn.Module) -> Iterator[Place]:
    parts = module.num_groups if isinstance(module, nn.GroupNorm) else 1
    for tensor in (module.weight, module.bias):
        if isinstance(tensor, Tensor):
            yield _whole(tensor, 0, "affine", parts)
    for name in ("running_mean", "running_var"):
        statistic = getattr(module, name, None)
        if isinstance(statistic, Tensor):
            yield _whole(statistic, 0, "statistic")


def _layer(module: nn.Linear | _ConvNd) -> Iterator[Place]:
    parts = module.groups if isinstance(module, _ConvNd) and not is_depthwise(module) else 1
    if isinstance(module, _ConvTransposeNd) and not is_depthwise(module):
        if parts > 1:  # its rows are those of the groups side by side, its columns are shared
            return
        yield _whole(module.weight, 1, "out")
    else:
        yield _whole(module.weight, 0, "out", parts)
    if module.bias is not None:
        yield _whole(module.bias, 0, "out", parts)


def _consumed(module: nn.Linear | _ConvNd) -> Iterator[Place]:
    if isinstance(module, _ConvNd) and module.groups > 1:  # one column serves a channel of every group
        return
    yield _whole(module.weight, 0 if isinstance(module, _ConvTransposeNd) else 1, "in")


def _attention_inputs(module: nn.MultiheadAttention) -> Iterator[Place]:
    packed = module.in_proj_weight
    yield _whole(module.q_proj_weight if packed is None else packed, 1, "in")


def hidden_places(module: nn.RNNBase, layer: int, reverse: bool) -> Iterator[Place]:
    """Where the hidden units of one layer and direction are made, and consumed by themselves at the next step."""
    suffix = f"l{layer}" + ("_reverse" if reverse else "")
    size, first = module.hidden_size, module.hidden_size if reverse else 0
    gates = torch.arange(size)[:, None] + size * torch.arange(_gates(module))
    names = ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if module.bias else ()))
    for name in names:
        yield Place(getattr(module, f"{name}_{suffix}"), 0, "out", gates, first)
    yield Place(getattr(module, f"weight_hh_{suffix}"), 1, "in", torch.arange(size)[:, None], first)


def directions_of(module: nn.RNNBase) -> tuple[bool, ...]:
    """Whether each direction of a recurrent layer is the reverse one."""
    return (False, True) if module.bidirectional else (False,)


def _recurrent_outputs(module: nn.RNNBase) -> Iterator[Place]:
    if module.proj_size == 0:
        for reverse in directions_of(module):
            yield from hidden_places(module, module.num_layers - 1, reverse)


def _recurrent_inputs(module: nn.RNNBase) -> Iterator[Place]:
    for reverse in directions_of(module):
        yield _whole(getattr(module, "weight_ih_l0" + ("_reverse" if reverse else "")), 1, "in")

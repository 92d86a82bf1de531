"""Attention heads as exchangeable units."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from landscape.symmetry.dependency import Coupling
from landscape.symmetry.groups import Axis, Group
from landscape.symmetry.proposing import Names, group_of

__all__ = ["attention_heads", "written_heads"]

HEAD_COUNTS = (
    "num_key_value_heads",
    "num_kv_heads",
    "n_kv_heads",
    "num_heads",
    "n_heads",
    "n_head",
    "nheads",
    "nhead",
    "heads",
    "num_attention_heads",
)
"""What modules call the number of their heads. Where several queries share a key they go together with it."""


def blocks(units: int, length: int, segments: int = 1, offset: int = 0) -> Tensor:
    """Coordinates of each unit, ``(units, length / units)``: in every segment the units lie side by side."""
    return (offset + torch.arange(length)).reshape(segments, units, -1).transpose(0, 1).reshape(units, -1)


def attention_heads(name: str, module: nn.MultiheadAttention, names: Names) -> Group | None:
    """The heads of a ``MultiheadAttention``: rows of q, k and v, columns of the output projection."""
    heads, width = module.num_heads, module.embed_dim
    if heads < 2:
        return None
    made = [
        (module.in_proj_weight, 0, 3),
        (module.in_proj_bias, 0, 3),
        *((tensor, 0, 1) for tensor in (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)),
        *((tensor, 2, 1) for tensor in (module.bias_k, module.bias_v)),
    ]
    axes = [
        Axis(names[id(tensor)], dim, blocks(heads, segments * width, segments), "out")
        for tensor, dim, segments in made
        if tensor is not None
    ]
    axes.append(Axis(names[id(module.out_proj.weight)], 1, blocks(heads, width), "in"))
    return group_of(f"{name} heads".strip(), axes)


def written_heads(coupling: Coupling, model: nn.Module, names: Names) -> Iterator[Group]:
    """Heads of an attention written by hand, where a module around its projections says how many there are.

    The rows of a fused projection come as (q, k, v) of heads, or as heads of (q, k, v): both are proposed.
    """
    linear = [(m.layer, m.makes) for m in coupling.members if isinstance(m.layer, nn.Linear)]
    makers = [layer for layer, makes in linear if makes and id(layer.weight) in names]
    takers = [layer for layer, makes in linear if not makes and id(layer.weight) in names]
    if not makers or not takers:
        return
    width = takers[0].in_features
    takers = [layer for layer in takers if layer.in_features == width]
    for owner, heads in _head_counts(model, names[id(makers[0].weight)].rpartition(".")[0]):
        if width % heads or any(layer.out_features % heads for layer in makers):
            continue
        into = [Axis(names[id(layer.weight)], 1, blocks(heads, width), "in") for layer in takers]
        for by_head in (False, True):
            made = [axis for layer in makers for axis in _rows(layer, heads, 1 if by_head else width, names)]
            yield group_of(f"{owner} heads".strip(), made + into)


def _rows(layer: nn.Linear, heads: int, segment: int, names: Names) -> Iterator[Axis]:
    """The rows of each head in a projection, which holds several segments where it is a multiple of their length."""
    rows = layer.out_features
    segments = rows // segment if segment > 1 and rows % segment == 0 else 1
    for tensor in (layer.weight, layer.bias):
        if isinstance(tensor, Tensor):
            yield Axis(names[id(tensor)], 0, blocks(heads, rows, segments), "out")


def _head_counts(model: nn.Module, layer: str) -> Iterator[tuple[str, int]]:
    """The modules around a layer that have a number of heads, the innermost first."""
    while layer:
        layer = layer.rpartition(".")[0]
        owner = model.get_submodule(layer)
        counts = (getattr(owner, name, None) for name in HEAD_COUNTS)
        for count in dict.fromkeys(count for count in counts if isinstance(count, int) and count > 1):
            yield layer, count

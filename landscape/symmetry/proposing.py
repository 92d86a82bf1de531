"""From coupled channels to groups of units that may be exchangeable: proposals, which only a test makes true."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from landscape.symmetry.dependency import Coupling, Member
from landscape.symmetry.groups import Axis, Group, Tensors
from landscape.symmetry.places import Place, places_of

__all__ = ["Names", "flattened", "group_of", "named_tensors", "proposed"]

Names = Mapping[int, str]
"""A model's tensors by their ``id``: a tied one has its first name."""

Unit = tuple[int, ...]


def named_tensors(model: nn.Module) -> dict[int, str]:
    """The name of each parameter and buffer, parameters first, in the model's own order."""
    return {id(tensor): name for name, tensor in [*model.named_parameters(), *model.named_buffers()]}


def group_of(name: str, axes: Iterable[Axis]) -> Group:
    """A group of these axes, each once: a tied tensor is moved once, whatever the layers that use it."""
    distinct: dict[tuple[object, ...], Axis] = {}
    for axis in axes:
        distinct.setdefault((axis.tensor, axis.dim, tuple(axis.index.reshape(-1).tolist())), axis)
    kept = tuple(distinct.values())
    return Group(name, len(kept[0].index), kept)


def proposed(coupling: Coupling, names: Names) -> list[Group]:
    """The groups of a coupling: one, or one for each set of units that no layer tells apart.

    Layers tell units apart that lie in different blocks of a group norm or a grouped convolution, in different
    directions of a recurrent layer, or of which they know only some.
    """
    fitting = [(m, place) for m in coupling.members for place in _places(m) if id(place.tensor) in names]
    alike: dict[tuple[object, ...], list[int]] = {}
    for unit in range(coupling.size):
        key = tuple(_kind(member.channels[unit], place) for member, place in fitting)
        alike.setdefault(key, []).append(unit)
    known = [
        (units, [pair for pair, kind in zip(fitting, key, strict=True) if kind])
        for key, units in alike.items()
        if len(units) > 1
    ]
    makes = ((units, pairs) for units, pairs in known if any(place.role == "out" for _, place in pairs))
    groups = [_group(units, pairs, names) for units, pairs in makes]
    return _numbered(groups) + _of_blocks(groups)


def _places(member: Member) -> list[Place]:
    """Where a member keeps its channels; nowhere if the graph has lost count of them."""
    places = list(places_of(member.layer, member.makes, member.dim))
    known = max((place.first + len(place.coordinates) for place in places), default=0)
    return places if max((c for unit in member.channels for c in unit), default=0) < known else []


def _kind(channels: Unit, place: Place) -> tuple[int, int] | None:
    """How many channels a unit has in a place and in which block; None where it has none."""
    count = len(place.coordinates)
    if not channels or not all(place.first <= channel < place.first + count for channel in channels):
        return None
    return len(channels), (channels[0] - place.first) * place.parts // count


def _group(units: list[int], pairs: list[tuple[Member, Place]], names: Names) -> Group:
    axes = []
    for member, place in pairs:
        channels = torch.tensor([member.channels[unit] for unit in units]) - place.first
        index = place.coordinates[channels].reshape(len(units), -1)
        axes.append(Axis(names[id(place.tensor)], place.dim, index, place.role))
    rank = {name: position for position, name in enumerate(names.values())}
    axes.sort(key=lambda axis: (axis.role != "out", rank[axis.tensor]))
    return group_of(_layer(axes), axes)


def _layer(axes: list[Axis]) -> str:
    """The layer that makes the units: ``a.b`` of a weight ``a.b.weight``, ``a.l0`` of ``a.weight_ih_l0``."""
    made = [axis.tensor for axis in axes if axis.role == "out"]
    weights = [name for name in made if "weight" in name.rpartition(".")[2]]
    owner, _, last = (weights or made)[0].rpartition(".")
    suffix = last.removeprefix("weight_ih_") if "weight_ih_" in last else ""
    return ".".join(part for part in (owner, suffix) if part) or last


def _numbered(groups: list[Group]) -> list[Group]:
    names = [group.name for group in groups]
    alike = {name: iter(range(1, len(names) + 1)) for name in names if names.count(name) > 1}
    return [replace(g, name=f"{g.name}, part {next(alike[g.name])}") if g.name in alike else g for g in groups]


def _of_blocks(groups: list[Group]) -> list[Group]:
    """The blocks of a group norm as units of their own: they can be exchanged as a whole."""
    if len(groups) < 2 or len({(g.size, *((a.tensor, a.dim, a.index.shape) for a in g.axes)) for g in groups}) > 1:
        return []
    rows = [torch.stack([a.index.reshape(-1) for a in axes]) for axes in zip(*(g.axes for g in groups), strict=True)]
    axes = [replace(axis, index=index) for axis, index in zip(groups[0].axes, rows, strict=True)]
    return [group_of(f"{groups[0].name}, blocks", axes)]


def flattened(group: Group, tensors: Tensors) -> Iterator[Group]:
    """A group of which a consumer has several columns for each unit, and the graph did not see why.

    Channels that were flattened lie in blocks (``N C H W``) or far apart (``N T C``).
    """
    one = torch.arange(group.size)[:, None]
    wide = [
        axis.role == "in" and torch.equal(axis.index, one) and _columns(axis, tensors) > group.size
        for axis in group.axes
    ]
    if not any(wide) or any(w and _columns(a, tensors) % group.size for w, a in zip(wide, group.axes, strict=True)):
        return
    for apart in (False, True):
        axes = [
            replace(axis, index=_spread(group.size, _columns(axis, tensors), apart)) if w else axis
            for w, axis in zip(wide, group.axes, strict=True)
        ]
        yield group_of(group.name, axes)


def _columns(axis: Axis, tensors: Tensors) -> int:
    return tensors[axis.tensor].shape[axis.dim]


def _spread(size: int, columns: int, apart: bool) -> Tensor:
    every = torch.arange(columns)
    return every.reshape(-1, size).T if apart else every.reshape(size, -1)

"""Groups of exchangeable units written down by the user.

A specification is a mapping, as read from a YAML or JSON file::

    groups:
      - name: hidden                  # what messages call it
        axes:                         # every place in which the units lie
          - 0.weight:0                # tensor:dimension, one coordinate for each unit
          - 0.bias:0
          - {tensor: 2.weight, dim: 1, block: 9}
      - name: heads
        size: 4                       # how many units there are; by default what the axes say
        axes:
          - {tensor: qkv.weight, dim: 0, block: 16, segments: 3}
          - {tensor: proj.weight, dim: 1, block: 16}

An axis has the keys

``tensor``
    Name of a parameter or buffer, as in the model's ``state_dict``; a tied one by its first name.
``dim``
    The dimension along which the units lie; negative ones count from the end.
``block``
    How many neighbouring coordinates belong to each unit (1): H W for a flattened channel, the width of a head.
``segments``
    How often all units follow one another along the dimension (1): 3 for q, k and v in one, 4 for an LSTM's gates.
``offset``
    Where the first unit begins (0): for a consumer of several layers side by side.
``role``
    ``out`` where the units are made, ``in`` where they are consumed, ``affine`` for scale and shift of a normalisation,
    ``statistic`` for its running statistics. By default what the layer says; of a bare parameter, ``out`` in the first
    dimension and ``in`` in the others.

Without ``size`` every axis must hold the same number of units and nothing else; with it an axis may hold more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch import nn
from torch.nn.modules.conv import _ConvTransposeNd

from landscape.errors import UsageError, did_you_mean
from landscape.symmetry.groups import Axis, Group, Role, Tensors
from landscape.symmetry.places import NORMS

__all__ = ["written_groups"]

ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class _WrittenAxis:
    """One axis as it was written, its tensor found."""

    where: str
    tensor: str
    dim: int
    length: int
    block: int
    segments: int
    offset: int
    role: Role

    @property
    def units(self) -> int:
        """How many units fit."""
        return (self.length - self.offset) // (self.block * self.segments)

    def axis(self, size: int, exact: bool) -> Axis:
        taken = self.block * self.segments * size
        if taken + self.offset > self.length or (exact and taken + self.offset != self.length):
            raise UsageError(
                f"{self.where}: {size} units of {self.block} x {self.segments} coordinates from {self.offset} on are "
                f"{taken}, the dimension has {self.length}: mend block, segments or offset, or give the group a size"
            )
        index = torch.arange(taken).reshape(self.segments, size, self.block).transpose(0, 1).reshape(size, -1)
        return Axis(self.tensor, self.dim, self.offset + index, self.role)


def written_groups(specification: Any, model: nn.Module, tensors: Tensors) -> list[Group]:
    """The groups of a specification (see the module), not yet tested.

    Raises
    ------
    UsageError
        If a name, a dimension or a size does not fit the model.
    """
    groups = _read(specification, "symmetry file", {"groups": Sequence})["groups"]
    if not groups:
        raise UsageError("symmetry file: no groups; leave the file out to have them looked for")
    found = [_group(written, f"symmetry file, group {k + 1}", model, tensors) for k, written in enumerate(groups)]
    twice = [group.name for k, group in enumerate(found) if group.name in [g.name for g in found[:k]]]
    if twice:
        raise UsageError(f"symmetry file: two groups are called {twice[0]!r}; give each a name of its own")
    return found


def _read(written: Any, where: str, required: Mapping[str, type], optional: Mapping[str, type] | None = None) -> Any:
    """A mapping with these keys and no others."""
    known = {**required, **(optional or {})}
    if not isinstance(written, Mapping):
        raise UsageError(f"{where}: wanted a mapping with {', '.join(known)}, got {written!r:.60}")
    unknown = [key for key in written if key not in known]
    if unknown:
        raise UsageError(f"{where}: unknown key {unknown[0]!r}{did_you_mean(str(unknown[0]), known)}")
    missing = [key for key in required if key not in written]
    if missing:
        raise UsageError(f"{where}: {missing[0]!r} is missing")
    for key, value in written.items():
        if (
            not isinstance(value, known[key])
            or isinstance(value, bool)
            or isinstance(value, str) != (known[key] is str)
        ):
            raise UsageError(f"{where}: {key} is {value!r:.60}, wanted {_WORDS[known[key]]}")
    return written


_WORDS = {int: "a whole number", str: "a text", Sequence: "a list"}


def _group(written: Any, where: str, model: nn.Module, tensors: Tensors) -> Group:
    read = _read(written, where, {"axes": Sequence}, {"name": str, "size": int})
    name = read.get("name", where.rpartition(", ")[2])
    where = f"symmetry file, {name!r}"
    axes = [_axis(axis, where, model, tensors) for axis in read["axes"]]
    if not axes:
        raise UsageError(f"{where}: no axes; name the tensors in which the units lie, as in 0.weight:0")
    size = read.get("size", axes[0].units)
    if size < 2:
        raise UsageError(f"{where}: {size} unit{'s' * (size != 1)}; two or more can be exchanged")
    return Group(name, size, tuple(axis.axis(size, "size" not in read) for axis in axes))


def _axis(written: Any, where: str, model: nn.Module, tensors: Tensors) -> _WrittenAxis:
    if isinstance(written, str):
        tensor, _, dim = written.rpartition(":")
        if not tensor or not dim.removeprefix("-").isdigit():
            raise UsageError(f"{where}: {written!r} is no axis; wanted tensor:dimension, as in 0.weight:0")
        written = {"tensor": tensor, "dim": int(dim)}
    numbers = {"block": int, "segments": int, "offset": int}
    read = _read(written, where, {"tensor": str, "dim": int}, {**numbers, "role": str})
    name, dim = read["tensor"], read["dim"]
    if name not in tensors:
        raise UsageError(f"{where}: the model has no tensor {name!r}{did_you_mean(name, tensors)}")
    shape = tuple(tensors[name].shape)
    if not -len(shape) <= dim < len(shape):
        raise UsageError(f"{where}: {name!r} has shape {shape} and no dimension {dim}")
    dim %= len(shape)
    block, segments, offset = read.get("block", 1), read.get("segments", 1), read.get("offset", 0)
    if block < 1 or segments < 1 or offset < 0:
        raise UsageError(f"{where}, {name}: block and segments are at least 1, offset at least 0")
    role = read.get("role", _role(model, name, dim))
    if role not in ROLES:
        raise UsageError(f"{where}, {name}: role {role!r} is none of {', '.join(ROLES)}{did_you_mean(role, ROLES)}")
    return _WrittenAxis(f"{where}, {name}:{dim}", name, dim, shape[dim], block, segments, offset, role)


def _role(model: nn.Module, name: str, dim: int) -> Role:
    """What units do along a dimension, as the layer that owns the tensor says."""
    owner_name, _, own_name = name.rpartition(".")
    owner = model.get_submodule(owner_name)
    if isinstance(owner, NORMS):
        return "statistic" if own_name.startswith("running_") else "affine"
    if isinstance(owner, nn.PReLU):
        return "statistic"
    second = isinstance(owner, nn.Embedding | _ConvTransposeNd) and own_name == "weight"
    return "out" if dim == (1 if second else 0) else "in"

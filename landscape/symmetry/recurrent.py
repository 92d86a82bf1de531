"""Hidden units of recurrent layers that feed the next layer of the same stack."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from landscape.symmetry.groups import Axis, Group
from landscape.symmetry.places import directions_of, hidden_places
from landscape.symmetry.proposing import Names, group_of

__all__ = ["inner_units"]


def inner_units(name: str, module: nn.RNNBase, names: Names) -> Iterator[Group]:
    """The hidden units of each layer but the last, in each direction: rows of all gates, columns of both next uses.

    Those of the last layer are consumed elsewhere: they come out of the dependency graph.
    """
    if module.proj_size:
        return
    for layer in range(module.num_layers - 1):
        for reverse in directions_of(module):
            axes = [
                Axis(names[id(place.tensor)], place.dim, place.coordinates, place.role)
                for place in hidden_places(module, layer, reverse)
            ]
            columns = torch.arange(module.hidden_size)[:, None] + (module.hidden_size if reverse else 0)
            for backward in directions_of(module):
                weight = getattr(module, f"weight_ih_l{layer + 1}" + ("_reverse" if backward else ""))
                axes.append(Axis(names[id(weight)], 1, columns, "in"))
            suffix = f"l{layer}" + ("_reverse" if reverse else "")
            yield group_of(f"{name}.{suffix}".strip("."), axes)

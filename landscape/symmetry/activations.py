"""Which unit of one network is which unit of another, by what they answer."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from landscape.symmetry.groups import Axis, Group
from landscape.symmetry.matching import best_assignment

__all__ = ["activation_matching", "correlations", "makers", "responses"]


def makers(model: nn.Module, group: Group) -> dict[str, Axis]:
    """The layers whose answers are the group's units, by name, with the axis of the weight.

    Dense layers, convolutions and embeddings; the gates of a recurrent layer, say, are not answers of it.
    """
    found = {}
    for axis in group.axes:
        name, _, kind = axis.tensor.rpartition(".")
        if axis.role == "out" and kind == "weight" and _answers(model.get_submodule(name), axis.dim):
            found[name] = axis
    return found


def _answers(layer: nn.Module, dim: int) -> bool:
    if isinstance(layer, nn.Embedding):
        return dim == 1
    direct = isinstance(layer, nn.Linear) or (isinstance(layer, _ConvNd) and not isinstance(layer, _ConvTransposeNd))
    return direct and dim == 0


def responses(activations: Mapping[str, Tensor], made: Mapping[str, Axis]) -> Float[Tensor, "n units"]:
    """What each unit answered in all layers that make it, one column a unit.

    ``activations`` are those of the layers, their units last and all else in rows.
    """
    parts = []
    for name, axis in made.items():
        answers = activations[name][:, axis.index.to(activations[name].device)]
        parts.append(answers.movedim(2, 1).reshape(-1, axis.index.shape[0]))
    return torch.cat(parts)


def correlations(first: Float[Tensor, "n units"], second: Float[Tensor, "n units"]) -> Float[Tensor, "units units"]:
    """Pearson's correlation of every column of the one with every column of the other; 0 for a constant column."""
    return _standardised(first).T @ _standardised(second)


def _standardised(columns: Float[Tensor, "n units"]) -> Float[Tensor, "n units"]:
    columns = columns.double()
    centred = columns - columns.mean(0)
    norms = centred.norm(dim=0)
    return torch.where(norms > 1e-12 * columns.norm(dim=0), centred / norms, 0.0)


def activation_matching(first: Float[Tensor, "n units"], second: Float[Tensor, "n units"]) -> Int[Tensor, " units"]:
    """The permutation of the second network's units with the largest sum of correlations with the first's [1]_.

    Both networks answer the same n inputs. Costs n units² multiplications and one assignment, O(units³).

    References
    ----------
    .. [1] Li et al., "Convergent learning: do different neural networks learn the same representations?", ICLR 2016.
    """
    return best_assignment(correlations(first, second))

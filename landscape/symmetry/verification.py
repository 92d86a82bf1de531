"""Whether a permutation of units leaves a network's function unchanged."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.symmetry.groups import Group, Tensors

if TYPE_CHECKING:
    from landscape.landscapes.observed import ObservedNetwork

__all__ = ["ROUNDING", "Verifier"]

ROUNDING = 1e-9
"""Largest change of outputs and loss, relative to the largest of them, that is taken for rounding of float64."""


class Verifier:
    """Tests groups on a network whose parameters were drawn anew.

    At random parameters no two units are alike and (almost surely) none is dead, so that what leaves these outputs
    unchanged does so by the network's structure and not by the training's accident. The loss must not change either: a
    penalty on the weights allows permutations, but no rescaling.

    Parameters
    ----------
    network
        The network and the samples.
    rng
        Draws parameters and permutations, on the CPU.
    """

    def __init__(self, network: ObservedNetwork, rng: torch.Generator) -> None:
        self._network, self._rng = network, rng
        named = [*network.model.named_parameters(), *network.model.named_buffers()]
        self.tensors: Tensors = {name: self._drawn(name, tensor.detach()) for name, tensor in named}

    def _drawn(self, name: str, tensor: Tensor) -> Tensor:
        """Weights at He's scale, scales and variances about one, biases and means about zero; other buffers as is."""
        last = name.rpartition(".")[2]
        if not tensor.is_floating_point() or not (name in self._parameters or last in ("running_mean", "running_var")):
            return tensor.clone()
        normal = torch.randn(tensor.shape, generator=self._rng, dtype=torch.float64).to(tensor.device)
        if last == "running_var":
            return (0.3 * normal).exp()
        if tensor.ndim > 1:
            return normal * math.sqrt(2 * len(tensor) / max(tensor.numel(), 1))
        return 0.3 * normal + (1 if last == "weight" else 0)

    @cached_property
    def _parameters(self) -> frozenset[str]:
        return frozenset(name for name, _ in self._network.model.named_parameters())

    @cached_property
    def _answers(self) -> Float[Tensor, " outputs"]:
        return self._network.answers(self.tensors)

    def change(self, tensors: Tensors) -> float:
        """Largest change of outputs and loss, relative to the largest of them; infinite where it is not finite."""
        change = (self._network.answers(tensors) - self._answers).abs().max() / self._answers.abs().max()
        return float(change) if change.isfinite() else math.inf

    def permutation_changes(self, group: Group) -> float:
        """Largest change of the outputs under permutations of a group's units. Costs two forward passes.

        An n-cycle c and the transposition of 0 and c(0) generate all permutations of n units: if these two leave the
        function unchanged, all do.
        """
        order = torch.randperm(group.size, generator=self._rng)
        cycle, swap = torch.empty_like(order), torch.arange(group.size)
        cycle[order] = order.roll(-1)
        swap[[0, int(cycle[0])]] = swap[[int(cycle[0]), 0]]
        return max(self.change(group.permuted(self.tensors, permutation)) for permutation in (cycle, swap))

    def sees(self, group: Group) -> bool:
        """Whether the outputs feel it when the units are permuted in the first place only. Costs a forward pass."""
        alone = Group(group.name, group.size, group.axes[:1])
        return self.change(alone.permuted(self.tensors, torch.arange(group.size).roll(1))) > 100 * ROUNDING

    def holds(self, group: Group) -> bool:
        """Whether any permutation of the units leaves the function unchanged, and the test is not void."""
        return self.permutation_changes(group) < ROUNDING and self.sees(group)

    def homogeneous(self, group: Group) -> bool:
        """Whether units may be multiplied where they are made and divided where they are consumed.

        Tried with random factors between 1/2 and 2; both must be there to be scaled. Costs a forward pass.
        """
        makes = {axis.role for axis in group.axes} & {"out", "affine"}
        if not makes or all(axis.role != "in" for axis in group.axes):
            return False
        scales = torch.exp2(2 * torch.rand(group.size, generator=self._rng, dtype=torch.float64) - 1)
        return self.change(group.scaled(self.tensors, scales)) < ROUNDING

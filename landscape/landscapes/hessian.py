"""The Hessian H as a graph."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.landscapes.graphs import Evaluation, Leaves

__all__ = ["HessianGraph", "hessian_graph"]


@dataclass(frozen=True, eq=False)
class HessianGraph:
    """H v = d/dx (g(x) · v), reverse over reverse: the cheapest way, and the one that most operators allow.

    Attributes
    ----------
    gradient
        g of the summed loss with its graph: those parts of it that are not constant.
    places
        Which parameters they belong to.
    """

    leaves: Leaves
    gradient: tuple[Tensor, ...]
    places: tuple[int, ...]
    weight: Float[Tensor, ""]

    @property
    def rows(self) -> Tensor:
        return self.weight

    @property
    def roots(self) -> tuple[Tensor, ...]:
        return self.gradient

    def push(self, vectors: Float[Tensor, "*K P"], retain: bool) -> Float[Tensor, "*K P"]:
        if not self.gradient:
            return torch.zeros_like(vectors)
        parts = self.leaves.parts(vectors)
        return self.leaves.pull(self.gradient, [parts[k] for k in self.places], retain)


def hessian_graph(evaluation: Evaluation) -> HessianGraph:
    """Costs one backward pass, with its graph."""
    leaves, total = evaluation.leaves, evaluation.total
    if not total.requires_grad:
        return HessianGraph(leaves, (), (), evaluation.weight)
    gradient = torch.autograd.grad(total, leaves.tensors, create_graph=True, allow_unused=True)
    curved = {k: part for k, part in enumerate(gradient) if part is not None and part.requires_grad}
    return HessianGraph(leaves, tuple(curved.values()), tuple(curved), evaluation.weight)

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
        g of the summed loss with its graph; without one where it is constant. One vector: torch looks at each part that
        it starts a backward pass from, which small networks feel.
    """

    leaves: Leaves
    gradient: Float[Tensor, " P"]
    weight: Float[Tensor, ""]

    @property
    def rows(self) -> Tensor:
        return self.weight

    @property
    def roots(self) -> tuple[Tensor, ...]:
        return (self.gradient,)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return ()

    def push(self, vectors: Float[Tensor, "*K P"], retain: bool) -> Float[Tensor, "*K P"]:
        if not self.gradient.requires_grad:
            return torch.zeros_like(vectors)
        return self.leaves.pull((self.gradient,), (vectors,), retain)


def hessian_graph(evaluation: Evaluation) -> HessianGraph:
    """Costs one backward pass, with its graph."""
    leaves, total = evaluation.leaves, evaluation.total
    parts: tuple[Tensor | None, ...] = (None,) * len(leaves.tensors)
    if total.requires_grad:
        parts = torch.autograd.grad(total, leaves.tensors, create_graph=True, allow_unused=True)
    return HessianGraph(leaves, leaves.flat(parts), evaluation.weight)

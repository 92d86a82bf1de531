"""The loss of mini-batches at one point with its graph, and what is read off a graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.graph import Node, get_gradient_edge

from landscape.landscapes.batch_parts import num_samples
from landscape.landscapes.functional import ModelFunction
from landscape.landscapes.objectives import Measure
from landscape.landscapes.outputs import Observed, observing
from landscape.parameters import ParameterSpace

__all__ = ["Edge", "Evaluation", "Leaves", "LossAt", "SecondOrderGraph", "edge_of", "graph_bytes", "reachable"]

Edge = tuple[Node | None, int]
"""A node of a graph and which of its outputs: what a tensor is in autograd. None stands for a constant."""


@dataclass(frozen=True, eq=False)
class Leaves:
    """Coordinates as leaves of a graph.

    Attributes
    ----------
    space
        What they are the coordinates of.
    tensors
        One for each parameter of the space.
    """

    space: ParameterSpace
    tensors: tuple[Tensor, ...]

    def pull(self, outputs: Sequence[Tensor], along: Sequence[Tensor], retain: bool) -> Float[Tensor, "*K P"]:
        """Jᵀ u, with J the Jacobian of some outputs, for one u or (leading dimension K) several at once."""
        lead = along[0].shape[: along[0].ndim - outputs[0].ndim]
        images = torch.autograd.grad(
            outputs, self.tensors, along, retain_graph=retain, allow_unused=True, is_grads_batched=len(lead) > 0
        )
        return self.flat(images, lead)

    def flat(self, parts: Sequence[Tensor | None], lead: Sequence[int] = ()) -> Float[Tensor, "*K P"]:
        """One vector of parts, one for each parameter; zero where there is none."""
        rows = [
            leaf.new_zeros(*lead, leaf.numel()) if part is None else part.reshape(*lead, -1)
            for part, leaf in zip(parts, self.tensors, strict=True)
        ]
        return torch.cat(rows, dim=-1)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The loss of some mini-batches, with its graph.

    Attributes
    ----------
    leaves
        The coordinates.
    total
        The summed loss.
    weight
        Its denominator, a scalar in float64.
    samples
        How many samples each batch holds; empty unless observed.
    observed
        What the losses were taken of, one for each batch; empty unless asked for.
    """

    leaves: Leaves
    total: Float[Tensor, ""]
    weight: Float[Tensor, ""]
    samples: tuple[int, ...]
    observed: tuple[Observed, ...] = ()


@dataclass(frozen=True, eq=False)
class LossAt:
    """The summed loss of mini-batches as a function of some coordinates x, all others held fixed.

    Attributes
    ----------
    leaves
        x.
    constants
        Buffers and all other parameters, by name.
    """

    function: ModelFunction
    measure: Measure
    leaves: Leaves
    constants: Mapping[str, Tensor]

    def __call__(self, batches: Sequence[Any], observe: bool = False) -> Evaluation:
        """Costs the forward pass of the batches."""
        tensors = {**self.constants, **dict(zip(self.leaves.space.names, self.leaves.tensors, strict=True))}
        totals, weights, observed = [], [], []
        with self.function.kernels():
            for batch in batches:
                with observing(self.function.model) if observe else nullcontext(Observed()) as seen:
                    total, weight = self.function(self.measure, tensors, batch)
                totals.append(total)
                weights.append(weight)
                observed.append(seen)
        return Evaluation(
            self.leaves,
            totals[0] if len(totals) == 1 else torch.stack(totals).sum(),
            weights[0] if len(weights) == 1 else torch.stack(weights).sum(),
            tuple(map(num_samples, batches)) if observe else (),
            tuple(observed) if observe else (),
        )


@runtime_checkable
class SecondOrderGraph(Protocol):
    """A matrix A of second derivatives of the summed loss of some mini-batches, as the graph of x -> A x.

    Attributes
    ----------
    weight
        The denominator of the loss.
    rows
        What else it is multiplied by: the matrix of all data is (sum of A) (sum of rows) / (sum of weights)².
    """

    @property
    def weight(self) -> Tensor: ...

    @property
    def rows(self) -> Tensor: ...

    @property
    def roots(self) -> tuple[Tensor, ...]:
        """Tensors from which all of the graph is reached."""
        ...

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What is kept beside the graph and grows with the data."""
        ...

    def push(self, vectors: Float[Tensor, "*K P"], retain: bool) -> Float[Tensor, "*K P"]:
        """A v for one vector, or for a block of them at once. The graph is usable afterwards only if retained."""
        ...


def edge_of(tensor: Tensor) -> Edge:
    """Where a tensor lies in the graph."""
    edge = get_gradient_edge(tensor)
    return edge.node, edge.output_nr


def reachable(starts: Iterable[Edge], stops: Iterable[Edge] = ()) -> set[Edge]:
    """All that a backward pass meets from some edges on, these included, without going past others."""
    known, halting = set[Edge](), set(stops)
    open_edges = list(starts)
    while open_edges:
        edge = open_edges.pop()
        if edge[0] is None or edge in known:
            continue
        known.add(edge)
        if edge not in halting:
            open_edges.extend(edge[0].next_functions)
    return known


def graph_bytes(graph: SecondOrderGraph, leaves: Leaves) -> int:
    """Bytes of the tensors that a graph keeps, less those of the leaves: what grows with the data."""
    edges = reachable(edge_of(root) for root in graph.roots if root.requires_grad)
    tensors = [*graph.tensors, *(tensor for node in {node for node, _ in edges} for tensor in _saved(node))]
    storages = {storage.data_ptr(): storage.nbytes() for storage in map(Tensor.untyped_storage, tensors)}
    known = {leaf.untyped_storage().data_ptr() for leaf in leaves.tensors}
    return sum(size for place, size in storages.items() if place not in known)


def _saved(node: Node | None) -> Iterator[Tensor]:
    for name in _saved_names(type(node)) if node is not None else ():
        value = getattr(node, name)
        yield from (part for part in (value if isinstance(value, list | tuple) else [value]) if _is_stored(part))


def _is_stored(value: object) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided


@cache
def _saved_names(kind: type) -> tuple[str, ...]:
    """The attributes under which torch shows what a node saved."""
    return tuple(name for name in dir(kind) if name == "saved_tensors" or name.startswith("_saved_"))

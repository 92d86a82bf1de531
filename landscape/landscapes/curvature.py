"""A matrix of second derivatives of a network's loss as an operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.errors import AnalysisError, UsageError
from landscape.landscapes.batch_parts import num_samples
from landscape.landscapes.empirical_fisher import empirical_fisher_graph
from landscape.landscapes.gauss_newton import GaussNewton, Remainder
from landscape.landscapes.graphs import Evaluation, LossAt, SecondOrderGraph, graph_bytes
from landscape.landscapes.hessian import hessian_graph
from landscape.landscapes.protocol import MATRICES, Work
from landscape.landscapes.second_derivative import (
    refuse_layers,
    refuse_randomness,
    refuse_single,
    second_derivative,
)
from landscape.landscapes.vector_blocks import VectorBlocks
from landscape.parameters import ParameterSpace

__all__ = ["HOST_GRAPH_MEMORY", "NetworkCurvature"]

HOST_GRAPH_MEMORY = 2**30
"""Bytes that kept graphs may take on the CPU when nobody said."""

Mode = Literal["kept graph", "streamed"]


def _graphs_of(matrix: str) -> Callable[[Evaluation], SecondOrderGraph]:
    match matrix:
        case "hessian":
            return hessian_graph
        case "ggn":
            return GaussNewton()
        case "fisher":
            return GaussNewton(only_known=True)
        case "empirical-fisher":
            return empirical_fisher_graph
        case "remainder":
            return Remainder()
    raise UsageError(f"unknown matrix {matrix!r}; wanted one of {', '.join(MATRICES)}")


class NetworkCurvature:
    """A matrix of the mean loss over some mini-batches, these weighted by their denominators.

    The graph of a product is kept where that of all mini-batches, measured on the first one, fits into
    ``graph_memory``; a product then costs one to three gradients. Otherwise each mini-batch's graph is made once per
    block of vectors and all of them are pushed through it.

    Parameters
    ----------
    matrix
        One of ``MATRICES``.
    samples
        How many samples the data hold: products are counted in shares of them.

    Attributes
    ----------
    mode
        "kept graph" or "streamed".
    space
        What the matrix acts on.
    """

    def __init__(
        self, loss: LossAt, matrix: str, batches: Sequence[Any], *, graph_memory: int, work: Work, samples: int
    ) -> None:
        self._loss, self._batches, self._work = loss, batches, work
        self._make, self._observe = _graphs_of(matrix), matrix != "hessian"
        own_samples = sum(map(num_samples, batches))
        self._share = own_samples / samples
        refuse_layers(loss.function.model, by_gradient=matrix in ("hessian", "remainder"))
        with second_derivative():
            self._kept = self._kept_graph(graph_memory, own_samples)

    @property
    def dim(self) -> int:
        """P, or that of the block."""
        return self.space.dim

    @property
    def space(self) -> ParameterSpace:
        return self._loss.leaves.space

    @property
    def mode(self) -> Mode:
        return "streamed" if self._kept is None else "kept graph"

    def matmat(self, vectors: Float[Tensor, "K P"]) -> Float[Tensor, "K P"]:
        """A v for each row v. Costs K products."""
        self._work.hvps += len(vectors) * self._share
        with second_derivative():
            if self._kept is not None:
                try:
                    return self._vectors.push(self._kept, vectors, retain=True).mul_(self._scale)
                except torch.OutOfMemoryError:
                    self._kept = None
            try:
                return self._streamed(vectors)
            except torch.OutOfMemoryError as error:
                raise AnalysisError(
                    f"{vectors.device} ran out of memory for the curvature of one mini-batch: lower --batch-size"
                ) from error

    def _streamed(self, vectors: Tensor) -> Tensor:
        products, weights, rows = None, [], []
        for batch in self._batches:
            graph = self._make(self._loss([batch], self._observe))
            image = self._vectors.push(graph, vectors, retain=False)
            products = image if products is None else products.add_(image)
            weights.append(graph.weight)
            rows.append(graph.rows)
            del graph, image  # before the next one is made
        assert products is not None
        return products * (sum(rows) / sum(weights) ** 2)

    def _kept_graph(self, graph_memory: int, samples: int) -> SecondOrderGraph | None:
        """The graph of all mini-batches if it fits. Examines the loss and the graph of the first one."""
        first = self._examined_graph()
        size = graph_bytes(first, self._loss.leaves)
        wanted = size * samples / num_samples(self._batches[0])
        at_once = graph_memory / max(wanted if wanted <= graph_memory else size, 1)
        self._vectors = VectorBlocks(self._loss.leaves.tensors[0].device, int(at_once))
        if wanted > graph_memory:
            return None
        if len(self._batches) > 1:
            del first
            try:
                first = self._make(self._loss(self._batches, self._observe))
            except torch.OutOfMemoryError:
                return None
        self._scale = float(first.rows / first.weight.square())
        return first

    def _examined_graph(self) -> SecondOrderGraph:
        """The graph of the first mini-batch, if it is one that means something."""
        evaluation = self._loss(self._batches[:1], self._observe)
        refuse_single([evaluation.total])
        with torch.no_grad():
            again = self._loss(self._batches[:1]).total
        refuse_randomness(evaluation.total, again, self._loss.function.model)
        graph = self._make(evaluation)
        refuse_single(graph.roots)
        return graph

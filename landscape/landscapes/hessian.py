"""The Hessian of a network's loss as an operator."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from landscape.errors import AnalysisError
from landscape.landscapes.batch_parts import num_samples
from landscape.landscapes.batches import Batches
from landscape.landscapes.functional import ModelFunction
from landscape.landscapes.objectives import Measure
from landscape.landscapes.protocol import Work

__all__ = ["GRAPH_MEMORY", "NetworkHessian"]

GRAPH_MEMORY = 2**30
"""Bytes that the kept graphs of all batches may take unless told otherwise."""

Mode = Literal["kept graph", "streamed"]


class NetworkHessian:
    """H v = d/dx (g(x) . v), reverse over reverse, of the mean loss over all batches.

    Batches are weighted by their denominators, H = sum_b H_b / sum_b weight_b with H_b of the batch's summed loss.
    The graph of the gradient g is kept where that of all batches, measured on the first one, fits into
    ``graph_memory``; a product then costs one to three gradients. Otherwise each batch's graph is built once per block
    of vectors and all of them are pushed through it.

    Attributes
    ----------
    mode
        "kept graph" or "streamed".
    """

    def __init__(
        self,
        function: ModelFunction,
        loss: Measure,
        batches: Batches,
        vector: Float[Tensor, " P"],
        buffers: Mapping[str, Tensor],
        work: Work,
        graph_memory: int = GRAPH_MEMORY,
    ) -> None:
        self._function, self._loss, self._batches, self._work = function, loss, batches, work
        leaves = function.space.unflatten(vector.detach().clone())
        self._leaves = {name: tensor.requires_grad_() for name, tensor in leaves.items()}
        self._tensors = {**self._leaves, **buffers}
        self._kept: tuple[tuple[Tensor, ...], float] | None = None
        self.mode: Mode = "kept graph" if self.graph_bytes() <= graph_memory else "streamed"

    @property
    def dim(self) -> int:
        """P."""
        return self._function.space.dim

    def matmat(self, vectors: Float[Tensor, "K P"]) -> Float[Tensor, "K P"]:
        """H v for each row v. Costs K products."""
        self._work.hvps += len(vectors)
        products, weight = torch.zeros_like(vectors), 0.0
        with self._function.kernels(), _second_derivative():
            for gradient, denominator in self._gradients():
                self._push(gradient, vectors, products)
                weight += denominator
        return products / weight

    def graph_bytes(self) -> int:
        """Bytes that the graphs of all batches would take. Costs one gradient on the first batch."""
        storages: dict[int, int] = {}

        def count(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
            return tensor.detach()

        first = self._batches.batches[0]
        with self._function.kernels(), _second_derivative(), saved_tensors_hooks(count, lambda tensor: tensor):
            self._gradient([first])
        return round(sum(storages.values()) * self._batches.samples / num_samples(first))

    def _gradients(self) -> Iterator[tuple[tuple[Tensor, ...], float]]:
        """Gradients with their graphs: one of all batches, which is kept, or one per batch."""
        if self.mode == "streamed":
            yield from (self._gradient([batch]) for batch in self._batches.batches)
            return
        if self._kept is None:
            self._kept = self._gradient(self._batches.batches)
        yield self._kept

    def _gradient(self, batches: Sequence[Any]) -> tuple[tuple[Tensor, ...], float]:
        """The gradient of the summed loss of some batches, in parts, with its graph, and their weight."""
        values = [self._function(self._loss, self._tensors, batch) for batch in batches]
        total = torch.stack([value for value, _ in values]).sum()
        _refuse_checkpointing(values[0][0])
        parts = torch.autograd.grad(total, tuple(self._leaves.values()), create_graph=True, materialize_grads=True)
        return parts, float(sum(weight for _, weight in values))

    def _push(self, gradient: tuple[Tensor, ...], vectors: Tensor, products: Tensor) -> None:
        """Adds the product of each vector with the Jacobian of a gradient; constant parts of it have none."""
        leaves = tuple(self._leaves.values())
        curved = [k for k, part in enumerate(gradient) if part.requires_grad]
        for vector, product in zip(vectors, products, strict=True):
            along = list(self._function.space.unflatten(vector).values())
            if curved:
                images = torch.autograd.grad(
                    [gradient[k] for k in curved],
                    leaves,
                    [along[k] for k in curved],
                    retain_graph=True,
                    materialize_grads=True,
                )
                product += torch.cat([image.reshape(-1) for image in images])


def _refuse_checkpointing(value: Tensor) -> None:
    """Reentrant activation checkpointing differentiates once only, and gives a wrong Hessian without a word."""
    known, open_nodes = set(), [value.grad_fn]
    while open_nodes:
        node = open_nodes.pop()
        if node is None or node in known:
            continue
        if node.name() == "CheckpointFunctionBackward":
            raise AnalysisError(
                "reentrant activation checkpointing has no second derivative, so there is no Hessian: "
                "use checkpoint(..., use_reentrant=False), or turn it off in eval mode"
            )
        known.add(node)
        open_nodes.extend(parent for parent, _ in node.next_functions)


@contextmanager
def _second_derivative() -> Iterator[None]:
    """Turns torch's complaint about a missing second derivative into one line that says what to do."""
    try:
        yield
    except RuntimeError as error:
        found = re.search(r"derivative for (\S+) is not implemented|(once_differentiable)", str(error))
        if found is None:
            raise
        operator = found.group(1) or "an autograd.Function marked once_differentiable"
        raise AnalysisError(
            f"{operator} has no second derivative, so there is no Hessian: replace the layer that uses it "
            "by one of plain torch operations (attention: attn_implementation='eager')"
        ) from error

"""The Hessian of a network's loss as an operator."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from landscape.errors import AnalysisError
from landscape.landscapes.batches import Batches
from landscape.landscapes.functional import ModelFunction
from landscape.landscapes.objectives import Measure, measured, samples_in
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
        self._function, self._loss, self._batches = function, partial(measured, loss), batches
        self._x, self._buffers, self._work = vector.detach().clone().requires_grad_(), buffers, work
        self._kept: Tensor | None = None
        self._weight = 0.0
        self.mode: Mode = "kept graph" if self.graph_bytes() <= graph_memory else "streamed"

    @property
    def dim(self) -> int:
        """P."""
        return self._x.numel()

    def matmat(self, vectors: Float[Tensor, "K P"]) -> Float[Tensor, "K P"]:
        """H v for each row v. Costs K products."""
        self._work.hvps += len(vectors)
        products = torch.zeros_like(vectors)
        with self._function.kernels(), _second_derivative():
            if self.mode == "kept graph":
                self._push(self._kept_gradient(), vectors, products)
                return products / self._weight
            weight = 0.0
            for batch in self._batches.batches:
                gradient, denominator = self._gradient(batch)
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
            self._gradient(first)
        return round(sum(storages.values()) * self._batches.samples / samples_in(first))

    def _gradient(self, batch: Any) -> tuple[Tensor, float]:
        """The gradient of the batch's summed loss, with its graph, and the batch's weight."""
        total, weight = self._function(self._loss, self._x, self._buffers, batch)
        (gradient,) = torch.autograd.grad(total, self._x, create_graph=True)
        return gradient, float(weight)

    def _kept_gradient(self) -> Tensor:
        if self._kept is None:
            gradients, weights = zip(*map(self._gradient, self._batches.batches), strict=True)
            self._kept, self._weight = torch.stack(gradients).sum(0), sum(weights)
        return self._kept

    def _push(self, gradient: Tensor, vectors: Tensor, products: Tensor) -> None:
        """Adds the product of each vector with the Jacobian of a gradient; a constant gradient has none."""
        if gradient.requires_grad:
            for vector, product in zip(vectors, products, strict=True):
                (image,) = torch.autograd.grad(gradient, self._x, vector, retain_graph=True)
                product += image


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

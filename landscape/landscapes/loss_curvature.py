"""Products with the Hessian B of a loss in the outputs z it is taken of, or with the outer products of its slopes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from landscape.landscapes.outputs import Loss, LossCall

__all__ = ["ByAutograd", "ClosedForm", "Curvature", "OuterProducts", "Parts", "in_closed_form"]

Parts = tuple[Tensor, ...]
"""One tensor for each output, of its shape; or with a leading dimension, for several vectors at once."""


@runtime_checkable
class Curvature(Protocol):
    """``u -> B u``, a symmetric matrix on the space of the outputs.

    Attributes
    ----------
    tensors
        What it keeps.
    """

    @property
    def tensors(self) -> Parts: ...

    def __call__(self, along: Parts) -> Parts: ...


@dataclass(frozen=True, eq=False)
class ByAutograd:
    """B as the derivative of the slopes dL/dz: right for all that the loss does with its outputs.

    Attributes
    ----------
    slopes
        dL/dz with their graph.
    """

    slopes: Parts
    outputs: Parts

    @property
    def tensors(self) -> Parts:
        return self.slopes

    def __call__(self, along: Parts) -> Parts:
        curved = [k for k, slope in enumerate(self.slopes) if slope.requires_grad]
        if not curved:
            return tuple(torch.zeros_like(part) for part in along)
        return torch.autograd.grad(
            [self.slopes[k] for k in curved],
            self.outputs,
            [along[k] for k in curved],
            retain_graph=True,
            materialize_grads=True,
            is_grads_batched=along[0].ndim > self.outputs[0].ndim,
        )


@dataclass(frozen=True, eq=False)
class Softmax:
    """c (diag p - p pᵀ) for each target, p the softmax of its scores."""

    probabilities: Tensor
    factor: Tensor
    class_dim: int

    @property
    def tensors(self) -> Parts:
        return self.probabilities, self.factor

    def __call__(self, along: Tensor) -> Tensor:
        image = self.probabilities * along
        mean = image.sum(self.class_dim, keepdim=True)
        return image.addcmul_(self.probabilities, mean, value=-1).mul_(self.factor)


@dataclass(frozen=True, eq=False)
class Diagonal:
    """c for each score."""

    factor: Tensor

    @property
    def tensors(self) -> Parts:
        return (self.factor,)

    def __call__(self, along: Tensor) -> Tensor:
        return along * self.factor


@dataclass(frozen=True, eq=False)
class ClosedForm:
    """B of known losses that add up: ``terms`` of the outputs at ``places``."""

    terms: tuple[Softmax | Diagonal, ...]
    places: tuple[int, ...]

    @property
    def tensors(self) -> Parts:
        return tuple(tensor for term in self.terms for tensor in term.tensors)

    def __call__(self, along: Parts) -> Parts:
        found = [torch.zeros_like(part) if k not in self.places else None for k, part in enumerate(along)]
        for term, k in zip(self.terms, self.places, strict=True):
            image, before = term(along[k]), found[k]
            found[k] = image if before is None else before + image
        return tuple(part for part in found if part is not None)


def in_closed_form(calls: Sequence[LossCall], slopes: Parts, places: Sequence[int]) -> ClosedForm:
    """B of known losses of the outputs at ``places``, each multiplied by the slope of the total in its result.

    Right for plain losses, not for class weights and the like: hold it against ``ByAutograd`` once.
    """
    terms = tuple(_term(call, _per_item(call, slope)) for call, slope in zip(calls, slopes, strict=True))
    return ClosedForm(terms, tuple(places))


def _per_item(call: LossCall, slope: Tensor) -> Tensor:
    """What each single term of the loss counts in the total."""
    if call.reduction != "mean":
        return slope
    cross_entropy = call.loss is Loss.CROSS_ENTROPY
    return slope / (call.counted.sum().clamp(min=1) if cross_entropy else max(call.scores.numel(), 1))


def _term(call: LossCall, factor: Tensor) -> Softmax | Diagonal:
    scores = call.scores.detach()
    if call.loss is Loss.CROSS_ENTROPY:
        dim = call.class_dim
        return Softmax(scores.softmax(dim), (factor * call.counted).unsqueeze(dim), dim)
    if call.loss is Loss.SQUARED_ERROR:
        return Diagonal(2 * factor)
    probabilities = scores.sigmoid()
    return Diagonal(factor * probabilities * (1 - probabilities))


@dataclass(frozen=True, eq=False)
class OuterProducts:
    """u -> g_r (g_r · u_r) for each sample r, with g_r the slope of the summed loss in its outputs.

    Attributes
    ----------
    slopes
        dL/dz, one tensor for each output.
    within
        For each, the dimensions from the end that lie within a sample, the last first.
    batches
        For each, the mini-batch that it belongs to: outputs of one mini-batch are parts of the same samples.
    """

    slopes: Parts
    within: tuple[tuple[int, ...], ...]
    batches: tuple[int, ...]

    @property
    def tensors(self) -> Parts:
        return self.slopes

    def __call__(self, along: Parts) -> Parts:
        overlaps: dict[int, Tensor] = {}
        for slope, part, dims, batch in zip(self.slopes, along, self.within, self.batches, strict=True):
            overlap = (slope * part).sum(dims) if dims else slope * part
            overlaps[batch] = overlaps[batch] + overlap if batch in overlaps else overlap
        return tuple(
            slope * _spread(overlaps[batch], dims)
            for slope, dims, batch in zip(self.slopes, self.within, self.batches, strict=True)
        )


def _spread(overlap: Tensor, dims: Sequence[int]) -> Tensor:
    for dim in dims:
        overlap = overlap.unsqueeze(dim)
    return overlap

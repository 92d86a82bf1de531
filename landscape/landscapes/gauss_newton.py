"""The generalised Gauss-Newton matrix G = Jᵀ B J: J the Jacobian of the outputs, B the Hessian of the loss in them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.errors import AnalysisError
from landscape.landscapes.graphs import Evaluation, Leaves
from landscape.landscapes.hessian import HessianGraph, hessian_graph
from landscape.landscapes.loss_checks import agree, norm, random_parts, refuse_linear, refuse_not_convex
from landscape.landscapes.loss_curvature import ByAutograd, ClosedForm, Curvature, Parts, in_closed_form
from landscape.landscapes.splitting import Split, split

__all__ = ["GaussNewton", "GaussNewtonGraph", "Remainder", "RemainderGraph", "jacobian_graph"]


ROUNDING = 64
"""Equal products of H and of G, made along different ways, differ by fewer units of rounding."""


@dataclass(frozen=True, eq=False)
class GaussNewtonGraph:
    """Jᵀ B J v. The vjp u -> Jᵀ u is linear in u, so J is its derivative: no operator needs a forward mode.

    Attributes
    ----------
    outputs
        z, with their graph.
    dummies
        Some u, of the shapes of the outputs.
    transposed
        Jᵀ u with its graph; without one where it is zero.
    curvature
        u -> B u.
    """

    leaves: Leaves
    outputs: Parts
    dummies: Parts
    transposed: Float[Tensor, " P"]
    curvature: Curvature
    weight: Float[Tensor, ""]
    rows: Float[Tensor, ""]

    @property
    def roots(self) -> tuple[Tensor, ...]:
        return (self.transposed, *self.tensors)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return (*self.outputs, *self.curvature.tensors)

    def push(self, vectors: Float[Tensor, "*K P"], retain: bool) -> Float[Tensor, "*K P"]:
        if not self.transposed.requires_grad:
            return torch.zeros_like(vectors)
        along = torch.autograd.grad(
            self.transposed,
            self.dummies,
            vectors,
            retain_graph=retain,
            allow_unused=True,
            is_grads_batched=vectors.ndim > 1,
        )
        lead = vectors.shape[:-1]
        changes = tuple(
            dummy.new_zeros(*lead, *dummy.shape) if change is None else change
            for change, dummy in zip(along, self.dummies, strict=True)
        )
        return self.leaves.pull(self.outputs, self.curvature(changes), retain)


def jacobian_graph(evaluation: Evaluation, outputs: Parts, curvature: Curvature, rows: Tensor) -> GaussNewtonGraph:
    """The graph of Jᵀ B J. Costs one backward pass through the network, with its graph."""
    dummies = tuple(output.new_zeros(()).expand(output.shape).requires_grad_() for output in outputs)  # take no memory
    leaves = evaluation.leaves
    transposed = torch.autograd.grad(outputs, leaves.tensors, dummies, create_graph=True, allow_unused=True)
    return GaussNewtonGraph(leaves, outputs, dummies, leaves.flat(transposed), curvature, evaluation.weight, rows)


class GaussNewton:
    """Makes graphs of G.

    B is taken in closed form where that agrees on the first mini-batch with the derivatives of the loss as it was
    computed, whatever is done with the outputs there (label smoothing, class weights, a second loss); else by these.

    Parameters
    ----------
    only_known
        Refuse all but the losses whose G is the Fisher information of the distribution that the model predicts:
        softmax, Bernoulli, or Gaussian of variance 1/2.
    """

    def __init__(self, only_known: bool = False) -> None:
        self._only_known = only_known
        self._closed: bool | None = None

    def __call__(self, evaluation: Evaluation) -> GaussNewtonGraph | HessianGraph:
        if not evaluation.total.requires_grad:
            return hessian_graph(evaluation)  # zero
        parts = split(evaluation)
        return jacobian_graph(evaluation, parts.outputs, self._curvature(evaluation, parts), evaluation.weight)

    def _curvature(self, evaluation: Evaluation, parts: Split) -> Curvature:
        closed = None if self._closed is False else _closed_form(parts)
        if closed is not None and self._closed:
            return closed
        outputs = parts.outputs
        slopes = torch.autograd.grad(evaluation.total, outputs, create_graph=True, materialize_grads=True)
        general = ByAutograd(slopes, outputs)
        if self._closed is None:
            self._examine(evaluation, parts, general, closed)
        return closed if closed is not None and self._closed else general

    def _examine(self, evaluation: Evaluation, parts: Split, general: ByAutograd, closed: ClosedForm | None) -> None:
        """Settles which form is right; refuses a loss that is not convex, or not curved, in its outputs."""
        probe = random_parts(parts.outputs)
        image = general(probe)
        if norm(image) == 0:
            refuse_linear(evaluation, general)
            return  # a mini-batch in which no target counts tells nothing
        self._closed = closed is not None and agree(closed(probe), image)
        if self._only_known and not self._closed:
            raise AnalysisError(
                "the Fisher information is known for F.cross_entropy, F.mse_loss and "
                "F.binary_cross_entropy_with_logits without class weights or further terms, which this objective is "
                "not: take ggn or empirical-fisher"
            )
        refuse_not_convex(general, probe, image)


def _closed_form(parts: Split) -> ClosedForm | None:
    """The closed form, where each output is what known losses were called on."""
    calls = [call for some in parts.calls for call in some]
    slopes = tuple(slope for some in parts.slopes for slope in some)
    places = [k for call in calls for k, output in enumerate(parts.outputs) if call.sees(output)]
    if len(places) < len(calls) or len(set(places)) < len(parts.outputs):
        return None
    return in_closed_form(calls, slopes, places)


@dataclass(frozen=True, eq=False)
class RemainderGraph:
    """H v - G v: what the curvature of the network itself adds to the Hessian."""

    hessian: HessianGraph
    gauss_newton: GaussNewtonGraph | HessianGraph

    @property
    def weight(self) -> Tensor:
        return self.hessian.weight

    @property
    def rows(self) -> Tensor:
        return self.hessian.rows

    @property
    def roots(self) -> tuple[Tensor, ...]:
        return self.hessian.roots + self.gauss_newton.roots

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return self.gauss_newton.tensors

    def push(self, vectors: Float[Tensor, "*K P"], retain: bool) -> Float[Tensor, "*K P"]:
        whole = self.hessian.push(vectors, retain=True)
        rest = whole - self.gauss_newton.push(vectors, retain)
        # what rounding leaves of two equal products is no curvature
        rounding = ROUNDING * torch.finfo(whole.dtype).eps * torch.linalg.vector_norm(whole, dim=-1, keepdim=True)
        return rest * (torch.linalg.vector_norm(rest, dim=-1, keepdim=True) > rounding)


class Remainder:
    """Makes graphs of H - G, from one forward pass."""

    def __init__(self) -> None:
        self._gauss_newton = GaussNewton()

    def __call__(self, evaluation: Evaluation) -> RemainderGraph:
        gauss_newton = self._gauss_newton(evaluation)
        return RemainderGraph(hessian_graph(evaluation), gauss_newton)

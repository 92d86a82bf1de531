"""Dense second derivatives in plain PyTorch: double reverse mode over one flat vector, all samples in one batch.

Nothing here comes from the package. ``torch.func.hessian`` would raise on recurrent layers.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

__all__ = ["double_reverse", "flat", "gauss_newton", "jacobian", "softmax_curvature"]

Call = Callable[..., Any]
"""A model called with the parameters that a flat vector holds."""


def flat(model: nn.Module) -> tuple[Tensor, Callable[[Tensor], Call]]:
    """The trainable parameters as one vector, in the model's order, and the model as a function of such a vector."""
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    x = torch.cat([p.detach().reshape(-1) for p in named.values()])

    def at(x: Tensor) -> Call:
        parts = x.split([prod(p.shape) for p in named.values()])
        tensors = {name: part.view_as(p) for part, (name, p) in zip(parts, named.items(), strict=True)}
        return lambda *inputs, **named_inputs: functional_call(model, tensors, inputs, named_inputs)

    return x, at


def jacobian(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """dz/dx of a vector-valued function, row by row, in reverse mode: shape ``(len(z), len(x))``."""
    x = x.detach().requires_grad_()
    with sdpa_kernel(SDPBackend.MATH):
        z = function(x)
    return torch.stack([_gradient(entry, x, retain_graph=True) for entry in z])


def double_reverse(energy: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The Hessian of a scalar function: the Jacobian of its gradient."""
    return jacobian(lambda x: _gradient(energy(x), x, create_graph=True), x)


def gauss_newton(outputs: Callable[[Tensor], Tensor], loss: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """J^T B J: J of all outputs in the parameters, B the Hessian of the mean loss in the outputs alone."""
    j = jacobian(outputs, x)
    z = outputs(x).detach()
    return j.T @ torch.autograd.functional.hessian(loss, z) @ j


def softmax_curvature(logits: Tensor) -> Tensor:
    """Hessian of the mean cross-entropy in the logits ``(n, C)``: n blocks (diag p - p p^T) / n on the diagonal."""
    p = logits.softmax(1)
    return torch.block_diag(*(torch.diag(row) - torch.outer(row, row) for row in p)) / len(p)


def _gradient(value: Tensor, x: Tensor, **options: bool) -> Tensor:
    if not value.requires_grad:
        return torch.zeros_like(x)
    return torch.autograd.grad(value, x, materialize_grads=True, **options)[0]

"""What cannot be differentiated twice, or not to any meaning: each refused with the reason and the way out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrizations, parametrize

from landscape.errors import AnalysisError
from landscape.landscapes.graphs import edge_of, reachable

__all__ = ["refuse_layers", "refuse_randomness", "refuse_single", "second_derivative"]

ROUNDING = 1000
"""Two evaluations of one loss, with a graph and without, may differ by this many units of rounding."""


REPLACE = "replace the layer that uses it by one of plain torch operations (attention: attn_implementation='eager')"

EMBEDDING_OPTIONS = ("scale_grad_by_freq", "max_norm", "sparse")

SINGLE = {
    "CheckpointFunctionBackward": (
        "reentrant activation checkpointing",
        "use checkpoint(..., use_reentrant=False), or turn it off in eval mode",
    ),
    "torch::autograd::Error": ("an autograd.Function marked once_differentiable", REPLACE),
}
"""Nodes that a second derivative passes by without a word: what they come from, and the way out."""


def no_second_derivative(what: str, way_out: str = REPLACE) -> AnalysisError:
    """What to say of an operator that can be differentiated once only."""
    return AnalysisError(f"{what} has no second derivative, so there is no Hessian: {way_out}")


@contextmanager
def second_derivative() -> Iterator[None]:
    """Turns torch's complaints about a missing second derivative into one line that says what to do."""
    try:
        yield
    except RuntimeError as error:
        if "double backward" in str(error) or "donated buffers" in str(error):
            raise AnalysisError(
                "a compiled model has no second derivative: give the one that torch.compile was called on"
            ) from error
        found = re.search(r"derivative for (\S+) is not implemented", str(error))
        if found is None:
            raise
        raise no_second_derivative(found.group(1)) from error


def refuse_single(tensors: Iterable[Tensor]) -> None:
    """Refuses graphs with a node whose second derivative would be left out silently."""
    for node, _ in reachable(edge_of(tensor) for tensor in tensors if tensor.requires_grad):
        if node is not None and node.name() in SINGLE:
            raise no_second_derivative(*SINGLE[node.name()])


def refuse_randomness(total: Tensor, again: Tensor, model: nn.Module) -> None:
    """Refuses a loss that two evaluations disagree on."""
    first, second = float(total.detach()), float(again)
    if abs(first - second) <= ROUNDING * torch.finfo(total.dtype).eps * abs(first):
        return
    active = [n for n, m in model.named_modules() if isinstance(m, nn.modules.dropout._DropoutNd) and m.training]
    suspect = (
        f"dropout {', '.join(active[:3])} is in training mode"
        if active
        else "F.dropout without training=self.training, torch.rand in forward or loss?"
    )
    raise AnalysisError(
        f"the loss is random ({suspect}): two evaluations gave {first:.8g} and {second:.8g}, so it has no Hessian; "
        "switch the randomness off in eval mode"
    )


def refuse_layers(model: nn.Module, by_gradient: bool) -> None:
    """Refuses layers whose curvature would be wrong without a word.

    ``by_gradient`` says that the gradient is differentiated, as the Hessian needs and the Gauss-Newton matrix does not.
    """
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and (module.running_mean is None or module.training):
            raise AnalysisError(
                f"{name or type(module).__name__} normalises by the statistics of each mini-batch, so the curvature "
                "would depend on --batch-size: build it with track_running_stats=True and put the model in eval mode"
            )
        for option in EMBEDDING_OPTIONS if isinstance(module, nn.Embedding) else ():
            if getattr(module, option):
                raise AnalysisError(
                    f"{name or type(module).__name__} has {option}={getattr(module, option)}, under which its gradient "
                    "is not the slope of the loss or has no slope of its own: build it without for the analysis"
                )
        if by_gradient and _has_weight_norm(module):
            raise AnalysisError(
                f"{name} has weight_norm, whose second derivative is wrong in torch (no symmetric Hessian): "
                "parametrize.remove_parametrizations before, write g v / |v| in plain torch operations, or take the ggn"
            )


def _has_weight_norm(module: nn.Module) -> bool:
    kind = getattr(parametrizations, "_WeightNorm")  # noqa: B009 - private: torch gives it no other name
    steps = getattr(module, "parametrizations", None) if parametrize.is_parametrized(module) else None
    return steps is not None and any(isinstance(step, kind) for chain in steps.values() for step in chain)

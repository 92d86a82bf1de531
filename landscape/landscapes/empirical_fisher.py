"""The empirical Fisher matrix: the mean over samples of the outer product of each sample's gradient."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from landscape.errors import AnalysisError
from landscape.landscapes.gauss_newton import GaussNewtonGraph, jacobian_graph
from landscape.landscapes.graphs import Evaluation
from landscape.landscapes.hessian import HessianGraph, hessian_graph
from landscape.landscapes.loss_curvature import OuterProducts
from landscape.landscapes.outputs import Loss, LossCall
from landscape.landscapes.splitting import split

__all__ = ["empirical_fisher_graph"]


def empirical_fisher_graph(evaluation: Evaluation) -> GaussNewtonGraph | HessianGraph:
    """The graph of sum_r (J_rᵀ g_r) (J_rᵀ g_r)ᵀ over samples r, with g_r the slope of the summed loss in their outputs.

    A sample is what a cross-entropy has one target for (a token, where these are language), if the target counts; with
    other losses it is a row of the outputs. With R of them and W the weight of the loss, a sample's own gradient is
    (R / W) J_rᵀ g_r, so that the mean of the outer products is R / W² times this sum.
    """
    if not evaluation.total.requires_grad:
        return hessian_graph(evaluation)  # zero
    parts = split(evaluation)
    slopes = torch.autograd.grad(evaluation.total, parts.outputs, retain_graph=True)
    within: list[tuple[int, ...]] = []
    batches: list[int] = []
    rows: list[Tensor] = []
    for batch, (group, calls) in enumerate(zip(parts.groups, parts.calls, strict=True)):
        found = [_samples(output, calls, evaluation.samples[batch]) for output in group]
        rows.append(_together([counted for counted, _ in found]).sum())
        within.extend(dims for _, dims in found)
        batches.extend([batch] * len(group))
    products = OuterProducts(slopes, tuple(within), tuple(batches))
    return jacobian_graph(evaluation, parts.outputs, products, torch.stack(rows).sum().double())


def _samples(output: Tensor, calls: Sequence[LossCall], samples: int) -> tuple[Tensor, tuple[int, ...]]:
    """Which samples count, and the dimensions of an output (from the end, the last first) that lie within one."""
    targets = [call for call in calls if call.loss is Loss.CROSS_ENTROPY and call.sees(output)]
    if targets:
        counted = torch.stack([call.counted for call in targets]).any(0)
        return counted, (targets[0].class_dim,)
    if output.ndim == 0 or len(output) != samples:
        raise AnalysisError(
            f"the model's outputs have shape {tuple(output.shape)} for {samples} samples, so there is no gradient "
            "of each for the empirical-fisher: return one row for each sample, or take the ggn"
        )
    counted = torch.ones(samples, dtype=torch.bool, device=output.device)
    return counted, tuple(range(-1, -output.ndim, -1))


def _together(counted: Sequence[Tensor]) -> Tensor:
    """Samples that count in any of the outputs of a mini-batch."""
    if len({some.shape for some in counted}) > 1:
        raise AnalysisError(
            "the losses of the objective do not have the same samples (tokens and texts, say), so there is no gradient "
            "of each for the empirical-fisher: take the ggn"
        )
    return torch.stack(list(counted)).any(0)

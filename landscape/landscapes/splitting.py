"""A loss taken apart: L(x) = l(z(x)) with the outputs z that it depends on x through, and through nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from landscape.errors import AnalysisError
from landscape.landscapes.graphs import Edge, Evaluation, edge_of, reachable
from landscape.landscapes.loss_curvature import Parts
from landscape.landscapes.outputs import Loss, LossCall

__all__ = ["Split", "classes_of", "split"]


@dataclass(frozen=True, eq=False)
class Split:
    """The outputs that a loss is a function of.

    Attributes
    ----------
    groups
        The outputs of each mini-batch.
    calls
        The known losses that enter the total, of each mini-batch.
    slopes
        The slope of the total in the result of each call.
    """

    groups: tuple[Parts, ...]
    calls: tuple[tuple[LossCall, ...], ...]
    slopes: tuple[Parts, ...]

    @property
    def outputs(self) -> Parts:
        """Of all mini-batches."""
        return tuple(output for group in self.groups for output in group)


def split(evaluation: Evaluation) -> Split:
    """What only known losses see; else what they were called on, with all else that is done with it; else the model's
    outputs: the first of these that carries the whole loss.

    Raises
    ------
    AnalysisError
        If none of them does.
    """
    calls, slopes = _calls_that_count(evaluation)
    taps = [[call.tap for call in some] for some in calls]
    scores = [[call.scores for call in some] for some in calls]
    returned = [seen.outputs for seen in evaluation.observed]
    for candidates in (taps, scores, returned):
        groups = tuple(_upstream(group) for group in candidates)
        if all(groups) and not _bypassed(evaluation, groups):
            return Split(groups, calls, slopes)
    seen = any(map(len, scores)) or any(map(len, returned))
    met = (
        "the loss depends on the parameters otherwise than through the model's outputs (a penalty on weights?)"
        if seen
        else "no outputs were seen: the objective calls neither one of torch's losses nor the model as a whole"
    )
    raise AnalysisError(
        f"{met}; ggn and fisher matrices want loss(model(inputs)), with F.cross_entropy, F.mse_loss or "
        "F.binary_cross_entropy_with_logits or any convex loss: change the objective, or take the hessian"
    )


def classes_of(evaluation: Evaluation) -> int | None:
    """C where the loss is a softmax cross-entropy over C classes, else None."""
    calls = [call for some in _calls_that_count(evaluation)[0] for call in some]
    sizes = {call.scores.shape[call.class_dim] if call.loss is Loss.CROSS_ENTROPY else None for call in calls}
    return sizes.pop() if len(sizes) == 1 else None


def _calls_that_count(evaluation: Evaluation) -> tuple[tuple[tuple[LossCall, ...], ...], tuple[Parts, ...]]:
    """Calls of known losses, less those for show (a metric, say) that do not enter the total, and their slopes."""
    calls: list[tuple[LossCall, ...]] = []
    slopes: list[Parts] = []
    for seen in evaluation.observed:
        results = [call.result for call in seen.calls]
        found = torch.autograd.grad(evaluation.total, results, retain_graph=True, allow_unused=True) if results else ()
        pairs = [(call, slope) for call, slope in zip(seen.calls, found, strict=True) if slope is not None]
        calls.append(tuple(call for call, _ in pairs))
        slopes.append(tuple(slope for _, slope in pairs))
    return tuple(calls), tuple(slopes)


def _upstream(candidates: Sequence[Tensor]) -> Parts:
    """Different tensors, less those that are computed from another one."""
    tensors = {edge_of(tensor): tensor for tensor in candidates}
    if len(tensors) == 1:
        return tuple(tensors.values())
    return tuple(tensor for edge, tensor in tensors.items() if not _follows(edge, tensors.keys() - {edge}))


def _follows(edge: Edge, others: set[Edge]) -> bool:
    return edge[0] is not None and not others.isdisjoint(reachable(edge[0].next_functions, others))


def _bypassed(evaluation: Evaluation, groups: Sequence[Parts]) -> bool:
    """Whether the total depends on x by a way past the outputs."""
    outputs = {edge_of(output) for group in groups for output in group}
    met = reachable([edge_of(evaluation.total)], outputs)
    return any(edge_of(leaf) in met for leaf in evaluation.leaves.tensors)

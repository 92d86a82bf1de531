"""Buffers are not coordinates: which of them a point gets, and batch-norm statistics where none were stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from landscape.errors import UsageError
from landscape.landscapes.batch_parts import num_samples
from landscape.landscapes.functional import Statistics
from landscape.parameters import Point

__all__ = ["POLICIES", "Buffers", "StackedBuffers", "batch_norm_layers", "batch_statistics", "re_estimating"]

POLICIES = ("recalibrate", "frozen", "interpolate")

Estimate = Callable[[Tensor], Statistics]
"""Batch-norm statistics on the data, of points ``(K, P)``."""


def batch_norm_layers(model: nn.Module) -> dict[str, _BatchNorm]:
    """Batch-norm layers that keep running statistics, by name."""
    found = ((name, m) for name, m in model.named_modules() if isinstance(m, _BatchNorm))
    return {name: m for name, m in found if m.running_mean is not None}


@contextmanager
def _restored(layers: Sequence[_BatchNorm]) -> Iterator[None]:
    before = [(layer.training, layer.track_running_stats, layer.momentum) for layer in layers]
    try:
        yield
    finally:
        for layer, (training, track, momentum) in zip(layers, before, strict=True):
            layer.training, layer.track_running_stats, layer.momentum = training, track, momentum


@contextmanager
def batch_statistics(layers: Sequence[_BatchNorm]) -> Iterator[None]:
    """Normalise by the statistics of the batch at hand, as in training, and keep none."""
    with _restored(layers):
        for layer in layers:
            layer.training, layer.track_running_stats = True, False
        yield


@contextmanager
def re_estimating(layers: Sequence[_BatchNorm]) -> Iterator[Callable[[Any], bool]]:
    """Running means over batches, each weighted by its samples; gives the function to call before each batch.

    It says whether the batch is to be used: the variance of a single sample is not defined.
    """
    with _restored(layers):
        seen = 0

        def next_batch(batch: Any) -> bool:
            nonlocal seen
            samples = num_samples(batch)
            if samples < 2:
                return False
            seen += samples
            for layer in layers:
                layer.training, layer.momentum = True, samples / seen
            return True

        yield next_batch


class Buffers:
    """The buffers of any point, by policy.

    At an anchor (a row equal to its vector bit for bit) the anchor's own. Elsewhere batch-norm statistics are
    re-estimated on the data ("recalibrate"), those of the nearest anchor ("frozen"), or mixed from those of the two
    nearest anchors by the projection of the point on the line between them ("interpolate"); any other buffer in which
    anchors differ is the nearest anchor's. Where all points share all buffers nothing is computed.

    Attributes
    ----------
    shared
        Buffers and frozen parameters that are the same for all points.
    """

    def __init__(self, model: nn.Module, base: Mapping[str, Tensor], anchors: Sequence[Point], policy: str) -> None:
        if policy not in POLICIES:
            raise UsageError(f"unknown batch-norm policy {policy!r}; wanted one of {', '.join(POLICIES)}")
        layers = batch_norm_layers(model)
        self.policy = policy
        self.layers = tuple(layers.values())
        self.statistics = tuple(
            f"{n}.{kind}" if n else kind for n in layers for kind in ("running_mean", "running_var")
        )
        self.counters = {f"{n}.num_batches_tracked" if n else "num_batches_tracked" for n in layers} & base.keys()
        self.anchors = tuple(a for a in anchors if set(self.statistics) <= a.buffers.keys())
        self.shared = dict(base)
        for anchor in self.anchors[:1]:
            self.shared |= self.known(anchor.buffers)
        self.varying = tuple(name for name in self.shared if self._varies(name))

    def known(self, buffers: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Those of a point's buffers that the model has."""
        return {name: tensor for name, tensor in buffers.items() if name in self.shared}

    def _varies(self, name: str) -> bool:
        if name in self.counters:
            return False
        here = self.shared[name]
        return name in self.statistics or any(not torch.equal(a.buffers.get(name, here), here) for a in self.anchors)

    def at(self, points: Float[Tensor, "K P"], estimate: Estimate) -> Statistics:
        """The buffers in which points differ, one row per point; empty where they do not."""
        if not self.varying:
            return {}
        if not self.anchors:
            return self._without_anchors(points, estimate)
        squares = torch.stack([(points - a.vector).square().sum(1) for a in self.anchors], dim=1)
        rows = {name: self._stacked(name)[squares.argmin(1)] for name in self.varying}
        elsewhere = ~self._at_an_anchor(points)
        if self.policy == "frozen" or not elsewhere.any() or not self.statistics:
            return rows
        made = self._interpolated(points[elsewhere], squares[elsewhere]) if self.policy == "interpolate" else None
        made = estimate(points[elsewhere]) if made is None else made
        for name in self.statistics:
            rows[name][elsewhere] = made[name]
        return rows

    def _without_anchors(self, points: Tensor, estimate: Estimate) -> Statistics:
        if self.policy == "recalibrate":
            return estimate(points)
        return {name: self.shared[name].expand(len(points), *self.shared[name].shape) for name in self.varying}

    def _stacked(self, name: str) -> Tensor:
        return torch.stack([a.buffers.get(name, self.shared[name]) for a in self.anchors])

    def _at_an_anchor(self, points: Float[Tensor, "K P"]) -> Bool[Tensor, " K"]:
        return torch.stack([(points == a.vector).all(1) for a in self.anchors]).any(0)

    def _interpolated(self, points: Float[Tensor, "K P"], squares: Float[Tensor, "K A"]) -> Statistics:
        """Statistics mixed from the two nearest anchors, by the projection on the line between them."""
        vectors = torch.stack([a.vector for a in self.anchors])
        near = squares.topk(min(2, len(vectors)), dim=1, largest=False).indices
        first, second = near[:, 0], near[:, -1]
        line = vectors[second] - vectors[first]
        length = line.square().sum(1).clamp_min(torch.finfo(line.dtype).tiny)
        share = (((points - vectors[first]) * line).sum(1) / length).clamp(0, 1)[:, None]
        stacks = {name: self._stacked(name) for name in self.statistics}
        return {name: torch.lerp(stack[first], stack[second], share) for name, stack in stacks.items()}


class StackedBuffers:
    """The buffers of a block of points whose rows belong to different anchors, each row as by its own ``Buffers``.

    Attributes
    ----------
    shared
        What all rows have in common.
    """

    def __init__(self, parts: Sequence[Buffers], rows: Sequence[int]) -> None:
        first = parts[0]
        self.parts, self.rows = tuple(parts), tuple(rows)
        self.policy, self.layers, self.statistics, self.counters = (
            first.policy,
            first.layers,
            first.statistics,
            first.counters,
        )
        unlike = {n for part in parts[1:] for n, t in part.shared.items() if not torch.equal(t, first.shared[n])}
        own = {name for part in parts for name in part.varying} | (unlike - self.counters)
        self.shared = first.shared
        self.varying = tuple(name for name in first.shared if name in own)

    def at(self, points: Float[Tensor, "K P"], estimate: Estimate) -> Statistics:
        """The buffers in which rows differ, one row per point."""
        if not self.varying:
            return {}
        blocks = torch.split(points, list(self.rows))
        each = [self._of(part, block, estimate) for part, block in zip(self.parts, blocks, strict=True)]
        return {name: torch.cat([rows[name] for rows in each]) for name in self.varying}

    def _of(self, part: Buffers, points: Tensor, estimate: Estimate) -> Statistics:
        made = part.at(points, estimate)
        rest = (name for name in self.varying if name not in made)
        return made | {name: part.shared[name].expand(len(points), *part.shared[name].shape) for name in rest}

    def known(self, buffers: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Those of a point's buffers that the model has."""
        return self.parts[0].known(buffers)

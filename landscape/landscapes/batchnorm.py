"""Buffers are not coordinates: which of them a point gets, and batch-norm statistics where none were stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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

Estimate = Callable[[Tensor, Statistics], Statistics]
"""Batch-norm statistics on the data, of points ``(K, P)`` with rows of other buffers."""


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
        self.base = dict(base)
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
        return name in self.statistics or any(not torch.equal(own, here) for own in self._each(name))

    def at(self, points: Float[Tensor, "K P"], estimate: Estimate) -> Statistics:
        """The buffers in which points differ, one row per point; empty where they do not."""
        return _completed(points, *self.known_at(points), self.statistics, estimate)

    def known_at(self, points: Float[Tensor, "K P"]) -> tuple[Statistics, Bool[Tensor, " K"]]:
        """``at`` as far as nothing is to be estimated, and for which points the statistics are."""
        nowhere = torch.zeros(len(points), dtype=torch.bool, device=points.device)
        if not self.varying:
            return {}, nowhere
        if not self.anchors:
            return self._everywhere(points, self.varying), nowhere | (self.policy == "recalibrate")
        squares = self._squares(points)
        rows = {name: self._stacked(name)[squares.argmin(1)] for name in self.varying}
        elsewhere = ~self._at_an_anchor(points)
        if self.policy == "interpolate":
            for name, made in self._interpolated(points[elsewhere], squares[elsewhere]).items():
                rows[name][elsewhere] = made
        return rows, elsewhere if self.policy == "recalibrate" and self.statistics else nowhere

    def beside_statistics(self, points: Float[Tensor, "K P"]) -> Statistics:
        """The buffers in which points differ, those of batch norm left out."""
        names = [name for name in self.varying if name not in self.statistics]
        if not names:
            return {}
        nearest = self._squares(points).argmin(1)
        return {name: self._stacked(name)[nearest] for name in names}

    def _everywhere(self, points: Tensor, names: Iterable[str]) -> Statistics:
        """Rows of what all points share."""
        shared = {name: self.shared[name] for name in names}
        return {name: tensor.expand(len(points), *tensor.shape).clone() for name, tensor in shared.items()}

    def with_shared(self, rows: Statistics, points: Float[Tensor, "K P"], names: Sequence[str]) -> Statistics:
        """Rows of all these names: what is missing is what the points share."""
        return rows | self._everywhere(points, [name for name in names if name not in rows])

    def _squares(self, points: Float[Tensor, "K P"]) -> Float[Tensor, "K A"]:
        """Squared distances from the anchors."""
        return torch.stack([(points - a.vector).square().sum(1) for a in self.anchors], dim=1)

    def _stacked(self, name: str) -> Tensor:
        return torch.stack(self._each(name))

    def _each(self, name: str) -> list[Tensor]:
        """What each anchor has under a name; one without has what the model came with."""
        return [anchor.buffers.get(name, self.base[name]) for anchor in self.anchors]

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
        self.policy, self.layers, self.shared = first.policy, first.layers, first.shared
        self.statistics, self.counters = first.statistics, first.counters
        own = {name for part in parts for name in part.varying}
        alike = self.shared.keys() - own - self.counters
        own |= {name for name in alike for part in parts[1:] if not torch.equal(part.shared[name], self.shared[name])}
        self.varying = tuple(name for name in self.shared if name in own)

    def at(self, points: Float[Tensor, "K P"], estimate: Estimate) -> Statistics:
        """The buffers in which rows differ, one row per point; all statistics to be estimated are so in one go."""
        if not self.varying:
            return {}
        blocks = self._blocks(points)
        known = [part.known_at(block) for part, block in blocks]
        rows = self._joined(blocks, [each for each, _ in known], self.varying)
        return _completed(points, rows, torch.cat([missing for _, missing in known]), self.statistics, estimate)

    def beside_statistics(self, points: Float[Tensor, "K P"]) -> Statistics:
        """The buffers in which rows differ, those of batch norm left out."""
        names = [name for name in self.varying if name not in self.statistics]
        blocks = self._blocks(points)
        return self._joined(blocks, [part.beside_statistics(block) for part, block in blocks], names)

    def _blocks(self, points: Tensor) -> list[tuple[Buffers, Tensor]]:
        return list(zip(self.parts, torch.split(points, list(self.rows)), strict=True))

    def _joined(
        self, blocks: Sequence[tuple[Buffers, Tensor]], rows: Sequence[Statistics], names: Sequence[str]
    ) -> Statistics:
        each = [part.with_shared(own, block, names) for (part, block), own in zip(blocks, rows, strict=True)]
        return {name: torch.cat([own[name] for own in each]) for name in names}

    def known(self, buffers: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Those of a point's buffers that the model has."""
        return self.parts[0].known(buffers)


def _completed(
    points: Float[Tensor, "K P"],
    rows: Statistics,
    missing: Bool[Tensor, " K"],
    statistics: Sequence[str],
    estimate: Estimate,
) -> Statistics:
    """The rows with statistics estimated where they are missing, behind the points' own other buffers."""
    if missing.any():
        others = {name: tensor[missing] for name, tensor in rows.items() if name not in statistics}
        for name, made in estimate(points[missing], others).items():
            rows[name][missing] = made
    return rows

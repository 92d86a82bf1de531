"""A string that grows, moved by Adam at a rate that falls to zero over the budget."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from landscape.analysis import Context
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point
from landscape.paths import Path, Search, gradients_of
from landscape_finders.growth import at_top
from landscape_finders.optimisers import adam
from landscape_finders.options import AutonebOptions
from landscape_finders.search import StringSearch, search_of_pair
from landscape_finders.searching import MiniBatches, each_pair
from landscape_finders.string import Method, StringState

__all__ = ["find", "string_search"]


def find(
    landscape: Landscape,
    pairs: Sequence[Sequence[Point]],
    options: AutonebOptions | None = None,
    *,
    context: Context | None = None,
) -> Iterator[tuple[int, Path | Exception]]:
    """A low path between each pair, at most ``max_gradients`` gradient evaluations each.

    Few images at first; every cycle has an equal share of the budget and ends with a dense evaluation on the full
    data (about ten energies an image), where up to two images are inserted. All images of a step, and
    all pairs, share one mini-batch, so that they are one vectorised call. The best path met is returned.
    """
    options = options or AutonebOptions()

    context = context or Context()
    search = string_search(options, MiniBatches(landscape.num_batches, context.seed))

    def of_pair(between: Landscape, a: Point, b: Point, task: Context) -> Search[Path]:
        return search_of_pair(between, a, b, task, search)

    return each_pair(landscape, pairs, context, of_pair)


def string_search(options: AutonebOptions, batches: MiniBatches) -> StringSearch:
    """What the growing string looks for under these options."""

    def method(distance: float, reach: int, spent: int) -> Method:
        return _method(options, batches, distance, reach, spent)

    return StringSearch(
        method, options.images, options.max_gradients, options.climb, options.connected_below, options.tolerance
    )


def _method(options: AutonebOptions, batches: MiniBatches, distance: float, reach: int, spent: int) -> Method:
    def rate(state: StringState) -> float:
        done = (state.gradient_evaluations - spent) / max(1, reach - spent)
        return options.learning_rate * distance * 0.5 * (1 + math.cos(math.pi * done))

    def steps(state: StringState) -> int:
        share = (reach - state.gradient_evaluations) / (options.cycles - state.cycle)
        return int(share / state.images)

    def on_one_batch(state: StringState, rng: torch.Generator) -> Search[tuple[Tensor, Tensor]]:
        return gradients_of(state.knots[1:-1], batches(state.moments.updates))

    return Method(
        cycles=options.cycles,
        max_images=options.max_images,
        points_per_segment=options.points_per_segment,
        max_gradients=reach,
        connected_below=options.connected_below or 0.0,
        steps=steps,
        rate=rate,
        gradients=on_one_batch,
        update=adam,
        insertions=at_top,
    )

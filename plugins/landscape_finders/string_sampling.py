"""Connected below a level or not: dynamic string sampling.

Freeman and Bruna, Topology and Geometry of Half-Rectified Network Optimization, ICLR 2017.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from landscape.analysis import Context
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point
from landscape.paths import Path, Search, alone, path_length
from landscape_finders.beads import Descent
from landscape_finders.falling import Goal, Level, Standing, advanced, is_packed, lowest, pack, started, unpack
from landscape_finders.options_string_sampling import StringSamplingOptions
from landscape_finders.searching import Beginning, MiniBatches, beginning, each_pair

__all__ = ["Level", "find", "sampled"]

_SAVE_EVERY_SECONDS = 5.0


def find(
    landscape: Landscape,
    pairs: Sequence[Sequence[Point]],
    options: StringSamplingOptions | None = None,
    *,
    context: Context | None = None,
) -> Iterator[tuple[int, Path | Exception]]:
    """A path between each pair below a level that falls, at most ``max_gradients`` gradient evaluations each.

    Where a segment rises above the level a bead is put at its worst point and trained until it is below; then its two
    parts are examined, until all are below. The path of the lowest level reached is returned, its messages say how
    the length grew as the level fell. That no path was found below a level is no proof that there is none.
    """
    options, context = options or StringSamplingOptions(), context or Context()
    batches = MiniBatches(landscape.num_batches, context.seed)

    def search(between: Landscape, a: Point, b: Point, task: Context) -> Search[Path]:
        path, _ = yield from _sampling(between, a, b, task, options, batches)
        return path

    return each_pair(landscape, pairs, context, search)


def sampled(
    landscape: Landscape,
    a: Point,
    b: Point,
    options: StringSamplingOptions | None = None,
    *,
    context: Context | None = None,
) -> tuple[Path, tuple[Level, ...]]:
    """The path from ``a`` to ``b`` that ``find`` gives, and the levels tried on the way, as the level fell."""
    context = context or Context()
    batches = MiniBatches(landscape.num_batches, context.seed)
    between = landscape.anchored([a, b])
    return alone(between, _sampling(between, a, b, context.task(0), options or StringSamplingOptions(), batches))


def _sampling(
    landscape: Landscape, a: Point, b: Point, task: Context, options: StringSamplingOptions, batches: MiniBatches
) -> Search[tuple[Path, tuple[Level, ...]]]:
    begun = yield from beginning(landscape, a, b, task, options.tolerance)
    if begun.answer is not None:
        return begun.answer, ()
    goal = _goal(landscape, a, b, begun, options, batches)
    saved = task.load()
    if is_packed(saved, begun.gradient_evaluations):
        standing = unpack(saved, a.vector)
    else:
        standing = yield from started(begun, goal)
    saved_at = time.monotonic()
    while not standing.ended:
        standing = yield from advanced(standing, goal)
        if time.monotonic() - saved_at > _SAVE_EVERY_SECONDS:
            task.save(pack(standing))
            saved_at = time.monotonic()
        task.progress(standing.gradients, options.max_gradients, f"connected below {standing.best_barrier:.4g}")
    return (yield from _judged(standing, goal))


def _goal(
    landscape: Landscape, a: Point, b: Point, begun: Beginning, options: StringSamplingOptions, batches: MiniBatches
) -> Goal:
    wanted = 0.01 * begun.line.barrier if options.connected_below is None else options.connected_below
    ratio = min(1.0, max(wanted, begun.tolerance) / begun.line.barrier) ** (1 / options.levels)
    levels = (*(begun.line.barrier * ratio**k for k in range(options.levels)), wanted)
    distance = float((b.vector - a.vector).norm()) / len(a.vector) ** 0.5

    def rate(spent: int) -> float:
        return options.learning_rate * distance * 0.5 * (1 + math.cos(math.pi * spent / options.max_gradients))

    descent = Descent(batches, rate, options.max_gradients)
    return Goal(landscape, levels, begun.tolerance, options.points_per_segment, options.max_depth, descent)


def _judged(standing: Standing, goal: Goal) -> Search[tuple[Path, tuple[Level, ...]]]:
    """The path below the lowest level reached, and the verdict."""
    path, levels, converged = standing.path, standing.levels, standing.path is not None
    if path is None:
        failed = Level(standing.level, False, standing.beads.normalised_length)
        path, standing = yield from lowest(standing, goal)
        reached = Level(path.barrier, True, path.length / path_length(path.points[[0, -1]]))
        levels = (*levels, *([reached] if path.barrier < levels[-1].level else []), failed)
    messages: tuple[str, ...] = (_in_words(levels, standing.limit),)
    if path.bracket > goal.tolerance:
        converged = False
        messages += (f"the maximum is bracketed only to {path.bracket:.3g}, wanted {goal.tolerance:.3g}",)
    path = replace(
        path,
        gradient_evaluations=standing.gradients,
        energy_evaluations=standing.energies,
        converged=converged,
        messages=messages,
        budget_spent=bool(standing.limit),
    )
    return path, levels


def _in_words(levels: Sequence[Level], limit: str) -> str:
    parts = [f"below {level.level:.4g} at {level.normalised_length:.3g}" for level in levels if level.connected]
    parts += [f"not below {level.level:.4g} within {limit}" for level in levels if not level.connected]
    return "connected " + ", ".join(parts).replace(" at ", " at length ", 1)

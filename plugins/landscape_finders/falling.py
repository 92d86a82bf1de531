"""A level that falls: beads trained until the whole path is below it, then the next level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeGuard

import torch
from torch import Tensor

from landscape.landscapes.protocol import Landscape
from landscape.paths import Path, Search, knot_times, measuring_path
from landscape_finders.beads import Beads, Descent, descended, divided, examined, strung
from landscape_finders.searching import Beginning

__all__ = ["Goal", "Level", "Standing", "advanced", "is_packed", "lowest", "pack", "started", "unpack"]

_FORMAT = 1  # of packed standings; others are started anew


@dataclass(frozen=True)
class Level:
    """Whether two points were found connected below a level.

    Attributes
    ----------
    level
        A barrier: energy over the higher end, in units of the loss.
    connected
        Whether all beads and all segments between them, as measured, are at most that high. False says only that no
        such path was found within the budget.
    normalised_length
        Length of the polyline over the distance of its ends.
    """

    level: float
    connected: bool
    normalised_length: float


@dataclass(frozen=True, eq=False)
class Goal:
    """What is looked for, and how.

    Attributes
    ----------
    levels
        Barriers to get below one after another, falling; the last is the wanted one.
    tolerance
        How close the maximum of the path is bracketed.
    inside, max_depth
        Points at which a segment is examined, and how often the first segments may be divided.
    descent
        How beads are trained, and on which budget.
    """

    landscape: Landscape
    levels: tuple[float, ...]
    tolerance: float
    inside: int
    max_depth: int
    descent: Descent

    @property
    def wanted(self) -> float:
        """The barrier at which the search has succeeded."""
        return self.levels[-1]


@dataclass(frozen=True, eq=False)
class Standing:
    """Where a search stands.

    Attributes
    ----------
    beads, level
        The beads and the level that they are to get below.
    best_knots, best_barrier
        The path of the lowest level reached.
    levels
        The levels reached.
    gradients, energies, step
        Gradient and energy evaluations spent, and the number of steps in them.
    path
        The path measured, once it is below the wanted level.
    limit
        What ended the search before, in words.
    """

    beads: Beads
    level: float
    best_knots: Tensor
    best_barrier: float
    levels: tuple[Level, ...]
    gradients: int
    energies: int
    step: int = 0
    path: Path | None = None
    limit: str = ""

    @property
    def ended(self) -> bool:
        """Whether the wanted level or a limit is reached."""
        return self.path is not None or bool(self.limit)


def started(begun: Beginning, goal: Goal) -> Search[Standing]:
    """The path given, or the line (in two halves where it is curved), with the first level below its barrier."""
    knots = begun.knots if begun.given else begun.knots[:: max(1, (len(begun.knots) - 1) // 2)]
    beads = yield from strung(knots)
    spent = begun.energy_evaluations + len(knots)
    start = Standing(beads, torch.inf, knots, torch.inf, (), begun.gradient_evaluations, spent)
    start = yield from _examined(start, goal, beads.tops.isnan())
    return _lowered(start, goal, start.beads.barrier)


def _examined(standing: Standing, goal: Goal, which: Tensor) -> Search[Standing]:
    beads = yield from examined(goal.landscape, standing.beads, which, goal.inside)
    return replace(standing, beads=beads, energies=standing.energies + goal.inside * int(which.sum()))


def _lowered(standing: Standing, goal: Goal, reached: float) -> Standing:
    """The path kept, as one below the level reached; next is the first level that is lower than the path."""
    beads = standing.beads
    return replace(
        standing,
        level=max((level for level in goal.levels if level < min(standing.level, beads.barrier)), default=goal.wanted),
        best_knots=beads.knots,
        best_barrier=beads.barrier,
        levels=(*standing.levels, Level(reached, True, beads.normalised_length)),
    )


def advanced(standing: Standing, goal: Goal) -> Search[Standing]:
    """One round: segments between beads that are below the level examined, divided where they are not; beads trained.

    Where nothing is above the level it is lowered.
    """
    high = standing.beads.above(standing.level)
    ready = ~(high[:-1] | high[1:])
    standing = yield from _examined(standing, goal, ready & standing.beads.tops.isnan())
    beads = standing.beads
    failing = ready & (beads.tops > beads.floor + standing.level)
    moving = int(high.sum() + failing.sum())
    if moving == 0 and standing.level <= goal.wanted:
        return (yield from _confirmed(standing, goal))
    if moving == 0:
        passed = (level for level in goal.levels[:-1] if level >= beads.barrier)
        return _lowered(standing, goal, min(passed, default=standing.level))
    if bool((beads.depths[failing] >= goal.max_depth).any()):
        return replace(standing, limit="max_depth")
    if standing.gradients + moving > goal.descent.max_gradients:
        return replace(standing, limit="the budget")
    beads = divided(goal.landscape, beads, failing)
    beads, step, gradients, energies = yield from descended(
        goal.landscape, beads, standing.level, goal.descent, standing.step, standing.gradients
    )
    return replace(standing, beads=beads, step=step, gradients=gradients, energies=standing.energies + energies)


def _confirmed(standing: Standing, goal: Goal) -> Search[Standing]:
    """The search over, unless the maximum, bracketed, is above the wanted level after all: a bead is missing there."""
    beads = standing.beads
    path = yield from measuring_path(goal.landscape, beads.knots, goal.tolerance, goal.inside)
    standing = replace(standing, energies=standing.energies + path.energy_evaluations)
    if path.barrier <= goal.wanted:
        return replace(_lowered(standing, goal, goal.wanted), path=path)
    reached = knot_times(beads.knots).cpu()
    worst = min(int(torch.searchsorted(reached, path.saddle_time, right=True)), len(reached) - 1) - 1
    tops, places = beads.tops.clone(), beads.places.clone()
    tops[worst] = path.max_loss
    places[worst] = (path.saddle_time - reached[worst]) / (reached[worst + 1] - reached[worst])
    return replace(standing, beads=replace(beads, tops=tops, places=places))


def lowest(standing: Standing, goal: Goal) -> Search[tuple[Path, Standing]]:
    """The lowest path of a search that met a limit: the beads as they are then, or the path of the last level."""
    standing = yield from _examined(standing, goal, standing.beads.tops.isnan())
    candidates = [standing.best_knots]
    if standing.beads.barrier < standing.best_barrier:
        candidates.insert(0, standing.beads.knots)
    for knots in candidates:
        path = yield from measuring_path(goal.landscape, knots, goal.tolerance, goal.inside)
        standing = replace(standing, energies=standing.energies + path.energy_evaluations)
        if path.barrier < standing.best_barrier:
            break
    return path, standing


def pack(standing: Standing) -> dict[str, Tensor]:
    """The standing as tensors, to be stored."""
    beads = standing.beads
    levels = [(level.level, level.connected, level.normalised_length) for level in standing.levels]
    return {
        "knots": beads.knots,
        "energies": beads.energies,
        "tops": beads.tops,
        "places": beads.places,
        "depths": beads.depths,
        "best_knots": standing.best_knots,
        "levels": torch.tensor(levels, dtype=torch.float64),
        "barriers": torch.tensor([standing.level, standing.best_barrier], dtype=torch.float64),
        "counters": torch.tensor([standing.gradients, standing.energies, standing.step]),
        "string-sampling": torch.tensor(_FORMAT),
    }


def is_packed(tensors: Mapping[str, Tensor] | None, gradients: int = 0) -> TypeGuard[Mapping[str, Tensor]]:
    """Whether these are tensors that this version of :func:`pack` made, no earlier than after so many gradients.

    What is older was left by a search that has ended since; its path is where the next one begins.
    """
    if tensors is None or "string-sampling" not in tensors or int(tensors["string-sampling"]) != _FORMAT:
        return False
    return int(tensors["counters"][0]) >= gradients


def unpack(tensors: Mapping[str, Tensor], like: Tensor) -> Standing:
    """The stored standing on the device of ``like``."""
    known = (tensors[name].cpu() for name in ("energies", "tops", "places", "depths"))
    level, best_barrier = tensors["barriers"].tolist()
    gradients, energies, step = tensors["counters"].tolist()
    levels = tuple(Level(height, bool(connected), length) for height, connected, length in tensors["levels"].tolist())
    beads = Beads(tensors["knots"].to(like), *known)
    return Standing(beads, level, tensors["best_knots"].to(like), best_barrier, levels, gradients, energies, step)

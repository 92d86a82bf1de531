"""How low the path finders get for how many gradients, and what advancing pairs together saves."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from path_problems import CPU, PathProblem
from timing import seconds_of

import landscape
from landscape.analysis import resolve
from landscape.errors import LandscapeError

__all__ = ["ENTRIES", "Descent", "Entry", "descent", "speeds"]

STEPS = 300  # of the finder that pairs are timed with


@dataclass(frozen=True)
class Entry:
    """A finder as it is run here.

    Attributes
    ----------
    finder
        Its name.
    budgets
        Gradient evaluations of a pair, one run for each.
    aligned
        Whether the second net of each pair is first brought near the first.
    options
        What differs from its defaults; those that the finder does not know are left out.
    """

    finder: str
    budgets: tuple[int, ...]
    aligned: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"`{self.finder}`{', aligned' if self.aligned else ''}"


@dataclass(frozen=True)
class Descent:
    """The largest losses on the paths of all pairs, and what a pair took.

    Attributes
    ----------
    max_losses
        One for each pair.
    gradients
        Gradient evaluations of a pair, the median.
    seconds
        CPU seconds of a pair, evaluation on the full data included.
    failure
        Why there are none, in words.
    """

    max_losses: tuple[float, ...] = ()
    gradients: float = 0.0
    seconds: float = 0.0
    failure: str = ""

    @property
    def median(self) -> float:
        """Of the largest losses."""
        return statistics.median(self.max_losses) if self.max_losses else torch.inf

    def __str__(self) -> str:
        if self.failure:
            return self.failure
        return f"{_short(self.median)} ({_short(max(self.max_losses))})"


def _short(loss: float) -> str:
    return f"{loss:.4f}".removeprefix("0") if loss < 1 else f"{loss:.2f}"


_LONG = (500, 1000, 2000, 4000, 8000)
_CURVES = (250, 500, 1000, 2000)
_TO_THE_END = {"connected_below": 0.0}

ENTRIES = (
    Entry("linear", (1000,)),
    Entry("linear", (1000,), aligned=True),
    Entry("bezier", _CURVES),
    Entry("bezier", _CURVES, aligned=True),
    Entry("bezier-autoneb", _LONG, options=_TO_THE_END),
    Entry("bezier-autoneb", _LONG[:3], aligned=True, options=_TO_THE_END),
    Entry("polygon", _CURVES),
    Entry("polygon", _CURVES, aligned=True),
    Entry("autoneb", _LONG),
    Entry("string-sampling", _LONG, options={"connected_below": 5e-4}),
    Entry("layer-walk", _LONG, options={"connected_below": 5e-4}),
    Entry("draxler2018", _LONG[1:]),
)


def descent(problem: PathProblem, entry: Entry, budget: int) -> Descent:
    """One run of a finder on all pairs at once."""
    context = landscape.context()
    finder = context.finder(entry.finder)
    known = {option.name for option in fields(finder.options)}
    settings = {"max_gradients": budget, **entry.options}
    options = finder.options(**{name: value for name, value in settings.items() if name in known})
    pairs = problem.aligned if entry.aligned else problem.pairs
    scape, find = problem.landscape(), resolve(finder.find)
    seconds, found = seconds_of(lambda: dict(find(scape, pairs, options, context=context)), CPU)
    failed = [path for path in found.values() if isinstance(path, LandscapeError)]
    if failed:
        return Descent(failure=f"{len(failed)} of {len(pairs)} fail: {failed[0]}")
    highest = tuple(path.max_loss for path in found.values())
    gradients = statistics.median(path.gradient_evaluations for path in found.values())
    return Descent(highest, gradients, seconds / len(pairs))


def speeds(problem: PathProblem, batch_size: int, repeats: int = 7, steps: int = STEPS) -> tuple[float, float]:
    """CPU time one after another over CPU time together: of a gradient of all pairs, and of short searches."""
    scape = problem.landscape(batch_size)
    middles = torch.stack([(a.vector + b.vector) / 2 for a, b in problem.pairs])

    def one_by_one() -> None:
        for middle in middles:
            scape.gradients(middle[None], 0)

    def together() -> None:
        scape.gradients(middles, 0)

    return _ratio(one_by_one, together, repeats), _ratio(*_searches(problem, batch_size, steps), 1)


def _searches(problem: PathProblem, batch_size: int, steps: int) -> Sequence[Any]:
    context = landscape.context()
    finder = context.finder("bezier")
    find, options, scape = resolve(finder.find), finder.options(max_gradients=steps), problem.landscape(batch_size)

    def one_by_one() -> None:
        for pair in problem.pairs:
            list(find(scape, [pair], options, context=context))

    def together() -> None:
        list(find(scape, problem.pairs, options, context=context))

    return one_by_one, together


def _ratio(slow: Any, fast: Any, repeats: int) -> float:
    """Medians over interleaved repeats, after one call of each off the clock, in which chunk sizes are chosen."""
    taken = [(seconds_of(slow, CPU)[0], seconds_of(fast, CPU)[0]) for _ in range(1 + repeats)][1:]
    return statistics.median(s for s, _ in taken) / statistics.median(f for _, f in taken)

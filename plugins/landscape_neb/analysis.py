"""The straight line and the path between two points, measured, as a result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from torch import Tensor

from landscape.analysis import Context, PathFinder, Result, resolve
from landscape.errors import LandscapeError, UsageError
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point
from landscape.paths import Path, Search, alone, energies_along, errors_along, measuring_line, straight, together
from landscape.symmetry.groups import Symmetry
from landscape_neb.aligning import found_symmetry
from landscape_neb.dataset import Curves, dataset
from landscape_neb.ends import Ends, Slope, aligned, slopes_at
from landscape_neb.finding import chosen
from landscape_neb.options import NebOptions
from landscape_neb.plane import measuring_plane
from landscape_neb.saddle import saddle_of
from landscape_neb.verdict import messages_of, with_jump

__all__ = ["run"]

T = TypeVar("T")
Value: TypeAlias = float | int | str | list[float]

_SIDE = 21  # of the grid in the plane, where nobody says
_CHEAP = 8000  # mini-batches that it may then take
_SAME_END = 1e-4  # of the distance of the ends: what storing may have rounded


@dataclass(frozen=True, eq=False)
class Pair:
    """A pair before its path is searched: what it is, its lines, how steep the loss is at its ends."""

    index: int
    ends: Ends
    line: Path
    aligned_line: Path | None
    slopes: tuple[Slope, ...]


def run(
    landscape: Landscape,
    groups: Sequence[Sequence[Point]],
    options: NebOptions | None = None,
    *,
    context: Context | None = None,
) -> Iterator[tuple[int, Result | Exception]]:
    """The minimum-energy path of each pair as it is found; all pairs are advanced together.

    Beyond the finder's budget a pair costs three gradients, about 50 energies for each line and 100 to 300 for the
    final path, twice that where the objective knows an error, again where there are validation data.
    """
    options, context = options or NebOptions(), context or Context()
    finder, finder_options = chosen(options, len(groups), context)
    pairs: list[Pair] = []
    for index, prepared in _prepared(landscape, groups, options, context):
        if isinstance(prepared, Pair):
            pairs.append(prepared)
        else:
            yield index, prepared
    if not pairs:
        return
    for place, path in _searched(landscape, pairs, finder, finder_options, options, context):
        pair = pairs[place]
        if isinstance(path, Exception):
            yield pair.index, path
            continue
        try:
            yield pair.index, _result(landscape, pair, path, options, context)
        except LandscapeError as error:
            yield pair.index, error


def _prepared(
    landscape: Landscape, groups: Sequence[Sequence[Point]], options: NebOptions, context: Context
) -> Iterator[tuple[int, Pair | LandscapeError]]:
    """Each pair aligned and its lines measured; for one that cannot be, why."""
    formula = landscape.info.samples is None  # no network: nothing to say of its units
    aligns = options.align != "none" and not formula
    symmetry = found_symmetry(landscape, options, context) if aligns else Symmetry()
    ends: dict[int, Ends] = {}
    for index, group in enumerate(groups):
        try:
            ends[index] = aligned(landscape, group, symmetry, options, context.seed)
        except LandscapeError as error:
            yield index, error
    given = {i: pair.given for i, pair in ends.items()}
    moved = {i: pair.used for i, pair in ends.items() if pair.used[1] is not pair.given[1]}
    lines = _lines(landscape, given, options, context)
    aligned_lines = _lines(landscape, moved, options, context)
    slopes = _together(landscape, given, lambda between, i: slopes_at(between, ends[i].given))
    for index, pair in ends.items():
        line, aligned_line, steep = lines[index], aligned_lines.get(index), slopes[index]
        if isinstance(line, LandscapeError):
            yield index, line
        elif isinstance(aligned_line, LandscapeError):
            yield index, aligned_line
        elif isinstance(steep, LandscapeError):
            yield index, steep
        else:
            yield index, Pair(index, pair, line, aligned_line, steep)


def _lines(
    landscape: Landscape, ends: Mapping[int, tuple[Point, Point]], options: NebOptions, context: Context
) -> dict[int, Path | LandscapeError]:
    def search(between: Landscape, index: int) -> Search[Path]:
        return _measured_line(between, ends[index], options, context.task(index))

    return _together(landscape, ends, search)


def _together(
    landscape: Landscape, ends: Mapping[int, tuple[Point, Point]], search: Callable[[Landscape, int], Search[T]]
) -> dict[int, T | LandscapeError]:
    """What a search of each pair returns, by the pair's number."""
    numbers = list(ends)
    between = [landscape.anchored(ends[number]) for number in numbers]
    searches = [search(one, number) for one, number in zip(between, numbers, strict=True)]
    return {numbers[place]: result for place, result in together(between, searches)}


def _measured_line(landscape: Landscape, ends: tuple[Point, Point], options: NebOptions, task: Context) -> Search[Path]:
    knots = straight(landscape, ends[0].vector, ends[1].vector, task.rng)
    line = yield from measuring_line(landscape, knots, options.tolerance)
    return (yield from _with_errors(landscape, line))


def _with_errors(landscape: Landscape, path: Path) -> Search[Path]:
    errors = yield from errors_along(landscape, path.points, path.times)
    return replace(path, errors=errors)


def _searched(
    landscape: Landscape,
    pairs: Sequence[Pair],
    finder: PathFinder,
    finder_options: object,
    options: NebOptions,
    context: Context,
) -> Iterator[tuple[int, Path | Exception]]:
    tasks = [context.task(pair.index) for pair in pairs]
    starts: tuple[Tensor | None, ...] = ()
    if options.start is not None:
        starts = tuple(_start(options.start, pair.ends, context) for pair in pairs)
    within = replace(context, keys=tuple(task.key for task in tasks), starts=starts)
    used = [pair.ends.used for pair in pairs]
    yield from resolve(finder.find)(landscape, used, finder_options, context=within)


def _start(source: str, ends: Ends, context: Context) -> Tensor:
    """The path stored in a run between the given points, which has to end where this call's paths do."""
    knots = context.open_path(source, *ends.given)
    a, b = (end.vector for end in ends.used)
    apart = max(float((knots[0].to(a) - a).norm()), float((knots[-1].to(b) - b).norm()))
    if apart > _SAME_END * ends.distance_aligned:
        raise UsageError(
            f"--neb.start {source}: the path stored there between {ends.given[0].id} and {ends.given[1].id} has other "
            "ends: take its --neb.align and --seed, and the points in its order"
        )
    return knots


def _result(landscape: Landscape, pair: Pair, path: Path, options: NebOptions, context: Context) -> Result:
    task, between = context.task(pair.index), landscape.anchored(pair.ends.used)
    path, jump = with_jump(between, alone(between, _with_errors(between, path)), pair.line, options)
    inside = 0 < path.saddle_time < 1
    saddle = saddle_of(between, path, options.saddle_eigenvalues, task.rng) if inside else None
    side = _side(landscape, options) if path.length > 0 else 0
    curves = Curves(
        line=pair.line,
        aligned_line=pair.aligned_line,
        path=path,
        validation=_on_validation(context.validation, pair, path),
        saddle=saddle,
        plane=alone(between, measuring_plane(between, path.points, side, task.rng)) if side else None,
    )
    return Result(
        data=dataset(landscape, curves),
        summary=_summary(landscape, pair, curves, options),
        converged=path.converged,
        messages=messages_of(pair.ends, pair.slopes, curves, jump, options),
        vectors={"path": path.points},
        budget_spent=path.budget_spent,
    )


def _side(landscape: Landscape, options: NebOptions) -> int:
    """Points per side of the plane's grid, 0 for no plane."""
    if options.plane is not None:
        return options.plane
    cheap = _SIDE**2 * landscape.num_batches <= _CHEAP
    return _SIDE if cheap and landscape.space.dim > 1 else 0


def _on_validation(validation: Landscape | None, pair: Pair, path: Path) -> Mapping[str, tuple[Tensor, Tensor | None]]:
    """Energies and errors of path and raw line on data that were not trained on."""
    if validation is None:
        return {}
    found = {}
    for suffix, curve, ends in (("", path, pair.ends.used), ("_linear", pair.line, pair.ends.given)):
        between = validation.anchored(ends)
        energies = alone(between, energies_along(between, curve.points, curve.times))
        found[suffix] = energies, alone(between, errors_along(between, curve.points, curve.times))
    return found


def _summary(landscape: Landscape, pair: Pair, curves: Curves, options: NebOptions) -> dict[str, Value]:
    path, line, aligned_line, ends = curves.path, curves.line, curves.aligned_line, pair.ends
    lines = (line,) if aligned_line is None else (line, aligned_line)
    aligned = {} if aligned_line is None else {"barrier_linear_aligned": aligned_line.barrier}
    summary: dict[str, Value] = {
        "barrier": path.barrier,
        "barrier_linear": line.barrier,
        **aligned,
        "max_loss": path.max_loss,
        "gradient_evaluations": path.gradient_evaluations,
        "max_loss_linear": line.max_loss,
        "barrier_above_chord": path.barrier_above_chord,
        **({"barrier_aligned": path.barrier} if aligned else {}),
        **({} if path.errors is None else {"max_error": float(path.errors.max())}),
        "saddle_time": path.saddle_time,
        "length": path.length,
        "length_linear": line.length,
        "distance": ends.distance,
        **({"distance_aligned": ends.distance_aligned} if ends.align != "none" else {}),
        "energy_evaluations": path.energy_evaluations + sum(line.energy_evaluations for line in lines),
        "bracket": path.bracket,
        "end_gradient_norms": [slope.gradient_norm for slope in pair.slopes],
        "finder": options.preset or options.finder,
        "align": ends.align,
        **({"bn": landscape.info.batch_norm} if landscape.info.batch_norm else {}),
    }
    if curves.saddle is not None:
        summary["saddle_gradient_norm"] = curves.saddle.gradient_norm
        if len(curves.saddle.eigenvalues):
            summary["saddle_index"] = curves.saddle.index
    return summary | ({"partner": options.partner} if ends.is_made else {})

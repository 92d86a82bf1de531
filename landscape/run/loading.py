"""From what the user names to a landscape and the points on it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from landscape.analysis import resolve
from landscape.checkpoints.checkpoint import Checkpoint
from landscape.checkpoints.files import expand, point_ids, read
from landscape.checkpoints.matching import match
from landscape.checkpoints.recipe import Recipe, Spec
from landscape.checkpoints.yaml_recipes import working_folder_recipe
from landscape.errors import ArchitectureError, CheckpointError, LandscapeError, UsageError
from landscape.landscapes.checks import check_finite
from landscape.landscapes.protocol import Landscape
from landscape.parameters import ParameterSpace, Point, content_hash
from landscape.registry import Registry, registry
from landscape.run.rebuilding import DTYPES, LoadOptions, Rebuilder, check_evaluable, pick_device

__all__ = ["LeftOut", "LoadOptions", "Loaded", "Measured", "leaving_out", "load_points", "measure", "point_of"]


@dataclass(frozen=True)
class LeftOut:
    """A file that could not be used, and why."""

    source: str
    reason: str


@dataclass(frozen=True)
class Measured:
    """The loss of a point on the full data, and its error where the objective knows one."""

    loss: float
    error: float | None


@dataclass(frozen=True, eq=False)
class Loaded:
    """A landscape, the points on it, what they measure, what was left out, and the recipe that rebuilt it.

    ``hyper_parameters`` are arguments of the model that a file kept beside the recipe.
    """

    landscape: Landscape
    points: list[Point]
    measured: list[Measured]
    left_out: list[LeftOut]
    recipe: Recipe
    containers: list[str]
    hyper_parameters: Mapping[str, Any] = field(default_factory=dict)


def load_points(sources: Sequence[Any], recipe: Recipe, options: LoadOptions) -> Loaded:
    """Open checkpoints, live modules or one ``zoo:`` name, as a landscape with points on it."""
    if not sources:
        raise UsageError("name a checkpoint: a file, a folder, a glob or zoo:NAME")
    known = registry()
    schemes = [known.scheme(source) for source in sources if isinstance(source, str)]
    if any(schemes):
        return _open_scheme(sources, recipe, options, known)
    return _open_files(sources, recipe, options, known)


# reference landscapes


def _open_scheme(sources: Sequence[Any], recipe: Recipe, options: LoadOptions, known: Registry) -> Loaded:
    name = sources[0]
    source = known.scheme(name) if isinstance(name, str) else None
    if source is None or len(sources) > 1:
        raise UsageError(f"{sources[0]} and {sources[1]} are not points of one landscape: give one zoo: name alone")
    if recipe.model or recipe.data or recipe.objective:
        raise UsageError(f"{name} brings its own energy: leave out --model, --data and --objective")
    dtype = DTYPES[options.dtype] if options.dtype else None
    opened = resolve(source.open)(name.partition(":")[2], device=pick_device(options.device), dtype=dtype)
    landscape, points = opened
    points = [replace(point, source=point.source or name) for point in points]
    return Loaded(landscape, points, [measure(landscape, point) for point in points], [], recipe, [name] * len(points))


# checkpoints


def _open_files(sources: Sequence[Any], recipe: Recipe, options: LoadOptions, known: Registry) -> Loaded:
    live = [(place, source) for place, source in enumerate(sources) if isinstance(source, nn.Module)]
    files = [(place, str(source)) for place, source in enumerate(sources) if not isinstance(source, nn.Module)]
    placed = [(place, path) for place, name in files for path in expand([name])]
    paths = [path for _, path in placed]
    places = {path: [place for place, other in placed if other == path] for path in paths}
    checkpoints, left_out = _read_all(paths, known, options, alone=not live)
    asked = recipe
    for checkpoint in checkpoints[:1]:
        recipe = recipe.or_else(checkpoint.recipe)
    _check_agreement(asked, checkpoints)
    recipe = recipe.or_else(working_folder_recipe())
    if recipe.model is None and live:
        recipe = replace(recipe, model=Spec.of(live[0][1], "the live module"))
    hyper_parameters = checkpoints[0].hyper_parameters if checkpoints else {}
    rebuilder = Rebuilder(recipe, options, known, hyper_parameters)
    model = rebuilder.model(where=str(sources[0]))
    ids = point_ids([c.path for c in checkpoints])
    found: list[tuple[int, Point, str]] = []
    for checkpoint, name in zip(checkpoints, ids, strict=True):
        with leaving_out(left_out, str(checkpoint.path), refuse=options.strict or len(sources) == 1):
            found.append((places[checkpoint.path].pop(0), point_of(checkpoint, model, name), checkpoint.container))
    for index, (place, module) in enumerate(live):
        found.append((place, _live_point(module, model, index), "live module"))
    if not found:
        raise CheckpointError(f"none of the checkpoints can be used. {left_out[0].reason}")
    found.sort(key=lambda one: one[0])  # files and live modules in the order in which they were named
    points, containers = [point for _, point, _ in found], [container for _, _, container in found]
    landscape = rebuilder.landscape(model, points[0].vector.dtype)
    points = [point.to(landscape.device, landscape.dtype) for point in points]
    check_evaluable(landscape, points[0])
    landscape = landscape.anchored(points)
    measured = [measure(landscape, point) for point in points]
    return Loaded(landscape, points, measured, left_out, recipe, containers, hyper_parameters)


def _read_all(
    paths: Sequence[Path], known: Registry, options: LoadOptions, *, alone: bool
) -> tuple[list[Checkpoint], list[LeftOut]]:
    """Read the files; a bad one among good ones is left out, unless strict."""
    checkpoints: list[Checkpoint] = []
    left_out: list[LeftOut] = []
    for path in paths:
        with leaving_out(left_out, str(path), refuse=options.strict or (alone and len(paths) == 1)):
            checkpoints.append(read(path, known.formats, trust=options.trust))
    if paths and alone and not checkpoints:
        raise CheckpointError(f"none of the {len(paths)} files can be used. {left_out[0].reason}")
    return checkpoints, left_out


@contextlib.contextmanager
def leaving_out(left_out: list[LeftOut], source: str, *, refuse: bool) -> Iterator[None]:
    """Leave a bad file out, unless it is to be refused. Another architecture always is."""
    try:
        yield
    except LandscapeError as error:
        if refuse or isinstance(error, ArchitectureError):
            raise
        left_out.append(LeftOut(source, str(error)))


def _check_agreement(asked: Recipe, checkpoints: Sequence[Checkpoint]) -> None:
    """All checkpoints of a call share data and objective, unless the call itself names them."""
    for checkpoint in checkpoints[1:]:
        for part in ("data", "objective"):
            first, other = getattr(checkpoints[0].recipe, part), getattr(checkpoint.recipe, part)
            if getattr(asked, part) is None and first and other and first.to_plain() != other.to_plain():
                raise UsageError(
                    f"{checkpoint.path} names the {part} {other.in_words()}, {checkpoints[0].path} names "
                    f"{first.in_words()}: points of one landscape share it. Say which with --{part}"
                )


def point_of(checkpoint: Checkpoint, model: nn.Module, name: str) -> Point:
    """A checkpoint as a point in the parameter space of a model."""
    parameters, buffers = match(checkpoint, model)
    space = ParameterSpace.of(parameters.items())
    return Point(
        space.flatten(_one_dtype(parameters)),
        id=name,
        buffers=buffers,
        source=str(checkpoint.path),
        step=checkpoint.step,
        hash=content_hash({**parameters, **buffers}),
    )


def _one_dtype(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Mixed precision in one vector: the widest dtype holds all."""
    widest = reduce(torch.promote_types, (tensor.dtype for tensor in tensors.values()))
    return {name: tensor.to(widest) for name, tensor in tensors.items()}


def _live_point(module: nn.Module, model: nn.Module, index: int) -> Point:
    state = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
    name = type(module).__name__ + (f"#{index + 1}" if index else "")
    checkpoint = Checkpoint(state, Path(name), "live module")
    return replace(point_of(checkpoint, model, name), source=f"live {type(module).__name__}")


def measure(landscape: Landscape, point: Point) -> Measured:
    """Loss and error of a point by itself, on the full data; refused where it is not finite."""
    loss = check_finite(landscape, point)
    errors = landscape.errors(point.vector[None])
    return Measured(loss, None if errors is None else float(errors[0]))

"""One checkpoint aligned to another, and kept as a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from landscape.checkpoints.building import filled
from landscape.checkpoints.matching import state_of
from landscape.checkpoints.recipe import PARTS, Recipe
from landscape.checkpoints.writing import check_writable, write
from landscape.errors import AnalysisError, UsageError
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point
from landscape.paths import measured_line, straight
from landscape.run.loading import Loaded, LoadOptions
from landscape.symmetry.align import Alignment, align, pair_rng
from landscape.symmetry.discovery import symmetry_of
from landscape.symmetry.groups import Symmetry

__all__ = ["Aligned", "align_checkpoints"]

Method = Literal["weights", "activations"]


@dataclass(frozen=True, eq=False)
class Aligned:
    """What aligning a checkpoint came to.

    Attributes
    ----------
    symmetry
        The groups of units that were permuted.
    alignment
        The second point moved, with its distance from the first before and after.
    barrier_linear, barrier_linear_aligned
        Barrier of the straight line between the two, over the higher end, before and after.
    """

    symmetry: Symmetry
    alignment: Alignment
    barrier_linear: float
    barrier_linear_aligned: float


def align_checkpoints(
    loaded: Loaded,
    out: Path,
    options: LoadOptions,
    method: Method = "weights",
    specification: Mapping[str, Any] | None = None,
) -> Aligned:
    """Align the second of two checkpoints to the first and write it to ``out``, with the recipe of the call.

    Besides aligning (see ``align``) it costs about 100 energies for the two lines. A file at ``out`` is replaced once
    the new one is complete; the two checkpoints themselves are not overwritten.
    """
    landscape = _network_of(loaded, out)
    check_writable(out)
    first, second = loaded.points
    rng = torch.Generator().manual_seed(options.seed)
    symmetry = symmetry_of(landscape, specification, rng=rng)
    if not symmetry.groups:
        why = f" ({symmetry.messages[0]})" if symmetry.messages else ""
        raise AnalysisError(
            f"{landscape.info.name}: no units that can be exchanged were found{why}; "
            f"describe them in a file: --symmetry FILE"
        )
    found = align(landscape, first, second, symmetry, method=method, rng=pair_rng(options.seed, first, second))
    before, after = (_barrier(landscape, first, end, rng) for end in (second, found.point))
    _write(out, found.point, loaded, landscape, trust=options.trust)
    return Aligned(symmetry, found, before, after)


def _network_of(loaded: Loaded, out: Path) -> NetworkLandscape:
    """The landscape, if there are two checkpoints on it and neither is to be overwritten."""
    landscape, points = loaded.landscape, loaded.points
    if not isinstance(landscape, NetworkLandscape):
        raise UsageError(f"{landscape.info.name} is a formula without units: align takes two checkpoints")
    if len(points) != 2:
        raise UsageError(
            f"align takes two checkpoints, the call names {len(points)}: {', '.join(p.id for p in points)}"
        )
    for point in points:
        if out.exists() and out.samefile(point.source):
            raise UsageError(f"{out} is {point.id} itself, which is not overwritten: choose another path with --out")
    return landscape


def _barrier(landscape: Landscape, first: Point, second: Point, rng: torch.Generator) -> float:
    between = landscape.anchored([first, second])
    return measured_line(between, straight(between, first.vector, second.vector, rng)).barrier


def _write(out: Path, point: Point, loaded: Loaded, landscape: NetworkLandscape, *, trust: bool) -> None:
    """The point as a checkpoint, in the precision it was computed in; only what can be imported is in its recipe."""
    tensors = {**landscape.space.unflatten(point.vector), **point.buffers}
    specs = {name: getattr(loaded.recipe, name) for name in PARTS}
    kept = {name: spec for name, spec in specs.items() if spec is not None and spec.live is None}
    if "model" in kept:
        kept["model"] = filled(kept["model"], loaded.hyper_parameters, trust=trust)
    write(out, state_of(landscape.function.model, tensors), Recipe(**kept), point.step)

"""What the options of an analysis may name: checkpoints, paths of other runs, mappings."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from landscape.checkpoints.files import expand, point_ids, read
from landscape.errors import CheckpointError, UsageError, one_line
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point
from landscape.registry import registry
from landscape.run.loading import LeftOut, leaving_out, point_of
from landscape.run.opened import open_run

__all__ = ["RunFiles", "read_mapping"]

ENTRIES, DEPTH = 100_000, 50
"""A mapping holds no more than this, and no deeper: aliases can make a line of YAML into more than memory."""


@dataclass(frozen=True, eq=False)
class RunFiles:
    """The :class:`~landscape.analysis.Files` of a call.

    Attributes
    ----------
    landscape
        What further points and paths must lie on.
    given
        The points of the call, whose ids are taken.
    trust
        Whether files may name code that is run.
    """

    landscape: Landscape
    given: Sequence[Point]
    trust: bool = False

    def points(self, source: str) -> list[Point]:
        """Further points. A bad file among several is left out with a warning; another architecture is refused."""
        if not isinstance(self.landscape, NetworkLandscape):
            raise UsageError(f"{self.landscape.info.name} is not a network: {source} cannot be a point of it")
        model, formats = self.landscape.function.model, registry().formats
        paths = expand([source])
        found: list[Point] = []
        left_out: list[LeftOut] = []
        for path, name in zip(paths, _free_ids(paths, self.given), strict=True):
            with leaving_out(left_out, str(path), refuse=len(paths) == 1):
                found.append(point_of(read(path, formats, trust=self.trust), model, name))
        if not found:
            raise CheckpointError(f"{source}: none of the {len(paths)} files can be used. {left_out[0].reason}")
        for left in left_out:
            warnings.warn(f"left out: {left.reason}", stacklevel=2)
        return [point.to(self.landscape.device, self.landscape.dtype) for point in found]

    def path(self, source: str, first: Point, second: Point) -> Tensor:
        """The knots stored in another run, on the landscape's device and in its dtype."""
        knots = open_run(source).path_between(first, second)
        if knots.shape[1] != self.landscape.space.dim:
            raise UsageError(
                f"{source}: its path between {first.id} and {second.id} has {knots.shape[1]:,} parameters, "
                f"{self.landscape.info.name} has {self.landscape.space.dim:,}: name a run of the same model"
            )
        return knots.to(self.landscape.device, self.landscape.dtype)

    def mapping(self, source: str) -> Mapping[str, Any]:
        return read_mapping(source)


def read_mapping(source: str) -> Mapping[str, Any]:
    """What a YAML or JSON file says, where that is a mapping."""
    import yaml

    path = Path(source).expanduser()
    try:
        text = path.read_text()
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except OSError as error:
        raise UsageError(f"{source} cannot be read: {error.strerror or error}. Name a YAML or JSON file") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise UsageError(f"{source} is neither YAML nor JSON ({one_line(error, 120)}): mend it") from error
    if not isinstance(content, Mapping):
        what = "nothing" if content is None else f"a {type(content).__name__}"
        raise UsageError(f"{source} holds {what}, wanted a mapping (NAME: VALUE) in YAML or JSON")
    if not _is_small(content):
        raise UsageError(
            f"{source} holds more than {ENTRIES:,} entries, or some {DEPTH} deep (YAML aliases count as what they "
            f"stand for): write down fewer"
        )
    return content


def _is_small(content: Any) -> bool:
    """Whether a tree has few entries; one that aliases have made endless has not."""
    waiting, entries = [(content, 0)], 0
    while waiting:
        item, depth = waiting.pop()
        parts = item.values() if isinstance(item, Mapping) else item if isinstance(item, list) else ()
        waiting += [(part, depth + 1) for part in parts]
        entries += len(parts)
        if entries > ENTRIES or depth > DEPTH:
            return False
    return True


def _free_ids(paths: Sequence[Path], given: Sequence[Point]) -> list[str]:
    """Names for files that no point of the call has."""
    taken = {point.id for point in given}
    names = []
    for name in point_ids(paths):
        count, free = 1, name
        while free in taken:
            count += 1
            free = f"{name}#{count}"
        taken.add(free)
        names.append(free)
    return names

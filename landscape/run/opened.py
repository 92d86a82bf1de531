"""Reading back a run directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from landscape.analysis import Result
from landscape.errors import UsageError
from landscape.parameters import Point
from landscape.run.store import RunStore, read_record, read_whole

__all__ = ["Run", "open_run"]

SHOWN = 10
"""So many results are named where one is not found."""


@dataclass(frozen=True, eq=False)
class Run:
    """What a run directory holds. Nothing is computed.

    Attributes
    ----------
    directory
        The folder.
    """

    directory: Path

    @cached_property
    def manifest(self) -> Mapping[str, Any]:
        """manifest.json: the calls made here, with arguments, recipes, versions and points."""
        return RunStore(self.directory).manifest

    @cached_property
    def results(self) -> list[Result]:
        """All stored results, by analysis and in the order of points. Damaged ones are left out, with a warning."""
        folders = sorted(file.parent for file in self.directory.glob("results/*/result.json"))
        whole = [result for result in map(read_whole, folders) if result is not None]
        place = {point["id"]: index for index, point in enumerate(self.points)}

        def order(result: Result) -> tuple[str, list[int], tuple[str, ...]]:
            return result.analysis, [place.get(point, len(place)) for point in result.points], result.points

        return sorted(whole, key=order)

    @property
    def points(self) -> list[dict[str, Any]]:
        """The points of all calls, each once: id, source, hash, loss, error, step."""
        seen = {(point["id"], point["hash"]): point for call in self.manifest["calls"] for point in call["points"]}
        return list(seen.values())

    def result(self, analysis: str, *points: str) -> Result:
        """The stored result of an analysis of the points with these ids (any, if none is named)."""
        for result in self.results:
            if result.analysis == analysis and (not points or set(points) == set(result.points)):
                return result
        of = f" of {' and '.join(points)}" if points else ""
        raise UsageError(f"{self.directory} holds no {analysis} result{of}. It holds {self._contents}")

    def path(self, first: str, second: str) -> Tensor:
        """The knots of the stored path between two points, shape ``(m, P)``, from ``first`` to ``second``.

        Of several, with other options or seeds, the one with the lowest ``max_loss``.
        """
        knots = self._lowest("points", (first, second), self._records)
        if knots is None:
            raise self._no_path(first, second)
        return knots

    def path_between(self, first: Point, second: Point) -> Tensor:
        """As ``path``, between points of the same content or, where there are none, of the same ids.

        Paths that were themselves begun from one in this run are left aside, so that a call which begins here and is
        stored here finds its own result when it is made again.
        """
        here = self.directory.resolve()
        own = [one for one in self._records if not _begun_in(one[1], here)]
        for name, ends in (("hashes", (first.hash, second.hash)), ("points", (first.id, second.id))):
            knots = self._lowest(name, ends, own)
            if knots is not None:
                return knots
        raise self._no_path(first.id, second.id)

    @cached_property
    def _records(self) -> list[tuple[Path, dict[str, Any]]]:
        """The folder and the record of each result."""
        folders = sorted(file.parent for file in self.directory.glob("results/*/result.json"))
        return [(folder, record) for folder in folders if (record := read_record(folder)) is not None]

    def _lowest(
        self, name: str, ends: tuple[str, str], records: Sequence[tuple[Path, dict[str, Any]]]
    ) -> Tensor | None:
        """The knots of the lowest path of which the record gives these ends under a name, in their order."""
        pairs = [one for one in records if len(one[1][name]) == 2 and set(one[1][name]) == set(ends)]
        for folder, record in sorted(pairs, key=lambda one: float(str(one[1]["summary"].get("max_loss", "inf")))):
            result = read_whole(folder)
            if result is not None and "path" in result.vectors:
                knots = result.vectors["path"]
                return knots if record[name][0] == ends[0] else knots.flip(0)
        return None

    def _no_path(self, first: str, second: str) -> UsageError:
        return UsageError(f"{self.directory} holds no path between {first} and {second}. It holds {self._contents}")

    @property
    def _contents(self) -> str:
        names = [f"{record['analysis']} {'–'.join(record['points'])}" for _, record in self._records]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        return ", ".join(names[:SHOWN]) + more or "nothing"


def _begun_in(record: Mapping[str, Any], directory: Path) -> bool:
    """Whether a result's search was begun from a path in a directory."""
    start = record["options"].get("start")
    return isinstance(start, str) and Path(start).expanduser().resolve() == directory


def open_run(directory: str | Path) -> Run:
    """The run in a directory that ``landscape analyze`` or :func:`landscape.analyze` wrote."""
    path = Path(directory).expanduser()
    if not (path / "manifest.json").exists():
        raise UsageError(f"{path} is not a run: it has no manifest.json. Name the folder given to --out")
    return Run(path)

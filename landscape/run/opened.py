"""Reading back a run directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from landscape.analysis import Result
from landscape.errors import UsageError
from landscape.run.store import RunStore, read_whole

__all__ = ["Run", "open_run"]


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
        raise UsageError(f"{self.directory} holds no {analysis} result{of}. It holds {self._contents()}")

    def path(self, first: str, second: str) -> Tensor:
        """The knots of the stored path between two points, shape ``(m, P)``, from ``first`` to ``second``.

        Of several, with other options or seeds, the one with the lowest ``max_loss``.
        """
        pair = {first, second}
        found = [result for result in self.results if set(result.points) == pair and "path" in result.vectors]
        if not found:
            raise UsageError(
                f"{self.directory} holds no path between {first} and {second}. It holds {self._contents()}"
            )
        lowest = min(found, key=lambda result: float(str(result.summary.get("max_loss", "inf"))))
        knots = lowest.vectors["path"]
        return knots if lowest.points[0] == first else knots.flip(0)

    def _contents(self) -> str:
        return ", ".join(f"{r.analysis} {'–'.join(r.points)}" for r in self.results) or "nothing"


def open_run(directory: str | Path) -> Run:
    """The run in a directory that ``landscape analyze`` or :func:`landscape.analyze` wrote."""
    path = Path(directory)
    if not (path / "manifest.json").exists():
        raise UsageError(f"{path} is not a run: it has no manifest.json. Name the folder given to --out")
    return Run(path)

"""``landscape align A B --out C``: the second checkpoint with its units in the order of the first."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from landscape.cli.flags import add_loading_flags, load_options, new_parser, parse, recipe, sort_words
from landscape.errors import UsageError

if TYPE_CHECKING:
    from landscape.parameters import Point
    from landscape.run.aligning import Aligned

__all__ = ["run"]


def run(arguments: Sequence[str], *, debug: bool) -> int:
    """Align two checkpoints and write the second; 0."""
    words = sort_words(arguments)
    parser = new_parser("align", "Write the second checkpoint with its units in the order of the first's.")
    parser.add_argument("--config", action="config", help="a YAML file with these options")
    parser.add_argument("checkpoints", nargs="+", type=str, help="two checkpoints of one architecture")
    parser.add_argument("--out", type=str | None, default=None, help="the file to write; safetensors if it ends so")
    parser.add_argument(
        "--method", type=Literal["weights", "activations"], default="weights", help="what units are matched by"
    )
    parser.add_argument("--symmetry", type=str | None, default=None, help="a YAML or JSON file with groups of units")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    add_loading_flags(parser)
    given = parse(parser, words.rest)
    if words.plugins:
        raise UsageError("align runs no plugin: leave out --plugin, or take `landscape analyze`")
    if given.out is None:
        raise UsageError("say where the aligned checkpoint is to be written: --out FILE")
    from landscape.cli.tables import landscape_line, notice
    from landscape.run.aligning import align_checkpoints
    from landscape.run.files import read_mapping
    from landscape.run.loading import load_points

    specification = None if given.symmetry is None else read_mapping(given.symmetry)
    options = replace(load_options(given), strict=True)
    with contextlib.redirect_stdout(sys.stderr):  # what a model prints is no result
        loaded = load_points(given.checkpoints, recipe(given, words), options)
        notice(landscape_line(loaded.landscape, loaded.measured))
        aligned = align_checkpoints(loaded, Path(given.out).expanduser(), options, given.method, specification)
    shown = _document(given.out, loaded.points, aligned)
    if given.json:
        print(json.dumps(shown, indent=1, allow_nan=False))
    else:
        _print(shown)
    return 0


def _document(out: str, points: Sequence[Point], aligned: Aligned) -> dict[str, Any]:
    alignment, groups = aligned.alignment, aligned.symmetry.groups
    return {
        "schema": 1,
        "out": out,
        "points": [{"id": point.id, "source": point.source, "hash": point.hash} for point in points],
        "method": alignment.method,
        "groups": [{"name": g.name, "units": g.size, "homogeneous": g.homogeneous} for g in groups],
        "distance": alignment.distance,
        "distance_aligned": alignment.distance_aligned,
        "barrier_linear": aligned.barrier_linear,
        "barrier_linear_aligned": aligned.barrier_linear_aligned,
        "messages": [*alignment.messages, *aligned.symmetry.messages],
    }


def _print(shown: dict[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from landscape.cli.tables import UNBOUNDED
    from landscape.labels import number

    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else UNBOUNDED)
    first, second = (point["id"] for point in shown["points"])
    table = Table(title=escape(f"{second} aligned to {first} by {shown['method']}"), box=box.SIMPLE_HEAD)
    table.title_justify, table.title_style = "left", "bold"
    table.add_column("")
    for name in ("before", "after"):
        table.add_column(name, justify="right")
    table.add_row("distance", number(shown["distance"]), number(shown["distance_aligned"]))
    table.add_row("barrier of the line", number(shown["barrier_linear"]), number(shown["barrier_linear_aligned"]))
    console.print(table)
    groups = [f"{g['name']} ({g['units']}{', homogeneous' if g['homogeneous'] else ''})" for g in shown["groups"]]
    console.print(escape(f"units exchanged: {', '.join(groups)}"))
    for message in shown["messages"]:
        console.print(escape(f"  {message}"), style="dim")
    console.print(escape(f"written to {shown['out']}"))

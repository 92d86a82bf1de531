"""What a call prints for people: the line after loading, and tables of results."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from landscape.errors import one_line
from landscape.labels import heading, joined, number, short_labels

__all__ = ["landscape_line", "notice", "print_results"]

WIDE = 4
"""Up to so many results stand side by side, one column each; more are listed one per line."""
PADDING = 2
"""Columns between columns."""
UNBOUNDED = 120
"""Columns for a file or a pipe."""
HEADLINE = 5
"""How many summary names a list of many results shows: the first ones."""


def notice(text: str) -> None:
    """A line on stderr."""
    print(one_line(text), file=sys.stderr)


def landscape_line(landscape: Any, measured: Sequence[Any]) -> str:
    """``LitMLP 2,410 params · DigitsDataModule 1,797 samples · loss 0.3646 · cuda:0 float32``."""
    info = landscape.info
    data = [f"{info.data or 'data'} {info.samples:,} samples"] if info.samples is not None else []
    losses = [one.loss for one in measured]
    low, high = min(losses), max(losses)
    loss = f"loss {number(low)}" if high == low else f"loss {number(low)} to {number(high)}"
    dtype = str(landscape.dtype).removeprefix("torch.")
    return " · ".join([f"{info.name} {landscape.space.dim:,} params", *data, loss, f"{landscape.device} {dtype}"])


def print_results(shown: Mapping[str, Any], given: set[str]) -> None:
    """The results of a call, one table per analysis, and where they are kept.

    What must be known before any number comes first: how points that were not ``given`` were made.
    """
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else UNBOUNDED)
    made = [result for result in shown["results"] if not given.issuperset(result["points"]) and result["messages"]]
    first = {result["messages"][0] for result in made}
    for line in sorted(first):
        console.print(escape(line))
    for (analysis, size), group in groupby(shown["results"], key=lambda r: (r["analysis"], len(r["points"]))):
        results = list(group)
        sizes = {len(result["points"]) for result in shown["results"] if result["analysis"] == analysis}
        labels = short_labels(dict.fromkeys(point for result in results for point in result["points"]))
        results = [{**result, "points": [labels[point] for point in result["points"]]} for result in results]
        laid_out = _beside if len(results) <= WIDE else _below
        console.print(laid_out(heading(analysis, size, sizes), results, console.width))
        for result in results:
            style, mark = ("dim", "") if result["converged"] else ("yellow", "not converged: ")
            for message in [message for message in result["messages"] if message not in first]:
                console.print(escape(f"  {_name(result)}: {mark}{message}"), style=style)
                mark = ""  # the first line says why
    if shown["results"]:
        console.print(escape(f"stored in {shown['run']}   figures and a page of all: landscape report {shown['run']}"))


def _name(result: Mapping[str, Any]) -> str:
    return joined(result["points"])


def _names(results: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for result in results for name in result["summary"]))


def _verdict(result: Mapping[str, Any]) -> str:
    return ("converged" if result["converged"] else "not converged") + (", stored" if result["cached"] else "")


def _table(analysis: str) -> Table:
    return Table(title=escape(analysis), box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")


def _beside(analysis: str, results: Sequence[Mapping[str, Any]], width: int) -> Table:
    """Summary names as rows, one column for each result."""
    table, names = _table(analysis), _names(results)
    table.add_column("", no_wrap=True)
    used = max(map(len, names), default=0) + sum(len(_name(result)) + PADDING for result in results)
    joint = " – " if used + PADDING <= width else " –\n"
    for result in results:
        table.add_column(escape(joined(result["points"], joint)), justify="right", overflow="fold")
    for name in names:
        table.add_row(name, *(escape(number(result["summary"].get(name))) for result in results))
    table.add_row("verdict", *map(_verdict, results))
    return table


def _below(analysis: str, results: Sequence[Mapping[str, Any]], width: int) -> Table:
    """One row for each result, with as many of the first summary names as fit."""
    points = [" –\n".join(result["points"]) for result in results]
    left = width - max(len(line) for cell in points for line in cell.split("\n")) - len("not converged, stored")
    table = _table(analysis)
    table.add_column("points", overflow="fold")
    shown = []
    for name in _names(results)[:HEADLINE]:
        values = [number(result["summary"].get(name)) for result in results]
        left -= PADDING + max(map(len, [*values, *name.split("_")])) + 1
        if left >= PADDING:
            table.add_column(name.replace("_", "_\n"), justify="right", no_wrap=True)
            shown.append(values)
    table.add_column("verdict", no_wrap=True)
    for index, result in enumerate(results):
        table.add_row(escape(points[index]), *(escape(values[index]) for values in shown), _verdict(result))
    return table

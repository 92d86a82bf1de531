"""Stored results to one self-contained page. Nothing is computed: figures are drawn from what was stored."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2

from landscape.analysis import Cost, Result, resolve
from landscape.labels import heading, joined, number, short_labels
from landscape.run.opened import Run, open_run
from landscape.run.store import write_atomically

__all__ = ["build_report"]


@dataclass(frozen=True)
class Row:
    """One result in the report, in words; ``values`` in the order of the section's ``names``."""

    points: str
    values: Sequence[str]
    converged: bool
    messages: Sequence[str]
    cost: str


@dataclass(frozen=True)
class Section:
    """One analysis in the report: its figures (name and data URI), a table of summaries, what the results say."""

    title: str
    figures: Sequence[tuple[str, str]]
    names: Sequence[str]
    rows: Sequence[Row]


def build_report(directory: str | Path) -> Path:
    """Write ``report.html`` into a run directory; its path.

    Raises
    ------
    UsageError
        If the directory is no run.
    """
    run = open_run(directory)
    ordered = sorted(run.results, key=_kind)
    kinds = {_kind(result) for result in ordered}
    sections = [
        _section(heading(name, size, {s for n, s in kinds if n == name}), list(group))
        for (name, size), group in groupby(ordered, key=_kind)
    ]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("landscape.report", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("page.html").render(
        title=_title(run), calls=[_call(call) for call in run.manifest["calls"]], points=run.points, sections=sections,
        number=number,
    )  # fmt: skip
    path = Path(directory) / "report.html"
    write_atomically(path, page.encode())
    return path


def _kind(result: Result) -> tuple[str, int]:
    """What shares a table: results of one analysis, of as many points each."""
    return result.analysis, len(result.points)


def _title(run: Run) -> str:
    names = dict.fromkeys(call["name"] for call in run.manifest["calls"])
    return ", ".join(names) or run.directory.name


def _call(call: Mapping[str, Any]) -> Mapping[str, Any]:
    scape = call["landscape"]
    facts = [f"{scape['parameters']:,} parameters", scape["objective"], f"{scape['device']} {scape['dtype']}"]
    if scape["samples"] is not None:
        facts.insert(1, f"{call['data']} {scape['samples']:,} samples")
    versions = ", ".join(f"{name} {version}" for name, version in call["versions"].items())
    return {**call, "facts": " · ".join(facts), "versions": versions, "recipe": json.dumps(call["recipe"])}


def _section(title: str, results: Sequence[Result]) -> Section:
    names = list(dict.fromkeys(name for result in results for name in result.summary))
    labels = short_labels(dict.fromkeys(point for result in results for point in result.points))
    rows = [
        Row(
            joined([labels[point] for point in result.points]),
            [number(result.summary.get(name)) for name in names],
            result.converged,
            result.messages,
            _cost(result.cost),
        )
        for result in results
    ]
    return Section(title, _figures(results), names, rows)


def _cost(cost: Cost) -> str:
    return (
        f"{cost.seconds:.1f} s, {cost.gradients:,.0f} gradients, {cost.hvps:,.0f} Hessian-vector products, "
        f"{cost.energies:,.0f} energies (full-data equivalents), {cost.peak_memory_mb:,.0f} MB"
    )


def _figures(results: Sequence[Result]) -> list[tuple[str, str]]:
    """The figures of all results of an analysis together, as data URIs."""
    plotters = {result.plotter for result in results if result.plotter}
    drawn = {}
    for plotter in plotters:
        drawn.update(resolve(plotter)([result for result in results if result.plotter == plotter]))
    return [(name, _inline(figure)) for name, figure in drawn.items()]


def _inline(figure: Any) -> str:
    content = io.BytesIO()
    figure.savefig(content, format="svg")
    return "data:image/svg+xml;base64," + base64.b64encode(content.getvalue()).decode()

"""From points and options to tasks: which groups are analysed, and under which identity each result is known."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

from landscape.analysis import Analysis, Files, Result
from landscape.errors import UsageError, did_you_mean
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point, content_hash

__all__ = ["Group", "Request", "Task", "form_groups", "make_options", "plain_options", "satisfies", "task_key"]

Group = tuple[Point, ...]


@dataclass(frozen=True, eq=False)
class Request:
    """An analysis that was asked for, with its options."""

    analysis: Analysis
    options: Any


@dataclass(frozen=True, eq=False)
class Task:
    """One group of points to be analysed, and the identity of its result."""

    group: Group
    key: str


def form_groups(points: Sequence[Point], analysis: Analysis, pairs: str) -> list[Group]:
    """The groups of points that an analysis takes: each point, each pair, or all together.

    ``pairs`` is ``all``, ``star`` (the first point with each other one) or ``chain`` (neighbours in the given order).
    """
    if analysis.points == 1:
        return [(point,) for point in points]
    if analysis.points == "many":
        return [tuple(points)]
    if pairs == "star":
        return [(points[0], other) for other in points[1:]]
    return list(pairwise(points)) if pairs == "chain" else list(combinations(points, 2))


def _plain(value: Any) -> Any:
    """Options as JSON can hold them."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def plain_options(options: Any) -> dict[str, Any]:
    """The options' fields as plain values."""
    return _plain(options)


def _is_budget(name: str) -> bool:
    return name.startswith("max_")


def task_key(
    landscape: Landscape,
    group: Group,
    analysis: Analysis,
    options: Any,
    seed: int,
    role: str = "run",
    files: Files | None = None,
) -> str:
    """The identity of a result: a hash of all that fixes it, budgets, device and chunking left out.

    What options name by file enters by content, where ``files`` opens it. ``role`` tells the result of ``combine`` from
    those of ``run``.
    """
    identity = {
        "points": [point.hash for point in group],
        "space": landscape.space.fingerprint,
        "landscape": landscape.info.fingerprint,
        "dtype": str(landscape.dtype),
        "seed": seed,
        "analysis": [analysis.name, analysis.version, role],
        "options": {
            name: value for name, value in _with_contents(options, group, files).items() if not _is_budget(name)
        },
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _with_contents(options: Any, group: Group, files: Files | None) -> dict[str, Any]:
    """The options' fields as plain values, with what is in the files that they name (see ``Analysis.options``)."""
    plain = plain_options(options)
    for field in dataclasses.fields(options):
        names, value = field.metadata.get("names"), plain[field.name]
        if files is None or names is None or value is None:
            continue
        if names == "mapping":
            plain[field.name] = _plain(files.mapping(value))
        elif names == "path" and len(group) == 2:
            plain[field.name] = content_hash({"": files.path(value, *group)})
    return plain


def satisfies(stored: Result, options: Any) -> bool:
    """Whether a stored result answers for these options: it ended by itself, or no budget was raised since."""
    if not stored.budget_spent:
        return True
    asked = {name: value for name, value in plain_options(options).items() if _is_budget(name)}
    return all(not _larger(value, stored.options.get(name)) for name, value in asked.items())


def _larger(asked: Any, before: Any) -> bool:
    """Whether a budget grew; None is no limit."""
    if before is None:
        return False
    return asked is None or asked > before


def make_options(analysis: Analysis, given: Mapping[str, Any]) -> Any:
    """The options dataclass of an analysis from keywords, with one line for what is wrong."""
    known = [field.name for field in dataclasses.fields(analysis.options)]
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known)
            raise UsageError(f"{analysis.name} has no option {name!r}{hint} It has {', '.join(known)}")
    try:
        options = analysis.options(**given)
        _check_finite("", plain_options(options))
        return options
    except (TypeError, ValueError) as error:
        raise UsageError(f"{analysis.name}: {error}. See `landscape plugins show {analysis.name}`") from error


def _check_finite(name: str, plain: Any) -> None:
    """Refuse NaN and infinity, which no result could be stored with."""
    if isinstance(plain, float) and not math.isfinite(plain):
        raise ValueError(f"{name} must be finite, got {plain}")
    listed = [(name, item) for item in plain] if isinstance(plain, list) else []
    parts = plain.items() if isinstance(plain, dict) else listed
    for part, item in parts:
        _check_finite(part, item)

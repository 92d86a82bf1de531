"""One call from beginning to end: execute, draw, record."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from landscape.checkpoints.recipe import Recipe
from landscape.errors import CheckpointError, TrustError, UsageError, one_line
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point
from landscape.run.document import call_record, document
from landscape.run.execute import Entry, Failure, Outcome, Setting, execute
from landscape.run.loading import LeftOut, Measured, measure
from landscape.run.store import RunStore
from landscape.run.tasks import Request

__all__ = ["Call", "Done", "carry_out", "default_directory"]


@dataclass(frozen=True, eq=False)
class Call:
    """What is to be done, and where it came from."""

    setting: Setting
    points: Sequence[Point]
    requests: Sequence[Request]
    arguments: Sequence[str] = ()
    recipe: Recipe = field(default_factory=Recipe)
    left_out: Sequence[LeftOut] = ()
    measured: Mapping[str, Measured] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Done:
    """What a call brought forth, and how the JSON document shows it."""

    outcome: Outcome
    shown: dict[str, Any]


def default_directory(landscape: Landscape, points: Sequence[Point], seed: int) -> Path:
    """``runs/NAME-HASH``: the same points on the same landscape find their run again, whatever is asked of them."""
    parts = [landscape.info.fingerprint, landscape.space.fingerprint, str(landscape.dtype), str(seed)]
    digest = hashlib.sha256("|".join([*parts, *(point.hash for point in points)]).encode()).hexdigest()
    return Path("runs") / f"{landscape.info.name}-{digest[:8]}"


def carry_out(call: Call, store: RunStore) -> Done:
    """Execute a call in a run directory; the manifest names it before the work begins and when it has ended.

    A call that the user has to mend leaves no trace in the manifest.
    """
    landscape = call.setting.landscape
    store.scope = f"{landscape.info.fingerprint}|{landscape.space.fingerprint}|{landscape.dtype}|{call.setting.seed}"
    before = store.manifest
    measured = {point.id: call.measured.get(point.id) or measure(landscape, point) for point in call.points}
    _show(call, store, Outcome(points=list(call.points)), {}, measured)
    try:
        outcome = execute(replace(call.setting, store=store), call.points, call.requests)
    except (UsageError, CheckpointError, TrustError):
        store.write_manifest(before)
        raise
    measured |= {point.id: measure(landscape, point) for point in outcome.points if point.id not in measured}
    return Done(outcome, _show(call, store, outcome, _draw_all(store, outcome), measured))


def _show(
    call: Call,
    store: RunStore,
    outcome: Outcome,
    figures: Mapping[str, Sequence[Path]],
    measured: Mapping[str, Measured],
) -> dict[str, Any]:
    landscape = call.setting.landscape
    shown = document(store, landscape, outcome, measured, figures, call.left_out)
    store.record(call_record(call.arguments, call.points, landscape, call.recipe, call.setting.seed, shown))
    return shown


def _draw_all(store: RunStore, outcome: Outcome) -> dict[str, list[Path]]:
    """The figures of each entry; a figure that cannot be drawn is a failure of its own and harms no number."""
    figures = {}
    for entry in outcome.entries:
        try:
            figures[entry.key] = _draw(store, entry)
        except Exception as error:
            why = f"{type(error).__name__}: {one_line(error, 150)}"
            reason = f"its figure could not be drawn, the numbers are stored ({why})"
            outcome.failed.append(Failure(entry.result.analysis, tuple(p.id for p in entry.points), reason))
    return figures


def _draw(store: RunStore, entry: Entry) -> list[Path]:
    """Draw the figures of a result, unless they are stored already; their paths."""
    analysis = entry.result.analysis
    known = sorted(store.folder(analysis, entry.key).glob("*.png"))
    if entry.cached and known:
        return known
    paths = []
    for name, figure in entry.result.plot().items():
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=160)
        paths.append(store.figure(analysis, entry.key, name, content.getvalue()))
    return paths

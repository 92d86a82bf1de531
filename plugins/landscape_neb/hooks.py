"""What this plugin offers."""

from __future__ import annotations

from landscape.analysis import Analysis
from landscape.hooks import hookimpl
from landscape_neb.options import NebOptions


@hookimpl
def landscape_analyses() -> list[Analysis]:
    """The minimum-energy path between two points."""
    return [
        Analysis(
            "neb",
            summary="minimum-energy path and barrier between two points",
            options=NebOptions,
            run="landscape_neb.analysis:run",
            points=2,
            batched=True,
            version=2,
            complete="landscape_neb.partner:complete",
            combine="landscape_neb.comparison:combine",
            plot="landscape_neb.figures:plot",
        )
    ]

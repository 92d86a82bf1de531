"""What this plugin offers: the measures of flatness by which networks are compared."""

from __future__ import annotations

from landscape.analysis import Analysis
from landscape.hooks import hookimpl
from landscape_flatness.options import FlatnessOptions


@hookimpl
def landscape_analyses() -> list[Analysis]:
    return [
        Analysis(
            "flatness",
            summary="sharpness, PAC-Bayes sigma, relative flatness and others, with errors; checkpoints ranked by each",
            points=1,
            options=FlatnessOptions,
            run="landscape_flatness.analysis:run",
            combine="landscape_flatness.comparison:combine",
            plot="landscape_flatness.figures:plot",
        )
    ]

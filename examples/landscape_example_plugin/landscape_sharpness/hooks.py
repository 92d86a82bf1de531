"""What this plugin offers. The functions are named, not imported: listing plugins loads no torch."""

from __future__ import annotations

from landscape.analysis import Analysis
from landscape.hooks import hookimpl
from landscape_sharpness.options import AverageSharpnessOptions


@hookimpl
def landscape_analyses() -> list[Analysis]:
    return [
        Analysis(
            "average-sharpness",
            summary="mean rise of the loss under Gaussian perturbations, E[L(w + sigma z)] - L(w)",
            points=1,
            options=AverageSharpnessOptions,
            run="landscape_sharpness.analysis:run",
            combine="landscape_sharpness.ranking:combine",
            plot="landscape_sharpness.figures:plot",
        )
    ]

"""What this plugin offers: the Hessian's spectrum at a point."""

from __future__ import annotations

from landscape.analysis import Analysis
from landscape.hooks import hookimpl
from landscape_hessian.options import HessianOptions


@hookimpl
def landscape_analyses() -> list[Analysis]:
    return [
        Analysis(
            "hessian",
            summary="largest and smallest Hessian eigenvalues with residuals, and the trace",
            points=1,
            options=HessianOptions,
            run="landscape_hessian.analysis:run",
            plot="landscape_hessian.figures:plot",
        )
    ]

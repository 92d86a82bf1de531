"""What this plugin offers: spectra of the Hessian and its relatives."""

from __future__ import annotations

from landscape.analysis import Analysis
from landscape.hooks import hookimpl
from landscape_hessian.options import HessianOptions


@hookimpl
def landscape_analyses() -> list[Analysis]:
    return [
        Analysis(
            "hessian",
            summary="Hessian spectrum: eigenvalues at both ends, trace by layer, density; compared between checkpoints",
            points=1,
            options=HessianOptions,
            run="landscape_hessian.analysis:run",
            combine="landscape_hessian.comparison:combine",
            plot="landscape_hessian.figures:plot",
            version=2,
        )
    ]

"""What this plugin offers: the volume of good solutions around a point."""

from __future__ import annotations

from landscape.analysis import Analysis
from landscape.hooks import hookimpl
from landscape_local_entropy.options import LocalEntropyOptions


@hookimpl
def landscape_analyses() -> list[Analysis]:
    return [
        Analysis(
            "local-entropy",
            summary="local entropy and learning coefficient of a minimum, sampled, with error bars; solutions counted",
            points=1,
            options=LocalEntropyOptions,
            run="landscape_local_entropy.analysis:run",
            combine="landscape_local_entropy.comparison:combine",
            plot="landscape_local_entropy.figures:plot",
        )
    ]

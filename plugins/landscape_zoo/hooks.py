"""What this plugin offers: landscapes with known answers, under the scheme ``zoo:``."""

from __future__ import annotations

from landscape.analysis import Source
from landscape.hooks import hookimpl


@hookimpl
def landscape_sources() -> list[Source]:
    return [
        Source(
            "zoo",
            summary="reference landscapes with known minima, barriers and spectra: zoo:NAME?key=value&key=value",
            open="landscape_zoo.opening:open_zoo",
            scheme="zoo",
        )
    ]

"""The geometry of loss landscapes, from saved checkpoints.

>>> import landscape
>>> scape, points = landscape.load("a.ckpt", "b.ckpt")                  # doctest: +SKIP
>>> results = landscape.analyze(scape, points, "neb", climb=True)       # doctest: +SKIP
>>> results[0].summary["barrier"]                                       # doctest: +SKIP

Names are imported when they are first used: importing ``landscape`` does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from landscape.analysis import Analysis, Context, PathFinder, Result, Source
    from landscape.errors import LandscapeError
    from landscape.hooks import hookimpl
    from landscape.landscapes.protocol import Landscape
    from landscape.parameters import ParameterSpace, Point
    from landscape.run.api import analyze, context, load
    from landscape.run.opened import open_run
    from landscape.saving import save

__version__ = "0.1.0"

_HOMES = {
    "Analysis": "analysis",
    "Context": "analysis",
    "Landscape": "landscapes.protocol",
    "LandscapeError": "errors",
    "ParameterSpace": "parameters",
    "PathFinder": "analysis",
    "Point": "parameters",
    "Result": "analysis",
    "Source": "analysis",
    "analyze": "run.api",
    "context": "run.api",
    "hookimpl": "hooks",
    "load": "run.api",
    "open_run": "run.opened",
    "save": "saving",
}

__all__ = [
    "Analysis",
    "Context",
    "Landscape",
    "LandscapeError",
    "ParameterSpace",
    "PathFinder",
    "Point",
    "Result",
    "Source",
    "analyze",
    "context",
    "hookimpl",
    "load",
    "open_run",
    "save",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'landscape' has no attribute {name!r}")
    return getattr(import_module(f"landscape.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

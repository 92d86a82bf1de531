"""The four hooks through which a plugin offers something. Each returns a list.

A hook module imports neither torch nor Lightning: it names functions as ``"package.module:function"`` strings, which
are imported when they are first needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from landscape.analysis import Analysis, NamedObjective, PathFinder, Source

__all__ = ["PROJECT", "hookimpl", "hookspec"]

PROJECT = "landscape"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def landscape_analyses() -> list[Analysis]:
    """The analyses that this plugin offers."""
    return []


@hookspec
def landscape_path_finders() -> list[PathFinder]:
    """The ways of finding a low path between two points that this plugin offers."""
    return []


@hookspec
def landscape_sources() -> list[Source]:
    """The checkpoint formats and the schemes (such as ``zoo:``) that this plugin can open."""
    return []


@hookspec
def landscape_objectives() -> list[NamedObjective]:
    """The losses that this plugin offers by name."""
    return []

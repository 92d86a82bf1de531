"""What this plugin offers."""

from __future__ import annotations

from landscape.analysis import PathFinder
from landscape.hooks import hookimpl
from landscape_finders.options import AutonebOptions, Draxler2018Options, LinearOptions


@hookimpl
def landscape_path_finders() -> list[PathFinder]:
    """The straight line, the growing string and the published AutoNEB schedule."""
    return [
        PathFinder(
            "linear", "the straight line (a geodesic on a curved space)", LinearOptions, "landscape_finders.linear:find"
        ),
        PathFinder("autoneb", "a string that grows, by Adam", AutonebOptions, "landscape_finders.autoneb:find"),
        PathFinder(
            "draxler2018",
            "AutoNEB with its published schedule, by SGD",
            Draxler2018Options,
            "landscape_finders.draxler2018:find",
        ),
    ]

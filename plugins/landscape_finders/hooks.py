"""What this plugin offers."""

from __future__ import annotations

from landscape.analysis import PathFinder
from landscape.hooks import hookimpl
from landscape_finders.options import AutonebOptions, BezierAutonebOptions, Draxler2018Options, LinearOptions
from landscape_finders.options_curve import CurveOptions
from landscape_finders.options_geodesic import GeodesicOptions
from landscape_finders.options_layer_walk import LayerWalkOptions
from landscape_finders.options_string_sampling import StringSamplingOptions


@hookimpl
def landscape_path_finders() -> list[PathFinder]:
    """Straight lines, curves with few free points, strings, and walks."""
    return [
        PathFinder("linear", "the straight line (a geodesic on a curved space)", LinearOptions, _in("linear")),
        PathFinder(
            "geodesic", "great circles of the normalised units of a ReLU network", GeodesicOptions, _in("geodesic")
        ),
        PathFinder(
            "bezier-autoneb",
            "a Bezier curve, and a growing string from it where it is not low enough (the default)",
            BezierAutonebOptions,
            _in("bezier_autoneb"),
            starts=True,
        ),
        PathFinder("bezier", "a Bezier curve with few free points, by Adam", CurveOptions, _in("bezier"), starts=True),
        PathFinder("polygon", "a chain of straight segments, by Adam", CurveOptions, _in("polygon"), starts=True),
        PathFinder("autoneb", "a string that grows, by Adam", AutonebOptions, _in("autoneb"), starts=True),
        PathFinder(
            "draxler2018",
            "AutoNEB with its published schedule, by SGD",
            Draxler2018Options,
            _in("draxler2018"),
            starts=True,
        ),
        PathFinder(
            "string-sampling",
            "connected below a level or not, as the level falls",
            StringSamplingOptions,
            _in("string_sampling"),
            starts=True,
        ),
        PathFinder("layer-walk", "from one end to the other one layer at a time", LayerWalkOptions, _in("layer_walk")),
    ]


def _in(module: str) -> str:
    return f"landscape_finders.{module}:find"

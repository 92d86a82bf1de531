"""Paths through parameter space: polylines, the energy along them, tangents."""

from landscape.paths.path import Path, measured_line, measured_path
from landscape.paths.polyline import improved_tangents, knot_times, path_length, points_at, resampled, straight
from landscape.paths.profile import Profile, barrier_of, dense_times, energies_at, errors_at, measure, refine

__all__ = [
    "Path",
    "Profile",
    "barrier_of",
    "dense_times",
    "energies_at",
    "errors_at",
    "improved_tangents",
    "knot_times",
    "measure",
    "measured_line",
    "measured_path",
    "path_length",
    "points_at",
    "refine",
    "resampled",
    "straight",
]

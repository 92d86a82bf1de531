"""Errors that the user mends outside the code: one line each, with the exit code that the command line returns."""

from __future__ import annotations

__all__ = ["AnalysisError", "CheckpointError", "LandscapeError", "TrustError", "UsageError"]


class LandscapeError(Exception):
    """What was met, what was wanted and what to type next, in one line."""

    exit_code = 5


class UsageError(LandscapeError):
    """An unknown name or value, an output that cannot be written, recipes that disagree."""

    exit_code = 2


class CheckpointError(LandscapeError):
    """A file that cannot become a point of a landscape, or a landscape that cannot be trusted to be one."""

    exit_code = 3


class TrustError(LandscapeError):
    """Reading on would run code that only the file asks for."""

    exit_code = 4


class AnalysisError(LandscapeError):
    """An analysis that could not finish on a landscape that is in order."""

    exit_code = 5

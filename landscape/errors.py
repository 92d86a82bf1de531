"""Errors that the user mends outside the code: one line each, with the exit code that the command line returns."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "AnalysisError",
    "ArchitectureError",
    "CheckpointError",
    "LandscapeError",
    "TrustError",
    "UsageError",
    "did_you_mean",
    "one_line",
]


class LandscapeError(Exception):
    """What was met, what was wanted and what to type next, in one line."""

    exit_code = 5


class UsageError(LandscapeError):
    """An unknown name or value, an output that cannot be written, recipes that disagree."""

    exit_code = 2


class CheckpointError(LandscapeError):
    """A file that cannot become a point of a landscape, or a landscape that cannot be trusted to be one."""

    exit_code = 3


class ArchitectureError(CheckpointError):
    """Weights of another model: they belong to another parameter space."""


class TrustError(LandscapeError):
    """Reading on would run code that only the file asks for."""

    exit_code = 4


class AnalysisError(LandscapeError):
    """An analysis that could not finish on a landscape that is in order."""

    exit_code = 5


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``. Did you mean 'x'?`` for the nearest known name, or a full stop: what ends a sentence on an unknown one."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f". Did you mean {close[0]!r}?" if close else "."


def one_line(text: object, most: int | None = None) -> str:
    """A text, such as another library's error, on one line, cut after ``most`` characters."""
    return " ".join(str(text).split())[:most]

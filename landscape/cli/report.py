"""``landscape report DIR``."""

from __future__ import annotations

from collections.abc import Sequence

from landscape.errors import UsageError

__all__ = ["run"]

HELP = """\
usage: landscape report DIR

Write DIR/report.html from the results that are stored in a run directory. Nothing is computed."""


def run(arguments: Sequence[str], *, debug: bool) -> int:
    """(Re)build the report of a run."""
    if arguments and arguments[0] in ("-h", "--help"):
        print(HELP)
        return 0
    if len(arguments) != 1:
        raise UsageError("name one run directory: landscape report DIR")
    from landscape.report.build import build_report

    print(build_report(arguments[0]))
    return 0

"""``landscape COMMAND ...``: find the command, turn errors into one line and an exit code."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from landscape import __version__
from landscape.errors import LandscapeError, UsageError, did_you_mean, one_line

__all__ = ["main"]

COMMANDS = {
    "analyze": "measure the geometry of the loss at and between checkpoints",
    "align": "write a checkpoint with its units in the order of another's",
    "inspect": "what a checkpoint holds, how it would be rebuilt, its loss",
    "plugins": "what is installed; `plugins show NAME`: options, types, defaults",
    "report": "(re)build report.html of a run",
    "demo": "train a few small nets on real digits, analyse them, write a report",
}

EPILOGUE = """\
landscape analyze seed0/last.ckpt seed1/last.ckpt --plugin neb
landscape COMMAND --help tells more."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code (0 done, 2 usage, 3 cannot rebuild, 4 needs --trust, 5 an analysis failed)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    warnings.showwarning = _one_line_warning
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show loses no output
    try:
        return _dispatch(words, debug)
    except LandscapeError as error:
        if debug:
            raise
        _complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _complain("interrupted; what was finished is stored: the same command goes on from there")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if debug:
            raise
        _complain(f"cannot read or write: {error}")
        return UsageError.exit_code
    except Exception as error:
        if debug:
            raise
        _complain(f"{type(error).__name__}: {error}. This should not happen; --debug shows where it did")
        return 5


def _dispatch(words: list[str], debug: bool) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_usage())
        return 0 if words else 2
    if words[0] in ("-V", "--version"):
        print(f"landscape {__version__}")
        return 0
    if words[0] not in COMMANDS:
        raise UsageError(f"unknown command {words[0]!r}{did_you_mean(words[0], COMMANDS)} Take {', '.join(COMMANDS)}")
    command = import_module(f"landscape.cli.{words[0]}")
    return command.run(words[1:], debug=debug)


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name.ljust(width)}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(["usage: landscape COMMAND ...", "", *lines, "", EPILOGUE])


def _complain(text: str) -> None:
    print(f"landscape: {one_line(text)}", file=sys.stderr)


def _one_line_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """Warnings of other libraries are for developers; ours are for the user and fit on a line."""
    if category is UserWarning:
        print(f"warning: {one_line(message)}", file=sys.stderr)

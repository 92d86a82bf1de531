"""The command line: parse, print, exit code. Nothing else."""

from landscape.cli.main import main

__all__ = ["main"]

"""Reading what ``torch.save`` wrote without running what it may contain."""

from __future__ import annotations

import argparse
import importlib
import pathlib
import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from landscape.checkpoints.importing import append_to_path
from landscape.errors import CheckpointError, TrustError, one_line

__all__ = ["load", "pickled_text"]

_FAILURES = (RuntimeError, EOFError, KeyError, ValueError, TypeError, IndexError, AttributeError, ImportError, OSError)
_ORDINARY = re.compile(r"collections\.OrderedDict|torch\.(_utils\._rebuild\w+|\w+Storage|Size|device|[a-z]+\d+)")


def _harmless() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """Types beside tensors that checkpoints hold: numpy numbers and arrays, paths and parsed arguments."""
    multiarray = importlib.import_module("numpy._core.multiarray" if hasattr(np, "_core") else "numpy.core.multiarray")
    numeric = {type(np.dtype(code)) for code in "?bBhHiIlLqQefdgFDUSM"}
    scalar, rebuild = multiarray.scalar, multiarray._reconstruct
    old_names = [(scalar, "numpy.core.multiarray.scalar"), (rebuild, "numpy.core.multiarray._reconstruct")]
    harmless = [scalar, rebuild, np.ndarray, np.dtype, argparse.Namespace, pathlib.PosixPath, pathlib.WindowsPath]
    return [*harmless, *numeric, *old_names]


def load(path: Path, *, trust: bool) -> Any:
    """What ``torch.save`` put into a file, on the CPU.

    Only tensors, plain Python values and a few harmless types are read (``weights_only=True``). A file that holds more
    is a TrustError that names the types; with ``trust`` it is unpickled in full, which runs whatever it asks for.
    """
    try:
        with torch.serialization.safe_globals(_harmless()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on the pickle's protocol: what cannot be read is an error below
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if trust:
            return _load_all(path)
        unsafe = sorted(_unsafe(path))
        if unsafe:
            raise TrustError(f"{path}: holds {', '.join(unsafe[:5])}, which could run code; {_ADVICE}") from None
        raise _damaged(path, error) from None
    except _FAILURES as error:
        raise _damaged(path, error) from None


_ADVICE = "save a state dict instead, or add --trust if you trust the file"


def _damaged(path: Path, error: Exception) -> CheckpointError:
    reason = "" if isinstance(error, pickle.UnpicklingError) else f" ({type(error).__name__}: {_first_words(error)})"
    return CheckpointError(f"{path}: truncated or damaged{reason}; copy it again or take another checkpoint")


def _first_words(error: Exception) -> str:
    return one_line(error).partition(". ")[0][:120]


def _load_all(path: Path) -> Any:
    append_to_path(Path.cwd())
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:
        lost = re.search(r"Can't get attribute '(\w+)' on <module '[\w.]*__main__'", str(error))
        if lost:
            raise CheckpointError(
                f"{path}: holds a whole {lost[1]} whose class was defined in a script and cannot be found again; "
                f"save its state_dict() from that script and give the class with --model SCRIPT.py:{lost[1]}"
            ) from None
        raise CheckpointError(f"{path}: cannot be unpickled ({type(error).__name__}: {_first_words(error)})") from None


def _unsafe(path: Path) -> set[str]:
    """Names of what a file would import beyond the allow-list, found without importing it."""
    if zipfile.is_zipfile(path):
        try:
            with torch.serialization.safe_globals(_harmless()):
                return set(torch.serialization.get_unsafe_globals_in_checkpoint(path))
        except _FAILURES:
            pass
    return {name for name in _imports(path) if not _ORDINARY.fullmatch(name)}


def _imports(path: Path) -> Iterator[str]:
    """Everything that an uncompressed file of pickles, one after another, would import."""
    with path.open("rb") as file:
        while True:
            strings: list[str] = []
            try:
                for code, argument, _ in pickletools.genops(file):
                    if code.name in ("GLOBAL", "INST"):
                        yield str(argument).replace(" ", ".")
                    elif code.name == "STACK_GLOBAL":
                        yield ".".join(strings[-2:])
                    elif isinstance(argument, str):
                        strings.append(argument)
            except (ValueError, EOFError, IndexError):
                return


def pickled_text(path: Path) -> bytes:
    """The raw pickle of a torch file (of an old one, its first megabyte), in which names can be searched."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            return file.read(1 << 20)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            return archive.read(names[0]) if names else b""
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise _damaged(path, error) from None

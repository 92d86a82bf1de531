"""From what the user typed to files, their names in the output, and what is in them."""

from __future__ import annotations

import glob
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from landscape.analysis import Source, resolve
from landscape.checkpoints.checkpoint import Checkpoint
from landscape.checkpoints.yaml_recipes import working_folder_recipe
from landscape.errors import CheckpointError

__all__ = ["expand", "point_ids", "read"]

_ENDINGS = (".pt", ".pth", ".ckpt", ".safetensors", ".bin", ".pkl", ".tar", ".pt2")


def expand(arguments: Sequence[str]) -> list[Path]:
    """The files that the arguments stand for, in order.

    A glob stands for its matches; a folder for the checkpoint files in it or, if there are none, for those in the
    folders named ``checkpoints`` below it (a Lightning run). Numbers in names are sorted as numbers.
    """
    return [file for argument in arguments for path in _matches(argument) for file in _files(path)]


def _matches(argument: str) -> list[Path]:
    path = Path(argument).expanduser()
    if path.exists() or not glob.has_magic(argument):
        return [path]
    found = sorted(map(Path, glob.glob(str(path), recursive=True)), key=_natural)
    if not found:
        raise CheckpointError(f"{argument}: matches no file; give a checkpoint, a folder or another pattern")
    return found


def _files(path: Path) -> list[Path]:
    if not path.is_dir() or (path / ".metadata").is_file():
        return [path]
    found = list(_checkpoints_in(path))
    if not found:
        found = [file for folder in path.rglob("checkpoints") for file in _checkpoints_in(folder)]
    if not found:
        raise CheckpointError(f"{path}: a folder without checkpoints ({', '.join(_ENDINGS)}); name a file in it")
    return sorted(found, key=_natural)


def _checkpoints_in(folder: Path) -> Iterator[Path]:
    return (file for file in folder.iterdir() if file.suffix in _ENDINGS and file.is_file())


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """A sorting key by which ``step=10`` comes after ``step=9``."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", str(path)) if part]


def point_ids(paths: Sequence[Path]) -> list[str]:
    """What the output calls each file: the shortest end of its path that is unique in the call, without its ending.

    ``seed1/last.ckpt`` and ``seed2/last.ckpt`` become ``seed1/last`` and ``seed2/last``; a file that comes again gets
    ``#2``.
    """
    whole = [path.absolute() for path in paths]
    distinct = list(dict.fromkeys(whole))
    bare = {path: path.parent / re.sub(r"\.[A-Za-z]\w*$", "", path.name) for path in distinct}
    if len(set(bare.values())) < len(distinct):  # a.pt beside a.ckpt
        twice = Counter(bare.values())
        bare = {path: short if twice[short] == 1 else path for path, short in bare.items()}
    names = {
        path: _shortest(short, [other for other in bare.values() if other != short]) for path, short in bare.items()
    }
    seen: Counter[Path] = Counter()
    ids = []
    for path in whole:
        seen[path] += 1
        ids.append(names[path] if seen[path] == 1 else f"{names[path]}#{seen[path]}")
    return ids


def _shortest(path: Path, others: Sequence[Path]) -> str:
    for count in range(1, len(path.parts)):
        end = path.parts[-count:]
        if all(other.parts[-count:] != end for other in others):
            return "/".join(end)
    return path.as_posix()


def read(path: Path, formats: Sequence[Source], *, trust: bool) -> Checkpoint:
    """What a file holds, read by the first format that recognises it; ``landscape.yaml`` fills in what it does not say.

    CheckpointError for what is missing, empty, damaged or foreign; TrustError for what could run code (it is not run).
    """
    if not path.exists():
        raise CheckpointError(f"{path}: no such file; check the path, or give a folder or a pattern in quotes")
    if not (path.is_file() or path.is_dir()):
        raise CheckpointError(f"{path}: neither a file nor a folder; name a checkpoint")
    if path.is_file() and path.stat().st_size == 0:
        raise CheckpointError(f"{path}: is empty; was the disk full when it was saved?")
    for source in formats:
        if source.recognise is not None and resolve(source.recognise)(path):
            checkpoint: Checkpoint = resolve(source.open)(path, trust=trust)
            return replace(checkpoint, recipe=checkpoint.recipe.or_else(working_folder_recipe()))
    known = ", ".join(source.name for source in formats if source.recognise is not None)
    raise CheckpointError(f"{path}: not a checkpoint; these formats can be read: {known}")

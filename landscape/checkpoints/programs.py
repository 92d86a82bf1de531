"""Files that are programs, or could run one, rather than weights: recognised, so that they can be refused by name."""

from __future__ import annotations

import zipfile
from pathlib import Path

from landscape.checkpoints.checkpoint import Checkpoint
from landscape.errors import CheckpointError, TrustError

__all__ = ["open_file", "recognise"]


def recognise(path: Path) -> bool:
    """Whether a path is a TorchScript archive, an exported program or a distributed checkpoint."""
    return _kind(path) is not None


def open_file(path: Path, *, trust: bool) -> Checkpoint:
    """Never a checkpoint: TrustError without ``trust``, CheckpointError with it. Both say how to get the weights."""
    kind, advice = _kind(path) or ("unknown", "")
    if not trust:
        raise TrustError(f"{path}: {kind} can run code when it is opened; {advice}")
    raise CheckpointError(f"{path}: {kind} cannot be analysed, trusted or not; {advice}")


def _kind(path: Path) -> tuple[str, str] | None:
    if path.is_dir():
        return _DISTRIBUTED if (path / ".metadata").is_file() else None
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        inside = {name.partition("/")[2] for name in archive.namelist()} | set(archive.namelist())
    if "constants.pkl" in inside:
        return _SCRIPTED
    return _EXPORTED if inside & {"archive_format", "serialized_exported_program.json"} else None


_SCRIPTED = (
    "a TorchScript archive",
    "where you trust it, save torch.jit.load(FILE).state_dict() with torch.save and give the class with --model",
)
_EXPORTED = (
    "an exported program (.pt2)",
    "where you trust it, save torch.export.load(FILE).state_dict with torch.save and give the class with --model",
)
_DISTRIBUTED = (
    "a distributed checkpoint",
    "where you trust it, turn it into one file with torch.distributed.checkpoint.format_utils.dcp_to_torch_save",
)

"""Files that are no checkpoints, or more than checkpoints: one line each, and nothing in them runs."""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from test_containers import STATE, opened

from landscape.errors import CheckpointError, LandscapeError, TrustError


class Malicious:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.system, (f"touch {self.target}",)


def _evil(path: Path) -> None:
    torch.save({"state_dict": STATE, "note": Malicious(path.parent / "ran")}, path)


def _evil_old(path: Path) -> None:
    torch.save({"w": Malicious(path.parent / "ran")}, path, _use_new_zipfile_serialization=False)


def _evil_plain(protocol: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(pickle.dumps(Malicious(path.parent / "ran"), protocol=protocol))

    return write


def _cut(path: Path, old: bool = False) -> None:
    torch.save(STATE, path, _use_new_zipfile_serialization=not old)
    path.write_bytes(path.read_bytes()[:400])


def _scripted(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), path)


def _exported(path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(path, "w") as archive:  # the layout that torch.export.save writes
        archive.writestr("a/archive_format", "pt2")
        archive.writestr("a/models/model.json", "{}")


def _distributed(path: Path) -> None:
    path.mkdir()
    (path / ".metadata").write_bytes(pickle.dumps(Malicious(path.parent / "ran")))


def _cut_safetensors(path: Path) -> None:
    from safetensors.torch import save

    path.write_bytes(save({k: t.clone() for k, t in STATE.items()})[:-20])


def _bad_note(path: Path) -> None:
    from safetensors.torch import save

    path.write_bytes(save({k: t.clone() for k, t in STATE.items()}, metadata={"landscape": "[1]"}))


def _flipped(path: Path) -> None:
    torch.save(STATE, path)
    path.write_bytes(path.read_bytes().replace(b"first.weight", b"first.w\xffight", 1))


BAD: dict[str, tuple[Callable[[Path], object], type[LandscapeError], str]] = {
    "missing": (lambda path: None, CheckpointError, "no such file"),
    "empty": (lambda path: path.touch(), CheckpointError, "is empty"),
    "text": (lambda path: path.write_text("hello there, not a net"), CheckpointError, "not a checkpoint"),
    "image": (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99)), CheckpointError, "not a checkpoint"),
    "zip of something": (_cut, CheckpointError, "truncated or damaged"),
    "truncated zip": (_cut, CheckpointError, "truncated or damaged"),
    "truncated old pickle": (lambda path: _cut(path, old=True), CheckpointError, "truncated or damaged"),
    "truncated safetensors": (_cut_safetensors, CheckpointError, "not a whole safetensors file"),
    "a number": (lambda path: torch.save(3, path), CheckpointError, "holds a int, not weights"),
    "no state dict": (lambda path: torch.save({"a": 1, "b": "x"}, path), CheckpointError, "holds no state dict"),
    "several": (lambda path: torch.save({"g": STATE, "d": STATE}, path), CheckpointError, r"several .*'g', 'd'"),
    "bad recipe": (
        lambda path: torch.save({"state_dict": STATE, "landscape": {"recipe": {"model": 3}}}, path),
        CheckpointError,
        "want an import string",
    ),
    "safetensors with a bad note": (_bad_note, CheckpointError, "its landscape note is"),
    "damaged inside": (_flipped, CheckpointError, "truncated or damaged"),
    "a pipe": (os.mkfifo, CheckpointError, "neither a file nor a folder"),
    "malicious": (_evil, TrustError, r"posix\.system"),
    "malicious old pickle": (_evil_old, TrustError, r"posix\.system"),
    "malicious pickle 2": (_evil_plain(2), TrustError, r"posix\.system"),
    "malicious pickle 4": (_evil_plain(4), TrustError, r"posix\.system"),
    "malicious pickle 0": (_evil_plain(0), CheckpointError, "not a checkpoint"),
    "TorchScript": (_scripted, TrustError, "TorchScript"),
    "exported": (_exported, TrustError, r"\.pt2"),
    "distributed": (_distributed, TrustError, "dcp_to_torch_save"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files(name: str, tmp_path: Path) -> None:
    write, kind, message = BAD[name]
    write(tmp_path / "a.pt")
    with pytest.raises(kind, match=message) as caught:
        opened(tmp_path / "a.pt")
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "a.pt") in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_trust_does_run(tmp_path: Path) -> None:
    _evil(tmp_path / "a.pt")
    assert set(opened(tmp_path / "a.pt", trust=True).tensors) == set(STATE)
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["TorchScript", "exported", "distributed"])
def test_programs_cannot_be_used_even_with_trust(name: str, tmp_path: Path) -> None:
    BAD[name][0](tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="trusted or not"):
        opened(tmp_path / "a.pt", trust=True)
    assert not (tmp_path / "ran").exists()


def test_a_module_of_a_lost_script_is_told(tmp_path: Path) -> None:
    import subprocess
    import sys

    script = tmp_path / "train.py"
    script.write_text(
        f"import torch\nclass Lost(torch.nn.Linear): pass\ntorch.save(Lost(2, 2), {str(tmp_path / 'a.pt')!r})\n"
    )
    subprocess.run([sys.executable, script], check=True)
    with pytest.raises(TrustError, match=r"__main__\.Lost"):
        opened(tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"--model SCRIPT.py:Lost"):
        opened(tmp_path / "a.pt", trust=True)

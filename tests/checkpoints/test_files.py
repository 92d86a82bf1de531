"""From arguments to files and their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from landscape.checkpoints.files import expand, point_ids
from landscape.errors import CheckpointError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


IDS = {
    "one": (["run/last.ckpt"], ["last"]),
    "seeds": (["seed1/last.ckpt", "seed2/last.ckpt"], ["seed1/last", "seed2/last"]),
    "deep": (["a/x/c/w.pt", "b/x/c/w.pt"], ["a/x/c/w", "b/x/c/w"]),
    "mixed": (["a/w.pt", "b/w.pt", "b/v.pt"], ["a/w", "b/w", "v"]),
    "twice": (["a/w.pt", "a/w.pt", "a/w.pt"], ["w", "w#2", "w#3"]),
    "endings": (["w.pt", "w.ckpt"], ["w.pt", "w.ckpt"]),
    "numbers are no ending": (["loss=0.25.ckpt", "loss=0.5"], ["loss=0.25", "loss=0.5"]),
}


@pytest.mark.parametrize("name", IDS)
def test_point_ids(name: str) -> None:
    paths, ids = IDS[name]
    assert point_ids([Path(path) for path in paths]) == ids


def test_expand(tmp_path: Path) -> None:
    touch(tmp_path, "run/config.yaml", "run/checkpoints/step=9.ckpt", "run/checkpoints/step=10.ckpt", "run/notes.txt")
    touch(tmp_path, "flat/b.pt", "flat/a.safetensors", "flat/log.txt", "flat/deep/c.pt", "odd[1].pt", "dcp/.metadata")
    names = lambda *given: [str(p.relative_to(tmp_path)) for p in expand([str(tmp_path / g) for g in given])]  # noqa: E731
    assert names("run") == ["run/checkpoints/step=9.ckpt", "run/checkpoints/step=10.ckpt"]
    assert names("flat", "run/checkpoints/step=9.ckpt") == [
        "flat/a.safetensors",
        "flat/b.pt",
        "run/checkpoints/step=9.ckpt",
    ]
    assert names("r*/check*/*.ckpt") == ["run/checkpoints/step=9.ckpt", "run/checkpoints/step=10.ckpt"]
    assert names("odd[1].pt") == ["odd[1].pt"]
    assert names("dcp") == ["dcp"]
    assert names("missing.pt") == ["missing.pt"]  # `read` tells
    with pytest.raises(CheckpointError, match="matches no file"):
        names("*.ckpt")
    touch(tmp_path, "bare/notes.txt")
    with pytest.raises(CheckpointError, match="a folder without checkpoints"):
        names("bare")

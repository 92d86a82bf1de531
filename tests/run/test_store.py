"""The run directory: what is written is read back, and nothing that was whole is ever lost."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from landscape.analysis import Cost, Result
from landscape.errors import UsageError
from landscape.run.opened import open_run
from landscape.run.store import RunStore, write_atomically

KEY = "a" * 64


def a_result(value: float = 1.5, **fields: object) -> Result:
    data = xr.Dataset({"energy": ("time", np.array([0.0, value]), {"units": "loss"})}, coords={"time": [0.0, 1.0]})
    given = {"analysis": "neb", "points": ("a", "b"), "vectors": {"path": torch.arange(6.0).reshape(3, 2)}, **fields}
    return Result(data, {"barrier": value, "finder": "autoneb"}, messages=("fine",), cost=Cost(seconds=2.0), **given)


def test_a_result_comes_back_as_it_was(tmp_path: Path) -> None:
    store = RunStore.create(tmp_path / "run")
    store.keep(KEY, a_result(), ("h1", "h2"))
    back = store.result("neb", KEY)
    assert back is not None
    assert back.summary == {"barrier": 1.5, "finder": "autoneb"}
    assert back.data.identical(a_result().data)
    assert torch.equal(back.vectors["path"], a_result().vectors["path"])
    assert (back.points, back.messages, back.cost) == (("a", "b"), ("fine",), Cost(seconds=2.0))


def test_a_replaced_result_leaves_no_litter(tmp_path: Path) -> None:
    store = RunStore.create(tmp_path)
    store.keep(KEY, a_result(1.5), ())
    store.save(KEY, {"x": torch.ones(2)})
    store.keep(KEY, a_result(2.5), ())
    assert sorted(p.suffix for p in store.folder("neb", KEY).iterdir()) == [".json", ".nc", ".safetensors"]
    assert store.load(KEY) is None
    kept = store.result("neb", KEY)
    assert kept is not None
    assert kept.summary["barrier"] == 2.5


@pytest.mark.parametrize("stage", ["data", "vectors", "result.json"])
def test_a_crash_while_replacing_keeps_the_old_result(
    tmp_path: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RunStore.create(tmp_path)
    store.keep(KEY, a_result(1.5), ())

    def crash(source: str, target: Path) -> None:
        if Path(target).name.startswith(stage):
            raise KeyboardInterrupt
        replace(source, target)

    replace = os.replace
    new = a_result(2.5, vectors={"path": torch.zeros(3, 2)})
    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        store.keep(KEY, new, ())
    monkeypatch.undo()
    kept = store.result("neb", KEY)
    assert kept is not None
    assert kept.summary["barrier"] == 1.5
    assert torch.equal(kept.vectors["path"], a_result().vectors["path"])
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_damaged_result_is_said_to_be_and_counts_as_missing(tmp_path: Path) -> None:
    store = RunStore.create(tmp_path)
    store.keep(KEY, a_result(), ())
    store.data("neb", KEY).write_bytes(b"not a netcdf file")
    with pytest.warns(UserWarning, match="damaged"):
        assert store.result("neb", KEY) is None


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{}", b"\xff\xfe"])
def test_a_damaged_record_harms_no_other_result(tmp_path: Path, content: bytes) -> None:
    store = RunStore.create(tmp_path)
    store.write_manifest({"schema": 1, "calls": []})
    store.keep(KEY, a_result(), ())
    store.keep("b" * 64, a_result(2.5), ())
    (store.folder("neb", KEY) / "result.json").write_bytes(content)
    with pytest.warns(UserWarning, match="damaged"):
        assert [result.summary["barrier"] for result in open_run(tmp_path).results] == [2.5]


def test_a_stored_result_names_no_code_to_run(tmp_path: Path) -> None:
    store = RunStore.create(tmp_path)
    store.keep(KEY, a_result(plotter="os:getcwd"), ())
    back = store.result("neb", KEY)
    assert back is not None
    assert back.plot() == {}


@pytest.mark.parametrize("content", [b"", b"null", b"{}", b'{"calls": null}', b"\xff\xfe"])
def test_a_damaged_manifest_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"manifest\.json cannot be read"):
        _ = RunStore(tmp_path).manifest


def test_not_a_number_is_never_stored(tmp_path: Path) -> None:
    store = RunStore.create(tmp_path)
    with pytest.raises(ValueError, match="JSON"):
        store.keep(KEY, a_result(float("nan")), ())
    assert store.result("neb", KEY) is None


def test_partial_work_and_memos(tmp_path: Path) -> None:
    store = RunStore.create(tmp_path)
    assert store.load(KEY) is None
    store.save(KEY, {"x": torch.ones(2)})
    store.save(KEY, {"x": torch.zeros(2)})
    loaded = store.load(KEY)
    assert loaded is not None
    assert torch.equal(loaded["x"], torch.zeros(2))
    calls: list[int] = []

    def make() -> dict[str, torch.Tensor]:
        calls.append(1)
        return {"edge": torch.tensor(3.0)}

    assert store.memo("e", make)["edge"] == store.memo("e", make)["edge"] == 3.0
    assert len(calls) == 1
    store.scope = "another landscape"
    store.memo("e", make)
    assert len(calls) == 2


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(UsageError, match="--out") as error:
        RunStore.create(blocked / "run")
    assert "\n" not in str(error.value)


def test_the_same_call_is_recorded_once(tmp_path: Path) -> None:
    store = RunStore.create(tmp_path)
    for name in ("x", "y", "x"):
        store.record({"id": name, "points": []})
    assert [call["id"] for call in store.manifest["calls"]] == ["y", "x"]


def test_open_run_gives_results_points_and_paths_both_ways(tmp_path: Path) -> None:
    store = RunStore.create(tmp_path)
    store.keep(KEY, a_result(), ())
    store.record({"id": "1", "points": [{"id": "a", "hash": "h"}, {"id": "b", "hash": "g"}]})
    run = open_run(tmp_path)
    assert [result.summary["barrier"] for result in run.results] == [1.5]
    assert [point["id"] for point in run.points] == ["a", "b"]
    assert torch.equal(run.path("b", "a"), run.path("a", "b").flip(0))
    with pytest.raises(UsageError, match="holds no path between a and c"):
        run.path("a", "c")
    with pytest.raises(UsageError, match=r"no manifest.json"):
        open_run(tmp_path / "results")


def test_results_come_in_the_order_of_their_points(tmp_path: Path) -> None:
    store = RunStore.create(tmp_path)
    for index, point in enumerate(("step10", "step2", "step1")):
        store.keep(f"{index}" * 64, a_result(points=(point,)), ())
    store.record({"id": "1", "points": [{"id": f"step{step}", "hash": str(step)} for step in (1, 2, 10)]})
    assert [result.points for result in open_run(tmp_path).results] == [("step1",), ("step2",), ("step10",)]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomically(tmp_path / "f", b"old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(tmp_path / "f", b"new")
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]

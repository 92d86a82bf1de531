"""What options name: checkpoints, paths of other runs, mappings; their content is part of a task's identity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import xarray as xr
from torch import nn

import landscape
from landscape.analysis import Analysis, Context, Result
from landscape.errors import ArchitectureError, CheckpointError, UsageError
from landscape.landscapes.analytic import AnalyticLandscape
from landscape.landscapes.protocol import LandscapeInfo
from landscape.parameters import ParameterSpace, Point, content_hash
from landscape.registry import Registry
from landscape.run.execute import Setting, execute
from landscape.run.files import RunFiles, read_mapping
from landscape.run.opened import open_run
from landscape.run.store import RunStore
from landscape.run.tasks import Request


def bowl(dim: int = 2) -> AnalyticLandscape:
    info = LandscapeInfo("bowl", "energy", fingerprint="bowl")
    return AnalyticLandscape(
        lambda x: (x**2).sum(), ParameterSpace(("x",), ((dim,),)), info, lambda rng: torch.randn(dim, generator=rng)
    )


A, B, C = (Point(torch.tensor([k, 1.0]).double(), name) for k, name in enumerate("abc"))
OTHER_B = Point(torch.tensor([9.0, 1.0]).double(), "b")


def knots(middle: float, first: Point = A, second: Point = B) -> torch.Tensor:
    return torch.stack([first.vector, torch.full((2,), middle).double(), second.vector])


def keep(folder: Path, pair: Sequence[Point], path: torch.Tensor, max_loss: float, **options: Any) -> None:
    """A run that holds this path, beside what it held."""
    store = RunStore.create(folder)
    result = Result(
        xr.Dataset(), {"max_loss": max_loss}, vectors={"path": path}, analysis="neb",
        points=tuple(p.id for p in pair), options=options,
    )  # fmt: skip
    key = content_hash({"": path})
    store.keep(key, result, tuple(point.hash for point in pair))
    store.write_manifest(store.manifest)


def files(scape: Any = None) -> RunFiles:
    return RunFiles(scape or bowl(), [A, B])


# stored paths


def test_a_path_runs_in_the_order_asked_for_and_the_lowest_is_taken(tmp_path: Path) -> None:
    keep(tmp_path, (A, B), knots(5.0), max_loss=2.0)
    keep(tmp_path, (A, B), knots(3.0), max_loss=1.0)
    torch.testing.assert_close(files().path(str(tmp_path), A, B), knots(3.0), rtol=0, atol=0)
    torch.testing.assert_close(files().path(str(tmp_path), B, A), knots(3.0).flip(0), rtol=0, atol=0)


def test_points_are_known_by_content_before_they_are_by_name(tmp_path: Path) -> None:
    keep(tmp_path, (A, OTHER_B), knots(5.0, second=OTHER_B), max_loss=1.0)
    keep(tmp_path, (replace(A, id="seed0/a"), replace(B, id="seed1/b")), knots(3.0), max_loss=2.0)
    torch.testing.assert_close(files().path(str(tmp_path), A, B), knots(3.0), rtol=0, atol=0)
    again = replace(B, hash="another content")
    torch.testing.assert_close(files().path(str(tmp_path), A, again), knots(5.0, second=OTHER_B), rtol=0, atol=0)


def test_a_path_comes_in_the_dtype_of_the_landscape(tmp_path: Path) -> None:
    keep(tmp_path, (A, B), knots(3.0).float(), max_loss=1.0)
    assert files().path(str(tmp_path), A, B).dtype == torch.float64


def test_a_path_that_was_begun_here_is_no_beginning(tmp_path: Path) -> None:
    keep(tmp_path, (A, B), knots(5.0), max_loss=2.0)
    keep(tmp_path, (A, B), knots(3.0), max_loss=1.0, start=str(tmp_path / "." / ""))
    torch.testing.assert_close(files().path(str(tmp_path), A, B), knots(5.0), rtol=0, atol=0)
    torch.testing.assert_close(open_run(tmp_path).path("a", "b"), knots(3.0), rtol=0, atol=0)


def _empty(folder: Path) -> None:
    RunStore.create(folder).write_manifest({"schema": 1, "calls": []})


def _damaged(folder: Path) -> None:
    keep(folder, (A, B), knots(3.0), max_loss=1.0)
    next(folder.glob("results/*/vectors-*")).write_bytes(b"no vectors")


FOREIGN = {
    "no such folder": (lambda folder: None, "is not a run: it has no manifest.json"),
    "a folder of other files": (lambda folder: (folder / "a.pt").write_text("x"), "is not a run"),
    "an empty run": (_empty, "holds no path between a and b. It holds nothing"),
    "other points": (lambda folder: keep(folder, (A, C), knots(3.0), 1.0), "It holds neb a–c"),
    "a damaged path": (_damaged, "holds no path between a and b"),
    "another model": (lambda folder: keep(folder, (A, B), torch.zeros(3, 7), 1.0), "has 7 parameters, bowl has 2"),
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.filterwarnings("ignore:.*is damaged:UserWarning")
def test_a_run_without_the_path_is_one_line(tmp_path: Path, name: str) -> None:
    make, says = FOREIGN[name]
    folder = tmp_path / "run"
    if name != "no such folder":
        folder.mkdir()
    make(folder)
    with pytest.raises(UsageError) as error:
        files().path(str(folder), A, B)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


# mappings

_BOMB = b"".join(b"%c: &%c [%s]\n" % (new, new, b",".join([b"*%c" % old] * 9)) for old, new in pairwise(b"abcdefghi"))
"""Eight lines that stand for 9^8 entries."""


@pytest.mark.parametrize(
    ("name", "text"), [("s.yaml", "groups:\n- {name: hidden, axes: ['0.weight:0']}\n"), ("s.json", '{"groups":\t[]}')]
)
def test_a_mapping_is_read_from_yaml_and_json(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert set(read_mapping(str(tmp_path / name))) == {"groups"}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.yaml", None, "No such file"),
        ("s.yaml", b"a: [1", "neither YAML nor JSON"),
        ("s.yaml", b"\xff\xfe\x00", "neither YAML nor JSON"),
        ("s.yaml", b"- a\n- b\n", "holds a list, wanted a mapping"),
        ("s.yaml", b"just words", "holds a str, wanted a mapping"),
        ("s.yaml", b"", "holds nothing, wanted a mapping"),
        ("s.json", b"{'a': 1}", "neither YAML nor JSON"),
        ("deep.yaml", b"a: " + 2000 * b"[" + 2000 * b"]", "neither YAML nor JSON"),
        ("endless.yaml", b"groups: &a [*a]", "50 deep"),
        ("bomb.yaml", b"a: &a [1,1,1,1,1,1,1,1,1]\n" + _BOMB, "more than 100,000 entries"),
        ("folder", None, "cannot be read"),
    ],
)
def test_what_is_no_mapping_is_one_line(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    (tmp_path / "folder").mkdir()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError) as error:
        read_mapping(str(tmp_path / name))
    assert says in str(error.value)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


# checkpoints


def net(width: int = 4) -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, 2))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three checkpoints in a folder ``nets``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets").mkdir()
    for seed in range(3):
        torch.manual_seed(seed)
        torch.save(net().state_dict(), tmp_path / "nets" / f"{seed}.pt")
    return tmp_path / "nets"


def opened(*names: str) -> tuple[Any, RunFiles]:
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    scape, points = landscape.load(
        *names, model=net, data=(x, (x.sum(1) > 0).long()), objective="cross_entropy", dtype="float64"
    )
    return points, RunFiles(scape, points)


def test_a_folder_stands_for_its_checkpoints_under_free_names(folder: Path) -> None:
    points, run_files = opened("nets/0.pt")
    found = run_files.points("nets")
    assert [point.id for point in found] == ["0#2", "1", "2"]
    assert [point.hash == points[0].hash for point in found] == [True, False, False]
    assert {point.vector.dtype for point in found} == {torch.float64}
    assert [point.id for point in run_files.points("nets/[12].pt")] == ["1", "2"]


@pytest.mark.filterwarnings("error")
def test_a_bad_file_among_many_is_left_out_and_named(folder: Path) -> None:
    (folder / "bad.pt").write_text("no weights")
    _, run_files = opened("nets/0.pt")
    with pytest.warns(UserWarning, match=r"left out: nets/bad\.pt: not a checkpoint"):
        assert len(run_files.points("nets")) == 3
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        run_files.points("nets/bad.pt")
    torch.save(net(5).state_dict(), folder / "wide.pt")
    with pytest.raises(ArchitectureError, match=r"wide\.pt"):
        run_files.points("nets")


def test_a_formula_has_no_checkpoints() -> None:
    with pytest.raises(UsageError, match=r"bowl is not a network: a\.pt cannot be a point of it"):
        files().points("a.pt")


# identity


@dataclass(frozen=True)
class Options:
    start: str | None = field(default=None, metadata={"names": "path"})
    spec: str | None = field(default=None, metadata={"names": "mapping"})
    max_steps: int = 1


calls: list[str] = []


def followed(scape: Any, points: Sequence[Point], options: Options, *, context: Context) -> Result:
    calls.append("".join(point.id for point in points))
    path = context.open_path(options.start, *points) if options.start else knots(0.0)
    return Result(xr.Dataset(), {"middle": float(path[1, 0])})


FOLLOWED = Analysis("followed", "", Options, f"{__name__}:followed", points=2)


def middle(out: Path, options: Options) -> float:
    setting = Setting(bowl(), Registry(), store=RunStore.create(out), files=files())
    (entry,) = execute(setting, [A, B], [Request(FOLLOWED, options)]).entries
    return float(str(entry.result.summary["middle"]))


def test_a_start_is_known_by_its_content(tmp_path: Path) -> None:
    calls.clear()
    start, moved, out = tmp_path / "start", tmp_path / "moved", tmp_path / "out"
    keep(start, (A, B), knots(5.0), max_loss=2.0)
    assert [middle(out, Options()), middle(out, Options(str(start)))] == [0.0, 5.0]
    assert len(calls) == 2
    start.rename(moved)
    assert middle(out, Options(str(moved))) == 5.0
    assert len(calls) == 2
    keep(moved, (A, B), knots(3.0), max_loss=1.0)
    assert middle(out, Options(str(moved))) == 3.0
    assert len(calls) == 3


def test_a_mapping_is_known_by_its_content(tmp_path: Path) -> None:
    calls.clear()
    spec = tmp_path / "s.yaml"
    for text in ("a: 1", "a:   1  # the same", "a: 2", "a: 1"):
        spec.write_text(text)
        middle(tmp_path / "out", Options(spec=str(spec)))
    assert len(calls) == 2


def test_a_start_that_is_not_there_is_a_mistake_in_the_call(tmp_path: Path) -> None:
    calls.clear()
    with pytest.raises(UsageError, match="is not a run"):
        middle(tmp_path / "out", Options(str(tmp_path / "nowhere")))
    assert calls == []

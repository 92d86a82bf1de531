"""Options that name files: paths to begin from, groups of units, partners; right, wrong, and stored."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cli_nets import RECIPE, Net, Shown

from landscape.cli import main
from landscape.run.opened import open_run

Run = Callable[..., Shown]
BROWN = ["analyze", "zoo:mueller-brown", "--pairs", "chain", "--plugin", "neb", "--neb.plane", "0"]
STRING = ["--neb.finder", "autoneb", "--neb.max-gradients", "200"]


def results(shown: Shown) -> list[dict[str, Any]]:
    assert shown.code == 0, shown.err
    return [result for result in json.loads(shown.out)["results"] if len(result["points"]) < 3]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two paths on Mueller-Brown."""
    out = tmp_path_factory.mktemp("made") / "stored"
    assert main([*BROWN, *STRING, "--out", str(out)]) == 0
    return out


@pytest.fixture
def stored(nets: Path, made: Path) -> Path:
    """A copy of it in the working folder."""
    return shutil.copytree(made, nets / "stored")


def test_a_search_begins_from_a_stored_path_and_is_found_again(stored: Path, run: Run) -> None:
    words = [*BROWN, "--neb.finder", "bezier", "--neb.max-gradients", "100", "--out", "stored", "--json"]
    words = [*words, "--neb.start", "stored"]
    first, again = results(run(*words)), results(run(*words))
    assert first
    assert [one["cached"] for one in first + again] == [False] * len(first) + [True] * len(first)
    assert [one["summary"] for one in first] == [one["summary"] for one in again]
    assert not any(one["cached"] for one in results(run(*words[:-2])))


def _empty(nets: Path) -> None:
    (nets / "other").mkdir()
    (nets / "other" / "manifest.json").write_text('{"schema": 1, "calls": []}')


def _foreign(nets: Path) -> None:
    (nets / "other").mkdir()
    (nets / "other" / "weights.pt").write_text("x")


def _nothing(nets: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("make", "says"),
    [(_nothing, "is not a run"), (_foreign, "is not a run"), (_empty, "holds no path between")],
    ids=["missing", "foreign", "empty"],
)
def test_a_start_that_is_no_run_is_one_line_and_harms_nothing(
    stored: Path, run: Run, make: Callable[[Path], None], says: str
) -> None:
    make(stored.parent)
    before = {path: path.read_bytes() for path in stored.rglob("*") if path.is_file()}
    shown = run(*BROWN, *STRING, "--neb.start", "other", "--out", "stored")
    assert (shown.code, shown.out) == (2, "")
    assert says in shown.complaint
    assert {path: path.read_bytes() for path in stored.rglob("*") if path.is_file()} == before


def test_a_start_between_other_points_is_one_line(stored: Path, run: Run) -> None:
    shown = run("analyze", "a.pt", "b.pt", *RECIPE, "--plugin", "neb", *STRING, "--neb.start", "stored")
    assert (shown.code, shown.out) == (2, "")
    assert "stored holds no path between a and b. It holds neb " in shown.complaint


def test_a_start_needs_a_finder_that_takes_one(stored: Path, run: Run) -> None:
    shown = run(*BROWN, "--neb.finder", "linear", "--neb.start", "stored")
    assert shown.code == 2
    assert "--neb.start" in shown.complaint


@pytest.mark.parametrize("content", ["a: [1", "- a", ""])
def test_a_symmetry_file_that_is_none_is_one_line(nets: Path, run: Run, content: str) -> None:
    (nets / "s.yaml").write_text(content)
    words = ["analyze", "a.pt", "b.pt", *RECIPE, "--plugin", "neb", "--neb.finder", "linear"]
    shown = run(*words, "--neb.symmetry", "s.yaml")
    assert (shown.code, shown.out) == (2, "")
    assert "s.yaml" in shown.complaint
    assert run(*words, "--neb.symmetry", "none.yaml").code == 2


def test_a_folder_of_partners_gives_a_path_to_each(nets: Path, run: Run) -> None:
    torch.manual_seed(2)
    torch.save(Net().state_dict(), "c.pt")
    words = ["analyze", "a.pt", *RECIPE, "--plugin", "neb", "--neb.finder", "linear", "--neb.partner", "."]
    found = results(run(*words, "--out", "run", "--json"))
    pairs = [one["points"] for one in found if len(one["points"]) == 2]
    assert pairs == [["a", "b~partner"], ["a", "c~partner"]]
    assert [point["id"] for point in open_run("run").points] == ["a", "b~partner", "c~partner"]

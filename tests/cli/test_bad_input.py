"""Everything a user can get wrong: its exit code, one line that says what to type, and nothing stored lost."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch
from cli_nets import RECIPE, Net, Shown

import landscape.registry
from landscape.registry import collect

Run = Callable[..., Shown]
HESSIAN = ["--plugin", "hessian"]
NO_MODEL = RECIPE[2:]
NO_DATA = [*RECIPE[:2], *RECIPE[4:]]


class Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch ran",)


def _text(path: Path) -> None:
    path.write_text("these are not weights\n")


def _truncated(path: Path) -> None:
    torch.save(Net().state_dict(), path)
    path.write_bytes(path.read_bytes()[:700])


def _evil(path: Path) -> None:
    path.write_bytes(pickle.dumps(Evil()))


def _with_nan(path: Path) -> None:
    state = Net().state_dict()
    state["first.weight"][0, 0] = float("nan")
    torch.save(state, path)


def _other_keys(path: Path) -> None:
    torch.save({f"encoder.{name}": tensor for name, tensor in Net().state_dict().items() if "first" in name}, path)


def _wider(path: Path) -> None:
    torch.save(Net(width=9).state_dict(), path)


BAD_FILES: list[tuple[str, Callable[[Path], object] | None, int, str]] = [
    ("missing", None, 3, "no such file"),
    ("empty", Path.touch, 3, "is empty"),
    ("truncated zip", _truncated, 3, "truncated"),
    ("text", _text, 3, "not a checkpoint"),
    ("a pickle that would run code", _evil, 4, "--trust"),
    ("NaN weights", _with_nan, 3, "first.weight"),
    ("keys that do not match", _other_keys, 3, "last.weight"),
    ("another architecture", _wider, 3, "first"),
]


@pytest.mark.parametrize(
    ("write", "code", "says"), [case[1:] for case in BAD_FILES], ids=[case[0] for case in BAD_FILES]
)
def test_a_bad_file_alone(nets: Path, run: Run, write: Callable[[Path], object] | None, code: int, says: str) -> None:
    if write:
        write(nets / "bad.pt")
    shown = run("analyze", "bad.pt", *RECIPE, *HESSIAN)
    assert (shown.code, shown.out) == (code, "")
    assert says in shown.complaint
    assert not (nets / "ran").exists()
    assert not (nets / "runs").exists()


@pytest.mark.parametrize(
    ("write", "code", "says"), [case[1:] for case in BAD_FILES], ids=[case[0] for case in BAD_FILES]
)
def test_a_bad_file_as_the_second_of_a_pair(
    nets: Path, run: Run, write: Callable[[Path], object] | None, code: int, says: str
) -> None:
    if write:
        write(nets / "bad.pt")
    shown = run("analyze", "a.pt", "bad.pt", *RECIPE, "--plugin", "neb")
    assert shown.code == (code if code != 4 else 3)
    assert says in shown.complaint
    assert not (nets / "ran").exists()


def test_one_bad_file_among_many_is_left_out_and_named(nets: Path, run: Run) -> None:
    _text(nets / "bad.pt")
    shown = run("analyze", "a.pt", "bad.pt", "b.pt", *RECIPE, *HESSIAN, "--json")
    assert shown.code == 0
    assert "left out: bad.pt" in shown.err
    assert '"source": "bad.pt"' in shown.out
    strict = run("analyze", "a.pt", "bad.pt", "b.pt", *RECIPE, *HESSIAN, "--strict")
    assert strict.code == 3
    assert "bad.pt" in strict.complaint


def test_another_architecture_among_many_is_refused(nets: Path, run: Run) -> None:
    _wider(nets / "wide.pt")
    shown = run("analyze", "a.pt", "b.pt", "wide.pt", *RECIPE, *HESSIAN)
    assert shown.code == 3
    assert "wide.pt" in shown.complaint


CALLS: list[tuple[str, list[str], int, list[str]]] = [
    ("no model", ["a.pt", *NO_MODEL, *HESSIAN], 3, ["--model"]),
    ("no data", ["a.pt", *NO_DATA, *HESSIAN], 3, ["--data"]),
    ("no objective", ["a.pt", *RECIPE[:4], *HESSIAN], 3, ["--objective", "cross_entropy"]),
    ("a loss that is not finite", ["a.pt", *RECIPE, "--data.scale", ".nan", *HESSIAN], 3, ["nan", "data"]),
    ("dropout left on", ["a.pt", *RECIPE, "--model", "cli_nets:Noisy", *HESSIAN], 3, ["dropout"]),
    ("a model that exits", ["a.pt", *RECIPE, "--model", "cli_nets:Exiting", *HESSIAN], 3, ["SystemExit"]),
    ("nothing to train", ["a.pt", *RECIPE, "--model", "cli_nets:Frozen", *HESSIAN], 3, ["requires_grad"]),
    ("a seed out of range", ["a.pt", *RECIPE, "--seed", "99999999999999999999", *HESSIAN], 2, ["seed"]),
    ("a device without numbers", ["zoo:mueller-brown", "--device", "meta", *HESSIAN], 2, ["cpu"]),
    ("data that do not fit", ["a.pt", *RECIPE, "--data", "cli_nets:narrow_data", *HESSIAN], 3, ["--data", "shapes"]),
    ("a loss without weight", ["a.pt", *RECIPE, "--objective", "cli_nets:no_objective", *HESSIAN], 3, ["weight"]),
    ("an unknown plugin", ["a.pt", *RECIPE, "--plugin", "hesian"], 2, ["Did you mean 'hessian'"]),
    ("no plugin", ["a.pt", *RECIPE], 2, ["--plugin"]),
    ("an unknown option", ["a.pt", *RECIPE, *HESSIAN, "--hessian.tap", "3"], 2, ["Did you mean '--hessian.top'"]),
    ("an option cut short", ["a.pt", *RECIPE, *HESSIAN, "--hessian.to", "3"], 2, ["Did you mean '--hessian.top'"]),
    ("an unknown flag", ["a.pt", *RECIPE, *HESSIAN, "--devise", "cpu"], 2, ["Did you mean '--device'"]),
    ("a wrong value", ["a.pt", *RECIPE, *HESSIAN, "--hessian.top", "many"], 2, ["hessian.top"]),
    ("a misspelt choice", ["a.pt", *RECIPE, *HESSIAN, "--hessian.matrix", "gnn"], 2, ["ggn'?", "remainder"]),
    ("a value out of range", ["a.pt", *RECIPE, *HESSIAN, "--hessian.top", "-1"], 2, ["0 or more"]),
    ("an option of another plugin", ["a.pt", *RECIPE, *HESSIAN, "--neb.climb", "true"], 2, ["--plugin neb"]),
    ("an unknown objective", ["a.pt", *RECIPE, "--objective", "crossentropy", *HESSIAN], 2, ["cross_entropy"]),
    ("an unknown finder", ["a.pt", "b.pt", *RECIPE, "--plugin", "neb", "--neb.finder", "autonab"], 2, ["'autoneb'"]),
    ("an unknown device", ["a.pt", *RECIPE, *HESSIAN, "--device", "cuda:77"], 2, ["cpu"]),
    ("a model argument that is wrong", ["a.pt", *RECIPE, "--model.width", "wide", *HESSIAN], 2, ["width"]),
    ("a model argument that is unknown", ["a.pt", *RECIPE, "--model.with", "5", *HESSIAN], 2, ["with"]),
    ("a model that is not there", ["a.pt", *RECIPE, "--model", "cli_nets:Nat", *HESSIAN], 2, ["Net"]),
    ("no checkpoint", [*RECIPE, *HESSIAN], 2, ["checkpoint"]),
    ("a config that is not there", ["a.pt", "--config", "none.yaml"], 2, ["none.yaml"]),
    ("zoo with files", ["zoo:mueller-brown", "a.pt", *HESSIAN], 2, ["zoo:"]),
    ("a misspelt zoo name", ["zoo:muller-brown", *HESSIAN], 2, ["Did you mean 'mueller-brown'"]),
    ("a misspelt zoo key", ["zoo:double-well?dims=3", *HESSIAN], 2, ["'dim'"]),
    ("an output that cannot be written", ["a.pt", *RECIPE, *HESSIAN, "--out", "a.pt/run"], 2, ["--out"]),
]


@pytest.mark.parametrize(("words", "code", "says"), [case[1:] for case in CALLS], ids=[case[0] for case in CALLS])
def test_a_bad_call(nets: Path, run: Run, words: list[str], code: int, says: list[str]) -> None:
    shown = run("analyze", *words)
    assert (shown.code, shown.out) == (code, "")
    assert all(word in shown.complaint for word in says), shown.complaint
    assert "Traceback" not in shown.err


def test_a_model_that_cannot_be_differentiated_twice_is_refused(nets: Path, run: Run) -> None:
    shown = run("analyze", "a.pt", *RECIPE, "--model", "cli_nets:Checkpointed", *HESSIAN, "--json")
    assert shown.code == 5
    assert "use_reentrant=False" in shown.complaint


def test_what_a_model_prints_is_no_result(nets: Path, run: Run) -> None:
    shown = run("analyze", "a.pt", *RECIPE, "--model", "cli_nets:Talkative", *HESSIAN, "--json")
    assert "hello from forward" in shown.err
    assert json.loads(shown.out)["failed"] == []


def test_nothing_stored_is_lost_by_a_bad_call(nets: Path, run: Run) -> None:
    assert run("analyze", "a.pt", *RECIPE, *HESSIAN, "--out", "kept").code == 0
    before = {path: path.read_bytes() for path in (nets / "kept").rglob("*") if path.is_file()}
    assert before
    for name, write, _, _ in BAD_FILES:
        bad = nets / f"{name}.pt"
        if write:
            write(bad)
        assert run("analyze", bad, *RECIPE, *HESSIAN, "--out", "kept").code in (3, 4)
    for _, words, code, _ in CALLS:
        if "--out" not in words:
            assert run("analyze", *words, "--out", "kept").code == code
    assert {path: path.read_bytes() for path in (nets / "kept").rglob("*") if path.is_file()} == before


def test_a_broken_third_party_plugin_is_reported_and_harms_no_other(
    nets: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (nets / "broken_plugin.py").write_text("raise RuntimeError('built for another version')\n")
    monkeypatch.syspath_prepend(nets)
    points = [EntryPoint(name, value, landscape.registry.GROUP) for name, value in (
        ("broken", "broken_plugin"), ("hessian", "landscape_hessian.hooks"), ("empty", "json"),
        ("again", "landscape_hessian.hooks"),
    )]  # fmt: skip
    found = collect(points)
    assert list(found.analyses) == ["hessian"]
    assert [plugin.entry_point for plugin in found.broken] == ["broken", "empty", "again"]
    for module in ("landscape.cli.analyze", "landscape.cli.plugins"):
        monkeypatch.setattr(f"{module}.registry", lambda: found)
    listed = run("plugins")
    assert (listed.code, "RuntimeError: built for another version" in listed.out) == (0, True)
    assert run("analyze", "a.pt", *RECIPE, *HESSIAN).code == 0
    unknown = run("analyze", "a.pt", *RECIPE, "--plugin", "broken")
    assert unknown.code == 2
    assert "built for another version" in unknown.complaint

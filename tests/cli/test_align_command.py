"""`landscape align A B --out C`: what is written, what is shown, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cli_nets import RECIPE, Net, Shown
from safetensors.torch import load_file
from torch import Tensor, nn

import landscape
from landscape.checkpoints.files import read
from landscape.cli import main
from landscape.registry import registry

Run = Callable[..., Shown]


class Normed(nn.Module):
    """Batch norm, a frozen parameter and a tied one: more than coordinates."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.first = nn.Linear(3, width)
        self.norm = nn.BatchNorm1d(width)
        self.second = nn.Linear(width, 7)
        self.again = nn.Linear(7, 7, bias=False)
        self.once_more = nn.Linear(7, 7, bias=False)
        self.once_more.weight = self.again.weight
        self.last = nn.Linear(7, 2)
        self.last.bias.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.second(torch.relu(self.norm(self.first(x)))))
        return self.last(torch.tanh(self.once_more(torch.tanh(self.again(hidden)))))


NORMED = ["--model", "test_align_command:Normed", *RECIPE[2:]]


def seen(seed: int, **options: Any) -> Normed:
    """A net whose statistics have seen data."""
    torch.manual_seed(seed)
    model = Normed(**options)
    for _ in range(4):
        model(2 * torch.randn(16, 3) + 1)
    return model.eval()


@pytest.fixture
def normed(nets: Path) -> Path:
    """a.pt and its copy with the first hidden units in another order, b.pt."""
    model = seen(0)
    torch.save({"state_dict": model.state_dict(), "step": 40}, "a.pt")
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    state = model.state_dict()
    moved = {
        name: tensor[order] for name, tensor in state.items() if name.startswith(("first.", "norm.")) and tensor.ndim
    }
    moved["second.weight"] = state["second.weight"][:, order]
    torch.save({"state_dict": state | moved, "step": 50}, "b.pt")
    return nets


def document(shown: Shown) -> dict[str, Any]:
    assert shown.code == 0, shown.err
    return json.loads(shown.out)


def state_in(path: str) -> dict[str, Tensor]:
    return load_file(path) if path.endswith(".safetensors") else torch.load(path, weights_only=True)["state_dict"]


@pytest.mark.parametrize("out", ["c.pt", "new/folder/c.safetensors"])
@pytest.mark.parametrize("method", ["weights", "activations"])
def test_a_permuted_copy_comes_back_to_its_place(normed: Path, run: Run, out: str, method: str) -> None:
    shown = document(run("align", "a.pt", "b.pt", *NORMED, "--out", out, "--method", method, "--json"))
    assert shown["distance"] > 0.1
    assert shown["distance_aligned"] == pytest.approx(0, abs=1e-6)
    assert shown["barrier_linear_aligned"] == pytest.approx(0, abs=1e-6)
    assert {group["name"]: group["units"] for group in shown["groups"]}["first"] == 6
    wanted, found = seen(0).state_dict(), state_in(out)
    assert set(found) == set(wanted)
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-6, atol=1e-6, msg=name)
    seen(1).load_state_dict(found)
    assert read(Path(out), registry().formats, trust=False).step == 50


def test_the_aligned_checkpoint_is_one_like_others(normed: Path, run: Run) -> None:
    torch.save(seen(1).state_dict(), "b.pt")
    shown = document(run("align", "a.pt", "b.pt", *NORMED, "--out", "c.pt", "--json"))
    assert 0 < shown["distance_aligned"] < shown["distance"]
    inspected = run("inspect", "c.pt", "--trust")
    assert "test_align_command:Normed" in inspected.out
    assert "loss 0." in inspected.out
    land, points = landscape.load("a.pt", "b.pt", "c.pt", model=Normed, data="cli_nets:data", objective="cross_entropy")
    losses = land.energies(torch.stack([point.vector for point in points])).tolist()
    assert losses[2] == pytest.approx(losses[1], rel=1e-6)
    distance = float((points[0].vector - points[2].vector).norm())
    assert distance == pytest.approx(shown["distance_aligned"], rel=1e-5)


def test_what_a_file_says_of_the_model_is_kept(nets: Path, run: Run) -> None:
    for seed, name in enumerate(("a.pt", "b.pt")):
        torch.manual_seed(seed)
        content = {
            "state_dict": Net(width=4).state_dict(), "pytorch-lightning_version": "2.6.6", "global_step": 7,
            "hyper_parameters": {"width": 4, "learning_rate": 0.1},
        }  # fmt: skip
        torch.save(content, name)
    assert run("align", "a.pt", "b.pt", *RECIPE, "--out", "c.pt").code == 0
    assert "cli_nets:Net(width=4)" in run("inspect", "c.pt", "--trust").out


def test_a_table_says_what_was_gained(normed: Path, run: Run) -> None:
    shown = run("align", "a.pt", "b.pt", *NORMED, "--out", "[bold]c.pt")
    assert shown.code == 0, shown.err
    assert shown.err.startswith("Normed ")
    assert "b aligned to a by weights" in shown.out
    assert "units exchanged: first (6" in shown.out
    assert "written to [bold]c.pt" in shown.out


def test_groups_may_be_written_by_hand(normed: Path, run: Run) -> None:
    axes = [
        "first.weight:0",
        "first.bias:0",
        "norm.weight:0",
        "norm.bias:0",
        "norm.running_mean:0",
        "norm.running_var:0",
    ]
    groups = [{"name": "hidden", "axes": [*axes, "second.weight:1"]}]
    (normed / "spec.yaml").write_text(json.dumps({"groups": groups}))
    shown = document(run("align", "a.pt", "b.pt", *NORMED, "--out", "c.pt", "--symmetry", "spec.yaml", "--json"))
    assert [(group["name"], group["units"]) for group in shown["groups"]] == [("hidden", 6)]
    assert shown["distance_aligned"] == pytest.approx(0, abs=1e-6)
    groups[0]["axes"] = axes
    (normed / "spec.yaml").write_text(json.dumps({"groups": groups}))
    wrong = run("align", "a.pt", "b.pt", *NORMED, "--out", "d.pt", "--symmetry", "spec.yaml")
    assert wrong.code == 2
    assert "hidden" in wrong.complaint
    assert not (normed / "d.pt").exists()


def test_an_older_file_is_replaced_and_the_two_themselves_are_not(normed: Path, run: Run) -> None:
    (normed / "c.pt").write_text("old")
    assert run("align", "a.pt", "b.pt", *NORMED, "--out", "c.pt").code == 0
    assert (normed / "c.pt").stat().st_size > 1000
    (normed / "link.pt").symlink_to("b.pt")
    before = (normed / "b.pt").read_bytes()
    for out in ("b.pt", "./b.pt", "link.pt", normed / "a.pt"):
        shown = run("align", "a.pt", "b.pt", *NORMED, "--out", out)
        assert (shown.code, shown.out) == (2, "")
        assert "is not overwritten: choose another path" in shown.complaint
    assert (normed / "b.pt").read_bytes() == before
    assert sorted(path.name for path in normed.iterdir()) == ["a.pt", "b.pt", "c.pt", "link.pt"]


def _wider(folder: Path) -> None:
    torch.save(Net(width=9).state_dict(), folder / "b.pt")


def _text(folder: Path) -> None:
    (folder / "b.pt").write_text("no weights")


def _spec(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "s.yaml").write_text(text)


def _nothing(folder: Path) -> None:
    pass


C = ["--out", "c.pt"]
BOTH = ["a.pt", "b.pt", *RECIPE]
OTHER = "groups: [{name: h, axes: ['0.weight:0']}]"
BAD: dict[str, tuple[Callable[[Path], object], list[str], int, str]] = {
    "another architecture": (_wider, [*BOTH, *C], 3, "first"),
    "no checkpoint": (_text, [*BOTH, *C], 3, "not a checkpoint"),
    "a missing file": (_nothing, ["a.pt", "none.pt", *RECIPE, *C], 3, "no such file"),
    "one checkpoint": (_nothing, ["a.pt", *RECIPE, *C], 2, "two checkpoints, the call names 1"),
    "three checkpoints": (_nothing, ["a.pt", "b.pt", "a.pt", *RECIPE, *C], 2, "the call names 3: a, b, a#2"),
    "a folder of many": (_nothing, ["a.pt", ".", *RECIPE, *C], 2, "the call names 3"),
    "a formula": (_nothing, ["zoo:mueller-brown", *C], 2, "formula without units"),
    "a formula and a file": (_nothing, ["zoo:mueller-brown", "a.pt", *C], 2, "zoo:"),
    "nowhere to write": (_nothing, BOTH, 2, "--out FILE"),
    "a folder to write": (_nothing, [*BOTH, "--out", "."], 2, "is a folder; name a file in it"),
    "below a file": (_nothing, [*BOTH, "--out", "a.pt/c.pt"], 2, "cannot be written"),
    "no model": (_nothing, ["a.pt", "b.pt", *RECIPE[2:], *C], 3, "--model"),
    "a plugin": (_nothing, [*BOTH, *C, "--plugin", "neb"], 2, "runs no plugin"),
    "a misspelt method": (_nothing, [*BOTH, *C, "--method", "weight"], 2, "Did you mean 'weights'"),
    "a spec that is not there": (_nothing, [*BOTH, *C, "--symmetry", "s.yaml"], 2, "s.yaml cannot be read"),
    "a spec that is not YAML": (_spec("a: [1"), [*BOTH, *C, "--symmetry", "s.yaml"], 2, "neither YAML nor JSON"),
    "a spec that is a list": (_spec("- a"), [*BOTH, *C, "--symmetry", "s.yaml"], 2, "wanted a mapping"),
    "a spec of another net": (_spec(OTHER), [*BOTH, *C, "--symmetry", "s.yaml"], 2, "0.weight"),
    "no hidden units": (_nothing, [*BOTH, "--model", "test_align_command:Line", *C], 3, "has unknown"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_call_is_one_line_and_writes_nothing(nets: Path, run: Run, name: str) -> None:
    prepare, words, code, says = BAD[name]
    prepare(nets)
    before = {path: path.read_bytes() for path in nets.iterdir()}
    shown = run("align", *words)
    assert (shown.code, shown.out) == (code, ""), shown.err
    assert says in shown.complaint
    assert {path: path.read_bytes() for path in nets.iterdir()} == before


def test_a_crash_while_writing_keeps_the_old_file(nets: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (nets / "c.pt").write_text("old")

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", full)
    shown = run("align", *BOTH, *C)
    assert shown.code == 2
    assert "c.pt: cannot be written (disk full)" in shown.complaint
    assert (nets / "c.pt").read_text() == "old"
    assert sorted(path.name for path in nets.iterdir()) == ["a.pt", "b.pt", "c.pt"]


class Line(nn.Module):
    """No units between input and output."""

    def __init__(self) -> None:
        super().__init__()
        self.only = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.only(x)


def test_a_net_without_units_is_told_what_to_do(nets: Path, run: Run) -> None:
    for seed, name in enumerate(("a.pt", "b.pt")):
        torch.manual_seed(seed)
        torch.save(Line().state_dict(), name)
    shown = run("align", *BOTH, "--model", "test_align_command:Line", *C)
    assert (shown.code, shown.out) == (5, "")
    assert "no units that can be exchanged were found" in shown.complaint
    assert "--symmetry FILE" in shown.complaint
    assert not (nets / "c.pt").exists()


def test_help_names_the_flags(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["align", "--help"])
    shown = capsys.readouterr().out
    assert all(flag in shown for flag in ("--out", "--method", "--symmetry", "--json", "--model", "--trust"))

"""The three lines of a notebook, with import strings, objects and live modules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import landscape
from landscape.errors import CheckpointError, UsageError
from landscape.landscapes.network import NetworkLandscape


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def data() -> tuple[Tensor, Tensor]:
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    return x, (x.sum(1) > 0).long()


def summed(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
    return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="sum"), len(batch[1])


@pytest.fixture
def states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Tensor]]:
    monkeypatch.chdir(tmp_path)
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        found.append(net().state_dict())
    return found


WRITERS: dict[str, Callable[[dict[str, Tensor], str], None]] = {
    "state dict": lambda state, name: torch.save(state, name),
    "DDP": lambda state, name: torch.save({"model": {f"module.{n}": t for n, t in state.items()}}, name),
    "safetensors": lambda state, name: save_file(state, name),
    "Lightning": lambda state, name: torch.save(
        {"state_dict": {f"net.{n}": t for n, t in state.items()}, "pytorch-lightning_version": "2.6.6"}, name
    ),
}


def test_containers_give_the_same_hashes_and_numbers(states: list[dict[str, Tensor]]) -> None:
    seen = []
    for write in WRITERS.values():
        for name, state in zip(("a.ckpt", "b.ckpt"), states, strict=True):
            write(state, name)
        scape, points = landscape.load("a.ckpt", "b.ckpt", model=net, data=data, objective="cross_entropy")
        result = landscape.analyze(scape, points, "neb", max_gradients=60, finder="linear")[0]
        seen.append(([point.hash for point in points], dict(result.summary)))
    assert all(one == seen[0] for one in seen)


GIVEN: dict[str, dict[str, Any]] = {
    "tensors and a name": {"data": data(), "objective": "cross_entropy"},
    "a function of each": {"data": data, "objective": summed},
    "a Dataset": {"data": TensorDataset(*data()), "objective": "cross_entropy"},
    "a DataLoader": {"data": DataLoader(TensorDataset(*data()), batch_size=7), "objective": summed},
    "a dictionary": {"data": dict(zip(("inputs", "labels"), data(), strict=True)), "objective": "cross_entropy"},
}


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
def test_live_modules_and_live_data_are_welcome(states: list[dict[str, Tensor]], given: dict[str, Any]) -> None:
    first, second = net(), net()
    first.load_state_dict(states[0])
    second.load_state_dict(states[1])
    scape, points = landscape.load(first, second, **given)
    expected = [float(summed(module, data())[0].detach()) / 20 for module in (first, second)]
    torch.testing.assert_close(
        scape.energies(torch.stack([p.vector for p in points])).tolist(), expected, rtol=1e-6, atol=0
    )
    assert [point.id for point in points] == ["Sequential", "Sequential#2"]


def test_points_come_in_the_order_in_which_they_were_named(states: list[dict[str, Tensor]]) -> None:
    torch.save(states[0], "a.ckpt")
    torch.save(states[1], "b.ckpt")
    _, points = landscape.load("b.ckpt", net(), "a.ckpt", data=data, objective="cross_entropy")
    assert [point.id for point in points] == ["b", "Sequential", "a"]
    _, points = landscape.load("a.ckpt", "b.ckpt", "a.ckpt", model=net, data=data, objective="cross_entropy")
    assert [point.id for point in points] == ["a", "b", "a#2"]


def test_three_lines(states: list[dict[str, Tensor]]) -> None:
    torch.save(states[0], "a.ckpt")
    torch.save(states[1], "b.ckpt")
    scape, points = landscape.load("a.ckpt", "b.ckpt", model=net, data=data, objective="cross_entropy", dtype="float64")
    results = landscape.analyze(scape, points, "hessian", top=2, bottom=1)
    assert [result.points for result in results] == [("a",), ("b",), ("a", "b")]
    assert isinstance(scape, NetworkLandscape)
    assert scape.dtype == torch.float64
    assert results[0].summary["eigenvalue_max"] == results[0].data["eigenvalue_top"].values[0]
    assert results[0].converged
    assert results[0].cost.hvps > 0
    assert {"eigenvalues", "density"} <= set(results[0].plot())
    assert not list(Path.cwd().glob("runs*"))


def test_out_keeps_and_the_next_call_takes_from_it(states: list[dict[str, Tensor]]) -> None:
    scape, points = landscape.load(net(), data=data, objective="cross_entropy")
    first = landscape.analyze(scape, points, "hessian", out="kept")
    work = scape.work.hvps
    again = landscape.analyze(scape, points, "hessian", out="kept")
    assert scape.work.hvps == work
    assert again[0].summary == first[0].summary
    assert landscape.open_run("kept").results[0].summary == first[0].summary


def test_a_mistake_is_one_clear_error(states: list[dict[str, Tensor]]) -> None:
    scape, points = landscape.load(net(), data=data, objective="cross_entropy")
    with pytest.raises(UsageError, match="Did you mean 'hessian'"):
        landscape.analyze(scape, points, "hesian")
    with pytest.raises(UsageError, match="one analysis a call"):
        landscape.analyze(scape, points, ["hessian"])  # type: ignore[arg-type]
    assert len(landscape.analyze(scape, points[0], "hessian", top=1, probes=0)) == 1  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="Did you mean 'top'"):
        landscape.analyze(scape, points, "hessian", tpo=3)
    with pytest.raises(UsageError, match="Take recalibrate or frozen"):
        landscape.load(net(), data=data, objective="cross_entropy", bn="frosen")
    with pytest.raises(CheckpointError, match="--data"):
        landscape.load(net(), objective="cross_entropy")
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        landscape.lod("a.ckpt")

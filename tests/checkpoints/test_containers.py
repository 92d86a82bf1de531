"""Whatever container the weights come in, the tensors and the content hash are the same."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import checkpoint_nets as nets
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

import landscape.saving
from landscape.analysis import Source
from landscape.checkpoints.checkpoint import Checkpoint
from landscape.checkpoints.files import read
from landscape.checkpoints.matching import match
from landscape.errors import CheckpointError
from landscape.parameters import content_hash

FORMATS = [
    Source(n, n, f"landscape.checkpoints.{m}:open_file", f"landscape.checkpoints.{m}:recognise")
    for n, m in [
        ("programs", "programs"),
        ("Lightning", "lightning_files"),
        ("safetensors", "safetensors_files"),
        ("torch", "torch_files"),
    ]
]


def opened(path: Path, trust: bool = False) -> Checkpoint:
    return read(path, FORMATS, trust=trust)


def net() -> nets.Net:
    torch.manual_seed(3)
    model = nets.Net()
    model(torch.randn(8, 3))  # moves the batch-norm statistics
    return model


def prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


STATE = net().state_dict()
OPTIMIZER = torch.optim.Adam(net().parameters()).state_dict()
WRAPPED: dict[str, Any] = {
    "plain": STATE,
    "model_state_dict": {"model_state_dict": STATE, "optimizer_state_dict": OPTIMIZER, "epoch": 3},
    "state_dict": {"state_dict": STATE},
    "model": {"model": STATE, "ema": STATE, "step": 7},
    "unknown key": {"weights_of_the_net": STATE, "lr": 0.1},
    "ddp": prefixed(STATE, "module."),
    "compiled": prefixed(STATE, "_orig_mod."),
    "both": {"state_dict": prefixed(STATE, "module._orig_mod.")},
    "part of a module": prefixed(STATE, "model."),
    "deep": prefixed(STATE, "module.model.net."),
    "compiled inside": {k.replace("first.", "first._orig_mod."): t for k, t in STATE.items()},
    "averaged": AveragedModel(net()).state_dict(),
    "numpy and arguments": {"model": STATE, "args": argparse.Namespace(lr=np.float64(0.1)), "loss": np.arange(3.0)},
}


CASES = [(name, kind) for name in WRAPPED for kind in ("zip", "old pickle")]
CASES += [(name, "safetensors") for name, content in WRAPPED.items() if all(map(torch.is_tensor, content.values()))]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_containers_agree(name: str, kind: str, tmp_path: Path) -> None:
    content, path = WRAPPED[name], tmp_path / "a.file"
    if kind == "safetensors":
        save_file({k: t.clone() for k, t in content.items()}, path)
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    parameters, buffers = match(opened(path), nets.Net())
    reference = net()
    assert set(parameters) == {n for n, p in reference.named_parameters() if p.requires_grad}
    assert set(buffers) == set(STATE) - set(parameters)
    assert "last.bias" in buffers
    assert "norm.running_mean" in buffers
    assert content_hash({**parameters, **buffers}) == content_hash(STATE)
    for key, tensor in {**parameters, **buffers}.items():
        torch.testing.assert_close(tensor, STATE[key], rtol=0, atol=0)


def test_a_wrapping_model_takes_a_bare_file(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "a.pt")
    parameters, buffers = match(opened(tmp_path / "a.pt"), nets.Lit())
    assert content_hash({**parameters, **buffers}) == content_hash(prefixed(STATE, "net."))


def test_steps_and_containers_are_told(tmp_path: Path) -> None:
    torch.save(WRAPPED["model"], tmp_path / "a.pt")
    checkpoint = opened(tmp_path / "a.pt")
    assert (checkpoint.step, checkpoint.container) == (7, "state dict under 'model'")


@pytest.mark.parametrize("missing", ["encoder.weight", "decoder.weight", None])
def test_one_name_of_tied_weights_is_enough(missing: str | None, tmp_path: Path) -> None:
    model = nets.Tied()
    torch.save({k: t for k, t in model.state_dict().items() if k != missing}, tmp_path / "a.pt")
    parameters, buffers = match(opened(tmp_path / "a.pt"), nets.Tied())
    assert list(parameters) == ["encoder.weight"]
    assert not buffers
    assert torch.equal(parameters["encoder.weight"], model.encoder.weight)


def test_half_precision_stays(tmp_path: Path) -> None:
    torch.save({k: t.bfloat16() if t.is_floating_point() else t for k, t in STATE.items()}, tmp_path / "a.pt")
    assert match(opened(tmp_path / "a.pt"), nets.Net())[0]["first.weight"].dtype == torch.bfloat16


def changed(**changes: Tensor | None) -> dict[str, Tensor]:
    state = {**STATE, **{name.replace("__", "."): tensor for name, tensor in changes.items()}}
    return {name: tensor for name, tensor in state.items() if tensor is not None}


MISMATCHES = {
    "missing": (changed(first__weight=None), r"lacks 'first.weight'; "),
    "unexpected": (changed(extra=torch.ones(1)), r"has unknown 'extra'; "),
    "many": ({f"layer{i}.w": torch.ones(1) for i in range(9)}, r"lacks .* and 6 more; has unknown .* and 6 more; "),
    "shape": (changed(first__weight=torch.ones(9, 3)), r"'first.weight' has shape \(9, 3\), the model has \(4, 3\)"),
    "nan": (changed(last__weight=torch.full((2, 4), torch.nan)), r"'last.weight' holds NaN"),
    "integers": (changed(last__weight=torch.ones(2, 4, dtype=torch.int8)), r"'last.weight' is stored as torch.int8"),
    "eight bits": (changed(last__weight=torch.ones(2, 4).to(torch.float8_e4m3fn)), r"stored as torch.float8_e4m3fn"),
    "no numbers": (changed(last__weight=torch.ones(2, 4, device="meta")), r"without its numbers \(device meta\)"),
    "infinite buffer": (changed(norm__running_var=torch.full((4,), torch.inf)), r"'norm.running_var' holds NaN or inf"),
}


@pytest.mark.parametrize("name", MISMATCHES)
def test_mismatches_are_refused(name: str, tmp_path: Path) -> None:
    state, message = MISMATCHES[name]
    torch.save(state, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=message) as caught:
        match(opened(tmp_path / "a.pt"), nets.Net())
    assert "\n" not in str(caught.value)
    assert "a.pt" in str(caught.value)


def test_tied_weights_that_differ_are_refused(tmp_path: Path) -> None:
    torch.save({"encoder.weight": torch.ones(3, 3), "decoder.weight": torch.zeros(3, 3)}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="ties differ"):
        match(opened(tmp_path / "a.pt"), nets.Tied())


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_save_embeds_a_recipe_that_rebuilds(name: str, tmp_path: Path) -> None:
    from landscape.checkpoints.building import build

    torch.manual_seed(0)
    model, path = nets.Net(width=6), tmp_path / "new" / name
    landscape.saving.save(
        path, model=model, model_args={"width": 6}, data=nets.Data, data_args={"samples": 9}, objective="mse", step=4
    )
    checkpoint = opened(path)
    assert checkpoint.step == 4
    assert checkpoint.recipe.objective is not None
    assert checkpoint.recipe.objective.class_path == "mse"
    assert checkpoint.recipe.model is not None
    assert checkpoint.recipe.data is not None
    again = build(checkpoint.recipe.model, trust=False)
    parameters, buffers = match(checkpoint, again)
    assert content_hash({**parameters, **buffers}) == content_hash(model.state_dict())
    assert build(checkpoint.recipe.data, trust=False).samples == 9
    assert [file.name for file in path.parent.iterdir()] == [name]


def test_save_verifies_the_recipe(tmp_path: Path) -> None:
    from landscape.errors import UsageError

    with pytest.raises(UsageError, match=r"'first.weight' of shape \(4, 3\), the model has \(6, 3\); pass model_args"):
        landscape.saving.save(tmp_path / "a.pt", model=nets.Net(width=6))
    with pytest.raises(UsageError, match=r"missing a required argument: 'depth'.*pass model_args"):
        landscape.saving.save(tmp_path / "a.pt", model=nets.WideNet(depth=2))
    with pytest.raises(UsageError, match=r"model_args: its arguments.activation is a builtin"):
        landscape.saving.save(tmp_path / "a.pt", model=nets.Net(), model_args={"activation": torch.tanh})
    assert not list(tmp_path.iterdir())


def test_whole_modules_need_trust(tmp_path: Path) -> None:
    from landscape.errors import TrustError

    torch.save(nn.Linear(2, 2), tmp_path / "a.pt")
    with pytest.raises(TrustError, match=r"torch\.nn\.modules\.linear\.Linear"):
        opened(tmp_path / "a.pt")
    checkpoint = opened(tmp_path / "a.pt", trust=True)
    assert checkpoint.recipe.model is not None
    assert set(match(checkpoint, checkpoint.recipe.model.live)[0]) == {"weight", "bias"}

"""What may be imported and called, with which arguments, and what is said when it may not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import checkpoint_nets as nets
import pytest
import torch

from landscape.checkpoints.building import build
from landscape.checkpoints.importing import locate
from landscape.checkpoints.recipe import Recipe, Spec
from landscape.checkpoints.yaml_recipes import working_folder_recipe
from landscape.errors import CheckpointError, TrustError, UsageError

LINEAR = {"class_path": "torch.nn.Linear", "init_args": {"in_features": 3, "out_features": "4"}}


def by_user(class_path: str, **init_args: Any) -> Spec:
    return Spec(class_path, init_args, "--model", by_user=True)


def by_file(class_path: str, **init_args: Any) -> Spec:
    return Spec(class_path, init_args, "config.yaml")


@pytest.mark.parametrize("path", ["checkpoint_nets:Net", "checkpoint_nets.Net", f"{nets.__file__}:Net"])
def test_arguments_are_typed_by_the_signature(path: str) -> None:
    net = build(by_user(path, width="8", activation="torch.nn.functional.gelu"), trust=False)
    assert net.first.weight.shape == (8, 3)
    assert net.activation is torch.nn.functional.gelu


def test_arguments_of_the_base_class_are_known() -> None:
    net = build(by_user("checkpoint_nets:WideNet", depth="2", width="5"), trust=False)
    assert (net.depth, net.first.out_features) == (2, 5)


def test_functions_are_called_and_objects_returned() -> None:
    assert build(by_user("checkpoint_nets:make_numbers", n="4"), trust=False) == [0, 1, 2, 3]
    module = torch.nn.Linear(2, 2)
    assert build(Spec.of(module, "model="), trust=False) is module
    assert build(Spec.of(nets.make_numbers, "data="), trust=False) == [0, 1, 2]
    assert locate(by_user("checkpoint_nets.make_numbers"), trust=False) is nets.make_numbers


def test_hyper_parameters_fill_in_what_the_signature_knows() -> None:
    net = build(by_user("checkpoint_nets:Net"), trust=False, hyper_parameters={"width": 7, "lr": 0.1})
    assert net.first.out_features == 7
    net = build(by_user("checkpoint_nets:Net", width="2"), trust=False, hyper_parameters={"width": 7})
    assert net.first.out_features == 2


USER_MISTAKES = {
    "module": ("checkpoint_net:Net", {}, "no module 'checkpoint_net'"),
    "submodule": ("torch.nnn:Linear", {}, "no module 'torch.nnn'"),
    "attribute": ("checkpoint_nets:Nett", {}, "has no 'Nett'. Did you mean 'Net'"),
    "no path": ("Net", {}, "'Net' is no import string; write pkg.mod:Name"),
    "file": ("nowhere/net.py:Net", {}, "there is no file nowhere/net.py"),
    "argument": ("checkpoint_nets:Net", {"widht": "3"}, "no argument 'widht'. Did you mean 'width'"),
    "inherited argument": ("checkpoint_nets:WideNet", {"depth": 1, "widht": 3}, "Did you mean 'width'"),
    "type": ("checkpoint_nets:Net", {"width": "wide"}, "key \"width\": Expected a <class 'int'>. Got value: wide"),
    "missing": (
        "checkpoint_nets:WideNet",
        {},
        "missing a required argument: 'depth'; it takes depth, width, activation",
    ),
    "value": ("checkpoint_nets:Net", {"width": "-3"}, "failed with RuntimeError: "),
    "exit": ("sys:exit", {}, "failed with SystemExit"),
}


@pytest.mark.parametrize("name", USER_MISTAKES)
def test_mistakes_are_told_in_one_line(name: str) -> None:
    path, arguments, message = USER_MISTAKES[name]
    for spec, trust, kind in (
        (by_user(path, **arguments), False, UsageError),
        (by_file(path, **arguments), True, CheckpointError),
    ):
        with pytest.raises(kind) as caught:
            build(spec, trust=trust)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith(spec.named_by)


UNTRUSTED = {
    "shell": ("os.system", {"command": "touch ran"}),
    "shell through another module": ("torch.os.system", {"command": "touch ran"}),
    "builtin": ("builtins.eval", {"source": "open('ran', 'w')"}),
    "function": ("checkpoint_nets.make_numbers", {}),
    "class of another kind": ("torch.optim.SGD", {"params": []}),
    "script": (f"{nets.__file__}:Net", {}),
    "standard library": ("antigravity.fly", {}),
    "main": ("__main__.Net", {}),
    "callable argument": ("checkpoint_nets.Net", {"activation": "os.system"}),
    "nested class": ("torch.nn.Sequential", {"x": {"class_path": "os.system", "init_args": {"command": "touch ran"}}}),
    "nested class in a list": ("checkpoint_nets.Net", {"width": [{"class_path": "os.system"}]}),
    "nested class as text": ("checkpoint_nets.Net", {"width": '{"class_path": "os.system"}'}),
    "nested class by dots": ("checkpoint_nets.Net", {"activation.class_path": "os.system"}),
    "deeply nested": (
        "checkpoint_nets.WideNet",
        {"depth": {"class_path": "checkpoint_nets.Net", "init_args": {"activation": "os.system"}}},
    ),
}


@pytest.mark.parametrize("name", UNTRUSTED)
def test_what_a_file_names_needs_trust(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path, arguments = UNTRUSTED[name]
    with pytest.raises(TrustError, match="add --trust") as caught:
        build(by_file(path, **arguments), trust=False)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()
    assert "antigravity" not in sys.modules


def test_hyper_parameters_from_a_file_need_trust_too() -> None:
    with pytest.raises(TrustError, match="argument 'activation'"):
        build(by_user("checkpoint_nets:Net"), trust=False, hyper_parameters={"activation": "os.system"})


@pytest.mark.parametrize("kind", ["Net", "Lit", "Data", "Noisy"])
def test_models_and_data_that_a_file_names_are_built(kind: str) -> None:
    assert isinstance(build(by_file(f"checkpoint_nets.{kind}"), trust=False), getattr(nets, kind))


def test_nested_models_are_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nested_model.py").write_text(
        "import torch\nclass Outer(torch.nn.Module):\n"
        "    def __init__(self, inner: torch.nn.Module):\n        super().__init__()\n        self.inner = inner\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    arguments = {**LINEAR, "init_args": {"in_features": 3, "out_features": 4}}
    assert build(by_file("nested_model.Outer", inner=arguments), trust=False).inner.out_features == 4
    assert build(by_user("nested_model.Outer", inner=LINEAR), trust=False).inner.out_features == 4


def test_the_working_folder_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('shadowed')")
    (tmp_path / "in_working_folder.py").write_text("import json\nvalue = json.dumps(3)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert build(by_user("in_working_folder:value"), trust=False) == "3"
    assert sys.path[-1] == str(tmp_path)


def test_a_script_that_fails_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("raise ValueError('two\\nlines')")
    with pytest.raises(UsageError, match=r"importing broken.py failed: ValueError: two lines"):
        locate(by_user(f"{tmp_path / 'broken.py'}:Net"), trust=False)


def test_recipes_are_completed_part_by_part() -> None:
    first, second = Recipe(model=by_user("a.B")), Recipe(model=by_file("c.D"), data=by_file("e.F"))
    joined = first.or_else(second)
    assert (joined.model, joined.data, joined.objective) == (first.model, second.data, None)
    again = Recipe.from_plain(joined.to_plain(), "a file")
    assert again.to_plain() == {
        "model": {"class_path": "a.B", "init_args": {}},
        "data": {"class_path": "e.F", "init_args": {}},
    }
    assert again.model is not None
    assert not again.model.by_user


def test_landscape_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert working_folder_recipe().model is None
    (tmp_path / "landscape.yaml").write_text("model: a.B\ndata: {class_path: c.D, init_args: {n: 3}}\n")
    recipe = working_folder_recipe()
    assert recipe.to_plain()["data"] == {"class_path": "c.D", "init_args": {"n": 3}}
    (tmp_path / "landscape.yaml").write_text("model: [")
    with pytest.raises(CheckpointError, match=r"landscape.yaml: not readable as YAML"):
        working_folder_recipe()

"""Lightning checkpoints, with what their hyperparameters and LightningCLI's ``config.yaml`` say of model and data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from torch import Tensor

from landscape.checkpoints.checkpoint import Checkpoint
from landscape.checkpoints.pickles import load, pickled_text
from landscape.checkpoints.recipe import Recipe, Spec
from landscape.checkpoints.torch_files import embedded_recipe
from landscape.checkpoints.torch_files import recognise as is_torch_file
from landscape.checkpoints.yaml_recipes import command_line_config
from landscape.errors import CheckpointError

__all__ = ["noted_arguments", "open_file", "recognise"]


def recognise(path: Path) -> bool:
    """Whether a torch file names Lightning's version in its pickle."""
    return is_torch_file(path) and b"pytorch-lightning_version" in pickled_text(path)


def open_file(path: Path, *, trust: bool) -> Checkpoint:
    """The module's tensors, its step, and its recipe: embedded, by ``_class_path`` entries, or by ``config.yaml``."""
    content = load(path, trust=trust)
    tensors = content.get("state_dict") if isinstance(content, Mapping) else None
    if not isinstance(tensors, Mapping) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise CheckpointError(f"{path}: a Lightning checkpoint without a state dict; save it with the model's weights")
    config = command_line_config(path)
    own = Recipe(
        _class_path(content, "hyper_parameters", path), _class_path(content, "datamodule_hyper_parameters", path)
    )
    recipe = embedded_recipe(content, path).or_else(own).or_else(config.recipe)
    step = content.get("global_step")
    hyper_parameters = _hyper_parameters(content) or config.hyper_parameters
    return Checkpoint(
        tensors, path, "Lightning checkpoint", recipe, step if type(step) is int else None, hyper_parameters
    )


def _class_path(content: Mapping[str, Any], key: str, path: Path) -> Spec | None:
    """What LightningCLI in subclass mode notes: the class among its arguments."""
    noted = content.get(key)
    if not isinstance(noted, Mapping) or not isinstance(noted.get("_class_path"), str):
        return None
    return Spec(noted["_class_path"], noted_arguments(noted), named_by=f"{key} in {path}")


def noted_arguments(noted: Mapping[str, Any]) -> dict[str, Any]:
    """Constructor arguments among noted hyperparameters: all but LightningCLI's own entries."""
    return {name: value for name, value in noted.items() if name not in ("_class_path", "_instantiator")}


def _hyper_parameters(content: Mapping[str, Any]) -> dict[str, Any]:
    """Constructor arguments; where the module takes them all as one object, that object under its name."""
    noted = content.get("hyper_parameters")
    arguments = noted_arguments(noted) if isinstance(noted, Mapping) else {}
    whole = content.get("hparams_name")
    if arguments and isinstance(whole, str) and whole != "kwargs":
        return {whole: SimpleNamespace(**arguments), **arguments}
    return arguments

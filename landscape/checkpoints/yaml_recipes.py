"""Recipes outside the checkpoint: LightningCLI's ``config.yaml`` and a ``landscape.yaml`` in the working folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from landscape.checkpoints.recipe import Recipe, Spec
from landscape.errors import CheckpointError, one_line

__all__ = ["Config", "command_line_config", "working_folder_recipe"]

_FOLDERS_ABOVE = 3


@dataclass(frozen=True, eq=False)
class Config:
    """What a ``config.yaml`` says: the classes it names, and the model's arguments where it names no class."""

    recipe: Recipe = field(default_factory=Recipe)
    hyper_parameters: Mapping[str, Any] = field(default_factory=dict)


def command_line_config(path: Path) -> Config:
    """The model and data keys of the nearest ``config.yaml``, up to three folders above a checkpoint.

    In LightningCLI's subclass mode they name classes; with a fixed class they are its bare arguments.
    """
    for folder in path.resolve().parents[:_FOLDERS_ABOVE]:
        file = folder / "config.yaml"
        if file.is_file():
            return _config(_read(file), str(file))
    return Config()


def _config(content: Mapping[str, Any], named_by: str) -> Config:
    parts = {name: content[name] for name in ("model", "data") if isinstance(content.get(name), Mapping)}
    specs = {name: Spec.from_plain(part, named_by) for name, part in parts.items() if "class_path" in part}
    bare = {} if "model" in specs else parts.get("model", {})
    return Config(Recipe(specs.get("model"), specs.get("data")), bare)


def working_folder_recipe() -> Recipe:
    """What ``landscape.yaml`` in the working folder names, if there is one."""
    file = Path.cwd() / "landscape.yaml"
    return Recipe.from_plain(_read(file), "landscape.yaml") if file.is_file() else Recipe()


def _read(file: Path) -> Mapping[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{file}: not readable as YAML ({one_line(error, 120)})") from None
    return content if isinstance(content, Mapping) else {}

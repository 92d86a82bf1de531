"""safetensors files: named tensors and a table of strings, no code."""

from __future__ import annotations

import json
from pathlib import Path

from landscape.checkpoints.checkpoint import Checkpoint
from landscape.checkpoints.recipe import Recipe
from landscape.errors import CheckpointError, one_line

__all__ = ["open_file", "recognise"]


def recognise(path: Path) -> bool:
    """Whether a file starts with the length of a JSON header and its opening brace, or is named so."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(9)
    return head[8:9] == b"{" or (path.suffix == ".safetensors" and len(head) > 0)


def open_file(path: Path, *, trust: bool) -> Checkpoint:
    """The tensors of a safetensors file, with the recipe and the step that ``landscape.save`` may have noted."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            note = json.loads((file.metadata() or {}).get("landscape", "{}"))
    except (SafetensorError, ValueError, OSError) as error:
        raise CheckpointError(f"{path}: not a whole safetensors file ({one_line(error, 100)}); copy it again") from None
    if not tensors:
        raise CheckpointError(f"{path}: holds no tensors; save model.state_dict()")
    if not isinstance(note, dict):
        raise CheckpointError(f"{path}: its landscape note is {note!r:.40}, wanted a mapping; save it again")
    recipe = Recipe.from_plain(note["recipe"], f"the recipe in {path}") if "recipe" in note else Recipe()
    return Checkpoint(tensors, path, "safetensors", recipe, note.get("step"))

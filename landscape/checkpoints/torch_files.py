"""What ``torch.save`` writes: state dicts, bare or under a key, and whole modules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from landscape.checkpoints.checkpoint import Checkpoint
from landscape.checkpoints.pickles import load
from landscape.checkpoints.recipe import Recipe, Spec
from landscape.errors import CheckpointError

__all__ = ["embedded_recipe", "open_file", "recognise"]

_KEYS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights", "params")
_STEPS = ("step", "global_step", "iteration", "iter")


def recognise(path: Path) -> bool:
    """Whether a file starts as a zip archive or a binary pickle does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        magic = file.read(2)
    return magic == b"PK" or (magic[:1] == b"\x80" and magic[1:] in (b"\x02", b"\x03", b"\x04", b"\x05"))


def open_file(path: Path, *, trust: bool) -> Checkpoint:
    """The tensors of a torch file, whatever they are wrapped in."""
    content = load(path, trust=trust)
    if isinstance(content, nn.Module):
        return _from_module(content, path)
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, not weights; save model.state_dict()")
    tensors, container = _find_tensors(content, path)
    return Checkpoint(tensors, path, container, embedded_recipe(content, path), _step(content))


def embedded_recipe(content: Mapping[Any, Any], path: Path) -> Recipe:
    """The recipe that ``landscape.save`` or the Lightning callback put beside the weights."""
    note = content.get("landscape")
    if not isinstance(note, Mapping) or "recipe" not in note:
        return Recipe()
    return Recipe.from_plain(note["recipe"], f"the recipe in {path}")


def _from_module(module: nn.Module, path: Path) -> Checkpoint:
    model = Spec(type(module).__qualname__, named_by=f"the module in {path}", live=module)
    return Checkpoint(module.state_dict(), path, f"whole pickled {type(module).__name__}", Recipe(model=model))


def _find_tensors(content: Mapping[Any, Any], path: Path) -> tuple[Mapping[str, Tensor], str]:
    if _is_state_dict(content):
        return content, "state dict"
    found = {key: part for key, part in content.items() if _is_state_dict(part) or isinstance(part, nn.Module)}
    known = [key for key in _KEYS if key in found]
    if not known and len(found) == 1:
        known = list(found)
    if known:
        part = found[known[0]]
        if isinstance(part, nn.Module):
            return part.state_dict(), f"whole pickled {type(part).__name__} under {known[0]!r}"
        return part, f"state dict under {known[0]!r}"
    loose = {key: part for key, part in content.items() if isinstance(key, str) and isinstance(part, Tensor)}
    if loose and not found:
        return loose, "state dict with other entries"
    kind = "several state dicts" if found else "no state dict"
    keys = ", ".join(repr(key) for key in list(found or content)[:5])
    raise CheckpointError(f"{path}: holds {kind} (keys {keys}); save the model's one under 'state_dict'")


def _is_state_dict(part: object) -> bool:
    return (
        isinstance(part, Mapping)
        and any(isinstance(value, Tensor) for value in part.values())
        and all(isinstance(key, str) for key in part)
        and all(isinstance(value, Tensor) or key.endswith("_extra_state") for key, value in part.items())
    )


def _step(content: Mapping[Any, Any]) -> int | None:
    steps = [content[key] for key in _STEPS if type(content.get(key)) is int]
    return steps[0] if steps else None

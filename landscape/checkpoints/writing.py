"""Weights with their recipe inside: naming what can be imported again, and writing the file."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from landscape.checkpoints.recipe import Recipe, Spec, plain_difference
from landscape.checkpoints.replacing import replaced
from landscape.errors import UsageError, one_line

__all__ = ["check_writable", "import_string", "missing_arguments", "spec_of", "write"]


def import_string(thing: Any) -> str:
    """The string that names a class or function again; ``FILE.py:Name`` for what a script defines."""
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        raise UsageError(f"a {type(thing).__name__} has no import string; pass 'pkg.mod:Name' or 'FILE.py:Name'")
    if "<" in name:
        raise UsageError(f"{name} is defined inside a function, where nothing can import it; move it to a module")
    file = getattr(sys.modules.get(module), "__file__", None)
    if module != "__main__" and not module.startswith("landscape_script_"):
        return f"{module}.{name}" if "." not in name else f"{module}:{name}"
    if file is None:
        raise UsageError(f"{name} is defined in a notebook or shell, where nothing can import it; move it to a file")
    path = Path(file).resolve()
    return f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}:{name}"


def spec_of(thing: Any, arguments: Mapping[str, Any] | None, named_by: str) -> Spec:
    """The spec of a class, function or import string with arguments that a file can keep."""
    arguments = dict(arguments or {})
    problem = plain_difference(arguments, "its arguments")
    if problem:
        raise UsageError(f"{named_by}: {problem}; a file keeps numbers, strings, lists and dicts: pass those")
    return Spec(thing if isinstance(thing, str) else import_string(thing), arguments, named_by, by_user=True)


def missing_arguments(kind: type, arguments: Mapping[str, Any]) -> list[str]:
    """Arguments that a class cannot be made without and that are not given."""
    parameters = inspect.signature(kind).parameters.values()
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return [p.name for p in named if p.default is p.empty and p.name not in arguments]


def check_writable(path: Path) -> None:
    """Refuse a place where ``write`` would fail, before the work for it is done."""
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; name a file in it")
    try:
        with replaced(path.with_name(f".{path.name}.writable")) as scratch:
            scratch.touch()
        path.with_name(f".{path.name}.writable").unlink()
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror or error}); choose another path") from None


def write(path: Path, tensors: Mapping[str, Tensor], recipe: Recipe, step: int | None) -> None:
    """Write a torch or a safetensors file, by its ending, whole or not at all."""
    kept = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    try:
        with replaced(path) as scratch:
            if path.suffix == ".safetensors":
                from safetensors.torch import save_file

                save_file(kept, scratch, {"landscape": json.dumps({"recipe": recipe.to_plain(), "step": step})})
            else:
                torch.save({"state_dict": kept, "landscape": {"recipe": recipe.to_plain()}, "step": step}, scratch)
    except (OSError, RuntimeError) as error:
        raise UsageError(f"{path}: cannot be written ({one_line(error, 120)}); choose another path") from None

"""What rebuilds a landscape around a file of weights: model, data and objective, as things to import and call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from landscape.errors import CheckpointError, UsageError

__all__ = ["PARTS", "Recipe", "Spec", "plain_difference"]

PARTS = ("model", "data", "objective")
_SCALARS = (bool, int, float, str, type(None))


@dataclass(frozen=True, eq=False)
class Spec:
    """What to import, and what to call it with.

    Attributes
    ----------
    class_path
        ``pkg.mod.Name``, ``pkg.mod:Name`` or ``FILE.py:Name``.
    init_args
        Arguments by name; values may still be strings, as flags give them.
    named_by
        Where this was found, in words: ``"--model"``, ``"the recipe in a.ckpt"``.
    by_user
        Whether the user typed it (it may run) or a file says so (it may run only as far as the trust rules allow).
    live
        The object itself, when there is nothing to import.
    """

    class_path: str
    init_args: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    named_by: str = ""
    by_user: bool = False
    live: Any = None

    @classmethod
    def of(cls, source: object, named_by: str) -> Spec:
        """The spec of what a user hands over in Python: an import string, or the object itself."""
        if isinstance(source, str):
            return cls(source, named_by=named_by, by_user=True)
        name = source.__qualname__ if isinstance(source, type) else type(source).__qualname__
        return cls(name, named_by=named_by, by_user=True, live=source)

    def in_words(self) -> str:
        """The spec in one phrase."""
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.init_args.items())
        return f"{self.class_path}({arguments})"

    def to_plain(self) -> dict[str, Any]:
        """The spec as strings, numbers, lists and dicts."""
        if self.live is not None:
            raise UsageError(f"{self.class_path} is an object in memory; a file can only keep what can be imported")
        return {"class_path": self.class_path, "init_args": dict(self.init_args)}

    @classmethod
    def from_plain(cls, plain: object, named_by: str, by_user: bool = False) -> Spec:
        """A spec from an import string or from a mapping with ``class_path`` and ``init_args``."""
        if isinstance(plain, str):
            return cls(plain, named_by=named_by, by_user=by_user)
        if isinstance(plain, Mapping) and isinstance(plain.get("class_path"), str):
            arguments = plain.get("init_args") or {}
            if isinstance(arguments, Mapping) and all(isinstance(name, str) for name in arguments):
                return cls(plain["class_path"], dict(arguments), named_by, by_user)
        raise CheckpointError(f"{named_by}: want an import string or class_path and init_args, got {plain!r:.80}")


@dataclass(frozen=True, eq=False)
class Recipe:
    """The specs of model, data and objective, as far as they are known."""

    model: Spec | None = None
    data: Spec | None = None
    objective: Spec | None = None

    def or_else(self, other: Recipe) -> Recipe:
        """This recipe with what it lacks taken from another, part by part."""
        return Recipe(self.model or other.model, self.data or other.data, self.objective or other.objective)

    def to_plain(self) -> dict[str, Any]:
        """The recipe as strings, numbers, lists and dicts, to be kept inside a file."""
        parts = {name: getattr(self, name) for name in PARTS}
        return {name: spec.to_plain() for name, spec in parts.items() if spec is not None}

    @classmethod
    def from_plain(cls, plain: object, named_by: str, by_user: bool = False) -> Recipe:
        """A recipe from what :meth:`to_plain` gave."""
        if not isinstance(plain, Mapping):
            raise CheckpointError(f"{named_by}: want a mapping with {', '.join(PARTS)}, got {type(plain).__name__}")
        found = {name: plain[name] for name in PARTS if plain.get(name) is not None}
        return cls(**{name: Spec.from_plain(part, named_by, by_user) for name, part in found.items()})


def plain_difference(value: object, name: str) -> str | None:
    """Where a value is not made of plain scalars, lists and string-keyed dicts, in words; None if it is."""
    if type(value) in _SCALARS:
        return None
    if isinstance(value, Mapping):
        if not all(type(key) is str for key in value):
            return f"{name} has keys that are not strings"
        inner = (plain_difference(part, f"{name}.{key}") for key, part in value.items())
        return next((difference for difference in inner if difference), None)
    if isinstance(value, list | tuple):
        inner = (plain_difference(part, f"{name}[{i}]") for i, part in enumerate(value))
        return next((difference for difference in inner if difference), None)
    return f"{name} is a {type(value).__name__}"

"""Which parameters a spectrum is of: all, those of each layer, or those with matching names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from landscape.errors import UsageError
from landscape.parameters import ParameterSpace

__all__ = ["Block", "choose_blocks", "layer_of"]

NAMED = re.compile(r"([\w.\-]+)=(.+)")


@dataclass(frozen=True)
class Block:
    """A diagonal block of a matrix over parameter space.

    Attributes
    ----------
    name
        What the output calls it.
    parameters
        The names of its parameters; None for all.
    """

    name: str
    parameters: tuple[str, ...] | None = None


def layer_of(parameter: str) -> str:
    """The name of the module that owns a parameter; the parameter's own where that is the model itself."""
    return parameter.rpartition(".")[0] or parameter


def choose_blocks(space: ParameterSpace, blocks: str) -> list[Block]:
    """The blocks that ``network``, ``layers``, a regular expression or ``NAME=REGEX;NAME=REGEX`` stand for.

    Raises
    ------
    UsageError
        If an expression is none, or matches no parameter.
    """
    if blocks == "network":
        return [Block("network")]
    if blocks == "layers":
        return _grouped(_held(space))
    parts = blocks.split(";")
    if all(NAMED.fullmatch(part) for part in parts):
        named = [part.partition("=")[::2] for part in parts]
        if len({name for name, _ in named}) < len(named):
            raise UsageError(f"--hessian.blocks {blocks}: a name is given twice")
        return [Block(name, _matching(space, expression)) for name, expression in named]
    return [Block(blocks, _matching(space, blocks))]


def _held(space: ParameterSpace) -> list[str]:
    """The parameters that have any coordinates."""
    return [name for name, size in zip(space.names, space.sizes, strict=True) if size]


def _grouped(names: Iterable[str]) -> list[Block]:
    layers: dict[str, list[str]] = {}
    for name in names:
        layers.setdefault(layer_of(name), []).append(name)
    return [Block(layer, tuple(members)) for layer, members in layers.items()]


def _matching(space: ParameterSpace, expression: str) -> tuple[str, ...]:
    try:
        found = tuple(name for name in _held(space) if re.search(expression, name))
    except re.error as error:
        raise UsageError(f"--hessian.blocks {expression!r} is no regular expression: {error}") from None
    if not found:
        some = ", ".join(space.names[:3])
        raise UsageError(
            f"--hessian.blocks {expression!r} matches no parameter; they are called {some} ... "
            "('network' and 'layers' need no expression)"
        )
    return found

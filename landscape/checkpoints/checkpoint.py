"""What a file of weights holds, before any model is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.checkpoints.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Checkpoint"]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Named tensors and what the file says of where they came from.

    Attributes
    ----------
    tensors
        On the CPU, under the file's own names, in the precision they are stored in.
    path
        The file or folder.
    container
        What it is, in words.
    recipe
        What the file, or a file beside it, names to rebuild the landscape.
    step
        The training step, where it is recorded.
    hyper_parameters
        Constructor arguments that are recorded without the class they belong to.
    """

    tensors: Mapping[str, Tensor]
    path: Path
    container: str
    recipe: Recipe = field(default_factory=Recipe)
    step: int | None = None
    hyper_parameters: Mapping[str, Any] = field(default_factory=dict)

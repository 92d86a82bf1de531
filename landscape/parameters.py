"""Parameter space and the points in it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["ParameterSpace", "Point", "content_hash"]


@dataclass(frozen=True)
class ParameterSpace:
    """R^P with names: how a model's trainable parameters lie in one flat vector.

    Buffers (batch-norm statistics, counters) are never coordinates.

    Attributes
    ----------
    names
        Parameter names in the model's own order.
    shapes
        The shape of each, in the same order.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, parameters: Iterable[tuple[str, Tensor]]) -> ParameterSpace:
        """The space of ``model.named_parameters()`` (trainable ones) or of any named tensors."""
        pairs = [(name, tuple(tensor.shape)) for name, tensor in parameters]
        return cls(tuple(name for name, _ in pairs), tuple(shape for _, shape in pairs))

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Number of coordinates of each parameter."""
        return tuple(prod(shape) for shape in self.shapes)

    @cached_property
    def dim(self) -> int:
        """P, the number of coordinates."""
        return sum(self.sizes)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of names and shapes."""
        return hashlib.sha256(repr((self.names, self.shapes)).encode()).hexdigest()

    def flatten(self, tensors: Mapping[str, Tensor]) -> Float[Tensor, " P"]:
        """One vector from named tensors, in this space's order."""
        return torch.cat([tensors[name].reshape(-1) for name in self.names])

    def unflatten(self, vectors: Float[Tensor, "*K P"]) -> dict[str, Tensor]:
        """Named tensors (views) from vectors; leading dimensions are kept."""
        parts = torch.split(vectors, list(self.sizes), dim=-1)
        lead = vectors.shape[:-1]
        return {n: part.reshape((*lead, *s)) for n, part, s in zip(self.names, parts, self.shapes, strict=True)}

    def restricted(self, names: Iterable[str]) -> ParameterSpace:
        """The space of some of the parameters, in this space's order.

        Raises
        ------
        ValueError
            If a name is none of this space's, or none is given.
        """
        wanted = set(names)
        unknown = wanted.difference(self.names)
        if unknown or not wanted:
            raise ValueError(f"{', '.join(sorted(unknown)) or 'no parameter'}: want some of {', '.join(self.names)}")
        kept = [(name, shape) for name, shape in zip(self.names, self.shapes, strict=True) if name in wanted]
        return ParameterSpace(tuple(name for name, _ in kept), tuple(shape for _, shape in kept))

    def difference(self, other: ParameterSpace) -> str | None:
        """The first way in which another space differs from this one, in words; None if it does not."""
        mine, theirs = (
            dict(zip(self.names, self.shapes, strict=True)),
            dict(zip(other.names, other.shapes, strict=True)),
        )
        for name, shape in mine.items():
            if name not in theirs:
                return f"{name!r} is missing"
            if theirs[name] != shape:
                return f"{name!r} has shape {theirs[name]} instead of {shape}"
        extra = [name for name in theirs if name not in mine]
        if extra:
            return f"{extra[0]!r} is new"
        return None if self.names == other.names else "the parameters come in another order"


def content_hash(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes, in the order of the names.

    The same tensors give the same hash whatever file or container they came in.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Point:
    """One place in parameter space.

    Attributes
    ----------
    vector
        Coordinates, shape ``(P,)``.
    id
        What the output calls it, unique in a call.
    buffers
        The model's buffers there (batch-norm statistics), by name.
    source
        Where it came from, in words or as a path.
    step
        The training step it was saved at, where that is known.
    hash
        Content hash; taken from ``vector`` and ``buffers`` unless given. A file's hash is that of its own
        tensors, whatever dtype the analysis runs in.
    """

    vector: Float[Tensor, " P"]
    id: str
    buffers: Mapping[str, Tensor] = field(default_factory=dict)
    source: str = ""
    step: int | None = None
    hash: str = ""

    def __post_init__(self) -> None:
        if not self.hash:
            object.__setattr__(self, "hash", content_hash({"": self.vector, **self.buffers}))

    def to(self, device: torch.device, dtype: torch.dtype) -> Point:
        """The same point elsewhere or in another precision, with the same hash."""
        buffers = {n: b.to(device, dtype if b.is_floating_point() else b.dtype) for n, b in self.buffers.items()}
        return replace(self, vector=self.vector.to(device, dtype), buffers=buffers)

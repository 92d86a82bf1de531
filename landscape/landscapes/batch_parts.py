"""The inside of a batch: tensors in tuples, lists, dicts and dataclasses."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.errors import CheckpointError

__all__ = ["fingerprint_of", "first_samples", "map_tensors", "num_samples"]


def num_samples(batch: Any) -> int:
    """The leading dimension of the first tensor in a batch."""
    for leaf in leaves(batch):
        if isinstance(leaf, Tensor) and leaf.ndim > 0:
            return len(leaf)
    raise CheckpointError(
        f"--data gives batches of type {type(batch).__name__} that hold no tensor; return tensors from it"
    )


def first_samples(batch: Any, size: int, keep: int) -> Any:
    """The first ``keep`` samples of a batch of ``size``."""
    if isinstance(batch, list) and len(batch) == size and not any(isinstance(part, Tensor) for part in batch):
        return batch[:keep]
    if isinstance(batch, Tensor):
        return batch[:keep] if batch.ndim > 0 and len(batch) == size else batch
    return _rebuilt(batch, lambda part: first_samples(part, size, keep))


def map_tensors(batch: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A batch with every tensor in it changed; numpy arrays become tensors."""
    if isinstance(batch, np.ndarray):
        batch = _tensor(batch)
    return change(batch) if isinstance(batch, Tensor) else _rebuilt(batch, lambda part: map_tensors(part, change))


def _tensor(array: np.ndarray) -> Tensor:
    if array.dtype.kind not in "biufc":
        raise CheckpointError(f"--data gives an array of {array.dtype}; want numbers")
    return torch.from_numpy(np.array(array, order="C"))


def _rebuilt(batch: Any, change: Callable[[Any], Any]) -> Any:
    """A container of the same kind with its parts changed; anything else as it is."""
    if isinstance(batch, Mapping):
        changed = {key: change(part) for key, part in batch.items()}
        return changed if type(batch) is dict else type(batch)(changed)  # type: ignore[call-arg]
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*map(change, batch))
    if isinstance(batch, list | tuple):
        return type(batch)(map(change, batch))
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        return dataclasses.replace(batch, **{f.name: change(getattr(batch, f.name)) for f in dataclasses.fields(batch)})
    return batch


def leaves(batch: Any) -> Iterator[Any]:
    """Tensors, and whatever is no container; a list without tensors (of strings, say) is one leaf."""
    if isinstance(batch, Mapping):
        parts = list(batch.values())
    elif dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        parts = [getattr(batch, field.name) for field in dataclasses.fields(batch)]
    elif isinstance(batch, list | tuple) and any(not isinstance(part, str | int | float) for part in batch):
        parts = list(batch)
    else:
        yield batch
        return
    for part in parts:
        yield from leaves(part)


def fingerprint_of(batches: Sequence[Any], header: str) -> str:
    """One digest per leaf, fed batch by batch, so that the size of the batches does not matter."""
    digests: dict[int, Any] = {}
    for batch in batches:
        for index, leaf in enumerate(leaves(batch)):
            digest = digests.setdefault(index, hashlib.sha256(_kind(leaf)))
            digest.update(_bytes(leaf))
    whole = "|".join([header, *(digest.hexdigest() for digest in digests.values())])
    return hashlib.sha256(whole.encode()).hexdigest()


def _kind(leaf: Any) -> bytes:
    return f"{leaf.dtype}|{tuple(leaf.shape[1:])}|".encode() if isinstance(leaf, Tensor) else b"plain|"


def _bytes(leaf: Any) -> bytes:
    if isinstance(leaf, Tensor):
        return leaf.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return "".join(f"{part!r}," for part in (leaf if isinstance(leaf, list | tuple) else [leaf])).encode()

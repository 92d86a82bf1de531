"""Data made finite: every batch drawn once, in a fixed order, and kept on the device."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    TensorDataset,
)

from landscape.errors import CheckpointError, LandscapeError, UsageError, one_line
from landscape.landscapes.batch_parts import fingerprint_of, first_samples, map_tensors, num_samples

__all__ = ["Batches", "data_module_types", "has_split", "materialise"]

_SPLITS = ("train", "val", "test")
_DEFAULT_BATCH_SIZE = 128


@dataclass(frozen=True, eq=False)
class Batches:
    """A finite list of batches on the device.

    Attributes
    ----------
    batches
        As the model's loss takes them; the last may be smaller.
    samples
        How many samples they hold together.
    name
        What the output calls the data.
    fingerprint
        SHA-256 of the samples as they were drawn, in order, with split and number. Independent of the batch size, the
        device and the dtype that the analysis runs in.
    population
        How many samples there were to draw from, None where that is not known.
    """

    batches: tuple[Any, ...]
    samples: int
    name: str
    fingerprint: str
    population: int | None = None


def materialise(
    data: Any,
    *,
    split: str = "train",
    batch_size: int | None = None,
    max_samples: int | None = None,
    seed: int = 0,
    device: torch.device,
    dtype: torch.dtype,
) -> Batches:
    """Draw the data once, augmentation and all, under a generator of its own.

    Parameters
    ----------
    data
        A LightningDataModule, a Dataset, a DataLoader, tensors or arrays with a common leading dimension (one, or a
        tuple, list or dict of them), or an iterable of batches. What has an index is taken in a random order fixed by
        the seed, so that batches are fair and ``max_samples`` is a random subset; streams are taken as they come.
    split
        Which loader of a LightningDataModule: train, val or test. Other data have no splits.
    batch_size
        Default: the loader's own, else 128. Given batches (an iterable) keep theirs.
    dtype
        What floating-point tensors are cast to. Integers stay.
    """
    _check_values(split, batch_size, max_samples)
    with torch.random.fork_rng(devices=[]), _numpy_and_python_rng(seed):
        torch.manual_seed(seed)
        source = _split_of(data, split) if isinstance(data, data_module_types()) else data
        drawn, samples = _drawn(_batches_of(source, batch_size, max_samples, seed), max_samples)
    if samples == 0:
        raise CheckpointError(f"{_name(data)}: no samples in the {split} split; check --data and --split")
    fingerprint = fingerprint_of(drawn, f"{split}|{samples}")
    moved = tuple(map_tensors(batch, lambda tensor: _move(tensor, device, dtype)) for batch in drawn)
    return Batches(moved, samples, _name(data), fingerprint, _population(source))


def _check_values(split: str, batch_size: int | None, max_samples: int | None) -> None:
    if split not in _SPLITS:
        raise UsageError(f"--split {split!r} is unknown; choose one of {', '.join(_SPLITS)}")
    for flag, value in (("--batch-size", batch_size), ("--max-samples", max_samples)):
        if value is not None and value < 1:
            raise UsageError(f"{flag} must be at least 1, got {value}")


@contextmanager
def _numpy_and_python_rng(seed: int) -> Iterator[None]:
    """Seed the generators that augmentations also draw from, and put them back."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    np.random.seed(seed % 2**32)
    random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)


def data_module_types() -> tuple[type, ...]:
    """LightningDataModule under either name of Lightning, where that is loaded: without it nothing can be one."""
    loaded = [sys.modules[name] for name in ("pytorch_lightning", "lightning.pytorch") if name in sys.modules]
    return tuple(lightning.LightningDataModule for lightning in loaded)


def has_split(module: Any, split: str) -> bool:
    """Whether a LightningDataModule has a loader of its own for a split."""
    name = f"{split}_dataloader"
    inherited = {getattr(kind, name) for kind in data_module_types()}
    return getattr(getattr(module, name), "__func__", None) not in inherited


def _split_of(module: Any, split: str) -> Any:
    """The loader of one split of a LightningDataModule, set up as a Trainer would."""
    try:
        module.prepare_data()
        module.setup("test" if split == "test" else "fit")
        loader = getattr(module, f"{split}_dataloader")()
    except Exception as error:
        raise UsageError(f"{_name(module)}: no {split} data ({_words(error)}); choose another --split") from error
    if isinstance(loader, list | tuple) and len(loader) == 1:
        return loader[0]
    if not isinstance(loader, DataLoader):
        raise CheckpointError(f"{_name(module)}: {split}_dataloader() gives a {_name(loader)}; want one DataLoader")
    return loader


def _batches_of(source: Any, batch_size: int | None, max_samples: int | None, seed: int) -> Iterable[Any]:
    if isinstance(source, DataLoader):
        return _loaded_again(source, batch_size, max_samples, seed)
    if isinstance(source, TensorDataset):
        source = source.tensors
    if isinstance(source, IterableDataset):
        return DataLoader(source, batch_size or _DEFAULT_BATCH_SIZE)
    columns = _columns(source)
    if columns is not None:
        indices = _shuffled(range(len(columns[0])), max_samples, seed)
        chunks = map(torch.tensor, _even(indices, batch_size or _DEFAULT_BATCH_SIZE))
        return (map_tensors(source, lambda tensor: tensor[chunk]) for chunk in chunks)  # noqa: B023
    if isinstance(source, Dataset) or _is_indexed(source):
        indices = _shuffled(range(len(source)), max_samples, seed)
        return DataLoader(source, batch_sampler=_even(indices, batch_size or _DEFAULT_BATCH_SIZE))
    if isinstance(source, Iterable) and not isinstance(source, str | bytes | Mapping | type):
        if batch_size is not None:
            raise UsageError(f"--batch-size {batch_size}: these batches come in their own sizes; leave it out")
        return source
    raise CheckpointError(
        f"--data gives a {_name(source)}; want a LightningDataModule, Dataset, DataLoader, tensors or batches"
    )


def _population(source: Any) -> int | None:
    """How many samples a source holds, where it says so."""
    if isinstance(source, DataLoader):
        if isinstance(source.dataset, IterableDataset) or source.batch_size is None:
            return None
        whole = isinstance(source.sampler, RandomSampler) and not source.sampler.replacement
        source = source.dataset if whole else source.sampler
    columns = None if isinstance(source, Dataset) else _columns(source)
    if columns is not None:
        return len(columns[0])
    if isinstance(source, list | tuple):
        return sum(map(num_samples, source))
    return len(source) if hasattr(source, "__len__") and not isinstance(source, IterableDataset) else None


def _is_indexed(source: object) -> bool:
    """Whether it is a Dataset in all but name. A list is a list of batches."""
    indexed = hasattr(source, "__getitem__") and hasattr(source, "__len__")
    return indexed and not isinstance(source, Sequence | Mapping | type)


def _columns(source: object) -> list[Tensor | np.ndarray] | None:
    """The tensors of a source that is nothing but tensors with a common leading dimension; None if it is not."""
    parts = list(source.values()) if isinstance(source, Mapping) else source
    parts = [parts] if isinstance(parts, Tensor | np.ndarray) else parts
    if not isinstance(parts, list | tuple) or not parts:
        return None
    if not all(isinstance(part, Tensor | np.ndarray) and part.ndim > 0 for part in parts):
        return None
    lengths = sorted({len(part) for part in parts})
    if len(lengths) > 1:
        raise CheckpointError(f"--data gives tensors of {lengths[0]} and {lengths[-1]} samples; want one number")
    return list(parts)


def _shuffled(indices: Sequence[int], max_samples: int | None, seed: int) -> list[int]:
    order = torch.randperm(len(indices), generator=torch.Generator().manual_seed(seed))
    return [indices[i] for i in order.tolist()[:max_samples]]


def _even(indices: list[int], batch_size: int) -> list[list[int]]:
    """Indices in batches of nearly one size, at most ``batch_size``.

    A path finder draws batches with equal probability: in a last batch of a few samples each would count many times.
    """
    count = -(-len(indices) // batch_size)
    bounds = [len(indices) * k // count for k in range(count + 1)] if count else []
    return [indices[start:end] for start, end in pairwise(bounds)]


def _loaded_again(loader: DataLoader[Any], batch_size: int | None, max_samples: int | None, seed: int) -> Iterable[Any]:
    """A loader's batches in this process, in our order where its own is arbitrary, with its own collate function."""
    dataset, collate = loader.dataset, loader.collate_fn
    size = batch_size or loader.batch_size
    if isinstance(dataset, IterableDataset) or (loader.batch_sampler is None):
        return DataLoader(dataset, size, collate_fn=collate)
    if loader.batch_size is None:  # a batch sampler of the user's: its batches are meant
        if batch_size is not None:
            raise UsageError(f"--batch-size {batch_size}: the DataLoader has a batch sampler of its own; leave it out")
        return DataLoader(dataset, batch_sampler=list(loader.batch_sampler), collate_fn=collate)
    return DataLoader(
        dataset,
        batch_sampler=_even(_chosen(loader, max_samples, seed), size or _DEFAULT_BATCH_SIZE),
        collate_fn=collate,
    )


def _chosen(loader: DataLoader[Any], max_samples: int | None, seed: int) -> list[int]:
    """Which samples, and in what order. A sampler that weights or repeats samples is asked once."""
    sampler = loader.sampler
    if isinstance(sampler, SubsetRandomSampler):
        return _shuffled(list(sampler.indices), max_samples, seed)
    whole = isinstance(sampler, RandomSampler) and not sampler.replacement
    if whole or isinstance(sampler, SequentialSampler):
        return _shuffled(range(len(loader.dataset)), max_samples, seed)  # type: ignore[arg-type]
    return list(islice(sampler, max_samples))


def _drawn(source: Iterable[Any], max_samples: int | None) -> tuple[list[Any], int]:
    """Batches up to a number of samples; the last is cut."""
    drawn: list[Any] = []
    samples = 0
    try:
        for batch in source:
            size = num_samples(batch)
            if max_samples is not None and samples + size > max_samples:
                batch, size = first_samples(batch, size, max_samples - samples), max_samples - samples
            drawn.append(map_tensors(batch, torch.Tensor.detach))
            samples += size
            if samples == max_samples:
                break
    except LandscapeError:
        raise
    except Exception as error:
        raise CheckpointError(f"--data: drawing batch {len(drawn)} failed with {_words(error)}") from error
    return drawn, samples


def _move(tensor: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    return tensor.to(device, dtype if tensor.is_floating_point() else tensor.dtype)


def _name(data: object) -> str:
    if isinstance(data, DataLoader):
        data = data.dataset
    plain = isinstance(data, Tensor | np.ndarray | dict | list | tuple)
    return "tensors" if plain and _columns(data) is not None else type(data).__name__


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {one_line(error, 150)}"

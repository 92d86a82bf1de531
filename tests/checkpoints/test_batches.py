"""Data of every kind, drawn once."""

from __future__ import annotations

import random
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import checkpoint_nets as nets
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, SubsetRandomSampler, TensorDataset, WeightedRandomSampler

from landscape.errors import CheckpointError, UsageError
from landscape.landscapes.batches import Batches, materialise

X, Y = torch.arange(20, dtype=torch.float32).reshape(10, 2), torch.arange(10)
CPU = torch.device("cpu")


class Stream(IterableDataset):
    def __iter__(self) -> Iterator[Tensor]:
        return iter(Y)


@dataclass
class Pair:
    x: Tensor
    y: Tensor


Named = namedtuple("Named", "x y")


def drawn(data: Any, **options: Any) -> Batches:
    return materialise(data, **{"device": CPU, "dtype": torch.float64, **options})


def labels(batches: Batches) -> list[int]:
    def last(batch: Any) -> Tensor:
        if isinstance(batch, Tensor):
            return batch
        return (
            batch["y"]
            if isinstance(batch, dict)
            else getattr(batch, "y", batch[-1] if isinstance(batch, list | tuple) else None)
        )

    return [int(y) for batch in batches.batches for y in last(batch)]


DATASET = TensorDataset(X, Y)
KINDS: dict[str, tuple[Any, str]] = {
    "tensors": ((X, Y), "tensors"),
    "list of tensors": ([X, Y], "tensors"),
    "one tensor": (Y, "tensors"),
    "arrays": ((X.numpy(), Y.numpy()), "tensors"),
    "dict": ({"x": X, "y": Y}, "tensors"),
    "dataset": (DATASET, "TensorDataset"),
    "list-like dataset": (torch.utils.data.Subset(DATASET, range(10)), "Subset"),
    "loader": (DataLoader(DATASET, batch_size=4, shuffle=True), "TensorDataset"),
    "loader with workers": (DataLoader(DATASET, batch_size=4, num_workers=2), "TensorDataset"),
    "dropping loader": (DataLoader(DATASET, batch_size=4, drop_last=True), "TensorDataset"),
    "dataclasses": (
        DataLoader(DATASET, 4, collate_fn=lambda rows: Pair(*map(torch.stack, zip(*rows, strict=True)))),
        "TensorDataset",
    ),
    "namedtuples": ([Named(X[:6], Y[:6]), Named(X[6:], Y[6:])], "list"),
    "generator": (((X[i : i + 4], Y[i : i + 4]) for i in (0, 4, 8)), "generator"),
    "stream": (DataLoader(Stream(), batch_size=4), "Stream"),
    "batch sampler": (DataLoader(DATASET, batch_sampler=[[0, 1, 2], [3, 4, 5, 6, 7, 8, 9]]), "TensorDataset"),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_sample_comes_once(name: str) -> None:
    data, called = KINDS[name]
    batches = drawn(data)
    assert (batches.samples, batches.name) == (10, called)
    assert sorted(labels(batches)) == list(range(10))
    tensors = [t for b in batches.batches for t in torch.utils._pytree.tree_leaves(b) if isinstance(t, Tensor)]
    assert all(t.dtype in (torch.float64, torch.int64) for t in tensors)


def test_rows_stay_together_and_mini_batches_are_mixed() -> None:
    batches = drawn((X, Y), batch_size=4)
    assert [len(x) for x, _ in batches.batches] == [3, 3, 4]
    for x, y in batches.batches:
        assert torch.equal(x, X[y].double())
    assert labels(batches) != list(range(10))
    assert labels(batches) == labels(drawn((X, Y), batch_size=3))
    assert labels(batches) != labels(drawn((X, Y), seed=1))


@pytest.mark.parametrize("data", [(X, Y), DATASET, DataLoader(DATASET, batch_size=4, shuffle=True)])
def test_max_samples_is_the_start_of_the_order(data: Any) -> None:
    assert labels(drawn(data, max_samples=7, batch_size=3)) == labels(drawn(data))[:7]


def test_streams_are_cut() -> None:
    batches = drawn(iter([(X[:6], Y[:6]), (X[6:], Y[6:])]), max_samples=8)
    assert labels(batches) == list(range(8))
    assert batches.samples == 8


def test_samplers_are_respected() -> None:
    assert sorted(labels(drawn(DataLoader(DATASET, sampler=SubsetRandomSampler([1, 5, 7]))))) == [1, 5, 7]
    only = WeightedRandomSampler([0.0] * 9 + [1.0], num_samples=4)
    assert labels(drawn(DataLoader(DATASET, sampler=only))) == [9, 9, 9, 9]


@pytest.mark.parametrize("data", [(X, Y), DATASET, DataLoader(DATASET, 4), {"x": X, "y": Y}, nets.Noisy()])
def test_fingerprints_know_content_and_not_batch_size_or_dtype(data: Any) -> None:
    prints = {
        drawn(data, batch_size=size, dtype=dtype).fingerprint
        for size in (1, 3, 10)
        for dtype in (torch.float32, torch.float64)
    }
    assert len(prints) == 1
    others = [drawn(data, seed=1), drawn(data, max_samples=6), drawn(data, split="val")]
    assert len(prints | {other.fingerprint for other in others}) == 4


def test_fingerprints_know_every_leaf_and_its_dtype() -> None:
    other = Y.clone()
    other[3] += 1
    kinds = [(X, Y), (X, other), (X.double(), Y), (X.reshape(10, 2, 1), Y), (Y, X)]
    assert len({drawn(data).fingerprint for data in kinds}) == len(kinds)
    words = [[list("ab"), Y[:2]], [list("ac"), Y[:2]]]
    assert len({drawn([batch]).fingerprint for batch in words}) == 2


def test_augmentation_is_drawn_once_under_the_seed() -> None:
    random.seed(5)
    np.random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    first, again = drawn(nets.Noisy(), batch_size=2), drawn(nets.Noisy(), batch_size=2)
    assert first.fingerprint == again.fingerprint
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first.batches, again.batches, strict=True))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]
    assert random.getstate() == before[2]


def test_data_modules_and_their_splits() -> None:
    train, val = drawn(nets.Data()), drawn(nets.Data(), split="val")
    assert (train.name, train.samples, len(train.batches)) == ("Data", 12, 3)
    assert torch.cat([b[0] for b in val.batches]).mean() == pytest.approx(
        float(torch.cat([b[0] for b in train.batches]).mean()) + 1, rel=1e-6
    )
    with pytest.raises(UsageError, match=r"no test data .* choose another --split"):
        drawn(nets.Data(), split="test")


REFUSED: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "split": ((X, Y), {"split": "dev"}, UsageError, "--split 'dev'"),
    "batch size": ((X, Y), {"batch_size": 0}, UsageError, "--batch-size must be at least 1, got 0"),
    "max samples": ((X, Y), {"max_samples": -1}, UsageError, "--max-samples must be at least 1, got -1"),
    "batch size of batches": (iter([(X, Y)]), {"batch_size": 2}, UsageError, "come in their own sizes"),
    "empty": ((X[:0], Y[:0]), {}, CheckpointError, "no samples"),
    "no batches": ([], {}, CheckpointError, "no samples"),
    "lengths": ((X, Y[:4]), {}, CheckpointError, "tensors of 4 and 10 samples"),
    "type": (3, {}, CheckpointError, "--data gives a int; want a LightningDataModule"),
    "class": (TensorDataset, {}, CheckpointError, "--data gives a type"),
    "no tensors": ([["a", "b"]], {}, CheckpointError, "hold no tensor"),
    "objects": ((np.array(["a", "b"]),), {}, CheckpointError, "array of <U1; want numbers"),
    "failing": (DataLoader([1, "a"], batch_size=2), {}, CheckpointError, "drawing batch 0 failed with "),
}


@pytest.mark.parametrize("name", REFUSED)
def test_unusable_data_are_refused_in_one_line(name: str) -> None:
    data, options, kind, message = REFUSED[name]
    with pytest.raises(kind) as caught:
        drawn(data, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)

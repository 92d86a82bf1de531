"""The landscape on validation data: what it measures, where batch-norm statistics come from, when there is none."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pytest
import pytorch_lightning as pl
import torch
import xarray as xr
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import landscape
from landscape.analysis import Analysis, Context, Result
from landscape.landscapes.network import NetworkLandscape
from landscape.parameters import Point
from landscape.registry import Registry
from landscape.run.execute import Setting, execute
from landscape.run.tasks import Request

SIZES = {"train": 24, "val": 10}
drawn: list[str] = []


def part(split: str) -> TensorDataset:
    drawn.append(split)
    rng = torch.Generator().manual_seed(len(split))
    return TensorDataset(torch.randn(SIZES[split], 3, generator=rng), torch.randint(2, (SIZES[split],), generator=rng))


class Data(pl.LightningDataModule):
    def train_dataloader(self) -> DataLoader:
        return DataLoader(part("train"), batch_size=8)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(part("val"), batch_size=4)


class TrainOnly(pl.LightningDataModule):
    def train_dataloader(self) -> DataLoader:
        return DataLoader(part("train"), batch_size=8)


class Broken(Data):
    def val_dataloader(self) -> DataLoader:
        raise FileNotFoundError("val.npz")


def by_split(split: Literal["train", "val"] = "train") -> TensorDataset:
    return part(split)


def all_by_default(split: str | None = None) -> TensorDataset:
    return part(split or "train")


class BySplit(TensorDataset):
    def __init__(self, split: str = "train") -> None:
        super().__init__(*part(split).tensors)


def net(seed: int = 0) -> nn.Sequential:
    """With statistics that have seen other data."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2))
    for _ in range(3):
        model(torch.randn(16, 3))
    return model.eval()


def load(data: Any, **options: Any) -> tuple[NetworkLandscape, list[Point]]:
    drawn.clear()
    scape, points = landscape.load(net(0), net(1), data=data, objective="cross_entropy", dtype="float64", **options)
    assert isinstance(scape, NetworkLandscape)
    return scape, points


def plain(model: nn.Module, split: str) -> tuple[float, float]:
    """Loss and error as a training script would take them."""
    x, y = part(split).tensors
    answers = model.double()(x.double()).detach()
    return float(cross_entropy(answers, y)), float((answers.argmax(1) != y).double().mean())


OFFERED: dict[str, Any] = {
    "a data module": Data,
    "a live data module": Data(),
    "a function": by_split,
    "a class": BySplit,
    "datasets in a module": pl.LightningDataModule.from_datasets(part("train"), part("val"), batch_size=6),
}


@pytest.mark.parametrize("name", OFFERED)
@pytest.mark.parametrize("bn", ["recalibrate", "frozen", "interpolate"])
def test_a_checkpoint_has_its_own_loss_on_validation_data(name: str, bn: str) -> None:
    scape, points = load(OFFERED[name], bn=bn)
    validation = scape.validation()
    assert validation is not None
    assert (scape.info.samples, validation.info.samples) == (24, 10)
    vectors = torch.stack([point.vector for point in points])
    found = zip(validation.energies(vectors).tolist(), validation.errors(vectors).tolist(), strict=True)
    for pair, model in zip(found, (net(0), net(1)), strict=True):
        assert pair == pytest.approx(plain(model, "val"), rel=1e-12)


def test_elsewhere_statistics_are_those_of_the_training_data() -> None:
    scape, points = load(Data)
    middle = (points[0].vector + points[1].vector) / 2
    model = net(0).double()
    nn.utils.vector_to_parameters(middle, model.parameters())
    hidden = model[0](part("train").tensors[0].double()).detach()
    model[1].running_mean, model[1].running_var = hidden.mean(0), _mean_variance(hidden)
    validation = scape.validation()
    assert validation is not None
    for land, split in ((scape, "train"), (validation, "val"), (validation.anchored(points), "val")):
        assert float(land.energies(middle[None])[0]) == pytest.approx(plain(model, split)[0], rel=1e-10)


def _mean_variance(hidden: Tensor) -> Tensor:
    """As running means over mini-batches give it: of the batches' unbiased variances, in the landscape's own order."""
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    return torch.stack([hidden[rows].var(0) for rows in order.split(8)]).mean(0)


@pytest.mark.parametrize("bn", ["recalibrate", "frozen"])
def test_what_it_costs_is_counted_in_passes_over_the_training_data(bn: str) -> None:
    scape, points = load(Data, bn=bn)
    validation = scape.validation()
    assert validation is not None
    before = scape.work.energies
    validation.energies((points[0].vector + points[1].vector)[None])
    assert scape.work.energies - before == pytest.approx(10 / 24 + (bn == "recalibrate"))


def test_another_landscape_has_another_fingerprint() -> None:
    scape, _ = load(Data)
    validation, on_val = scape.validation(), load(Data, split="val")[0]
    assert validation is not None
    assert len({land.info.fingerprint for land in (scape, validation, on_val)}) == 3
    assert scape.info.fingerprint == load(Data)[0].info.fingerprint


MISSING: dict[str, Callable[[], tuple[Any, dict[str, Any]]]] = {
    "a data module without": lambda: (TrainOnly, {}),
    "tensors": lambda: (part("train").tensors, {}),
    "a loader": lambda: (DataLoader(part("train"), batch_size=8), {}),
    "a function without splits": lambda: (lambda: part("train").tensors, {}),
    "all samples by default": lambda: (all_by_default, {}),
    "the validation split itself": lambda: (Data, {"split": "val"}),
}


@pytest.mark.parametrize("name", MISSING)
@pytest.mark.filterwarnings("error")
def test_there_is_none_where_the_data_have_no_such_split(name: str) -> None:
    data, options = MISSING[name]()
    assert load(data, **options)[0].validation() is None


def test_data_that_offer_it_and_fail_say_so() -> None:
    scape, _ = load(Broken)
    with pytest.warns(UserWarning, match=r"no validation data: Broken: no val data \(FileNotFoundError: val.npz\)"):
        assert scape.validation() is None


# what analyses see


def asking(scape: Any, points: Sequence[Point], options: Any, *, context: Context) -> Result:
    land = context.validation
    loss = float(land.energies(points[0].vector[None])[0]) if land is not None else -1.0
    return Result(xr.Dataset(), {"loss": loss})


def silent(scape: Any, points: Sequence[Point], options: Any, *, context: Context) -> Result:
    return Result(xr.Dataset(), {})


@dataclass(frozen=True)
class NoOptions:
    pass


def outcome(scape: Any, points: Sequence[Point], run: str) -> list[float]:
    analysis = Analysis("asks", "", NoOptions, f"{__name__}:{run}")
    found = execute(Setting(scape, Registry()), points, [Request(analysis, NoOptions())])
    assert not found.failed
    return [float(str(entry.result.summary.get("loss", 0))) for entry in found.entries]


def test_it_is_drawn_once_and_only_if_asked_for() -> None:
    scape, points = load(Data)
    outcome(scape, points, "silent")
    assert drawn == ["train"]
    losses = outcome(scape, points, "asking")
    assert drawn == ["train", "val"]
    assert losses == pytest.approx([plain(net(seed), "val")[0] for seed in (0, 1)], rel=1e-12)


def test_a_formula_has_none() -> None:
    scape, points = landscape.load("zoo:mueller-brown")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert set(outcome(scape, points, "asking")) == {-1.0}

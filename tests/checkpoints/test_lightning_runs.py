"""Checkpoints as Lightning's trainer and command line really write them."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import checkpoint_nets as nets
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.cli import LightningCLI
from test_containers import opened

from landscape.checkpoints.building import build
from landscape.checkpoints.files import expand
from landscape.checkpoints.matching import match
from landscape.errors import UsageError
from landscape.lightning import LandscapeCheckpoint
from landscape.parameters import content_hash
from landscape.saving import save

pytestmark = pytest.mark.filterwarnings("ignore")

QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def fit(folder: Path, model: pl.LightningModule, data: Any, *callbacks: pl.Callback, epochs: int = 1) -> pl.Trainer:
    trainer = pl.Trainer(**QUIET, default_root_dir=folder, max_epochs=epochs, callbacks=list(callbacks))
    trainer.fit(model, data)
    return trainer


def rebuilt_hash(path: Path) -> str:
    checkpoint = opened(path)
    assert checkpoint.recipe.model is not None
    parameters, buffers = match(checkpoint, build(checkpoint.recipe.model, trust=False))
    return content_hash({**parameters, **buffers})


@pytest.mark.parametrize("subclass_mode", [True, False])
def test_lightning_command_line_runs(subclass_mode: bool, tmp_path: Path) -> None:
    trainer = {**QUIET, "logger": True, "max_epochs": 1, "default_root_dir": str(tmp_path), "log_every_n_steps": 1}
    trainer["logger"] = {"class_path": "pytorch_lightning.loggers.CSVLogger", "init_args": {"save_dir": str(tmp_path)}}
    if subclass_mode:
        model: dict[str, Any] = {"class_path": "checkpoint_nets.Lit", "init_args": {"width": 6}}
        data: dict[str, Any] = {"class_path": "checkpoint_nets.Data", "init_args": {"samples": 8}}
        kinds: list[type] = [pl.LightningModule, pl.LightningDataModule]
    else:
        model, data, kinds = {"width": 6}, {"samples": 8}, [nets.Lit, nets.Data]
    run = LightningCLI(
        *kinds,
        subclass_mode_model=subclass_mode,
        subclass_mode_data=subclass_mode,
        seed_everything_default=1,
        args={"subcommand": "fit", "fit": {"trainer": trainer, "model": model, "data": data}},
    )
    (path,) = expand([str(tmp_path)])
    checkpoint = opened(path)
    assert (checkpoint.container, checkpoint.step) == ("Lightning checkpoint", 2)
    assert path.parents[1].name == "version_0"
    assert (path.parents[1] / "config.yaml").is_file()
    if subclass_mode:
        assert rebuilt_hash(path) == content_hash(run.model.state_dict())
        assert checkpoint.recipe.data is not None
        assert build(checkpoint.recipe.data, trust=False).samples == 8
        save(tmp_path / "saved.pt", model=run.model)
        assert rebuilt_hash(tmp_path / "saved.pt") == content_hash(run.model.state_dict())
    else:
        assert checkpoint.recipe.model is None
        assert build_named(path, "checkpoint_nets:Lit") == content_hash(run.model.state_dict())


def build_named(path: Path, name: str) -> str:
    """What `--model NAME` does: the file's hyperparameters fill in the arguments."""
    from landscape.checkpoints.recipe import Spec

    checkpoint = opened(path)
    spec = Spec(name, named_by="--model", by_user=True)
    model = build(spec, trust=False, hyper_parameters=checkpoint.hyper_parameters)
    parameters, buffers = match(checkpoint, model)
    return content_hash({**parameters, **buffers})


def test_config_yaml_alone_names_the_classes(tmp_path: Path) -> None:
    trainer = fit(tmp_path, nets.Lit(width=3), nets.Data())
    path = tmp_path / "version_0" / "checkpoints" / "a.ckpt"
    trainer.save_checkpoint(path)
    assert opened(path).recipe.model is None
    (tmp_path / "version_0" / "config.yaml").write_text(
        "trainer: {max_epochs: 1}\nmodel:\n  class_path: checkpoint_nets.Lit\n  init_args: {width: 3}\n"
    )
    recipe = opened(path).recipe
    assert recipe.model is not None
    assert recipe.model.named_by.endswith("version_0/config.yaml")
    assert rebuilt_hash(path) == content_hash(trainer.model.state_dict())


def test_hyper_parameters_taken_as_one_object(tmp_path: Path) -> None:
    class Whole(nets.Lit):
        def __init__(self, args: Any) -> None:
            super().__init__(args.width)
            self._hparams_initial = None
            self._set_hparams({"width": args.width})
            self._hparams_name = "args"

    trainer = fit(tmp_path, Whole(argparse.Namespace(width=5)), nets.Data())
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    assert opened(tmp_path / "a.ckpt").hyper_parameters["args"].width == 5


def test_callback_embeds_the_recipe_and_saves_at_log_spaced_steps(tmp_path: Path) -> None:
    callback = LandscapeCheckpoint(every_ratio=1.5, dirpath=tmp_path / "steps", objective="cross_entropy")
    model = nets.Lit(width=5)
    trainer = fit(tmp_path, model, nets.Data(samples=10, batch_size=2), callback, epochs=4)
    files = expand([str(tmp_path / "steps")])
    steps = [opened(file).step for file in files]
    assert steps == [0, 1, 2, 3, 5, 8, 12, 18, 20]
    assert [file.stem for file in files] == [f"step={step:07d}" for step in steps]
    assert rebuilt_hash(files[-1]) == content_hash(model.state_dict())
    assert rebuilt_hash(files[0]) != rebuilt_hash(files[-1])
    trainer.save_checkpoint(tmp_path / "own.ckpt")
    recipe = opened(tmp_path / "own.ckpt").recipe.to_plain()
    assert recipe == {
        "model": {"class_path": "checkpoint_nets.Lit", "init_args": {"width": 5}},
        "data": {"class_path": "checkpoint_nets.Data", "init_args": {"samples": 10, "batch_size": 2}},
        "objective": {"class_path": "cross_entropy", "init_args": {}},
    }


class Needy(nets.Lit):
    def __init__(self, width: int, depth: int) -> None:
        super().__init__(width)
        self.hparams.clear()


def test_callback_says_what_it_lacks(tmp_path: Path) -> None:
    loader = nets.Data().train_dataloader()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(tmp_path, Needy(3, 2), loader, LandscapeCheckpoint())
    texts = [str(w.message) for w in caught if "LandscapeCheckpoint" in str(w.message)]
    assert any(
        "Needy needs width, depth: call save_hyperparameters() in it or pass model_args" in text for text in texts
    )
    assert any("no datamodule: pass data=" in text for text in texts)
    trainer = fit(tmp_path, Needy(3, 2), loader, LandscapeCheckpoint(model_args={"width": 3, "depth": 2}, data="a.b"))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    recipe = opened(tmp_path / "a.ckpt").recipe.to_plain()
    assert recipe["model"]["init_args"] == {"width": 3, "depth": 2}
    assert recipe["data"]["class_path"] == "a.b"


@pytest.mark.parametrize("ratio", [1.0, 0.5, float("nan")])
def test_callback_refuses_a_ratio_that_does_not_grow(ratio: float) -> None:
    with pytest.raises(UsageError, match="every_ratio must be above 1"):
        LandscapeCheckpoint(every_ratio=ratio)


def test_modules_among_the_hyper_parameters_need_trust(tmp_path: Path) -> None:
    from landscape.errors import TrustError

    model = nets.Lit()
    model.save_hyperparameters({"activation": torch.nn.ReLU()})
    trainer = fit(tmp_path, model, nets.Data())
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    with pytest.raises(TrustError, match=r"torch\.nn\.modules\.activation\.ReLU"):
        opened(tmp_path / "a.ckpt")
    assert opened(tmp_path / "a.ckpt", trust=True).container == "Lightning checkpoint"

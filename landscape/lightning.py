"""A Lightning callback by which every checkpoint of a run can be analysed without further words."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from landscape.checkpoints.lightning_files import noted_arguments
from landscape.checkpoints.recipe import Recipe, Spec, plain_difference
from landscape.checkpoints.writing import missing_arguments, spec_of
from landscape.errors import LandscapeError, UsageError

__all__ = ["LandscapeCheckpoint"]


class LandscapeCheckpoint(pl.Callback):
    """Puts the recipe for the landscape into every checkpoint that the trainer saves.

    Parameters
    ----------
    model_args, data_args
        What the module's and the datamodule's classes are called with. Default: what ``save_hyperparameters()`` noted.
    data, objective
        An import string, class or function. Default: the trainer's datamodule, and the module's ``training_step``.
    every_ratio
        Also save checkpoints of its own, at steps 0 and 1 and then whenever the step has grown by this ratio, and at
        the end: 1.26 gives ten a decade.
    dirpath
        Where those go, as ``step=0000100.ckpt``. Default: ``checkpoints`` in the logger's folder.
    """

    def __init__(
        self,
        *,
        model_args: Mapping[str, Any] | None = None,
        data: Any = None,
        data_args: Mapping[str, Any] | None = None,
        objective: Any = None,
        every_ratio: float | None = None,
        dirpath: str | Path | None = None,
    ) -> None:
        if every_ratio is not None and not every_ratio > 1:
            raise UsageError(f"every_ratio must be above 1, got {every_ratio}; 1.26 gives ten checkpoints a decade")
        self.model_args, self.data_args = model_args, data_args
        self.data, self.objective = data, objective
        self.every_ratio, self.dirpath = every_ratio, dirpath
        self._recipe: Recipe | None = None
        self._next_step = 0
        self._last_saved = -1

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Form the recipe before training, so that what it lacks is known then."""
        self._recipe = Recipe(
            _spec(pl_module, self.model_args, "model_args"),
            self._data_spec(trainer),
            None if self.objective is None else spec_of(self.objective, None, "objective"),
        )

    def _data_spec(self, trainer: pl.Trainer) -> Spec | None:
        if self.data is not None:
            return spec_of(self.data, self.data_args, "data_args")
        datamodule = getattr(trainer, "datamodule", None)
        if datamodule is None:
            _warn("the trainer has no datamodule: pass data='pkg.mod:Name', or give --data when analysing")
            return None
        return _spec(datamodule, self.data_args, "data_args")

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Embed the recipe."""
        if self._recipe is not None:
            checkpoint["landscape"] = {"recipe": self._recipe.to_plain()}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the starting point."""
        self._next_step = trainer.global_step
        self._save_if_due(trainer)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Save when the step has grown by the ratio."""
        self._save_if_due(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the end."""
        self._next_step = min(self._next_step, trainer.global_step)
        self._save_if_due(trainer)

    def _save_if_due(self, trainer: pl.Trainer) -> None:
        step = trainer.global_step
        if self.every_ratio is None or step < self._next_step or step == self._last_saved:
            return
        folder = self.dirpath or Path(trainer.log_dir or trainer.default_root_dir) / "checkpoints"
        trainer.save_checkpoint(Path(folder) / f"step={step:07d}.ckpt")
        self._last_saved = step
        self._next_step = max(step + 1, math.ceil(step * self.every_ratio))


def _spec(thing: Any, arguments: Mapping[str, Any] | None, flag: str) -> Spec | None:
    """The spec of a live module or datamodule; None, with a warning that says what to pass, where it has none."""
    kind = type(thing)
    given = _noted(thing, flag) if arguments is None else dict(arguments)
    lacking = missing_arguments(kind, given)
    if lacking:
        _warn(f"{kind.__name__} needs {', '.join(lacking)}: call save_hyperparameters() in it or pass {flag}=dict(...)")
        return None
    try:
        return spec_of(kind, given, flag)
    except LandscapeError as error:
        _warn(str(error))
        return None


def _noted(thing: Any, flag: str) -> dict[str, Any]:
    """The plain ones among an object's hyperparameters."""
    noted = noted_arguments(thing.hparams)
    problems = {name: plain_difference(value, name) for name, value in noted.items()}
    for problem in filter(None, problems.values()):
        _warn(f"{type(thing).__name__}: {problem}, which a file cannot keep and is left out: pass {flag}=dict(...)")
    return {name: value for name, value in noted.items() if not problems[name]}


def _warn(text: str) -> None:
    warnings.warn(f"LandscapeCheckpoint: {text}", stacklevel=3)

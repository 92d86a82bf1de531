"""From a recipe to the landscape that it stands for: model, data, objective, in the wanted precision and place."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from landscape.analysis import resolve
from landscape.checkpoints.building import build, locate, with_argument
from landscape.checkpoints.recipe import Recipe, Spec
from landscape.errors import CheckpointError, LandscapeError, UsageError, did_you_mean, one_line
from landscape.landscapes.batches import Batches, data_module_types, has_split, materialise
from landscape.landscapes.batchnorm import POLICIES
from landscape.landscapes.checks import check_deterministic
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import Objective, as_objective, training_step_objective
from landscape.parameters import Point
from landscape.registry import Registry

__all__ = ["DTYPES", "LoadOptions", "Rebuilder", "check_evaluable", "pick_device"]

DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class LoadOptions:
    """How checkpoints are read and evaluated.

    Attributes
    ----------
    device
        ``auto`` (a GPU where there is one), ``cpu`` or ``cuda:N``.
    dtype
        ``float32`` or ``float64``; default: the checkpoint's own, half precision computed in float32, ``zoo:`` in
        float64.
    seed
        Seeds everything that is drawn: the order of the data, augmentation, probes, partners.
    bn
        Batch-norm statistics away from the checkpoints: ``recalibrate`` on the data, ``frozen`` or ``interpolate``.
    split
        ``train``, ``val`` or ``test``. With ``train``, analyses may also evaluate on the validation data where there
        are some.
    batch_size
        Samples in a mini-batch; default: the loader's own, else 128.
    max_samples
        Measure on a random subset of so many samples.
    trust
        Let files name code that is run.
    strict
        Refuse when one of many files is bad, instead of leaving it out.
    """

    device: str = "auto"
    dtype: str | None = None
    seed: int = 0
    bn: str = "recalibrate"
    split: str = "train"
    batch_size: int | None = None
    max_samples: int | None = None
    trust: bool = False
    strict: bool = False

    def __post_init__(self) -> None:
        for name, value, known in (("dtype", self.dtype, DTYPES), ("bn", self.bn, POLICIES)):
            if value is not None and value not in known:
                raise UsageError(f"{name} {value!r} is unknown{did_you_mean(value, known)} Take {' or '.join(known)}")
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"seed must be between 0 and 2^63 - 1, got {self.seed}")


def pick_device(name: str) -> torch.device:
    """The device of a name; ``auto`` is the GPU where there is one."""
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        float(torch.zeros(1, device=device))
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        found = [f"cuda:{i}" for i in range(torch.cuda.device_count())] or ["no GPU was found"]
        raise UsageError(
            f"device {name!r} cannot be used here. Take auto, cpu or a GPU ({', '.join(found)})"
        ) from error
    return device


@dataclass(frozen=True, eq=False)
class Rebuilder:
    """Builds what a recipe names. ``hyper_parameters`` are constructor arguments that a file keeps without a class."""

    recipe: Recipe
    options: LoadOptions
    known: Registry
    hyper_parameters: Mapping[str, Any]

    def model(self, where: str) -> nn.Module:
        """The model; ``where`` names the file that ought to have said which."""
        spec = self.recipe.model
        if spec is None:
            raise CheckpointError(
                f"{where} does not say which model it belongs to. Name its class: --model PKG.MOD:CLASS or "
                f"--model FILE.py:CLASS (its arguments as --model.ARG VALUE)"
            )
        model = self._seeded(spec, self.hyper_parameters)
        if not isinstance(model, nn.Module):
            raise UsageError(f"{spec.class_path} gave a {type(model).__name__}, a torch.nn.Module is wanted")
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise CheckpointError(f"{spec.class_path} has no trainable parameter: set requires_grad on some")
        return model

    def landscape(self, model: nn.Module, stored: torch.dtype) -> NetworkLandscape:
        """The loss of a model on the data, in the precision in which its weights were stored, at least float32."""
        options, device = self.options, pick_device(self.options.device)
        dtype = DTYPES[options.dtype] if options.dtype else torch.promote_types(stored, torch.float32)
        objective = self._objective(model)
        if self.recipe.data is None:
            raise CheckpointError(
                "no data to evaluate the loss on. Name them: --data PKG.MOD:FN or --data FILE.py:FN "
                "(a LightningDataModule, a Dataset, a DataLoader, tensors, or a function that returns one)"
            )
        drawn = partial(
            materialise,
            batch_size=options.batch_size,
            max_samples=options.max_samples,
            seed=options.seed,
            device=device,
            dtype=dtype,
        )
        data = self._seeded(self.recipe.data)
        return NetworkLandscape(
            model,
            objective,
            drawn(data, split=options.split),
            batch_norm=options.bn,
            factory=self._factory(),
            validation=partial(self._validation, self._held_out(data), drawn) if options.split == "train" else None,
            device=device,
            dtype=dtype,
        )

    def _held_out(self, data: Any) -> Spec | None:
        """What builds the validation data: the LightningDataModule itself, or what is called with ``split="train"``."""
        if isinstance(data, data_module_types()):
            return self.recipe.data if has_split(data, "val") else None
        spec = self.recipe.data
        return spec and with_argument(spec, "split", "train", "val", trust=self.options.trust)

    def _validation(self, spec: Spec | None, drawn: Callable[..., Batches]) -> Batches | None:
        """The validation data, left out with a warning where they are offered and cannot be drawn."""
        try:
            return None if spec is None else drawn(self._seeded(spec), split="val")
        except LandscapeError as error:
            warnings.warn(f"no validation data: {one_line(error)}", stacklevel=2)
            return None

    def _factory(self) -> partial[Any] | None:
        """Builds the model anew; None where there is only the one object in memory."""
        spec = self.recipe.model
        if spec is None or isinstance(spec.live, nn.Module):
            return None
        return partial(build, spec, trust=self.options.trust, hyper_parameters=self.hyper_parameters)

    def _seeded(self, spec: Spec, hyper_parameters: Mapping[str, Any] | None = None) -> Any:
        """What a spec builds, drawing from the call's seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.options.seed)
            return build(spec, trust=self.options.trust, hyper_parameters=hyper_parameters or {})

    def _objective(self, model: nn.Module) -> Objective:
        spec, named = self.recipe.objective, self.known.objectives
        if spec is None and not hasattr(model, "training_step"):
            raise CheckpointError(
                f"no objective: {type(model).__name__} has no training_step. Name a loss: --objective "
                f"{'|'.join(named)} or PKG.MOD:FN"
            )
        if spec is None or (spec.class_path == "training_step" and hasattr(model, "training_step")):
            return training_step_objective(model)
        if spec.class_path in named and spec.live is None:
            return as_objective(resolve(named[spec.class_path].objective))
        if spec.live is None and not set(":.") & set(spec.class_path):
            hint = did_you_mean(spec.class_path, named)
            raise UsageError(f"unknown objective {spec.class_path!r}{hint} Take {', '.join(named)}, or PKG.MOD:FN")
        return as_objective(locate(spec, trust=self.options.trust))


def check_evaluable(landscape: NetworkLandscape, point: Point) -> None:
    """Refuse a model that cannot be evaluated on the data, or not twice with the same loss."""
    try:
        check_deterministic(landscape, point)
    except LandscapeError:
        raise
    except (Exception, SystemExit) as error:
        info = landscape.info
        raise CheckpointError(
            f"{info.name} with {info.objective} cannot be evaluated on {info.data}: {type(error).__name__}: {error}. "
            f"Do --data and --objective fit the model? --debug shows where"
        ) from error

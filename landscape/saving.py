"""Saving a model so that its landscape can be rebuilt from the file alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.errors import LandscapeError, UsageError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["save"]


def save(
    path: str | Path,
    *,
    model: nn.Module,
    data: Any = None,
    objective: Any = None,
    model_args: Mapping[str, Any] | None = None,
    data_args: Mapping[str, Any] | None = None,
    step: int | None = None,
) -> None:
    """Write a model's weights together with the recipe for its landscape.

    Parameters
    ----------
    path
        A torch file, or a safetensors file if it ends so.
    model
        The trained model. Its class is recorded by name, as ``FILE.py:Name`` if a script defines it.
    data, objective
        Import strings such as ``"train.py:digits"``, or classes and functions that can be imported by name; the
        objective may also be a loss known by name (``"cross_entropy"``).
    model_args, data_args
        What the class of the model and the data are called with: numbers, strings, lists and dicts.
    step
        The training step.

    Raises
    ------
    UsageError
        If the class called with ``model_args`` does not give a model with the same weights by name and shape.
    """
    from landscape.checkpoints.recipe import Recipe
    from landscape.checkpoints.writing import spec_of, write

    model = _unwrapped(model)
    arguments = _own_arguments(model) if model_args is None else dict(model_args)
    recipe = Recipe(
        spec_of(type(model), arguments, "model_args"),
        None if data is None else spec_of(data, data_args, "data_args"),
        None if objective is None else spec_of(objective, None, "objective"),
    )
    _verify(model, arguments)
    write(Path(path), model.state_dict(), recipe, step)


def _unwrapped(model: nn.Module) -> nn.Module:
    """The model inside torch.compile and data parallelism."""
    wrappers = {"OptimizedModule": "_orig_mod", "DistributedDataParallel": "module", "DataParallel": "module"}
    while type(model).__name__ in wrappers and type(model).__module__.startswith("torch."):
        model = getattr(model, wrappers[type(model).__name__])
    return model


def _own_arguments(model: nn.Module) -> dict[str, Any]:
    """What a LightningModule noted by ``save_hyperparameters()``."""
    from landscape.checkpoints.lightning_files import noted_arguments

    noted = getattr(model, "hparams", None)
    return noted_arguments(noted) if isinstance(noted, Mapping) else {}


def _verify(model: nn.Module, arguments: Mapping[str, Any]) -> None:
    """Build the model anew, from its class as it is in memory (importing a script would run it again)."""
    import torch

    from landscape.checkpoints.building import build
    from landscape.checkpoints.recipe import Spec

    kind = type(model)
    try:
        with torch.random.fork_rng():
            again = build(Spec(kind.__qualname__, arguments, "model_args", by_user=True, live=kind), trust=True)
    except LandscapeError as error:
        raise UsageError(f"{error}; pass model_args=dict(...) with what {kind.__name__} was made with") from None
    wanted, found = _shapes(model), _shapes(again)
    differing = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    if differing:
        name = differing[0]
        raise UsageError(
            f"{kind.__name__} made with {dict(arguments)} has {name!r} of shape {found.get(name, 'none')}, "
            f"the model has {wanted.get(name, 'none')}; pass model_args=dict(...) with what it was made with"
        )


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    import torch

    return {name: tuple(t.shape) for name, t in model.state_dict().items() if isinstance(t, torch.Tensor)}

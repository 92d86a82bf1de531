"""Fresh starting points, as training would start from."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from landscape.errors import AnalysisError
from landscape.landscapes.functional import trainable
from landscape.parameters import ParameterSpace

__all__ = ["fresh_vector"]


def fresh_vector(
    model: nn.Module, space: ParameterSpace, factory: Callable[[], nn.Module] | None, rng: torch.Generator
) -> Float[Tensor, " P"]:
    """Parameters of a newly built model, or of a copy whose submodules have all been reset.

    Initialisers draw from torch's global generator: it is seeded from ``rng`` and put back afterwards.
    """
    seed = int(torch.randint(2**62, (1,), generator=rng))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(seed)
        fresh = _reset(copy.deepcopy(model).cpu()) if factory is None else factory()
    difference = space.difference(ParameterSpace.of(trainable(fresh).items()))
    if difference is not None:
        raise AnalysisError(f"a freshly built {type(fresh).__name__} has other parameters: {difference}")
    return space.flatten({name: p.detach() for name, p in trainable(fresh).items()})


def _reset(model: nn.Module) -> nn.Module:
    """Runs every submodule's own initialiser, inner ones first as in building; refuses parameters that none sets."""
    for parameter in trainable(model).values():
        parameter.fill_(torch.nan)
    model.apply(_reset_own)
    left = [name for name, p in trainable(model).items() if p.isnan().any()]
    if left:
        raise AnalysisError(
            f"no reset_parameters() initialises {left[0]!r} of {type(model).__name__}: "
            "name the model's class with --model, so that a new one can be built"
        )
    return model


def _reset_own(module: nn.Module) -> None:
    reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
    if callable(reset):
        reset()

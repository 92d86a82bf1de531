"""A model as a function of parameter vectors: several at once through vmap, or one after another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from landscape.errors import CheckpointError
from landscape.landscapes.objectives import Measure, measured
from landscape.parameters import ParameterSpace

__all__ = ["ModelFunction", "Places", "Statistics", "trainable"]

Statistics = dict[str, Tensor]
"""Buffers by name, one row per point."""


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are coordinates, by name; a tied one once, under its first name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


@dataclass(frozen=True, eq=False)
class Places:
    """Where a model is evaluated.

    Attributes
    ----------
    points
        One point per row, shape ``(K, P)``.
    shared
        Buffers that all points have in common, by name.
    own
        Buffers of which each point has its own, one row per point.
    """

    points: Float[Tensor, "K P"]
    shared: Mapping[str, Tensor]
    own: Statistics

    def __getitem__(self, rows: slice) -> Places:
        """Some of the places."""
        return Places(self.points[rows], self.shared, {name: tensor[rows] for name, tensor in self.own.items()})


class _Holder(nn.Module):
    """Lets ``functional_call`` reach code that is written against a model, whichever of its methods it calls."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, measure: Measure, batch: Any) -> tuple[Tensor, Tensor]:
        return measured(measure, self.model, batch)


class ModelFunction:
    """Evaluates a measure, ``(model, batch) -> (sum, weight)``, at given parameters and buffers.

    The model is this object's own: the loop puts parameters into it, which spares small networks the cost of
    ``functional_call`` (as large as that of a gradient).

    Attributes
    ----------
    space
        The coordinates.
    buffers
        What else the model depends on: its buffers and frozen parameters, as they came.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.space = ParameterSpace.of(trainable(model).items())
        frozen = {name: p for name, p in model.named_parameters() if not p.requires_grad}
        others = frozen | dict(model.named_buffers())
        self.buffers = {name: tensor.detach().clone() for name, tensor in others.items()}
        self._slots: dict[str, Tensor] = {**trainable(model), **others}
        self._parameters = tuple(trainable(model).values())
        self._holder = _Holder(model)
        self._aliases = _aliases(model)
        self._recurrent = any(isinstance(m, nn.RNNBase) for m in model.modules())

    def __call__(self, measure: Measure, tensors: Mapping[str, Tensor], batch: Any) -> tuple[Tensor, Tensor]:
        """``(sum, weight)`` as a pure function of named parameters and buffers."""
        everywhere = {f"model.{alias}": t for name, t in tensors.items() for alias in self._aliases[name]}
        return functional_call(self._holder, everywhere, (measure, batch), tie_weights=False)

    def values(
        self, measure: Measure, batch: Any, places: Places, vmapped: bool
    ) -> tuple[Num[Tensor, " K"], Float[Tensor, " K"]]:
        """Sums and weights of each point."""
        if vmapped:
            return vmap(partial(self._single, measure, batch, places.shared))(places.points, places.own)
        sums, weights = zip(*self._one_by_one(measure, batch, places), strict=True)
        return torch.stack(sums), torch.stack(weights)

    def gradients(
        self, measure: Measure, batch: Any, places: Places, vmapped: bool
    ) -> tuple[Float[Tensor, " K"], Float[Tensor, " K"], Float[Tensor, "K P"]]:
        """Sums, weights and gradients of the sums: points do not interact, so one backward pass serves a chunk."""
        if vmapped:
            leaves = places.points.detach().requires_grad_()
            sums, weights = self.values(measure, batch, replace(places, points=leaves), vmapped)
            (gradients,) = _differentiated(sums.sum(), (leaves,))
            return sums.detach(), weights, gradients
        each = [
            (total.detach(), weight, _flat(_differentiated(total, self._parameters)))
            for total, weight in self._one_by_one(measure, batch, places)
        ]
        sums, weights, gradients = (torch.stack(parts) for parts in zip(*each, strict=True))
        return sums, weights, gradients

    def _one_by_one(self, measure: Measure, batch: Any, places: Places) -> Iterator[tuple[Tensor, Tensor]]:
        self._place(places.shared)
        for k, vector in enumerate(places.points):
            self._place(self.space.unflatten(vector))
            self._place({name: rows[k] for name, rows in places.own.items()})
            yield measured(measure, self.model, batch)

    def _single(
        self, measure: Measure, batch: Any, shared: Mapping[str, Tensor], vector: Tensor, own: Statistics
    ) -> tuple[Tensor, Tensor]:
        return self(measure, {**self.space.unflatten(vector), **shared, **own}, batch)

    def _place(self, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            self._slots[name].data = tensor

    @contextmanager
    def kernels(self) -> Iterator[None]:
        """Only kernels that have a second derivative, so that energies and curvature are of one function.

        Fused attention and cuDNN's recurrent layers have none.
        """
        fast_path = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        cudnn = torch.backends.cudnn.flags(enabled=False) if self._recurrent else nullcontext()
        try:
            with sdpa_kernel(SDPBackend.MATH), cudnn:
                yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast_path)


def _aliases(model: nn.Module) -> dict[str, list[str]]:
    """All names of each tensor by its first one; ``functional_call`` would look for them again at each call."""
    names: dict[Tensor, list[str]] = {}
    for named in (model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False)):
        for name, tensor in named:
            names.setdefault(tensor, []).append(name)
    return {aliases[0]: aliases for aliases in names.values()}


def _flat(parts: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([part.reshape(-1) for part in parts])


def _differentiated(total: Tensor, leaves: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    if not total.requires_grad:
        raise CheckpointError(
            "the objective does not depend on the trainable parameters: does it detach them or compute under no_grad?"
        )
    return torch.autograd.grad(total, leaves, materialize_grads=True)

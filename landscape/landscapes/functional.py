"""A model as a function of one parameter vector."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from landscape.parameters import ParameterSpace

__all__ = ["ModelFunction", "trainable"]


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are coordinates, by name; a tied one once, under its first name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


class _Holder(nn.Module):
    """Lets ``functional_call`` reach code that is written against a model, whichever of its methods it calls."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, measure: Callable[[nn.Module, Any], Any], batch: Any) -> Any:
        return measure(self.model, batch)


class ModelFunction:
    """Calls ``measure(model, batch)`` with parameters and buffers that are given, not stored."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.space = ParameterSpace.of(trainable(model).items())
        self._holder = _Holder(model)
        self._recurrent = any(isinstance(m, nn.RNNBase) for m in model.modules())

    def buffers(self) -> dict[str, Tensor]:
        """What the function depends on beside its coordinates: buffers and frozen parameters."""
        frozen = {name: p.detach() for name, p in self.model.named_parameters() if not p.requires_grad}
        return frozen | dict(self.model.named_buffers())

    def __call__(
        self, measure: Callable[[nn.Module, Any], Any], vector: Tensor, buffers: Mapping[str, Tensor], batch: Any
    ) -> Any:
        tensors = self.space.unflatten(vector) | buffers
        named = {f"model.{name}": tensor for name, tensor in tensors.items()}
        return functional_call(self._holder, named, (measure, batch))

    @contextmanager
    def kernels(self) -> Iterator[None]:
        """Only kernels that have a second derivative, so that energies and curvature are of one function.

        Fused attention and cuDNN's recurrent layers have none.
        """
        fast_path = torch.backends.mha.get_fastpath_enabled()
        cudnn = torch.backends.cudnn.enabled and not self._recurrent
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            with sdpa_kernel(SDPBackend.MATH), torch.backends.cudnn.flags(enabled=cudnn):
                yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast_path)

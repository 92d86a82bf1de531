"""A landscape's network laid open: its tensors at a point, what it answers, what its layers answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from landscape.landscapes.objectives import Measure
from landscape.parameters import ParameterSpace, Point

__all__ = ["ObservedNetwork"]


class ObservedNetwork:
    """A copy of a landscape's network in float64 and eval mode, with a few samples.

    Attributes
    ----------
    model
        The copy; its state is changed by each call.
    batch
        The samples.
    space
        The trainable parameters.
    """

    def __init__(self, model: nn.Module, measure: Measure, batch: Any, space: ParameterSpace) -> None:
        raise NotImplementedError

    def tensors(self, point: Point) -> dict[str, Tensor]:
        """Parameters and buffers at a point by name, in the point's dtype; what it has not, as the model came."""
        raise NotImplementedError

    def moved(self, point: Point, tensors: Mapping[str, Tensor], name: str) -> Point:
        """The point with these tensors in place of its own."""
        raise NotImplementedError

    def outputs(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """All that ``forward`` of the model returned on the samples, flat, float64."""
        raise NotImplementedError

    def activations(self, tensors: Mapping[str, Tensor], modules: Sequence[str]) -> dict[str, Tensor]:
        """What each named module returned on the samples, float64."""
        raise NotImplementedError

"""What a reference landscape is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.landscapes.analytic import AnalyticLandscape
from landscape.landscapes.protocol import Landscape, LandscapeInfo
from landscape.landscapes.solutions import Solutions
from landscape.parameters import ParameterSpace

__all__ = ["Reference", "System", "WithPoints"]


def _flat_space(x: Tensor) -> Tensor:
    return x


def _any_vector(x: Tensor, vector: Tensor) -> Tensor:
    return vector


@dataclass(frozen=True, eq=False)
class System:
    """An energy with what is known of it.

    Attributes
    ----------
    energy
        ``E(x)`` for ``x`` of shape ``(P,)`` on the device and in the dtype it was built for.
    dim
        P.
    start
        Draws a starting point, shape ``(P,)``, float64 on the CPU.
    points
        Named points, shape ``(P,)`` each, float64 on the CPU: minima, unless the name or the reference's docstring says
        otherwise.
    projection, tangent_projection
        As in ``AnalyticLandscape``, for a curved space.
    enumerate
        Finds all solutions, where the space is discrete.
    """

    energy: Callable[[Tensor], Tensor]
    dim: int
    start: Callable[[torch.Generator], Tensor]
    points: Mapping[str, Float[Tensor, " P"]]
    projection: Callable[[Tensor], Tensor] = _flat_space
    tangent_projection: Callable[[Tensor, Tensor], Tensor] = _any_vector
    enumerate: Callable[[], Solutions] | None = None

    def landscape(self, name: str, fingerprint: str, device: torch.device, dtype: torch.dtype) -> AnalyticLandscape:
        """The energy as a landscape."""
        return AnalyticLandscape(
            energy=self.energy,
            space=ParameterSpace(("x",), ((self.dim,),)),
            info=LandscapeInfo(name, objective="energy", fingerprint=fingerprint),
            start=self.start,
            projection=self.projection,
            tangent_projection=self.tangent_projection,
            enumerate=self.enumerate,
            device=device,
            dtype=dtype,
        )


class WithPoints(Protocol):
    """Known points, and the landscape that they lie on: a ``System``, or a ``NetworkSystem``."""

    @property
    def points(self) -> Mapping[str, Float[Tensor, " P"]]: ...

    def landscape(self, name: str, fingerprint: str, device: torch.device, dtype: torch.dtype) -> Landscape: ...


class Reference(Protocol):
    """A reference landscape: a frozen dataclass whose fields are the keys of its name, and which refuses wrong values.

    Fields are ``int``, ``int | None``, ``float``, tuples of either, or a ``Literal`` of words.
    """

    def build(self, device: torch.device, dtype: torch.dtype) -> WithPoints:
        """The system, with the constants of its energy on the device and in the dtype."""
        ...

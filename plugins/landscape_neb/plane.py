"""The plane that a path lies in as nearly as any, and the loss in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from landscape.errors import AnalysisError
from landscape.landscapes.protocol import Landscape
from landscape.paths import Search, energies_of, knot_times

__all__ = ["Plane", "PlaneEnergies", "as_dataset", "grid_of", "measuring_plane", "plane_of"]

_BLOCK = 32
_GAUSS = (0.5 - 1 / math.sqrt(12), 0.5 + 1 / math.sqrt(12))  # two nodes integrate a square along a segment exactly
_ROUNDING = 10.0  # times the precision of the points: what deviates less from a line is straight
_MARGIN = 0.2  # around the path, of its larger extent
_SLENDER = 0.6  # the smaller extent is drawn as at least this part of the larger


@dataclass(frozen=True, eq=False)
class Plane:
    """The plane of the two leading principal directions of a path.

    Attributes
    ----------
    origin
        The foot of the middle of the ends on the plane, shape ``(P,)``. The plane holds the mean of the path.
    directions
        Two orthonormal rows, shape ``(2, P)``. The last end lies ahead of the first one along the first, and the mean
        of the path ahead of the middle of the ends along the second.
    coordinates
        The knots projected onto the plane, shape ``(m, 2)``, float64, in distances in parameter space from the origin.
    times
        Normalised arc lengths of the knots, shape ``(m,)``, float64.
    variances
        The share of the path's variance along each direction, shape ``(2,)``. That of the second is exactly 0 where
        the path is straight: the second direction is then a random one.
    """

    origin: Float[Tensor, " P"]
    directions: Float[Tensor, "2 P"]
    coordinates: Float[Tensor, "m 2"]
    times: Float[Tensor, " m"]
    variances: Float[Tensor, " 2"]

    def points(self, coordinates: Float[Tensor, "K 2"]) -> Float[Tensor, "K P"]:
        """The points of parameter space at these coordinates."""
        return self.origin + coordinates.to(self.directions) @ self.directions


@dataclass(frozen=True, eq=False)
class PlaneEnergies:
    """Full-data energies on a grid in a plane.

    Attributes
    ----------
    plane
        The plane.
    x, y
        Coordinates of the grid along its two directions, shape ``(side,)`` each.
    energies
        Shape ``(side, side)``, float64: ``energies[i, j]`` at ``(x[j], y[i])``. Not finite where the landscape is not.
    """

    plane: Plane
    x: Float[Tensor, " side"]
    y: Float[Tensor, " side"]
    energies: Float[Tensor, "side side"]


def plane_of(knots: Float[Tensor, "m P"], rng: torch.Generator) -> Plane:
    """The plane through the mean of a polyline along the two directions in which it varies most.

    Every part of the path counts by its length, however many knots it has: mean and variance are integrals over the
    arc length, exact for a polyline. Where it is straight the second direction is drawn from ``rng``. Costs no energy.

    Raises
    ------
    AnalysisError
        If the path has no length or the landscape a single parameter.
    """
    if knots.shape[1] < 2 or bool((knots == knots[0]).all()):
        raise AnalysisError("a plane needs a path of some length between two points of at least two parameters")
    middle = (knots[0] + knots[-1]) / 2
    basis = torch.linalg.qr((knots - middle).T)[0]
    inside = ((knots - middle) @ basis).double()
    mean, axes, sizes = _principal(inside)
    rounding = _ROUNDING * torch.finfo(knots.dtype).eps * float(torch.linalg.vector_norm(knots, dim=1).max())
    straight = float(sizes[1]) <= rounding
    ahead = torch.stack([inside[-1] - inside[0], mean])
    axes = axes * torch.where((axes * ahead).sum(1, keepdim=True) < 0, -1.0, 1.0)
    directions = axes.to(basis) @ basis.T
    if straight:
        directions[1] = _orthogonal(directions[0], rng)
    variances = sizes[:2].square() / sizes.square().sum()
    away = basis @ mean.to(basis)
    return Plane(
        origin=middle + away - directions.T @ (directions @ away),
        directions=directions,
        coordinates=((knots - middle) @ directions.T).double().cpu(),
        times=knot_times(knots).cpu(),
        variances=(variances.new_tensor([1.0, 0.0]) if straight else variances).cpu(),
    )


def _principal(knots: Float[Tensor, "m r"]) -> tuple[Float[Tensor, " r"], Float[Tensor, "2 r"], Float[Tensor, " s"]]:
    """Mean of the polyline, its two leading principal axes, and the standard deviations along all of them."""
    steps = knots.diff(dim=0)
    lengths = torch.linalg.vector_norm(steps, dim=1)
    nodes = torch.cat([knots[:-1] + part * steps for part in _GAUSS])
    weights = (lengths / (2 * lengths.sum())).repeat(2)
    mean = weights @ nodes
    _, sizes, axes = torch.linalg.svd(weights.sqrt()[:, None] * (nodes - mean), full_matrices=False)
    return mean, axes[:2], sizes


def _orthogonal(direction: Float[Tensor, " P"], rng: torch.Generator) -> Float[Tensor, " P"]:
    """A random unit vector orthogonal to one."""
    vector = torch.randn(len(direction), generator=rng, dtype=torch.float64).to(direction)
    for _ in range(2):  # once more for what rounding left
        vector = torch.nn.functional.normalize(vector - (vector @ direction) * direction, dim=0)
    return vector


def grid_of(plane: Plane, side: int) -> tuple[Float[Tensor, " side"], Float[Tensor, " side"]]:
    """Coordinates of a grid around the path and the line between its ends, never slender."""
    low, high = plane.coordinates.amin(0), plane.coordinates.amax(0)
    widest = (high - low).max()
    half = torch.maximum(high - low, _SLENDER * widest) / 2 + _MARGIN * widest
    x, y = (torch.linspace(-float(h), float(h), side, dtype=torch.float64) for h in half)
    centre = (low + high) / 2
    return centre[0] + x, centre[1] + y


def measuring_plane(
    landscape: Landscape, knots: Float[Tensor, "m P"], side: int, rng: torch.Generator
) -> Search[PlaneEnergies]:
    """The energies in the plane of a path (``plane_of``), as a search. Costs side² energies.

    On a curved space points of the plane are put back on the space first.
    """
    plane = plane_of(knots, rng)
    x, y = grid_of(plane, side)
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 2)
    blocks = []
    for block in torch.split(grid, _BLOCK):
        blocks.append((yield from energies_of(landscape.project(plane.points(block)))))
    return PlaneEnergies(plane, x, y, torch.cat(blocks).reshape(side, side))


def as_dataset(measured: PlaneEnergies, units: str) -> xr.Dataset:
    """The plane as stored arrays: ``plane_energy``, the path and the line in it, and shares of variance."""
    plane, distance = measured.plane, {"long_name": "distance from the middle of the ends", "units": "parameters"}
    along = [{**distance, "long_name": f"{distance['long_name']} along direction {rank}"} for rank in (1, 2)]
    arrays = {
        "plane_energy": (("plane_y", "plane_x"), measured.energies, {"long_name": "mean loss", "units": units}),
        "path_x": ("knot", plane.coordinates[:, 0], along[0]),
        "path_y": ("knot", plane.coordinates[:, 1], along[1]),
        "line_x": ("end", plane.coordinates[[0, -1], 0], along[0]),
        "line_y": ("end", plane.coordinates[[0, -1], 1], along[1]),
        "plane_x": ("plane_x", measured.x, along[0]),
        "plane_y": ("plane_y", measured.y, along[1]),
        "knot": ("knot", plane.times, {"long_name": "normalised arc length", "units": "1"}),
    }
    first, second = plane.variances.tolist()
    shares = {"plane_variance": first + second, "plane_variance_x": first, "plane_variance_y": second}
    return xr.Dataset(
        {name: (dims, np.asarray(tensor), units) for name, (dims, tensor, units) in arrays.items()}, attrs=shares
    )

"""Volume of good solutions on a sphere, and how it is spread around one of them."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from landscape.analysis import Context, Result
from landscape.errors import AnalysisError, UsageError
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point
from landscape_local_entropy.options import LocalEntropyOptions
from landscape_local_entropy.splitting import Energy, Splitting, split

__all__ = ["OVERLAPS", "Ring", "measure_on_sphere", "radius_of", "sphere_energy"]

OVERLAPS = (0.5, 0.7, 0.8, 0.9, 0.95)
"""With the point, at which the Franz-Parisi entropy is always measured."""

ENERGIES_PER_GRADIENT = 3
"""A gradient costs about three energies: max_gradients pays for three times as many."""

SHARE = 4
"""The Franz-Parisi entropy at one overlap gets so many times fewer particles than the volume."""


def radius_of(landscape: Landscape) -> float | None:
    """R where the space is the sphere |x| = R around the origin, as ``project`` tells; None where it is not."""
    rng = torch.Generator().manual_seed(0)
    points = torch.randn(4, landscape.space.dim, generator=rng, dtype=torch.float64) * torch.arange(1, 5)[:, None]
    points = points.to(landscape.device, landscape.dtype)
    projected = landscape.project(points)
    lengths = torch.linalg.vector_norm(projected, dim=1)
    radial = points * (lengths / torch.linalg.vector_norm(points, dim=1))[:, None]
    tolerance = 1e3 * torch.finfo(landscape.dtype).eps
    if landscape.space.dim < 2 or not torch.allclose(projected, radial, rtol=tolerance, atol=tolerance):
        return None
    return float(lengths.mean()) if float(lengths.std() / lengths.mean()) < tolerance else None


def sphere_energy(landscape: Landscape, radius: float) -> Energy:
    """E at ``radius`` times a unit vector."""

    def energy(directions: Float[Tensor, "K N"]) -> Float[Tensor, " K"]:
        return landscape.energies((radius * directions).to(landscape.device, landscape.dtype)).cpu()

    return energy


@dataclass(frozen=True, eq=False)
class Ring:
    """The points of a sphere whose overlap with one of them is q: a sphere of one dimension less.

    Attributes
    ----------
    pole
        The direction of that one, a unit vector of shape ``(N,)``, float64 on the CPU.
    overlap
        q, the cosine of the angle between them.
    """

    pole: Float[Tensor, " N"]
    overlap: float

    def points(self, directions: Float[Tensor, "K M"]) -> Float[Tensor, "K N"]:
        """q w + √(1 - q²) u for unit vectors given in M = N - 1 coordinates: u is at right angles to w.

        The reflection that takes the first axis to ∓w takes the others to a basis of what is orthogonal to w.
        """
        sign = 1.0 if self.pole[0] >= 0 else -1.0
        mirror = self.pole.clone()
        mirror[0] += sign
        along = torch.full((len(directions), 1), -sign * self.overlap, dtype=directions.dtype)
        upright = torch.cat([along, sqrt(1 - self.overlap**2) * directions], dim=1)
        return upright - torch.outer(upright @ mirror, mirror) * (2 / (mirror @ mirror))

    def energy(self, on_sphere: Energy) -> Energy:
        """E on the ring, as a function of those coordinates."""
        return lambda directions: on_sphere(self.points(directions))


def measure_on_sphere(landscape: Landscape, point: Point, options: LocalEntropyOptions, context: Context) -> Result:
    """How much of a sphere is as good as a point: ln of the fraction where L is at most L(point).

    Of the whole sphere (``log_volume``), and of the points at a given overlap with the point, or distance from it (the
    Franz-Parisi entropy), each by multilevel splitting, see ``splitting.split``. ``options.volume_loss`` is added to
    the threshold. The volume takes ``options.particles``, each overlap a quarter of that, and all together at most
    three energies for each of ``options.max_gradients``. An overlap that the budget leaves unmeasured is left out.
    """
    radius = radius_of(landscape)
    if radius is None:
        raise AnalysisError(
            f"{landscape.info.name} lives on a curved space that is no sphere around the origin: want a sphere"
        )
    centre = landscape.project(point.vector[None].to(landscape.device, landscape.dtype))
    loss = float(landscape.energies(centre)[0])
    threshold = loss + (options.volume_loss or 0.0)
    direction = centre[0].double().cpu()
    overlaps = _overlaps(options.distances, radius) if landscape.space.dim > 2 else []
    resolution = 10 * sqrt(torch.finfo(landscape.dtype).eps)
    energy, survey = sphere_energy(landscape, radius), _Survey(threshold, resolution, options, context)
    volume = survey.measure(energy, landscape.space.dim, options.particles, "volume")
    pole = direction / torch.linalg.vector_norm(direction)
    curve = _franz_parisi(survey, energy, pole, overlaps) if survey.reached(volume) else {}
    left_out = {overlap: found for overlap, found in curve.items() if not found.converged}
    kept = {overlap: found for overlap, found in curve.items() if found.converged}
    return Result(
        _dataset(volume, kept, radius, landscape, options).assign_attrs(loss=loss),
        _summary(volume, landscape.space.dim, threshold),
        converged=volume.converged and not left_out,
        messages=(*survey.doubts(volume), *survey.gaps(left_out)),
        budget_spent=volume.budget_spent or any(found.budget_spent for found in left_out.values()),
    )


@dataclass
class _Survey:
    """Splittings down to one threshold, on one budget."""

    threshold: float
    resolution: float
    options: LocalEntropyOptions
    context: Context
    spent: int = 0

    def measure(self, energy: Energy, dim: int, particles: int, name: str, share: float = 1.0) -> Splitting:
        """One splitting, on a share of what the budget still holds."""
        budget = ENERGIES_PER_GRADIENT * self.options.max_gradients
        seed = int(torch.randint(2**62, (1,), generator=self.context.rng))

        def report(energies: int, level: float) -> None:
            done = (self.spent + energies) / ENERGIES_PER_GRADIENT
            self.context.progress(done, self.options.max_gradients, f"{name}: loss {level:.3g}")

        rng, most = torch.Generator().manual_seed(seed), int((budget - self.spent) * share)
        found = split(
            energy,
            dim,
            self.threshold,
            particles,
            rng,
            max_energies=most,
            resolution=self.resolution,
            report=report,
        )
        self.spent += found.energies
        return found

    def reached(self, found: Splitting) -> bool:
        """Whether a splitting came down to the threshold."""
        return len(found.thresholds) > 0 and float(found.thresholds[-1]) <= self.threshold

    def doubts(self, volume: Splitting) -> tuple[str, ...]:
        """What the reader has to know of the volume."""
        return tuple(f"log_volume: {text}; {self._advice(volume)}" for text in volume.messages)

    def gaps(self, left_out: dict[float, Splitting]) -> tuple[str, ...]:
        """Which overlaps were not measured, and why the nearest was not."""
        if not left_out:
            return ()
        nearest, overlaps = next(iter(left_out.values())), ", ".join(f"{overlap:.3g}" for overlap in left_out)
        return (f"no Franz-Parisi entropy at overlap {overlaps}: {nearest.messages[0]}; {self._advice(nearest)}",)

    def _advice(self, found: Splitting) -> str:
        if self.reached(found):
            return "believe it if another --seed agrees"
        now = self.options.max_gradients, self.options.volume_loss or 0.0
        raised = f"raise --local-entropy.max-gradients (now {now[0]}; an energy counts a third) or "
        higher = f"--local-entropy.volume-loss (now {now[1]:g}; a strict minimum by itself has no volume)"
        return (raised if found.budget_spent else "raise ") + higher


def _franz_parisi(
    survey: _Survey, energy: Energy, pole: Float[Tensor, " N"], overlaps: list[float]
) -> dict[float, Splitting]:
    """By overlap, nearest first: what the budget still holds is shared by those to come."""
    particles = max(survey.options.particles // SHARE, 10)
    found = {}
    for index, overlap in enumerate(overlaps):
        on_ring, share = Ring(pole, overlap).energy(energy), 1 / (len(overlaps) - index)
        found[overlap] = survey.measure(on_ring, len(pole) - 1, particles, f"overlap {overlap:.3g}", share)
    return found


def _overlaps(distances: tuple[float, ...], radius: float) -> list[float]:
    """Falling, so that distances √(2 (1 - q)) R ascend."""
    if distances and max(distances) >= 2 * radius:
        raise UsageError(
            f"--local-entropy.distances {max(distances):g} reaches past the sphere, whose points lie at most "
            f"{2 * radius:.6g} apart: give less"
        )
    return sorted({*OVERLAPS, *(1 - (distance / radius) ** 2 / 2 for distance in distances)}, reverse=True)


def _summary(volume: Splitting, dim: int, threshold: float) -> dict[str, Any]:
    """The numbers that a table shows."""
    return {
        "log_volume": volume.log_fraction,
        "log_volume_stderr": volume.standard_error,
        "log_volume_per_dimension": volume.log_fraction / dim,
        "threshold": threshold,
        "levels": len(volume.thresholds),
        "acceptance": float(volume.acceptances.min()) if len(volume.acceptances) else 0.0,
        "sampler": "splitting",
    }


def _dataset(
    volume: Splitting,
    curve: dict[float, Splitting],
    radius: float,
    landscape: Landscape,
    options: LocalEntropyOptions,
) -> xr.Dataset:
    """The volume by level, the Franz-Parisi entropy by distance."""
    levels = [
        ("threshold", volume.thresholds, "loss at the level", "loss"),
        ("log_fraction", volume.log_fractions, "ln of the fraction of the sphere at or below the level", "nat"),
        ("log_fraction_stderr", volume.standard_errors, "its standard error", "nat"),
        ("acceptance", volume.acceptances, "acceptance of the moves that led there", "1"),
        ("correlation", volume.correlations, "of positions before and after these moves", "1"),
    ]
    found = list(curve.values())
    distances = [
        ("franz_parisi", [each.log_fraction for each in found], "ln of the fraction at this distance", "nat"),
        ("franz_parisi_stderr", [each.standard_error for each in found], "its standard error", "nat"),
    ]
    units = {"long_name": "distance from the point", "units": "parameter"}
    overlap = {"long_name": "overlap with the point", "units": "1"}
    coordinates = {
        "level": ("level", range(1, len(volume.thresholds) + 1), {"long_name": "level", "units": "1"}),
        "distance": ("distance", [sqrt(2 * (1 - q)) * radius for q in curve], units),
        "overlap": ("distance", list(curve), overlap),
    }
    variables = {
        name: (along, torch.as_tensor(values, dtype=torch.float64).numpy(), {"long_name": text, "units": units})
        for along, table in (("level", levels), ("distance", distances))
        for name, values, text, units in table
    }
    attrs = {
        "sampler": "splitting",
        "dimension": landscape.space.dim,
        "radius": radius,
        "particles": options.particles,
    }
    return xr.Dataset(variables, coordinates, attrs)

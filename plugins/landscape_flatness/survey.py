"""All measures of one point, and what became of those that could not be taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from math import isfinite
from typing import TypeVar

import torch

from landscape.analysis import Context
from landscape.errors import AnalysisError, LandscapeError
from landscape.landscapes.protocol import Landscape
from landscape.neighbourhood.around import Neighbourhood
from landscape.parameters import Point
from landscape_flatness.ascent import (
    ADAPTIVE_WORST_CASE_SHARPNESS,
    WORST_CASE_SHARPNESS,
    adaptive_worst_case_sharpness,
    worst_case_sharpness,
)
from landscape_flatness.measure import Found, Measure
from landscape_flatness.norms import FISHER_RAO, NORM, fisher_rao, norm
from landscape_flatness.options import FlatnessOptions
from landscape_flatness.pac_bayes import (
    PAC_BAYES_SIGMA,
    PAC_BAYES_SIGMA_MAGNITUDE,
    pac_bayes_sigma,
    pac_bayes_sigma_magnitude,
)
from landscape_flatness.perturbation import (
    ADAPTIVE_AVERAGE_SHARPNESS,
    AVERAGE_SHARPNESS,
    LOCAL_ENERGY,
    LocalEnergyCurve,
    adaptive_average_sharpness,
    average_sharpness,
    local_energy,
    local_energy_curve,
)
from landscape_flatness.relative import RELATIVE_FLATNESS, RelativeFlatness, relative_flatness
from landscape_flatness.spectrum import (
    EIGENVALUE_MAX,
    FROBENIUS_NORM,
    LAPLACE_PHI,
    TRACE,
    sound_hessian,
    spectrum,
)

__all__ = ["MEASURES", "Failure", "Survey", "survey"]

T = TypeVar("T")

Perturbed = Callable[[Landscape, Point, FlatnessOptions, int], Found]

PERTURBED: tuple[tuple[Measure, Perturbed], ...] = (
    (AVERAGE_SHARPNESS, average_sharpness),
    (ADAPTIVE_AVERAGE_SHARPNESS, adaptive_average_sharpness),
    (WORST_CASE_SHARPNESS, worst_case_sharpness),
    (ADAPTIVE_WORST_CASE_SHARPNESS, adaptive_worst_case_sharpness),
    (LOCAL_ENERGY, local_energy),
    (PAC_BAYES_SIGMA, pac_bayes_sigma),
    (PAC_BAYES_SIGMA_MAGNITUDE, pac_bayes_sigma_magnitude),
)

SPECTRAL = (EIGENVALUE_MAX, TRACE, FROBENIUS_NORM, LAPLACE_PHI)

MEASURES = (*(measure for measure, _ in PERTURBED), *SPECTRAL, RELATIVE_FLATNESS, FISHER_RAO, NORM)
"""Every measure, in the order of the table."""

CURVE = "the local-energy curve"


@dataclass(frozen=True, eq=False)
class Failure:
    """What could not be measured, and why."""

    names: tuple[str, ...]
    error: LandscapeError


@dataclass(frozen=True, eq=False)
class Survey:
    """What was found at a point.

    Attributes
    ----------
    loss, error
        L(w), and the error rate where the objective knows one.
    gradient_norm
        |∇L(w)|; None where it is not finite.
    found
        The measures, in the order of ``MEASURES``.
    failures
        The others.
    curve, layers
        The local energy against σ, relative flatness by layer; None where they could not be had.
    """

    loss: float
    error: float | None
    gradient_norm: float | None
    found: tuple[Found, ...]
    failures: tuple[Failure, ...]
    curve: LocalEnergyCurve | None
    layers: RelativeFlatness | None

    def named(self, measure: Measure) -> Found | None:
        """What was found of a measure, if it was."""
        return next((found for found in self.found if found.measure is measure), None)


@dataclass(eq=False)
class _Attempts:
    """Takes one measure after the other; one that fails harms no other."""

    context: Context
    total: int
    done: int = 0
    failures: list[Failure] = field(default_factory=list)

    def at(self, names: Sequence[str], find: Callable[[], T]) -> T | None:
        """What ``find`` gives; None, and why, if it fails."""
        self.context.progress(self.done, self.total, names[0])
        self.done += 1
        try:
            return find()
        except LandscapeError as error:
            self.failures.append(Failure(tuple(names), error))
            return None

    def finite(self, found: Found | None) -> Found | None:
        """A measure, unless it is no number to report."""
        if found is None or (isfinite(found.value) and isfinite(found.standard_error or 0.0)):
            return found
        error = "" if isfinite(found.standard_error or 0.0) else f" ± {found.standard_error:.4g}"
        reason = f"{found.measure.name} is {found.value:.4g}{error}: try --dtype float64, or smaller perturbations"
        self.failures.append(Failure((found.measure.name,), AnalysisError(reason)))
        return None


def survey(landscape: Landscape, point: Point, options: FlatnessOptions, context: Context) -> Survey:
    """All measures at a point.

    Random vectors are drawn from the run's seed, not from the task's generator: points of a call share them, and the
    noise that they share drops out where points are compared. Costs what the measures say.
    """
    seed = context.seed
    around = Neighbourhood.of(landscape, point)
    hessian = cache(lambda: sound_hessian(landscape, point, seed))
    attempts = _Attempts(context, total=len(PERTURBED) + 6)
    found = [
        attempts.at([measure.name], lambda find=find: find(landscape, point, options, seed))  # type: ignore[misc]
        for measure, find in PERTURBED
    ]
    curve = attempts.at([CURVE], lambda: local_energy_curve(landscape, point, options, seed))
    spectral = attempts.at(
        [measure.name for measure in SPECTRAL],
        lambda: spectrum(landscape, hessian(), options, seed),
    )
    layers = attempts.at(
        [RELATIVE_FLATNESS.name], lambda: relative_flatness(landscape, hessian(), point, options.probes, seed)
    )
    found += spectral or []
    found.append(layers.found if layers else None)
    found.append(attempts.at([FISHER_RAO.name], lambda: fisher_rao(landscape, hessian(), point)))
    found.append(attempts.at([NORM.name], lambda: norm(point)))
    errors = landscape.errors(point.vector[None])
    gradient_norm = attempts.at(["gradient_norm"], lambda: _gradient_norm(around))
    sound = [one for one in map(attempts.finite, found) if one is not None]
    return Survey(
        loss=float(landscape.energies(point.vector[None])[0]),
        error=None if errors is None else float(errors[0]),
        gradient_norm=gradient_norm,
        found=tuple(sound),
        failures=tuple(attempts.failures),
        curve=curve,
        layers=layers,
    )


def _gradient_norm(around: Neighbourhood) -> float:
    """|∇L(w)|. Costs a gradient."""
    _, slopes = around.slopes(torch.zeros_like(around.point.vector)[None])
    value = float(torch.linalg.vector_norm(slopes, dtype=torch.float64))
    if not isfinite(value):
        raise AnalysisError(
            f"the gradient at {around.point.id} is not finite, so that no minimum can be told from a slope: look for "
            "roots, logarithms or divisions at zero, or try --dtype float64"
        )
    return value

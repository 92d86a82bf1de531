"""How much noise the weights bear before the error rises: the sigma of PAC-Bayes bounds."""

from __future__ import annotations

from collections.abc import Callable
from math import log, log2

from landscape.analysis import Cost
from landscape.errors import AnalysisError
from landscape.labels import number
from landscape.landscapes.protocol import Landscape
from landscape.neighbourhood.around import Neighbourhood
from landscape.parameters import Point
from landscape_flatness.cost import counted
from landscape_flatness.measure import Found, Measure
from landscape_flatness.options import FlatnessOptions
from landscape_flatness.perturbation import Rises, adaptive_neighbourhood, error_rise, mean_rises

__all__ = [
    "PAC_BAYES_SIGMA",
    "PAC_BAYES_SIGMA_MAGNITUDE",
    "crossing",
    "pac_bayes_sigma",
    "pac_bayes_sigma_magnitude",
]

PAC_BAYES_SIGMA = Measure(
    "pac_bayes_sigma",
    "largest standard deviation σ with E[error(w + σz)] - error(w) <= error_rise (Jiang et al. 2020)",
    invariant=False,
    flat="large",
    units="weight",
)
PAC_BAYES_SIGMA_MAGNITUDE = Measure(
    "pac_bayes_sigma_magnitude",
    "largest standard deviation σ with E[error(w + σ z∘|w|)] - error(w) <= error_rise (Jiang et al. 2020)",
    invariant=True,
    flat="large",
    units="1",
)

_OCTAVES = 10  # how far from --flatness.sigma it is looked for
_WIDTH = 1 / 64  # octaves: the bracket that bisection ends with
_SPAN = 1 / 4  # octaves to either side over which the slope is taken, as the error comes in steps


def pac_bayes_sigma(landscape: Landscape, point: Point, options: FlatnessOptions, seed: int) -> Found:
    """The largest σ at which z ~ N(0, 1) in each coordinate raises the error by ``error_rise`` on average.

    The standard error is that over pairs ±z. Costs some 15 x ``draws`` energies; see ``crossing`` for when it fails.

    Raises
    ------
    UsageError
        If the objective knows no error.
    """
    spent = counted(landscape.work)
    return _found(PAC_BAYES_SIGMA, Neighbourhood.of(landscape, point), options.sigma, options, seed, spent)


def pac_bayes_sigma_magnitude(landscape: Landscape, point: Point, options: FlatnessOptions, seed: int) -> Found:
    """The largest σ at which displacements σ z ∘ |w| raise the error by ``error_rise`` on average.

    Standard error, cost and errors as those of ``pac_bayes_sigma``; refused besides where all weights are zero.
    """
    spent = counted(landscape.work)
    around = adaptive_neighbourhood(landscape, point)
    return _found(PAC_BAYES_SIGMA_MAGNITUDE, around, options.adaptive_sigma, options, seed, spent)


def _found(
    measure: Measure,
    around: Neighbourhood,
    start: float,
    options: FlatnessOptions,
    seed: int,
    spent: Callable[[], Cost],
) -> Found:
    rise = error_rise(around)

    def rises_at(*sigmas: float) -> Rises:
        return mean_rises(rise, around, sigmas, options.draws, seed)

    try:
        value, error = crossing(rises_at, options.error_rise, start)
    except AnalysisError as failure:
        raise AnalysisError(f"{measure.name}: {failure}") from failure
    return Found(measure, value, error, spent())


def crossing(rises_at: Callable[..., Rises], level: float, start: float) -> tuple[float, float]:
    """σ at which mean rises reach a level, next to ``start``, and its standard error.

    Bracketed by doubling, bisected in ln σ, and interpolated. All σ share their draws, so that the rise is nearly
    monotone in σ; where it is not, one of several crossings is found. The error is that of the rise over its slope.

    Parameters
    ----------
    rises_at
        ``rises_at(sigma, ...)``: the mean rises at values of σ.

    Raises
    ------
    AnalysisError
        If there is no crossing within a factor of 1000 of ``start``, or the rise has no slope there.
    """

    def excess(octave: float) -> float:
        return float(rises_at(2**octave).values[0]) - level

    low, high, below, above = _bracket(excess, log2(start), level)
    while high - low > _WIDTH:
        middle = (low + high) / 2
        found = excess(middle)
        if found > 0:
            high, above = middle, found
        else:
            low, below = middle, found
    octave = low + (high - low) * below / (below - above)
    sigma = 2**octave
    near = rises_at(sigma / 2**_SPAN, sigma, sigma * 2**_SPAN)
    slope = float(near.values[2] - near.values[0]) / (2 * _SPAN * log(2))
    if slope <= 0:
        raise AnalysisError(f"the error does not rise steadily around sigma = {number(sigma)}: raise --flatness.draws")
    return sigma, sigma * float(near.standard_errors[1]) / slope


def _bracket(excess: Callable[[float], float], start: float, level: float) -> tuple[float, float, float, float]:
    """Neighbouring octaves between which the excess turns positive, and its values there."""
    here, octave = excess(start), start
    step = -1 if here > 0 else 1
    for _ in range(_OCTAVES):
        there = excess(octave + step)
        if (there > 0) != (here > 0):
            return (octave, octave + 1, here, there) if step > 0 else (octave - 1, octave, there, here)
        here, octave = there, octave + step
    side = "less" if step > 0 else "more"
    raise AnalysisError(
        f"the error rises by {side} than {number(level)} for every sigma from {number(2 ** min(start, octave))} to "
        f"{number(2 ** max(start, octave))}: choose another --flatness.error-rise"
    )

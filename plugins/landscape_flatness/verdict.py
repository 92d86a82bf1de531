"""What the measures of a point allow to be said, in words."""

from __future__ import annotations

from collections.abc import Iterator

from landscape.errors import UsageError
from landscape_flatness.options import FlatnessOptions
from landscape_flatness.perturbation import AVERAGE_SHARPNESS
from landscape_flatness.survey import Failure, Survey

__all__ = ["doubts", "notes"]

ROUNDING = 1e-6  # of the loss: what float32 makes of a zero
CLEAR = 3.0  # standard errors


def doubts(survey: Survey, options: FlatnessOptions) -> tuple[str, ...]:
    """Why the point's flatness is not to be relied on, the gravest first; nothing where it is."""
    found = (one.messages[0] for one in survey.found if not one.converged)
    failed = (failure for failure in survey.failures if not _does_not_apply(failure))
    return tuple(dict.fromkeys([*_slope(survey, options), *_descent(survey, options), *found, *_left_out(failed)]))


def notes(survey: Survey) -> tuple[str, ...]:
    """What else the reader has to know."""
    said = (line for one in survey.found for line in one.messages[0 if one.converged else 1 :])
    absent = (failure for failure in survey.failures if _does_not_apply(failure))
    return tuple(dict.fromkeys([*_left_out(absent), *said]))


def _does_not_apply(failure: Failure) -> bool:
    """Whether there is nothing to be measured, rather than a measurement that went wrong."""
    return isinstance(failure.error, UsageError)


def _slope(survey: Survey, options: FlatnessOptions) -> Iterator[str]:
    """At a minimum what a perturbation σz changes is of second order, σ²/2 tr H; the slope changes it by ±σ|∇L|."""
    average, norm = survey.named(AVERAGE_SHARPNESS), survey.gradient_norm
    if average is None or norm is None:
        return
    linear = options.sigma * norm
    if linear > abs(average.value) + ROUNDING * abs(survey.loss):
        yield (
            f"not at a minimum: the slope changes the loss by ±{linear:.2g} (sigma |∇L|, |∇L| = {norm:.2g}) at "
            f"perturbations that change it by {average.value:.2g} on average; train on"
        )


def _descent(survey: Survey, options: FlatnessOptions) -> Iterator[str]:
    """No perturbation of a minimum lowers the loss."""
    average = survey.named(AVERAGE_SHARPNESS)
    if average is None or average.standard_error is None:
        return
    if average.value < -CLEAR * average.standard_error - ROUNDING * abs(survey.loss):
        yield (
            f"not at a minimum: perturbations of sigma {options.sigma:g} lower the loss by {-average.value:.2g} on "
            f"average (standard error {average.standard_error:.2g}); train on"
        )


def _left_out(failures: Iterator[Failure]) -> list[str]:
    """One line for each reason; a name that stands in it is not repeated."""
    names: dict[str, list[str]] = {}
    for failure in failures:
        reason = str(failure.error)
        names.setdefault(reason, []).extend(name for name in failure.names if name not in reason)
    return [f"without {', '.join(of)}: {reason}" if of else reason for reason, of in names.items()]

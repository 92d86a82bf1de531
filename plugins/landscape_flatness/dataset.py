"""The measures of a point as a table of named arrays, and as the numbers that sum it up."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from landscape.landscapes.protocol import LandscapeInfo
from landscape.neighbourhood.temperature import inverse_temperature
from landscape_flatness.measure import Found
from landscape_flatness.options import FlatnessOptions
from landscape_flatness.perturbation import LocalEnergyCurve
from landscape_flatness.relative import RelativeFlatness
from landscape_flatness.survey import Survey

__all__ = ["Summary", "dataset", "summary"]

Summary = dict[str, float | int | str | bool | list[Any]]
Variables = dict[str, tuple[Any, ...]]


def dataset(survey: Survey, dimension: int) -> xr.Dataset:
    """One row for each measure; the local energy against σ; relative flatness by layer."""
    variables = _table(survey.found) | _curve(survey.curve) | _layers(survey.layers)
    attrs: dict[str, float | int] = {
        "loss": survey.loss,
        "dimension": dimension,
    }
    if survey.gradient_norm is not None:
        attrs["gradient_norm"] = survey.gradient_norm
    if survey.error is not None:
        attrs["error"] = survey.error
    return xr.Dataset(variables, attrs=attrs)


def _described(long_name: str, units: str) -> dict[str, str]:
    return {"long_name": long_name, "units": units}


def _table(found: tuple[Found, ...]) -> Variables:
    measures = [one.measure for one in found]
    errors = [np.nan if one.standard_error is None else one.standard_error for one in found]
    costs = {name: [getattr(one.cost, name) for one in found] for name in ("gradients", "hvps", "energies")}
    columns: dict[str, tuple[list[Any], dict[str, str]]] = {
        "measure": ([measure.name for measure in measures], _described("measure of flatness", "1")),
        "value": ([one.value for one in found], _described("its value", "see the variable units")),
        "standard_error": (errors, _described("its standard error, NaN where it is exact", "see the variable units")),
        "invariant": (
            [int(measure.invariant) for measure in measures],
            _described("whether rescaling the layers of a ReLU network leaves it unchanged", "1"),
        ),
        "flat": ([measure.flat for measure in measures], _described("which end of its scale is flat", "1")),
        "units": ([measure.units for measure in measures], _described("units of its value", "1")),
        "definition": ([measure.definition for measure in measures], _described("formula and source", "1")),
        **{name: (spent, _described(f"{name} that it took", "full-data equivalents")) for name, spent in costs.items()},
    }
    return {name: ("measure", values, attrs) for name, (values, attrs) in columns.items()}


def _curve(curve: LocalEnergyCurve | None) -> Variables:
    if curve is None:
        return {}
    long_name = "standard deviation of the perturbations, relative to each weight"
    variables: Variables = {"sigma": ("sigma", curve.loss.sigmas.numpy(), _described(long_name, "1"))}
    for name, units, rises in (("local_loss_curve", "loss", curve.loss), ("local_energy_curve", "error", curve.error)):
        if rises is not None:
            words = f"mean rise of the {units}"
            variables[name] = ("sigma", rises.values.numpy(), _described(words, units))
            variables[f"{name}_stderr"] = (
                "sigma",
                rises.standard_errors.numpy(),
                _described(f"standard error of the {words}", units),
            )
    return variables


def _layers(layers: RelativeFlatness | None) -> Variables:
    if layers is None:
        return {}
    return {
        "layer": ("layer", list(layers.layers), _described("weight matrix", "1")),
        "relative_flatness_layer": ("layer", layers.values.numpy(), _described("relative flatness", "loss")),
        "relative_flatness_layer_stderr": (
            "layer",
            layers.standard_errors.numpy(),
            _described("its standard error; those of different layers are correlated", "loss"),
        ),
    }


def summary(survey: Survey, options: FlatnessOptions, info: LandscapeInfo) -> Summary:
    """Each measure with its standard error where it is estimated, and what they were taken with."""
    short: Summary = {}
    for one in survey.found:
        short[one.measure.name] = one.value
        if one.standard_error is not None:
            short[f"{one.measure.name}_stderr"] = one.standard_error
    if survey.gradient_norm is not None:
        short["gradient_norm"] = survey.gradient_norm
    if "laplace_phi" in short:
        short["beta"] = inverse_temperature(options.beta, info, "--flatness.beta")[0]
        short["gamma"] = options.gamma
    return short

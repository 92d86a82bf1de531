"""What is stored of a neighbourhood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

import numpy as np
import xarray as xr

from landscape_local_entropy.measuring import Ground, LocalEntropy
from landscape_local_entropy.options import LocalEntropyOptions
from landscape_local_entropy.stations import Station
from landscape_local_entropy.volume import Volume

__all__ = ["attributes", "baselines", "dataset", "summary", "volume_summary"]

Summary = dict[str, float | int | str | bool | list[Any]]

_EVIDENCE: dict[str, tuple[Callable[[Station], float], str, str]] = {
    "llc": (lambda one: one.llc, "local learning coefficient β⟨ΔL⟩", "nat"),
    "llc_stderr": (lambda one: one.llc_stderr, "its standard error", "nat"),
    "rhat": (lambda one: one.rhat, "split R-hat, the larger of ΔL and x·∇ΔL", "1"),
    "ess": (lambda one: one.ess, "effective sample size, the smaller of the two", "1"),
    "acceptance": (lambda one: one.draws.acceptance, "mean Metropolis probability", "1"),
    "virial": (lambda one: one.virial, "virial ratio, 1 in equilibrium", "1"),
}
"""What a station says of itself: how, in words, in which units."""

_MOTION: dict[str, tuple[Callable[[Station], float], str, str]] = {
    "step_size": (lambda one: one.draws.step_size, "step of the sampler", "1"),
    "num_steps": (lambda one: one.draws.num_steps, "steps of a trajectory", "1"),
}


def dataset(found: LocalEntropy, options: LocalEntropyOptions) -> xr.Dataset:
    """Curves against β and γ, the Franz-Parisi potential, the chains at the given β and γ."""
    gammas = [one.node.gamma for one in found.across]
    laplace = [found.ground.parabola.laplace(found.ground.beta, gamma) for gamma in gammas]
    return xr.Dataset(
        {
            **{_of_beta(name): ("beta", *_column(found.ascent, *how)) for name, how in (_EVIDENCE | _MOTION).items()},
            "phi_beta": ("beta", found.free.phi_beta, _words("local entropy up to this beta", "nat")),
            "phi": ("gamma", found.curve.phi, _words("local entropy Φ(β, γ)", "nat")),
            "phi_stderr": ("gamma", found.curve.standard_error, _words("its standard error", "nat")),
            **{name: ("gamma", *_column(found.across, *how)) for name, how in _EVIDENCE.items()},
            "r_rms": ("gamma", *_column(found.across, lambda one: one.r_rms, "root mean square distance", "parameter")),
            "laplace": ("gamma", [value for value, _ in laplace], _words("Laplace value of Φ", "nat")),
            "laplace_stderr": ("gamma", [error for _, error in laplace], _words("its standard error", "nat")),
            "franz_parisi": (
                "distance",
                found.potential.values,
                _words("Franz-Parisi potential at that distance", "nat"),
            ),
            "franz_parisi_stderr": ("distance", found.potential.standard_errors, _words("its standard error", "nat")),
            "rise_trace": (("chain", "draw"), found.here.draws.rise.numpy(), _words("ΔL", "loss")),
            "rise_warmup": (("chain", "warmup_draw"), found.here.draws.warmup.numpy(), _words("ΔL in warm-up", "loss")),
        },
        coords={
            "beta": ("beta", [one.node.beta for one in found.ascent], _words("inverse temperature", "1 / loss")),
            "distance": ("distance", found.potential.distances, _words("distance from the point", "metric unit")),
            "gamma": ("gamma", gammas, _words("stiffness of the reference", "1 / metric unit²")),
        },
        attrs=attributes(found.ground, options),
    )


def attributes(ground: Ground, options: LocalEntropyOptions) -> dict[str, float | int | str]:
    """What all of a result was measured with."""
    return {
        "beta": ground.beta,
        "gamma": options.gamma,
        "metric": options.metric,
        "sampler": options.sampler,
        "dimension": ground.around.dim,
        "loss": ground.around.energy,
    }


def _of_beta(name: str) -> str:
    """``llc_stderr`` becomes ``llc_beta_stderr``."""
    stem, error, _ = name.partition("_stderr")
    return f"{stem}_beta{error}"


def _words(long_name: str, units: str) -> dict[str, str]:
    return {"long_name": long_name, "units": units}


def _column(
    stations: Sequence[Station], value: Callable[[Station], float], long_name: str, units: str
) -> tuple[np.ndarray, dict[str, str]]:
    """One number of all stations; NaN where it has no value."""
    values = np.array([value(one) for one in stations], dtype=float)
    return np.where(np.isfinite(values), values, np.nan), _words(long_name, units)


def summary(found: LocalEntropy, options: LocalEntropyOptions) -> Summary:
    """The numbers at the given β and γ, and the worst evidence of all nodes."""
    here, stations = found.here, found.stations
    away = max(stations, key=lambda one: abs(one.virial - 1))
    rhat = max(one.rhat for one in stations)
    return {
        "phi": found.free.phi,
        "phi_stderr": found.free.standard_error,
        "llc": here.llc,
        "llc_stderr": here.llc_stderr,
        "beta": found.ground.beta,
        "gamma": options.gamma,
        "r_rms": here.r_rms,
        **({"rhat": rhat} if isfinite(rhat) else {}),
        "ess": min(one.ess for one in stations),
        "acceptance": min(one.draws.acceptance for one in stations),
        "virial": away.virial,
        "quadrature_error": found.free.quadrature_error,
        **({"step_bias": found.step_bias} if options.sampler == "sgld" else {}),
        **baselines(found.ground, options),
    }


def baselines(ground: Ground, options: LocalEntropyOptions) -> Summary:
    """What takes no chains."""
    value, error = ground.parabola.laplace(ground.beta, options.gamma)
    trace, trace_error = ground.parabola.trace
    return {
        "laplace_phi": value,
        "laplace_phi_stderr": error,
        "trace": trace,
        "trace_stderr": trace_error,
        "eigenvalue_max": ground.parabola.eigenvalue_max,
        "gradient_norm": ground.parabola.gradient_norm,
        "metric": options.metric,
        "sampler": options.sampler,
    }


def volume_summary(volume: Volume | None) -> Summary:
    """The star domain's volume, as far as there is a conclusion."""
    if volume is None:
        return {}
    known: Summary = {}
    if volume.log_volume is not None and volume.standard_error is not None:
        known = {"log_volume": volume.log_volume, "log_volume_stderr": volume.standard_error}
    return known | {"volume_ess": volume.ess}

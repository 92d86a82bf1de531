"""A spectrum as named arrays, and as the few numbers that sum it up."""

from __future__ import annotations

from typing import Any

import xarray as xr

from landscape.curvature.trace import TraceEstimates
from landscape_hessian.gaps import outliers
from landscape_hessian.measuring import Spectrum
from landscape_hessian.options import CHECK_PRODUCTS, HessianOptions
from landscape_hessian.verdict import negative_count, negative_mass

__all__ = ["Summary", "dataset", "summary"]

Summary = dict[str, float | int | str | bool | list[Any]]
Variables = dict[str, tuple[Any, ...]]

CURVATURE = "loss / parameter^2"
MOMENTS = (1, 2, 3, 4)


def dataset(spectrum: Spectrum, options: HessianOptions, block: str, step: int | None) -> xr.Dataset:
    """Eigenvalues and residuals of both ends by rank, the density's nodes and weights, the trace by parameter."""
    variables = _ends(spectrum) | _density(spectrum) | _trace(spectrum)
    if step is not None:
        variables["step"] = ((), step, _described("training step", "1"))
    attrs: dict[str, float | int | str] = {
        "matrix": options.matrix,
        "block": block,
        "num_parameters": spectrum.space.dim,
        "dimension": spectrum.dimension,
        "mode": spectrum.mode,
        "asymmetry": spectrum.soundness.asymmetry,
        "repeatability": spectrum.soundness.repeatability,
        "check_products": CHECK_PRODUCTS,
        "lanczos_products": spectrum.pairs.num_products if spectrum.pairs else 0,
        "trace_products": spectrum.trace.num_products if spectrum.trace else 0,
        "density_products": spectrum.density.num_products if spectrum.density else 0,
        "sampling_products": spectrum.sampling.num_products if spectrum.sampling else 0,
        "num_deflated": spectrum.num_deflated,
    }
    if spectrum.num_classes is not None:
        attrs["num_classes"] = spectrum.num_classes
    return xr.Dataset(variables, attrs=attrs)


def _described(long_name: str, units: str = CURVATURE) -> dict[str, str]:
    return {"long_name": long_name, "units": units}


def _ends(spectrum: Spectrum) -> Variables:
    variables: Variables = {}
    if spectrum.pairs is None:
        return variables
    for name, end, words in (("top", spectrum.pairs.top, "largest"), ("bottom", spectrum.pairs.bottom, "smallest")):
        rank = f"rank_{name}"
        variables[rank] = (rank, range(1, len(end.values) + 1), _described(f"rank among the {words}", "1"))
        variables[f"eigenvalue_{name}"] = (rank, end.values.numpy(), _described(f"{words} eigenvalues"))
        residuals = f"residuals |Ay - λy| of the {words} eigenvalues"
        variables[f"residual_{name}"] = (rank, end.residuals.numpy(), _described(residuals))
    if spectrum.sampling:
        long_name = "standard error over the choice of data of the largest eigenvalues"
        variables["sampling_error_top"] = ("rank_top", spectrum.sampling.top.numpy(), _described(long_name))
    return variables


def _density(spectrum: Spectrum) -> Variables:
    density = spectrum.density
    if density is None:
        return {}
    moments = [density.moment(order) for order in MOMENTS]
    variables: Variables = {
        "density_node": (("probe", "node"), density.nodes.numpy(), _described("nodes of the spectral density")),
        "density_weight": (("probe", "node"), density.weights.numpy(), _described("fraction of the eigenvalues", "1")),
        "order": ("order", list(MOMENTS), _described("order of the moment", "1")),
        "moment": ("order", [value for value, _ in moments], _described("mean of λ^order", f"({CURVATURE})^order")),
    }
    errors = [error for _, error in moments if error is not None]
    if errors:
        long_name = "standard error of the moments over probes"
        variables["moment_stderr"] = ("order", errors, _described(long_name, f"({CURVATURE})^order"))
    return variables


def _trace(spectrum: Spectrum) -> Variables:
    """Of each parameter; XTrace knows the whole only."""
    trace = spectrum.trace
    if not isinstance(trace, TraceEstimates):
        return {}
    variables: Variables = {
        "parameter": ("parameter", list(spectrum.space.names), _described("parameter", "1")),
        "size": ("parameter", list(spectrum.space.sizes), _described("number of coordinates", "1")),
        "trace_by_parameter": (
            "parameter",
            trace.by_group.numpy(),
            _described("trace over the parameter's coordinates"),
        ),
    }
    if trace.by_group_stderr is not None:
        errors = trace.by_group_stderr.numpy()
        variables["trace_by_parameter_stderr"] = ("parameter", errors, _described("its standard error"))
    return variables


def summary(spectrum: Spectrum, options: HessianOptions) -> Summary:
    """The numbers that a table shows; what does not apply is left out."""
    found: dict[str, Any] = {}
    pairs, trace, density, sampling = spectrum.pairs, spectrum.trace, spectrum.density, spectrum.sampling
    if pairs and len(pairs.top.values):
        found["eigenvalue_max"] = float(pairs.top.values[0])
        found["eigenvalue_max_sampling_error"] = float(sampling.top[0]) if sampling else None
    if pairs and len(pairs.bottom.values):
        found["eigenvalue_min"] = float(pairs.bottom.values[0])
    if trace:
        found["trace"], found["trace_stderr"] = trace.value, trace.standard_error
        found["trace_sampling_error"] = sampling.trace if sampling else None
    if isinstance(trace, TraceEstimates):
        found["frobenius_norm"], found["frobenius_norm_stderr"] = trace.frobenius_norm, trace.frobenius_norm_stderr
    if pairs:
        found["negative_count"] = negative_count(pairs, options)
        found["outliers"], found["gap_ratio"] = outliers(pairs.top.values, pairs.top.residuals)
        found["class_gap_ratio"] = _class_gap(spectrum)
    if density:
        found["density_mass_negative"], *found["density_mass_negative_bounds"] = negative_mass(density, spectrum.dtype)
    found["matrix"] = options.matrix
    for name, wanted in (("top", options.top), ("bottom", options.bottom)):
        if pairs and wanted:
            found[f"converged_{name}"] = getattr(pairs, name).converged
    found["symmetry_error"] = spectrum.soundness.asymmetry
    return {name: value for name, value in found.items() if value is not None}


def _class_gap(spectrum: Spectrum) -> float | None:
    """λ_(C-1) / λ_C for C classes: the gap below the C - 1 outliers that classes make. None where it is not known."""
    if spectrum.num_classes is None or spectrum.pairs is None:
        return None
    values, last = spectrum.pairs.top.values, spectrum.num_classes - 1
    if not 1 <= last < len(values) or float(values[last]) <= 0:
        return None
    return float(values[last - 1] / values[last])

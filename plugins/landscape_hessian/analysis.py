"""Both ends of the Hessian's spectrum at a point, and its trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import xarray as xr

from landscape.analysis import Context, Result
from landscape.curvature.lanczos import ExtremeEigenpairs, Krylov, extreme_eigenpairs, init
from landscape.curvature.operator import SymmetricOperator
from landscape.curvature.symmetry import ASYMMETRY_TOLERANCE, asymmetry
from landscape.curvature.trace import TraceEstimate, probe_samples, rademacher, trace_estimate
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point
from landscape_hessian.options import SYMMETRY_PRODUCTS, HessianOptions

__all__ = ["run"]

PROBE_BLOCK = 10  # probes in one block of products, between two reports of progress
MAX_SAVED_BYTES = 2**30  # a Krylov space larger than this is made anew rather than stored


def run(landscape: Landscape, points: Sequence[Point], options: HessianOptions, *, context: Context) -> Result:
    """The largest and smallest eigenvalues of the Hessian at one point with residuals, and its trace.

    Costs the products that the eigenvalues need (Lanczos), ``options.probes`` for the trace and 2 to see whether the
    Hessian is symmetric, ``options.max_hvps`` at most.
    """
    (point,) = points
    hessian = landscape.hessian(point)
    # all random vectors are drawn first, so that a continued task draws the same
    normal = torch.randn(3, hessian.dim, generator=context.rng, dtype=torch.float64).to(point.vector)
    space = init(normal[0], project=lambda vector: landscape.tangent(point.vector, vector))
    space = _stored_space(context, space) or space
    skew = asymmetry(hessian, normal[1:])
    pairs = _eigenpairs(hessian, space, options, context)
    trace = _trace(hessian, space, options, context) if options.probes else None
    if not (pairs.converged or space.exhausted):
        _store_space(context, space)
    return _result(pairs, trace, skew, ASYMMETRY_TOLERANCE[landscape.dtype], options)


def _eigenpairs(
    hessian: SymmetricOperator, space: Krylov, options: HessianOptions, context: Context
) -> ExtremeEigenpairs:
    def report(found: ExtremeEigenpairs) -> None:
        largest = f"largest {float(found.top.values[0]):.4g}"
        context.progress(SYMMETRY_PRODUCTS + found.num_products, options.max_hvps, largest)

    return extreme_eigenpairs(
        hessian,
        space,
        top=options.top,
        bottom=options.bottom,
        rtol=options.rtol,
        max_products=options.max_lanczos,
        progress=report,
    )


def _trace(hessian: SymmetricOperator, space: Krylov, options: HessianOptions, context: Context) -> TraceEstimate:
    """The trace, of which the part in the Krylov space is known already."""
    probes = rademacher(options.probes, space.buffer[0], context.rng)
    samples = []
    for done, block in enumerate(torch.split(probes, PROBE_BLOCK)):
        samples.append(probe_samples(hessian, block, space.basis))
        used = SYMMETRY_PRODUCTS + space.num_products + done * PROBE_BLOCK + len(block)
        context.progress(used, options.max_hvps, "trace")
    return trace_estimate(torch.cat(samples), space.trace)


def _store_space(context: Context, space: Krylov) -> None:
    """Keep what a larger budget continues from."""
    basis = space.buffer[: space.num_products + 1]
    if basis.numel() * basis.element_size() <= MAX_SAVED_BYTES:
        tridiagonal = torch.tensor([space.diagonal, space.off_diagonal], dtype=torch.float64)
        context.save({"basis": basis.cpu().clone(), "tridiagonal": tridiagonal})


def _stored_space(context: Context, fresh: Krylov) -> Krylov | None:
    state = context.load()
    if not state:
        return None
    diagonal, off_diagonal = state["tridiagonal"].tolist()
    return replace(fresh, buffer=state["basis"].to(fresh.buffer), diagonal=diagonal, off_diagonal=off_diagonal)


def _result(
    pairs: ExtremeEigenpairs, trace: TraceEstimate | None, skew: float, tolerance: float, options: HessianOptions
) -> Result:
    summary: dict[str, float | int | str | bool | list[float]] = {"eigenvalue_max": float(pairs.top.values[0])}
    if options.bottom:
        summary["eigenvalue_min"] = float(pairs.bottom.values[0])
    if trace:
        summary["trace"] = trace.value
        if trace.standard_error is not None:
            summary["trace_stderr"] = trace.standard_error
    return Result(
        data=_dataset(pairs, trace, skew),
        summary=summary,
        converged=pairs.converged and skew <= tolerance,
        messages=tuple(_messages(pairs, skew, tolerance, options)),
        budget_spent=not (pairs.converged or pairs.exhausted),
    )


def _dataset(pairs: ExtremeEigenpairs, trace: TraceEstimate | None, skew: float) -> xr.Dataset:
    """Eigenvalues and residuals of both ends against their rank, the outermost first."""
    variables: dict[str, tuple[str, Any, dict[str, str]]] = {}
    for name, end, words in (("top", pairs.top, "largest"), ("bottom", pairs.bottom, "smallest")):
        rank = f"rank_{name}"
        variables[rank] = (rank, range(1, len(end.values) + 1), _described(f"rank among the {words}", "1"))
        variables[f"eigenvalue_{name}"] = (rank, end.values.numpy(), _described(f"{words} Hessian eigenvalues"))
        long_name = f"residuals |Hy - λy| of the {words} eigenvalues"
        variables[f"residual_{name}"] = (rank, end.residuals.numpy(), _described(long_name))
    attrs: dict[str, float | int] = {
        "asymmetry": skew,
        "symmetry_products": SYMMETRY_PRODUCTS,
        "lanczos_products": pairs.num_products,
        "trace_products": trace.num_probes if trace else 0,
    }
    return xr.Dataset(variables, attrs=attrs)


def _described(long_name: str, units: str = "loss / parameter^2") -> dict[str, str]:
    return {"long_name": long_name, "units": units}


def _messages(pairs: ExtremeEigenpairs, skew: float, tolerance: float, options: HessianOptions) -> list[str]:
    messages = []
    if skew > tolerance:
        messages.append(
            f"the Hessian is not symmetric (relative asymmetry {skew:.1e}, rounding explains {tolerance:.0e}): an "
            "operation in the model has a wrong second derivative, as weight_norm does, or the loss is too small for "
            "this precision: try --dtype float64, and do not trust these numbers"
        )
    for name, end, wanted in (("top", pairs.top, options.top), ("bottom", pairs.bottom, options.bottom)):
        met = int((end.residuals <= options.rtol * pairs.scale).sum())
        if not end.converged:
            messages.append(
                f"{met} of the {wanted} {name} eigenvalues converged, with residuals of at most {options.rtol:g} x "
                f"{pairs.scale:.4g}; raise --hessian.max-hvps (now {options.max_hvps})"
            )
        elif len(end.values) < wanted:
            messages.append(
                f"{len(end.values)} {name} eigenvalues instead of {wanted}: a random vector reaches no other distinct "
                f"ones (the Krylov space closed after {pairs.num_products} products)"
            )
    if len(pairs.bottom.values) and abs(float(pairs.bottom.values[0])) <= float(pairs.bottom.residuals[0]):
        messages.append(
            f"the smallest eigenvalue is {float(pairs.bottom.values[0]):.2g} with a residual of "
            f"{float(pairs.bottom.residuals[0]):.2g}: lower --hessian.rtol (now {options.rtol:g}) to learn its sign"
        )
    return messages

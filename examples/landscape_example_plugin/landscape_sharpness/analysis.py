"""The average sharpness at one point, with its standard error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
import xarray as xr
from torch import Tensor

from landscape import Context, Landscape, Point, Result
from landscape.errors import AnalysisError
from landscape_sharpness.options import AverageSharpnessOptions

__all__ = ["run"]

SAVE_EVERY = 10  # draws between two writes of the partial work


@dataclass(frozen=True, eq=False)
class Estimate:
    """S(σ) from independent draws.

    Attributes
    ----------
    rises
        [L(w + σz) + L(w - σz)] / 2 - L(w) of each draw z and each σ, shape ``(draws, sigmas)``, float64.
    rounding
        By how much a rise can be wrong because L(w) is computed in finite precision.
    """

    rises: Tensor
    rounding: float

    @property
    def mean(self) -> Tensor:
        return self.rises.mean(0)

    @property
    def standard_error(self) -> Tensor:
        return self.rises.std(0) / sqrt(len(self.rises))


def run(landscape: Landscape, points: Sequence[Point], options: AverageSharpnessOptions, *, context: Context) -> Result:
    """S(σ) = E_z[L(w + σz)] - L(w) with z ~ N(0, I): σ is the standard deviation per coordinate.

    On a quadratic loss S(σ) = σ²/2 tr H exactly, at any point w. On a curved space z is Gaussian in the tangent space
    and w + σz is brought back to the space. Costs 1 energy and 2 more per draw and σ.
    """
    (point,) = points
    loss = landscape.energies(point.vector[None]).item()
    rises = _rises(landscape, point.vector, loss, options, context)
    estimate = Estimate(rises, rounding=torch.finfo(landscape.dtype).eps * abs(loss))
    complete = len(rises) == options.num_samples
    doubts = _doubts(estimate, options)
    return Result(
        data=_dataset(estimate, options),
        summary=_summary(estimate, options, loss),
        converged=complete and not doubts,
        messages=(*([] if complete else [_cut_short(estimate, options)]), *doubts),
        budget_spent=not complete,
    )


def _rises(landscape: Landscape, w: Tensor, loss: float, options: AverageSharpnessOptions, context: Context) -> Tensor:
    """The rise of each draw at each σ. All σ of a draw go in one batch with both signs.

    What is odd in z, the gradient first of all, cancels between z and -z (antithetic variates; Hammersley & Morton,
    Math. Proc. Camb. Phil. Soc. 52, 449 (1956)). The partial work holds the generator's state: a continued task draws
    what an undisturbed one would.
    """
    sigmas = torch.tensor(options.sigmas, dtype=torch.float64).to(w)
    both_signs = torch.cat([sigmas, -sigmas])[:, None]
    rises = _resume(context)
    while len(rises) < options.affordable_samples:
        z = torch.randn(len(w), generator=context.rng, dtype=torch.float64).to(w)
        perturbed = landscape.project(w + both_signs * landscape.tangent(w, z))
        up, down = landscape.energies(perturbed).cpu().chunk(2)
        rises.append(_checked((up + down) / 2 - loss, options))
        if len(rises) % SAVE_EVERY == 0 or len(rises) == options.affordable_samples:
            context.save({"rises": torch.stack(rises), "generator": context.rng.get_state()})
        context.progress(len(rises), options.affordable_samples, f"rise {rises[-1][-1].item():.3g}")
    return torch.stack(rises)


def _resume(context: Context) -> list[Tensor]:
    """The draws of an interrupted task, or of one that a smaller budget ended; none where the work begins."""
    state = context.load()
    if not state:
        return []
    context.rng.set_state(state["generator"])
    return list(state["rises"])


def _checked(rises: Tensor, options: AverageSharpnessOptions) -> Tensor:
    for sigma, rise in zip(options.sigmas, rises.tolist(), strict=True):
        if not abs(rise) < float("inf"):
            raise AnalysisError(f"the loss at sigma = {sigma:g} is not finite; lower --average-sharpness.sigmas")
    return rises


def _dataset(estimate: Estimate, options: AverageSharpnessOptions) -> xr.Dataset:
    def described(long_name: str, values: Any, units: str = "loss") -> tuple[str, Any, dict[str, str]]:
        return "sigma", values, {"units": units, "long_name": long_name}

    return xr.Dataset(
        {
            "sharpness": described("average sharpness", estimate.mean.numpy()),
            "sharpness_stderr": described("its standard error", estimate.standard_error.numpy()),
        },
        coords={"sigma": described("perturbation of each coordinate", list(options.sigmas), "parameter")},
    )


def _summary(estimate: Estimate, options: AverageSharpnessOptions, loss: float) -> dict[str, Any]:
    """Plain numbers by name. The apparent trace is that of a quadratic as sharp as L at the smallest σ."""
    to_trace = 2 / options.sigmas[0] ** 2
    return {
        "loss": loss,
        "sigmas": list(options.sigmas),
        "sharpness": estimate.mean.tolist(),
        "sharpness_stderr": estimate.standard_error.tolist(),
        "apparent_trace": to_trace * estimate.mean[0].item(),
        "apparent_trace_stderr": to_trace * estimate.standard_error[0].item(),
        "samples": len(estimate.rises),
    }


def _cut_short(estimate: Estimate, options: AverageSharpnessOptions) -> str:
    return (
        f"the budget ended the work after {len(estimate.rises)} of {options.num_samples} draws; raise "
        f"--average-sharpness.max-energies (now {options.max_energies}) to go on"
    )


def _doubts(estimate: Estimate, options: AverageSharpnessOptions) -> list[str]:
    """Where a value is not known to ``rtol``, and what would help."""
    allowed = options.rtol * estimate.mean.abs()
    reasons = (
        (estimate.standard_error > allowed, "its standard error", "raise --average-sharpness.num-samples"),
        (allowed < estimate.rounding, "rounding", "take larger --average-sharpness.sigmas or --dtype float64"),
    )
    return [
        f"sharpness at sigma = {', '.join(f'{options.sigmas[i]:g}' for i in where.nonzero().flatten())}: {reason} is "
        f"more than {options.rtol:g} of the value; {advice}"
        for where, reason, advice in reasons
        if where.any()
    ]

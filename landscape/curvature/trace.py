"""The trace of a symmetric operator from random probes."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.operator import SymmetricOperator

__all__ = ["TraceEstimate", "probe_samples", "rademacher", "trace_estimate"]


@dataclass(frozen=True)
class TraceEstimate:
    """An unbiased estimate of tr A.

    Attributes
    ----------
    value
        The estimate.
    standard_error
        The standard deviation of the estimate over probes; None with a single probe.
    num_probes
        Products that it took.
    """

    value: float
    standard_error: float | None
    num_probes: int


def rademacher(num_probes: int, like: Float[Tensor, " P"], rng: torch.Generator) -> Float[Tensor, "K P"]:
    """Vectors of independent signs ±1, drawn on the CPU so that devices agree."""
    signs = torch.randint(0, 2, (num_probes, len(like)), generator=rng, dtype=torch.int8)
    return (2 * signs - 1).to(like)


def probe_samples(
    operator: SymmetricOperator, probes: Float[Tensor, "K P"], basis: Float[Tensor, "m P"] | None = None
) -> Float[Tensor, " K"]:
    """zᵀAz of each probe z, float64 on the CPU. Costs K products.

    With an orthonormal ``basis`` V the probes are first made orthogonal to it: the samples then estimate the trace of A
    over the complement of its span, tr A - tr VAVᵀ.
    """
    if basis is not None:
        probes = probes - (probes @ basis.T) @ basis
    return (probes * operator.matmat(probes)).sum(dim=1, dtype=torch.float64).cpu()


def trace_estimate(samples: Float[Tensor, " K"], trace_in_basis: float = 0.0) -> TraceEstimate:
    """tr A = tr VAVᵀ + mean of the samples: Hutchinson's estimator on what a known basis leaves over.

    Any V that is independent of the probes keeps it unbiased. With the basis of a Lanczos run, whose tr VAVᵀ is the sum
    of the Ritz values, the large eigenvalues contribute no variance: those of the sketch that Hutch++ pays for
    come free here. Without a basis the variance of one Rademacher sample is 2 (|A|_F² - Σ a_ii²).

    Sources: Hutchinson 1990; deflation: Gambhir, Stathopoulos & Orginos 2017, equation (5), and Meyer, Musco, Musco &
    Woodruff 2021, algorithm 1.
    """
    num_probes = len(samples)
    error = float(samples.std()) / sqrt(num_probes) if num_probes > 1 else None
    return TraceEstimate(trace_in_basis + float(samples.mean()), error, num_probes)

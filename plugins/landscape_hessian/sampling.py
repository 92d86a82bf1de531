"""What the choice of a subset of the data adds to the error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.operator import SymmetricOperator

__all__ = ["SamplingError", "sampling_error"]


@dataclass(frozen=True, eq=False)
class SamplingError:
    """Standard errors over data, from two halves of the mini-batches.

    Attributes
    ----------
    top
        Of the largest eigenvalues, in their order.
    trace
        Of the trace, None where it was not asked for.
    num_products
        What it took.
    """

    top: Float[Tensor, " k"]
    trace: float | None
    num_products: int


def sampling_error(
    half: Callable[[int], SymmetricOperator],
    vectors: Float[Tensor, "k P"],
    probes: Float[Tensor, "K P"],
    subset: float,
) -> SamplingError:
    """√(1 - n/N) |yᵀA₀y - yᵀA₁y| / 2 for the matrices A₀ and A₁ of two halves of n samples out of N.

    To first order an eigenvalue moves with the data as the quotient yᵀAy at its fixed unit eigenvector y, and the
    standard error of a mean over two halves is half their difference (halves of unequal size: a little less). The trace
    is the sum of these quotients and the mean of zᵀPAPz over probes z, with P the projection on what the y leave over.
    Two numbers make a rough error: it is itself uncertain by a factor of about two. ``subset`` is the root in front,
    for samples drawn without replacement (Cochran, Sampling Techniques, chapter 2). Costs k + K products over the data.
    """
    rest = probes - (probes @ vectors.T) @ vectors
    first, second = (_quotients(half(index), torch.cat([vectors, rest])) for index in (0, 1))
    spread = subset * (first - second) / 2
    of_vectors, of_probes = spread[: len(vectors)], spread[len(vectors) :]
    trace = float((of_vectors.sum() + of_probes.mean()).abs()) if len(probes) else None
    return SamplingError(of_vectors.abs(), trace, len(vectors) + len(probes))


def _quotients(operator: SymmetricOperator, vectors: Float[Tensor, "K P"]) -> Float[Tensor, " K"]:
    return (vectors * operator.matmat(vectors)).sum(dim=1, dtype=torch.float64).cpu()

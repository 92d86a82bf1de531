"""The trace of a symmetric operator by XTrace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.known import independent
from landscape.curvature.operator import SymmetricOperator, everywhere

__all__ = ["XTraceEstimate", "xtrace"]


@dataclass(frozen=True)
class XTraceEstimate:
    """An unbiased estimate of tr A.

    Attributes
    ----------
    value
        The estimate.
    standard_error
        By the jackknife, over vectors: on average not below the true one (Efron & Stein 1981), but above it, by up to a
        factor of five where the spectrum decays fast. The scatter of the leave-one-out estimates that is often quoted
        instead takes them for independent: it was found too small by up to a factor of two.
    num_products
        Products that it took.
    """

    value: float
    standard_error: float
    num_products: int


def xtrace(
    operator: SymmetricOperator,
    num_products: int,
    like: Float[Tensor, " P"],
    rng: torch.Generator,
    *,
    project: Callable[[Tensor], Tensor] = everywhere,
    dimension: int | None = None,
) -> XTraceEstimate:
    """tr A from k = ``num_products`` / 2 random vectors ω, all of which serve as sketch and as probes.

    Each estimate is tr Q_iᵀAQ_i + |N_iω_i|^-2 (n - k + 1) ω_iᵀ N_i A N_i ω_i, where Q_i spans the images Aω_j of the
    other vectors and N_i = 1 - Q_iQ_iᵀ; their mean is unbiased. For symmetric A all of it follows from the QR
    factorisation of the images and H = QᵀAQ: Q_iQ_iᵀ = Q (1 - s_i s_iᵀ) Qᵀ with s_i along the i-th column of R^-ᵀ,
    w_i = Qᵀω_i, and QᵀAω_i is the i-th column of R. Memory: 3 k P.

    Parameters
    ----------
    num_products
        At most so many, 4 or more; the last of an odd number is not used.
    like
        A vector of the operator's dtype on its device.
    project
        Into the subspace that A acts in.
    dimension
        n of that subspace; P by default.

    Source: Epperly, Tropp & Webber 2024, XTrace with the normalisation of test vectors recommended there (which is why
    they are normal).
    """
    n = operator.dim if dimension is None else dimension
    if num_products < 4:
        raise ValueError(f"XTrace takes 4 products or more, got {num_products}")
    k = max(2, min(num_products // 2, n))
    vectors = project(torch.randn(k, len(like), generator=rng, dtype=like.dtype).to(like.device))
    columns, r = torch.linalg.qr(project(operator.matmat(vectors)).T)
    found = independent(r)
    basis = columns.T[found].contiguous()
    images = operator.matmat(basis)
    h = (images @ basis.T).double().cpu()
    w = (basis @ vectors.T).double().cpu()
    squares = torch.linalg.vector_norm(vectors, dim=1, dtype=torch.float64).square().cpu()
    small = (h + h.T) / 2, w, r[found].double().cpu(), squares
    replicates = torch.stack([_leave_one_out(*_without(i, *small), n).mean() for i in range(k)])
    error = sqrt((k - 1) / k * float((replicates - replicates.mean()).square().sum()))
    return XTraceEstimate(float(_leave_one_out(*small, n).mean()), error, k + len(basis))


def _without(i: int, h: Tensor, w: Tensor, r: Tensor, squares: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The same for all vectors but the i-th: a rotation within the span of Q."""
    others = torch.arange(len(squares)) != i
    q, r = torch.linalg.qr(r[:, others])
    found = independent(r)
    q = q[:, found]
    return q.T @ h @ q, q.T @ w[:, others], r[found], squares[others]


def _leave_one_out(
    h: Float[Tensor, "r r"], w: Float[Tensor, "r k"], r: Float[Tensor, "r k"], squares: Float[Tensor, " k"], n: int
) -> Float[Tensor, " k"]:
    """The estimates that leave one vector out; in u = (1 - s sᵀ) w are the coordinates of Q_iQ_iᵀω_i.

    If the images are linearly dependent, those of the other vectors span the same space and s = 0.
    """
    rank, k = w.shape
    s = torch.zeros_like(w)
    if rank == k:
        s = torch.linalg.inv(r).T
        s /= torch.linalg.vector_norm(s, dim=0)
    u = w - s * (s * w).sum(dim=0)
    rest = (w * r - 2 * u * r + u * (h @ u)).sum(dim=0)
    left = n - rank + int(rank == k)
    if not left:
        return h.trace().expand(k)
    return h.trace() - (s * (h @ s)).sum(dim=0) + left * rest / (squares - u.square().sum(dim=0))

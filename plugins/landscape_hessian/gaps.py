"""Gaps in the upper end of a spectrum: which leading eigenvalues stand apart from the rest."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["GAP", "OUTLIER_GAP", "outliers", "why_open"]

GAP = 1.5  # an eigenvalue this many times the next: neighbours in a bulk's tail rarely are, and no count is claimed
OUTLIER_GAP = 2.0  # the same where the number of eigenvalues above it is to be named
DEVIATION = 0.1  # sine of the angle that the residuals leave open between a computed subspace and the exact one
ROUNDING = 1e-5  # of the largest eigenvalue: what float32 products cannot tell from zero


def outliers(values: ArrayLike, residuals: ArrayLike) -> tuple[int | None, float | None]:
    """How many leading eigenvalues stand apart, and the largest ratio θ_k / θ_(k+1), which says where.

    The number is None unless the ratio is 2 or more; the ratio is None where no gap is large against the residuals.
    What follows a value enters the ratio with its size, but with 1e-5 of the largest at least: neither a change of sign
    nor rounding makes a gap.

    Parameters
    ----------
    values, residuals
        The largest eigenvalues, descending, with |Ay - θy| of their unit vectors, shape ``(k,)``.
    """
    theta, rho = np.asarray(values, dtype=float), np.asarray(residuals, dtype=float)
    sharp = [(ratio, k) for k, ratio in _ratios(theta) if _deviation(theta, rho, k) <= DEVIATION]
    if not sharp:
        return None, None
    ratio, k = max(sharp)
    return (k if ratio >= OUTLIER_GAP else None), ratio


def why_open(values: ArrayLike, residuals: ArrayLike, k: int) -> str | None:
    """Why the span of the k leading eigenvectors is no well-defined subspace; None where a gap closes it.

    A gap does when θ_k is at least 1.5 times θ_(k+1), more than an ordinary spacing, and when the residuals are at
    most a tenth of it: they bound the sine of the angle to the exact subspace (Davis & Kahan 1970, sin θ theorem).
    """
    theta, rho = np.asarray(values, dtype=float), np.asarray(residuals, dtype=float)
    if len(theta) <= k:
        return f"only {len(theta)} eigenvalues are known, too few to see the gap: add --hessian.top {k + 1}"
    ratio = dict(_ratios(theta)).get(k)
    if ratio is None:
        return f"eigenvalue {k} is not positive"
    if ratio < GAP:
        return f"eigenvalue {k} is {ratio:.2f} times the next, {GAP:g} would be a gap"
    if _deviation(theta, rho, k) > DEVIATION:
        return f"the residuals are too large for the gap after eigenvalue {k}"
    return None


def _ratios(theta: np.ndarray) -> Iterator[tuple[int, float]]:
    """Each k with θ_k / |θ_(k+1)|, as far as the values are positive beyond rounding."""
    floor = ROUNDING * max(theta[0], 0.0) if len(theta) else 0.0
    for k in range(1, len(theta)):
        if theta[k - 1] > floor:
            yield k, float(theta[k - 1] / max(abs(theta[k]), floor))


def _deviation(theta: np.ndarray, rho: np.ndarray, k: int) -> float:
    """|R| / gap: the bound of Davis and Kahan, with the next eigenvalue's own residual counted too."""
    gap = theta[k - 1] - theta[k]
    return float(np.linalg.norm(rho[: k + 1]) / gap) if gap > 0 else np.inf

"""Spectra for Lanczos to find the ends of, and what its vectors have to bear out."""

from __future__ import annotations

import torch
from matrices import goe, normal, rotated, wishart

DEGENERATE = [10.0, 9.0, 9.0, 5.0, -3.0, *[0.0] * 295]


def degenerate(rng):
    return rotated(DEGENERATE, rng)


def semicircle(rng):
    return goe(rng, 300)


def least_squares(rng):
    x = normal(rng, 37, 12)
    return 2 * x.T @ x / 37


def covariance(rng):
    return wishart(rng, 200)


def outliers(rng):
    return rotated([50.0, 40.0, 30.0, *torch.linspace(-1, 1, 197).tolist()], rng)


CASES = [semicircle, least_squares, covariance, outliers]
LARGE = [semicircle, covariance, outliers]


def check_true_residuals(matrix, found, rounding):
    """Vectors are orthonormal, and residuals theirs, down to the rounding that the products leave behind."""
    for end in (found.top, found.bottom):
        y = end.vectors.double()
        identity = torch.eye(len(y), dtype=torch.float64)
        torch.testing.assert_close(y @ y.T, identity, rtol=0, atol=rounding)
        true = (y @ matrix.double() - end.values[:, None] * y).norm(dim=1)
        torch.testing.assert_close(end.residuals, true, rtol=1e-6, atol=rounding * found.scale)

"""What the eigenvalues of the Hessian say of flatness: the largest, their sum, their squares, Laplace's value."""

from __future__ import annotations

from math import ceil, log, sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.analysis import Cost
from landscape.curvature.density import SpectralDensity, lanczos_quadrature
from landscape.curvature.known import known_in_krylov
from landscape.curvature.krylov import Krylov, init, ritz
from landscape.curvature.lanczos import extreme_eigenpairs
from landscape.curvature.memory import spare_bytes
from landscape.curvature.operator import SymmetricOperator
from landscape.curvature.symmetry import check_sound
from landscape.curvature.trace import estimate_trace
from landscape.errors import AnalysisError
from landscape.landscapes.protocol import Landscape
from landscape.neighbourhood.hessian import whole_spectrum
from landscape.neighbourhood.laplace import laplace, negative_part
from landscape.neighbourhood.temperature import inverse_temperature
from landscape.parameters import Point
from landscape_flatness.cost import counted
from landscape_flatness.measure import Found, Measure
from landscape_flatness.options import FlatnessOptions

__all__ = [
    "EIGENVALUE_MAX",
    "FROBENIUS_NORM",
    "LAPLACE_PHI",
    "TRACE",
    "quadrature_steps",
    "sound_hessian",
    "spectrum",
]

EIGENVALUE_MAX = Measure(
    "eigenvalue_max",
    "largest eigenvalue of the Hessian H; its error is the residual |Hy - λy| (Dinh et al. 2017)",
    invariant=False,
    units="loss / weight^2",
)
TRACE = Measure(
    "trace",
    "tr H of the Hessian H, the sum of all eigenvalues (Dinh et al. 2017)",
    invariant=False,
    units="loss / weight^2",
)
FROBENIUS_NORM = Measure(
    "frobenius_norm",
    "|H|_F of the Hessian H, the root of the sum of all squared eigenvalues (Wu et al. 2022)",
    invariant=False,
    units="loss / weight^2",
)
LAPLACE_PHI = Measure(
    "laplace_phi",
    "-½ Σ ln(1 + βλ/γ): log E exp(-β ΔL) over w + N(0, 1/γ), the loss taken for its parabola (MacKay 1992)",
    invariant=False,
    flat="large",
    units="nat",
)

RTOL = 1e-4  # residuals, relative to the largest |λ|: the error of a value is of second order, unless two lie as close
MAX_LANCZOS = 300  # products for the largest eigenvalue
ACCURACY = 1e-4  # of the quadrature, relative: below the noise of any affordable number of probes
LEAST_STEPS, KINK_STEPS, MOST_STEPS = 4, 32, 100
ROUNDING = 1e-5  # of the largest eigenvalue: what float32 makes of a zero
SADDLE = 0.1  # trained networks have a few negative eigenvalues, a few per cent of the largest (Sagun et al. 2018)
TELLING = 0.01  # share of negative curvature that is worth a word


def sound_hessian(landscape: Landscape, point: Point, seed: int) -> SymmetricOperator:
    """The Hessian at a point, if it is one. Costs 3 products.

    Raises
    ------
    AnalysisError
        If its products are not those of one symmetric matrix, beyond rounding.
    """
    operator = landscape.hessian(point)
    found = check_sound(operator, _normal(2, point.vector, torch.Generator().manual_seed(seed)))
    if not found.sound:
        raise AnalysisError(
            f"{point.id}: the Hessian is not one symmetric matrix (asymmetry {found.asymmetry:.1e}, two products "
            f"differ by {found.repeatability:.1e}, rounding explains {found.tolerance:.0e}): try --dtype float64, and "
            "see --plugin hessian"
        )
    return operator


def spectrum(landscape: Landscape, operator: SymmetricOperator, options: FlatnessOptions, seed: int) -> list[Found]:
    """λ_max, tr H, |H|_F and Laplace's value, of which each uses what the ones before know.

    What the Krylov space of the largest eigenvalue knows of trace and Frobenius norm is exact, their ``probes`` see the
    rest; its converged eigenpairs are exact in the density whose logarithms Laplace's value sums. Random vectors come
    from the seed alone. Costs the products of Lanczos, ``probes``, and ``probes`` times ``quadrature_steps``, often 32.
    A matrix with no more rows than 33 ``probes`` is made as a whole, and nothing is estimated.

    Raises
    ------
    AnalysisError
        If a product is not finite.
    """
    if operator.dim <= options.probes * (1 + KINK_STEPS):
        return _exact(landscape, operator, options)
    rng = torch.Generator().manual_seed(seed)
    like = torch.zeros(landscape.space.dim, dtype=landscape.dtype, device=landscape.device)
    krylov, largest = _largest(landscape, operator, _normal(1, like, rng))
    moments = _moments(landscape, operator, krylov, options, rng)
    spent = counted(landscape.work)
    beta, words = inverse_temperature(options.beta, landscape.info, "--flatness.beta")
    probes = _normal(options.probes, like, rng)
    density = _density(landscape, operator, krylov, beta / options.gamma, probes)
    return [largest, *moments, _laplace(density, operator.dim, beta, words, options.gamma, spent())]


def _exact(landscape: Landscape, operator: SymmetricOperator, options: FlatnessOptions) -> list[Found]:
    """The same from the whole matrix."""
    spent = counted(landscape.work)
    matrix = operator.matmat(torch.eye(operator.dim, dtype=landscape.dtype, device=landscape.device)).double().cpu()
    if not matrix.isfinite().all():
        raise AnalysisError("the Hessian is not finite; try --dtype float64")
    values = torch.linalg.eigvalsh((matrix + matrix.T) / 2)
    saddle = _saddle(float(values[0]), float(values[-1]))
    beta, words = inverse_temperature(options.beta, landscape.info, "--flatness.beta")
    return [
        Found(EIGENVALUE_MAX, float(values[-1]), None, spent(), saddle, converged=not saddle),
        Found(TRACE, float(values.sum())),
        Found(FROBENIUS_NORM, float(torch.linalg.vector_norm(values))),
        _laplace(whole_spectrum(values), operator.dim, beta, words, options.gamma, Cost()),
    ]


def _normal(count: int, like: Float[Tensor, " P"], rng: torch.Generator) -> Float[Tensor, "K P"]:
    """Gaussian vectors, drawn one by one on the CPU so that devices and precisions agree."""
    rows = like.new_empty(count, len(like))
    for row in rows:
        row.copy_(torch.randn(len(row), generator=rng, dtype=torch.float64))
    return rows


def _rows(landscape: Landscape) -> int:
    """How many vectors fit into memory."""
    return spare_bytes(landscape.device) // (landscape.space.dim * landscape.dtype.itemsize)


def _largest(landscape: Landscape, operator: SymmetricOperator, start: Tensor) -> tuple[Krylov, Found]:
    spent, krylov = counted(landscape.work), init(start)
    pairs = extreme_eigenpairs(
        operator, krylov, top=1, bottom=0, rtol=RTOL, max_products=MAX_LANCZOS, max_basis=_rows(landscape)
    )
    value, residual = float(pairs.top.values[0]), float(pairs.top.residuals[0])
    messages: tuple[str, ...] = () if pairs.converged else (
        f"eigenvalue_max has not converged: {value:.4g} with a residual of {residual:.1e} after {pairs.num_products} "
        "products; see --plugin hessian",
    )  # fmt: skip
    values, residuals, _ = ritz(krylov)
    messages += _saddle(float(values[0]) + float(residuals[0]), value)
    return krylov, Found(EIGENVALUE_MAX, value, residual, spent(), messages, converged=not messages)


def _saddle(lowest: float, largest: float) -> tuple[str, ...]:
    """What to say of an eigenvalue that is at most ``lowest``."""
    if lowest >= -SADDLE * abs(largest):
        return ()
    return (
        f"not at a minimum: the Hessian has an eigenvalue of {lowest:.4g} or less, and {largest:.4g} at the other end; "
        "flatness is a property of minima",
    )


def _moments(
    landscape: Landscape, operator: SymmetricOperator, krylov: Krylov, options: FlatnessOptions, rng: torch.Generator
) -> list[Found]:
    """Trace and Frobenius norm, from the same products."""
    spent = counted(landscape.work)
    found = estimate_trace(operator, known_in_krylov(krylov), options.probes, rng, [operator.dim])
    return [
        Found(TRACE, found.value, found.standard_error, spent()),
        Found(FROBENIUS_NORM, found.frobenius_norm, found.frobenius_norm_stderr),
    ]


def _laplace(density: SpectralDensity, dim: int, beta: float, words: str, gamma: float, cost: Cost) -> Found:
    value, error = laplace(density, dim, beta, gamma)
    _, share = negative_part(density, dim)
    messages: tuple[str, ...] = (f"laplace_phi at {words}, and gamma = {gamma:g}",)
    if share > TELLING:
        messages += (f"laplace_phi takes negative eigenvalues for flat directions: {share:.0%} of Σ|λ|",)
    return Found(LAPLACE_PHI, value, error or None, cost, messages)


def _density(
    landscape: Landscape, operator: SymmetricOperator, krylov: Krylov, ratio: float, probes: Float[Tensor, "K P"]
) -> SpectralDensity:
    """The spectral density, in which all eigenpairs that the Krylov space has converged to are exact."""
    values, residuals, s = ritz(krylov)
    known = residuals <= RTOL * values.abs().max()
    vectors = s[:, known].T.to(krylov.buffer) @ krylov.basis
    left = values[~known].clamp(min=0).max() if not known.all() else 0.0
    indefinite = float(values[0]) < -ROUNDING * float(values.abs().max())
    steps = min(quadrature_steps(1 + ratio * float(left), indefinite=indefinite), max(1, _rows(landscape)))
    group = max(1, _rows(landscape) // (2 * steps))
    return lanczos_quadrature(
        operator, probes, num_steps=steps, dimension=operator.dim, deflated=(values[known], vectors), group=group
    )


def quadrature_steps(condition: float, *, indefinite: bool) -> int:
    """Lanczos steps after which Σ ln of a matrix with that condition number is good to 1e-4, at most 100.

    Gauss quadrature of an analytic function converges as ρ^(-2m), with ρ = (√κ + 1)/(√κ - 1) for a singularity at
    zero below a spectrum from 1 to κ (Ubaru, Chen & Saad 2017, theorem 4.1). Where negative eigenvalues are cut off the
    function has a kink, amid the many eigenvalues around zero that networks have: 8 steps were 4 % off there, beyond
    the noise of 32 probes, and 32 steps 1 %, within it.
    """
    rate = (sqrt(condition) + 1) / max(sqrt(condition) - 1, 1e-12)
    least = KINK_STEPS if indefinite else LEAST_STEPS
    return min(max(least, ceil(-log(ACCURACY) / (2 * log(rate)))), MOST_STEPS)

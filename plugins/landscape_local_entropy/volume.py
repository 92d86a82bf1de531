"""The volume where the loss has risen by at most ε, along rays from the point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf, lgamma, log, pi, sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.memory import spare_bytes
from landscape.errors import AnalysisError, UsageError
from landscape.neighbourhood.around import Neighbourhood
from landscape.neighbourhood.hessian import dense_hessian

__all__ = ["Stretch", "Volume", "diagonal_stretch", "first_radii", "hessian_stretch", "star_volume"]

LEAST_ESS = 50.0  # of the rays' weights: below it few rays are the whole estimate
LARGEST_DENSE = 2000  # dimensions
FLOOR = 1e-6  # of the largest curvature: flatter directions are stretched as if they had that much
GROWTH = 1.5  # of the radius, while the crossing is looked for
REACH = 1e6  # of a ray, in units of √(2ε), where a parabola of curvature 1 ends
PRECISION = 1e-3  # in nats, of each ray's weight
COPIES = 6  # of the rays, alive at once


@dataclass(frozen=True, eq=False)
class Stretch:
    """A linear map Q that makes the region round: rays are x = Qv for v uniform on the unit sphere.

    Attributes
    ----------
    apply
        Qv for rows v on the D coordinates that can move, into R^P.
    log_det
        ln |det Q| on those coordinates.
    """

    apply: Callable[[Float[Tensor, "K D"]], Float[Tensor, "K P"]]
    log_det: float


@dataclass(frozen=True, eq=False)
class Volume:
    """The volume of the part of {ΔL <= ε} that is seen from the point, in coordinates x.

    Attributes
    ----------
    log_volume, standard_error
        In nats; None where no conclusion can be drawn.
    ess
        (Σw)²/Σw² of the rays' weights w = ρ^D: how many rays the estimate rests on.
    num_rays, num_open
        Rays, and those of them along which the loss never rises by ε.
    energies
        What the rays took, in full-data equivalents.
    messages
        Why there is no conclusion.
    """

    log_volume: float | None
    standard_error: float | None
    ess: float
    num_rays: int
    num_open: int
    energies: float
    messages: tuple[str, ...] = ()


def diagonal_stretch(around: Neighbourhood, diagonal: Float[Tensor, " P"]) -> Stretch:
    """Q = |h|^(-½) for the diagonal h of the Hessian in x."""
    lengths = _floored(diagonal[around.scales > 0].double().cpu().abs()).rsqrt()
    return Stretch(lambda directions: _embedded(around, directions * lengths), float(lengths.log().sum()))


def hessian_stretch(around: Neighbourhood) -> Stretch:
    """Q = |H|^(-½) for the Hessian in x, by its eigenvectors. Costs D products, D² numbers and D³ operations.

    Raises
    ------
    UsageError
        If D is too large for a dense matrix.
    """
    if around.dim > LARGEST_DENSE:
        raise UsageError(
            f"volume: the dense Hessian of {around.dim} dimensions is too large, at most {LARGEST_DENSE} are possible; "
            "take --local-entropy.volume-preconditioner diagonal"
        )
    eigenvalues, eigenvectors = torch.linalg.eigh(dense_hessian(around))
    lengths = _floored(eigenvalues.abs()).rsqrt()
    map_ = (eigenvectors * lengths).T.to(around.scales)

    def apply(directions: Tensor) -> Tensor:
        return _embedded(around, directions.to(map_) @ map_)

    return Stretch(apply, float(lengths.log().sum()))


def star_volume(
    around: Neighbourhood,
    epsilon: float,
    stretch: Stretch,
    num_rays: int,
    rng: torch.Generator,
    progress: Callable[[int], None] | None = None,
) -> Volume:
    """ln |det Q| + ln V_D + ln mean ρ^D over rays x = ρQv, with ρ the first radius where ΔL = ε.

    Exact on average for a star-shaped region; of any other it is the part in sight of the point. Where D is large the
    mean of ρ^D rests on few rays unless Q makes the region round: with a weight ESS below 50, or with rays that never
    leave the region, there is no conclusion. Costs four to eight energies per ray.
    """
    dim, size = around.dim, around.scales.element_size() * len(around.scales)
    group = max(1, spare_bytes(around.scales.device) // (COPIES * size))
    radii, before = [], around.landscape.work.energies
    for start in range(0, num_rays, group):
        normal = torch.randn(min(group, num_rays - start), dim, generator=rng, dtype=torch.float64)
        rays = stretch.apply(normal / torch.linalg.vector_norm(normal, dim=1, keepdim=True))
        radii.append(first_radii(around, rays, epsilon, PRECISION / dim))
        if progress:
            progress(start + len(normal))
    log_weights = dim * torch.cat(radii).log()
    energies = around.landscape.work.energies - before
    if num_open := int(log_weights.isinf().sum()):
        return Volume(None, None, 0.0, num_rays, num_open, energies, (_unbounded(num_open, num_rays, epsilon),))
    log_sum = float(torch.logsumexp(log_weights, 0))
    ess = exp(2 * log_sum - float(torch.logsumexp(2 * log_weights, 0)))
    if ess < LEAST_ESS:
        return Volume(None, None, ess, num_rays, 0, energies, (_too_few(ess, num_rays),))
    log_ball = dim / 2 * log(pi) - lgamma(dim / 2 + 1)
    error = sqrt(max(0.0, 1 / ess - 1 / num_rays))
    return Volume(stretch.log_det + log_ball + log_sum - log(num_rays), error, ess, num_rays, 0, energies)


def first_radii(around: Neighbourhood, rays: Float[Tensor, "K P"], epsilon: float, rtol: float) -> Float[Tensor, " K"]:
    """ρ with ΔL(ρ·ray) = ε, float64 on the CPU; infinite along rays on which the loss does not rise so far.

    From √(2ε), where a parabola of curvature 1 reaches ε, outwards by factors of 1.5 to a radius above ε, or inwards to
    one below it; then the secant rule for ln(ΔL/ε) against ln ρ, which meets a power law at once, with the Illinois
    rule where one end of the bracket stays. A loss that rises above ε and falls again between two of these radii goes
    unnoticed.

    Raises
    ------
    AnalysisError
        If there is no radius below ε.

    Source: Dowell & Jarratt, BIT 11, 168 (1971) for the Illinois rule.
    """
    origin = log(2 * epsilon) / 2
    at = torch.full((len(rays),), origin, dtype=torch.float64)  # ln ρ
    ends = torch.tensor([-inf, inf], dtype=torch.float64).repeat(len(rays), 1)  # the bracket in ln ρ
    heights = torch.zeros_like(ends)  # ln(ΔL/ε) at its ends
    moved = torch.full((len(rays),), -1)  # which end moved last
    active = torch.arange(len(rays))
    while len(active):
        here = at[active]
        height = _log_heights(around, rays[active.to(rays.device)], here, epsilon)
        end = (height > 0).long()
        again = active[end == moved[active]], 1 - end[end == moved[active]]
        heights[again] /= 2
        ends[active, end], heights[active, end], moved[active] = here, height, end
        (low, high), (below, above) = ends[active].T, heights[active].T
        bracketed = low.isfinite() & high.isfinite()
        step = torch.where(end == 1, -log(GROWTH), log(GROWTH))
        following = torch.where(bracketed, low - below * (high - low) / (above - below), here + step)
        if float(following.min()) < origin - 3 * log(REACH):
            raise AnalysisError(
                f"volume: the loss is more than {epsilon:g} higher right beside {around.point.id}, maybe by rounding; "
                "take --dtype float64 or a larger --local-entropy.volume-loss"
            )
        gone = following > origin + log(REACH)
        done = (height.abs() <= rtol) | (high - low <= rtol) | gone
        at[active] = torch.where(done, here, following)
        at[active[gone]] = inf
        active = active[~done]
    return at.exp()


def _log_heights(
    around: Neighbourhood, rays: Float[Tensor, "K P"], log_radii: Float[Tensor, " K"], epsilon: float
) -> Float[Tensor, " K"]:
    """ln(ΔL/ε), within reason: no rise at all is very low, an energy that is not finite very high."""
    ratios = around.rises(rays * log_radii.exp().to(rays)[:, None]).cpu() / epsilon
    return torch.where(ratios.isfinite(), ratios, inf).clamp(1e-12, 1e12).log()


def _embedded(around: Neighbourhood, rows: Float[Tensor, "K D"]) -> Float[Tensor, "K P"]:
    """Rows on the coordinates that can move, with zeros at the others."""
    x = around.scales.new_zeros(len(rows), len(around.scales))
    x[:, around.scales > 0] = rows.to(x)
    return x


def _floored(curvatures: Float[Tensor, " D"]) -> Float[Tensor, " D"]:
    largest = float(curvatures.max())
    return curvatures.clamp(min=FLOOR * largest) if largest else torch.ones_like(curvatures)


def _unbounded(num_open: int, num_rays: int, epsilon: float) -> str:
    return (
        f"volume: along {num_open} of {num_rays} rays the loss never rises by {epsilon:g}, and there is no volume; "
        "take a smaller --local-entropy.volume-loss"
    )


def _too_few(ess: float, num_rays: int) -> str:
    return (
        f"volume: the estimate rests on {ess:.1f} of {num_rays} rays, and nothing is concluded below {LEAST_ESS:g}: "
        "take --local-entropy.volume-preconditioner hessian, or phi where that is not enough"
    )

"""Positive rescaling of homogeneous units: canonical scales, and the scales nearest to another network's.

A ReLU unit may be multiplied by s > 0 where it is made and divided by s where it is consumed. Throughout, what is
*incoming* to a unit is all that makes it, and what is *outgoing* all that consumes it; a tensor that does both within
one group (recurrent weights) is in neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.symmetry.groups import Axis, Group, Symmetry, Tensors
from landscape.symmetry.slabs import in_float64, overlap, slabs

__all__ = [
    "Scales",
    "balanced",
    "homogeneous_groups",
    "incoming_axes",
    "matched_scales",
    "nearest_scales",
    "normalised",
    "normalising_scales",
]

Scales = dict[str, Tensor]
"""A positive factor for each unit of the homogeneous groups, by the group's name."""

_MAX_SWEEPS = 300
_STILL = 1e-12  # largest change of a log-scale in a sweep that moves nothing any more
_SETTLED = 1e-5  # the same where a change moves what was sought by its square only: at a minimum
_POLISHING = 3  # Newton steps from roots that are right to half the digits or more


def homogeneous_groups(symmetry: Symmetry) -> tuple[Group, ...]:
    """The groups whose units may be rescaled and have something incoming.

    Each unit is in one of them only: of a group norm's channels and blocks, the channels.
    """
    kept: list[Group] = []
    for group in symmetry.groups:
        if group.homogeneous and incoming_axes(group) and not any(overlap(group, other) for other in kept):
            kept.append(group)
    return tuple(kept)


def incoming_axes(group: Group) -> tuple[Axis, ...]:
    """Where the group's units are made: at the normalisation layer, if one stands between."""
    role = "affine" if any(axis.role == "affine" for axis in group.axes) else "out"
    consumed = {axis.tensor for axis in group.axes if axis.role == "in"}
    return tuple(axis for axis in group.axes if axis.role == role and axis.tensor not in consumed)


def _outgoing_axes(group: Group) -> tuple[Axis, ...]:
    made = {axis.tensor for axis in group.axes if axis.role in ("out", "affine")}
    return tuple(axis for axis in group.axes if axis.role == "in" and axis.tensor not in made)


def _rows(tensors: Tensors, axes: tuple[Axis, ...], group: Group) -> Float[Tensor, "units n"]:
    nothing = tensors[group.axes[0].tensor].new_zeros(group.size, 0)
    return torch.cat([nothing, *(slabs(tensors[axis.tensor], axis) for axis in axes)], dim=1)


def _incoming(tensors: Tensors, group: Group) -> Float[Tensor, "units n"]:
    return _rows(tensors, incoming_axes(group), group)


def _outgoing(tensors: Tensors, group: Group) -> Float[Tensor, "units n"]:
    return _rows(tensors, _outgoing_axes(group), group)


def normalising_scales(tensors: Tensors, symmetry: Symmetry) -> Scales:
    """The scales that bring all that is incoming to each unit, its bias included, to norm 1; 1 for a dead unit."""

    def step(moved: Tensors, group: Group) -> Tensor:
        norms = _incoming(moved, group).norm(dim=1)
        return torch.where(norms > 0, 1 / norms, 1.0)

    return _swept(tensors, symmetry, step, _ones(tensors, symmetry), _STILL)


def normalised(tensors: Tensors, symmetry: Symmetry) -> dict[str, Tensor]:
    """The same function with incoming norm 1 at each homogeneous unit: a point on a product of spheres [1]_.

    References
    ----------
    .. [1] Pittorino et al., "Deep networks on toroids", ICML 2022.
    """
    return symmetry.scaled(tensors, normalising_scales(tensors, symmetry))


def balanced(tensors: Tensors, symmetry: Symmetry) -> dict[str, Tensor]:
    """The same function with incoming norm = outgoing norm at each homogeneous unit, the smallest norm that it has.

    Reached in sweeps from the normalised network, so that rescaled copies give the same network to rounding. A unit
    with nothing incoming or nothing outgoing stays normalised.
    """

    def step(moved: Tensors, group: Group) -> Tensor:
        made, consumed = _incoming(moved, group).norm(dim=1), _outgoing(moved, group).norm(dim=1)
        return torch.where((made > 0) & (consumed > 0), (consumed / made).sqrt(), 1.0)

    return symmetry.scaled(tensors, _swept(tensors, symmetry, step, normalising_scales(tensors, symmetry), _SETTLED))


def matched_scales(a: Tensors, b: Tensors, symmetry: Symmetry) -> Scales:
    """The scales of b's units that bring b nearest to a.

    Group by group the nearest scales, in sweeps until nothing moves; begun from b as it is and from the scales that a
    has after both are normalised, which is the answer where b is a rescaled copy. The nearer result is returned.
    """

    def step(moved: Tensors, group: Group) -> Tensor:
        factors = nearest_scales(
            _incoming(moved, group), _outgoing(moved, group), _incoming(a, group), _outgoing(a, group)
        )
        nearer = _squared_distance(a, group.scaled(moved, factors), [group]) < _squared_distance(a, moved, [group])
        return factors if nearer else torch.ones_like(factors)

    a, b = in_float64(a), in_float64(b)
    mine, theirs = normalising_scales(a, symmetry), normalising_scales(b, symmetry)
    starts = [_ones(b, symmetry), {name: theirs[name] / mine[name].to(theirs[name]) for name in mine}]
    found = [_swept(b, symmetry, step, start, _SETTLED) for start in starts]
    return min(found, key=lambda scales: _squared_distance(a, symmetry.scaled(b, scales), symmetry.groups))


def nearest_scales(
    x: Float[Tensor, "units n"],
    y: Float[Tensor, "units m"],
    x_wanted: Float[Tensor, "units n"],
    y_wanted: Float[Tensor, "units m"],
) -> Float[Tensor, " units"]:
    """The s > 0 that minimises ``|s x - x_wanted|² + |y / s - y_wanted|²`` for each unit; 1 where x or y is zero.

    With s = r (|y| / |x|)^(1/2) the derivative vanishes where r⁴ - p r³ + q r - 1 = 0. All four roots are
    taken from the companion matrix; the best one is kept and polished by Newton's method.
    """
    norm_x, norm_y = x.norm(dim=1), y.norm(dim=1)
    alive = (norm_x > 0) & (norm_y > 0)
    norm_x, norm_y = torch.where(alive, norm_x, 1.0), torch.where(alive, norm_y, 1.0)
    unit = (norm_y / norm_x).sqrt()
    size = (norm_x * norm_y).sqrt()  # of both |s x| and |y / s| at r = 1
    p = (x * x_wanted).sum(1) / (norm_x * size)
    q = (y * y_wanted).sum(1) / (norm_y * size)
    companion = torch.zeros(len(p), 4, 4, dtype=p.dtype, device=p.device)
    companion[:, 1:, :3] = torch.eye(3, dtype=p.dtype, device=p.device)
    companion[:, 0, 3], companion[:, 1, 3], companion[:, 3, 3] = 1.0, -q, p
    roots = torch.linalg.eigvals(companion).real
    roots = torch.where(roots > 0, roots, 1.0)
    costs = roots**2 - 2 * p[:, None] * roots + roots**-2 - 2 * q[:, None] / roots
    r = roots.gather(1, costs.argmin(1, keepdim=True))[:, 0]
    for _ in range(_POLISHING):
        slope = 4 * r**3 - 3 * p * r**2 + q  # positive at a minimum
        better = r - (r**4 - p * r**3 + q * r - 1) / slope
        r = torch.where((slope > 0) & (better > 0), better, r)
    return torch.where(alive, unit * r, 1.0)


def _ones(tensors: Tensors, symmetry: Symmetry) -> Scales:
    return {
        group.name: torch.ones(group.size, dtype=torch.float64, device=tensors[group.axes[0].tensor].device)
        for group in homogeneous_groups(symmetry)
    }


def _swept(
    tensors: Tensors, symmetry: Symmetry, step: Callable[[Tensors, Group], Tensor], start: Scales, still: float
) -> Scales:
    """Scales found group by group, each with the others held, until no log-scale moves by more than ``still``."""
    scales, moved = dict(start), symmetry.scaled(in_float64(tensors), start)
    for _ in range(_MAX_SWEEPS):
        largest = 0.0
        for group in (group for group in symmetry.groups if group.name in scales):
            factors = step(moved, group)
            moved = group.scaled(moved, factors)
            scales[group.name] = scales[group.name] * factors
            largest = max(largest, float(factors.log().abs().max()))
        if largest <= still:
            break
    return scales


def _squared_distance(a: Tensors, b: Tensors, groups: Sequence[Group]) -> float:
    names = {axis.tensor for group in groups for axis in group.axes if axis.role != "statistic"}
    return float(sum((a[name] - b[name]).square().sum() for name in sorted(names)))

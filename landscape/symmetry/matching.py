"""Which unit of one network is which unit of another, by their weights."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from landscape.symmetry.groups import Axis, Group, Symmetry, Tensors
from landscape.symmetry.slabs import in_float64, overlap, slabs

__all__ = ["best_assignment", "identity", "weight_matching"]

_MAX_SWEEPS = 100
_ROUNDING = 1e-12  # of the product of norms: below it two overlaps are the same


def best_assignment(similarity: Float[Tensor, "units units"]) -> Int[Tensor, " units"]:
    """The permutation p with the largest sum of ``similarity[u, p[u]]``. At most O(units³), on the CPU."""
    _, columns = linear_sum_assignment(similarity.cpu().numpy(), maximize=True)
    return torch.from_numpy(columns)


def identity(symmetry: Symmetry) -> tuple[Tensor, ...]:
    """The permutations that move nothing, one for each group."""
    return tuple(torch.arange(group.size) for group in symmetry.groups)


def weight_matching(
    a: Tensors,
    b: Tensors,
    symmetry: Symmetry,
    *,
    rng: torch.Generator,
    orders: int = 3,
    start: Sequence[Int[Tensor, " _"]] | None = None,
    only: Collection[str] | None = None,
) -> tuple[Tensor, ...]:
    """Permutations of b's units, one for each group, that bring b's weights near a's [1]_.

    Coordinate descent on the distance ``|a - P b|``: one group at a time takes the permutation that is best while all
    others stay, an assignment problem whose similarity is the inner product of all that belongs to unit u of a with
    all that belongs to unit v of b. A tensor in which a group lies twice (recurrent weights) makes this a quadratic
    problem: its assignment is taken from the tangent at the present permutation, and from the other tensors alone; a
    step counts only if the distance falls. Running statistics take no part.

    One visit of a group of n units with m entries each costs n² m multiplications and one assignment, O(n³); ten
    sweeps over the groups are usual.

    Parameters
    ----------
    orders
        How often the descent is made, the groups in another random order each time; the nearest result is kept.
    start
        The permutations to begin from; those that move nothing by default.
    only
        Names of the groups whose permutation may change, all by default.

    References
    ----------
    .. [1] Ainsworth, Hayase and Srinivasa, ICLR 2023, algorithm 1.
    """
    first, second = in_float64(a), in_float64(b)
    start = tuple(start or identity(symmetry))
    most, best = -torch.inf, start
    for _ in range(orders):
        descent = _Descent(first, second, symmetry, start, only)
        descent.run(rng)
        if (overlap := descent.overlap()) > most:
            most, best = overlap, tuple(descent.permutations)
    return best


class _Descent:
    """Coordinate descent from given permutations.

    Attributes
    ----------
    permutations
        The permutation of each group so far.
    moved
        b with all of them.
    """

    def __init__(
        self, a: Tensors, b: Tensors, symmetry: Symmetry, start: Sequence[Tensor], only: Collection[str] | None
    ) -> None:
        self.a, self.moved = a, symmetry.permuted(b, start)
        self.groups = symmetry.groups
        self.free = [i for i, group in enumerate(self.groups) if only is None or group.name in only]
        self.permutations = list(start)
        self.later = [_not_commuting(self.groups, i) for i in range(len(self.groups))]

    def run(self, rng: torch.Generator) -> None:
        for _ in range(_MAX_SWEEPS):
            order = torch.randperm(len(self.free), generator=rng).tolist()
            improved = [self._improve(self.free[i]) for i in order]
            if True not in improved:
                break

    def overlap(self) -> float:
        """Inner product of a and the moved b over all that the groups lie in."""
        return self._overlap(self.moved, [axis for group in self.groups for axis in _compared(group)])

    def _improve(self, number: int) -> bool:
        """Take the group's best permutation; whether it is better than what was."""
        group, axes = self.groups[number], _compared(self.groups[number])
        most = self._overlap(self.moved, axes) + _ROUNDING * self._scale(axes)
        a, b = self._without_later(self.a, number), self._without_later(self.moved, number)
        best: tuple[Tensor, dict[str, Tensor]] | None = None
        for chosen in _linearisations(axes):
            permutation = best_assignment(_similarity(a, b, chosen))
            moved = self._with_later(group.permuted(b, permutation), number)
            found = self._overlap(moved, axes)
            if found > most:
                most, best = found, (permutation, moved)
        if best is None:
            return False
        permutation, self.moved = best
        self.permutations[number] = self.permutations[number][permutation]
        return True

    def _without_later(self, tensors: Tensors, number: int) -> Tensors:
        """The tensors before those groups moved them that come after this one and do not commute with it."""
        for i in reversed(self.later[number]):
            tensors = self.groups[i].permuted(tensors, self.permutations[i].argsort())
        return tensors

    def _with_later(self, tensors: dict[str, Tensor], number: int) -> dict[str, Tensor]:
        for i in self.later[number]:
            tensors = self.groups[i].permuted(tensors, self.permutations[i])
        return tensors

    def _overlap(self, moved: Tensors, axes: Sequence[Axis]) -> float:
        return float(sum((self.a[name] * moved[name]).sum() for name in {axis.tensor: None for axis in axes}))

    def _scale(self, axes: Sequence[Axis]) -> float:
        return float(sum(self.a[axis.tensor].norm() * self.moved[axis.tensor].norm() for axis in axes))


def _similarity(a: Tensors, b: Tensors, axes: Sequence[Axis]) -> Float[Tensor, "units units"]:
    parts = [slabs(a[axis.tensor], axis) @ slabs(b[axis.tensor], axis).T for axis in axes]
    return torch.stack(parts).sum(0)


def _not_commuting(groups: Sequence[Group], number: int) -> list[int]:
    """Later groups that move what this one moves, or what those move."""
    found = [number]
    for i in range(number + 1, len(groups)):
        if any(overlap(groups[i], groups[j]) for j in found):
            found.append(i)
    return found[1:]


def _compared(group: Group) -> tuple[Axis, ...]:
    return tuple(axis for axis in group.axes if axis.role != "statistic")


def _linearisations(axes: Sequence[Axis]) -> list[list[Axis]]:
    """Axes whose similarities make a step: all; and where a tensor comes twice also those of the other tensors."""
    names = [axis.tensor for axis in axes]
    once = [axis for axis in axes if names.count(axis.tensor) == 1]
    return [list(axes)] if len(once) == len(axes) or not once else [list(axes), once]

"""A point moved by the symmetries of its network next to another one: the same function, nearer weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from landscape.errors import AnalysisError
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point
from landscape.symmetry.activations import activation_matching, makers, responses
from landscape.symmetry.groups import Group, Symmetry, Tensors
from landscape.symmetry.matching import identity, weight_matching
from landscape.symmetry.rescaling import balanced, matched_scales
from landscape.symmetry.slabs import in_float64

if TYPE_CHECKING:
    from landscape.landscapes.observed import ObservedNetwork

__all__ = ["METHODS", "Alignment", "align", "pair_rng", "permuted_copy"]

METHODS = ("weights", "activations")

_SAMPLES = 512  # on which activations are compared
_ROUNDING = 1e-8  # of the largest output: more than float64 loses in a network


@dataclass(frozen=True, eq=False)
class Alignment:
    """A point b brought near a point a.

    Attributes
    ----------
    point
        b moved: the same function, id and step; a hash of its own.
    permutations
        One for each group of the symmetry: unit u of the moved point is unit ``permutation[u]`` of b.
    method
        What units were matched by.
    distance, distance_aligned
        Euclidean distance from a in parameter space before and after.
    messages
        What could not be matched, and why.
    """

    point: Point
    permutations: tuple[Tensor, ...]
    method: str
    distance: float
    distance_aligned: float
    messages: tuple[str, ...] = ()


def align(
    landscape: Landscape,
    a: Point,
    b: Point,
    symmetry: Symmetry,
    *,
    method: str = "weights",
    rng: torch.Generator,
    orders: int = 3,
) -> Alignment:
    """b with its units permuted, and where they are homogeneous rescaled, so that it comes near a.

    Weights are compared with homogeneous units balanced, so that a copy is found whatever its scales. That the function
    has not changed is seen on a few samples. Costs a few forward passes of them, for activations two of 512 samples
    for each group, and no gradient.

    Parameters
    ----------
    method
        Match units by their "weights" or by their "activations" (groups whose units no layer answers with then by
        their weights).
    orders
        How often weights are matched, in different orders of the groups; the nearest result is kept.

    Raises
    ------
    AnalysisError
        If a group of the symmetry changes the function.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    distance = _distance(a, b)
    unmoved = Alignment(b, identity(symmetry), method, distance, distance)
    network = landscape.observed()
    if network is None or not symmetry.groups:
        text = f"{landscape.info.name} has no units that can be permuted: nothing was aligned"
        return replace(unmoved, messages=(text,))
    first, second = in_float64(network.tensors(a)), in_float64(network.tensors(b))
    matching = _by_weights if method == "weights" else _by_activations
    permutations, messages = matching(landscape, first, second, symmetry, rng, orders)
    scales = matched_scales(first, symmetry.permuted(second, permutations), symmetry)
    moved = _verified(network.answers, second, symmetry, permutations, scales)
    point = network.moved(b, moved, b.id)
    if _distance(a, point) >= distance:
        text = f"{b.id} was not moved: no order of its units found by {method} is nearer to {a.id}"
        return replace(unmoved, messages=(text,))
    return Alignment(point, permutations, method, distance, _distance(a, point), messages)


def pair_rng(seed: int, a: Point, b: Point) -> torch.Generator:
    """A generator that depends on a seed and a pair alone: whoever aligns the pair, the moved point is the same."""
    digest = hashlib.sha256(f"{seed}|{a.hash}|{b.hash}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def permuted_copy(landscape: Landscape, point: Point, symmetry: Symmetry, rng: torch.Generator) -> Point:
    """The point with the units of every group in an order drawn from ``rng``: the same function elsewhere.

    Raises
    ------
    AnalysisError
        If a group of the symmetry changes the function.
    """
    network = landscape.observed()
    if network is None:
        return point
    permutations = tuple(torch.randperm(group.size, generator=rng) for group in symmetry.groups)
    moved = _verified(network.answers, in_float64(network.tensors(point)), symmetry, permutations, {})
    return network.moved(point, moved, point.id)


_Matched = tuple[tuple[Tensor, ...], tuple[str, ...]]


def _by_weights(
    landscape: Landscape, a: Tensors, b: Tensors, symmetry: Symmetry, rng: torch.Generator, orders: int
) -> _Matched:
    return weight_matching(balanced(a, symmetry), balanced(b, symmetry), symmetry, rng=rng, orders=orders), ()


def _by_activations(
    landscape: Landscape, a: Tensors, b: Tensors, symmetry: Symmetry, rng: torch.Generator, orders: int
) -> _Matched:
    """Each group by what its units answer, one after the other; those that no layer answers with by their weights."""
    network = landscape.observed(samples=_SAMPLES)
    permutations, silent, moved = list(identity(symmetry)), [], b
    for i, group in enumerate(symmetry.groups):
        found = _answered(network, a, moved, group)
        if found is None:
            silent.append(group.name)
        else:
            permutations[i], moved = found, group.permuted(moved, found)
    if not silent:
        return tuple(permutations), ()
    first, second = balanced(a, symmetry), balanced(b, symmetry)
    all_matched = weight_matching(first, second, symmetry, rng=rng, orders=orders, start=permutations, only=silent)
    return all_matched, (f"matched by weights, as no layer answers with their units: {', '.join(silent)}",)


def _answered(network: ObservedNetwork | None, a: Tensors, b: Tensors, group: Group) -> Tensor | None:
    """The group's permutation by activations; None where no layer answers with its units."""
    made = {} if network is None else makers(network.model, group)
    if network is None or not made:
        return None
    first, second = (network.activations(tensors, list(made)) for tensors in (a, b))
    called = {name: axis for name, axis in made.items() if name in first}
    return activation_matching(responses(first, called), responses(second, called)) if called else None


def _verified(
    answers: Callable[[Tensors], Tensor],
    tensors: Tensors,
    symmetry: Symmetry,
    permutations: Sequence[Tensor],
    scales: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """The tensors moved, if the network still answers the same; else the group that changes it is refused."""
    moved = symmetry.scaled(symmetry.permuted(tensors, permutations), scales)
    wanted = answers(tensors)
    if _same(answers(moved), wanted):
        return moved
    for group, permutation in zip(symmetry.groups, permutations, strict=True):
        alone = group.permuted(tensors, permutation)
        if group.name in scales:
            alone = group.scaled(alone, scales[group.name])
        if not _same(answers(alone), wanted):
            raise AnalysisError(_refusal(group.name))
    raise AnalysisError(_refusal("the groups together"))


def _refusal(name: str) -> str:
    return f"{name}: moving its units changes what the network answers; leave it out of the symmetry, or align none"


def _same(found: Tensor, wanted: Tensor) -> bool:
    return bool((found - wanted).abs().max() <= _ROUNDING * wanted.abs().max())


def _distance(a: Point, b: Point) -> float:
    return float((a.vector.double() - b.vector.double()).norm())

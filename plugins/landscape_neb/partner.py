"""One checkpoint given: where its partner comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from landscape.analysis import Context
from landscape.errors import AnalysisError, CheckpointError, UsageError, did_you_mean
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point
from landscape.symmetry.align import permuted_copy
from landscape_neb.aligning import found_symmetry
from landscape_neb.options import NebOptions

__all__ = ["complete", "is_made", "retrain"]

_RETRAINED, _PERMUTED, _OPENED = "~retrained", "~permuted", "~partner"
_MADE = "one checkpoint: its partner "  # how the source of a made point begins
_COMPARABLE = 1.1  # times the given loss
_RATE = 0.05  # first learning rate, in units of the root-mean-square coordinate
_FIRST_ROUND = 100  # steps at least
_SETTLED = 1e-6  # relative change of the energy between rounds


def complete(
    landscape: Landscape,
    points: Sequence[Point],
    options: NebOptions | None = None,
    *,
    context: Context | None = None,
) -> list[Point]:
    """The given point and its partner: trained anew, with its units permuted, or from the file or folder named."""
    options, context = options or NebOptions(), context or Context()
    (given,) = points
    if options.partner == "retrain":
        return [given, _retrained(landscape, given, options, context)]
    if options.partner == "permuted":
        return [given, _permuted(landscape, given, options, context)]
    opened = [point for point in _opened(options.partner, context) if point.hash != given.hash]
    if not opened:
        raise UsageError(f"--neb.partner {options.partner}: holds no other checkpoint than the given one; name another")
    return [given, *(_named(point, options.partner, len(opened)) for point in opened)]


def _opened(source: str, context: Context) -> list[Point]:
    try:
        return context.open_points(source)
    except CheckpointError as error:
        hint = did_you_mean(source, ("retrain", "permuted"))
        raise (CheckpointError(f"--neb.partner: {error}{hint}") if len(hint) > 1 else error) from None


def _named(point: Point, source: str, number: int) -> Point:
    """A point of a file or folder as a partner."""
    text = f"{_MADE}is {source}" if number == 1 else f"{_MADE}is {point.id} of {source}"
    return replace(point, id=f"{point.id}{_OPENED}", source=text)


def _permuted(landscape: Landscape, given: Point, options: NebOptions, context: Context) -> Point:
    """A copy of the point with the units of each layer in another order: the same function elsewhere."""
    symmetry = found_symmetry(landscape, options, context)
    if not symmetry.groups:
        reason = f": {symmetry.messages[0]}" if symmetry.messages else ""
        raise AnalysisError(f"{landscape.info.name} has no units that can be permuted{reason}; take --neb.partner FILE")
    copy = permuted_copy(landscape, given, symmetry, context.rng)
    units = ", ".join(str(group.size) for group in symmetry.groups)
    return replace(
        copy, id=f"{given.id}{_PERMUTED}", source=f"{_MADE}is a permuted copy of it (groups of {units} units)"
    )


def _retrained(landscape: Landscape, given: Point, options: NebOptions, context: Context) -> Point:
    key = "|".join(("partner", given.hash, landscape.space.fingerprint, landscape.info.fingerprint))
    key += f"|{landscape.dtype}|{context.seed}|{options.max_partner_gradients}"

    def make() -> Mapping[str, Tensor]:
        return retrain(landscape, given, options.max_partner_gradients, context.rng)

    made = context.memo(key, make)
    loss, wanted, steps = float(made["loss"]), float(made["given_loss"]), int(made["steps"])
    text = f"{_MADE}was retrained from a new start to loss {loss:.4g} in {steps} steps"
    if loss > _comparable(wanted):
        text += f" (the given one has {wanted:.4g})"
    return Point(made["vector"].to(given.vector), id=f"{given.id}{_RETRAINED}", source=text)


def is_made(point: Point) -> bool:
    """Whether a point came from ``complete`` and not from the call."""
    return point.source.startswith(_MADE)


def _comparable(loss: float) -> float:
    return loss * _COMPARABLE if loss > 0 else loss


def retrain(landscape: Landscape, given: Point, budget: float, rng: torch.Generator) -> dict[str, Tensor]:
    """A minimum reached from a new start, with its loss, the given one's and the steps it took.

    Adam on mini-batches in rounds, each twice as long as the last, the rate falling to zero in each. It ends when the
    full-data loss is within a tenth of the given point's, when a round no longer changes it (another basin of a
    landscape without mini-batches), or after ``budget`` full-data gradients; the best round counts.
    """
    x = landscape.initial(rng).vector.to(given.vector)
    wanted = float(landscape.anchored([given]).energies(given.vector[None])[0])
    size = max(float(x.square().mean().sqrt()), float(given.vector.square().mean().sqrt()))
    best, best_loss, steps = x, float(landscape.energies(x[None])[0]), 0
    length, left = max(_FIRST_ROUND, 10 * landscape.num_batches), int(budget * landscape.num_batches)
    while best_loss > _comparable(wanted) and left > 0:
        length = min(length, left)
        x = _round(landscape, x, _RATE * size, length, rng)
        loss = float(landscape.energies(x[None])[0])
        steps, left, length = steps + length, left - length, 2 * length
        settled = abs(loss - best_loss) <= _SETTLED * max(abs(loss), abs(best_loss)) and landscape.num_batches == 1
        if loss < best_loss:
            best, best_loss = x, loss
        if settled:
            break
    if not math.isfinite(best_loss):
        raise AnalysisError(
            f"{given.id}: retraining a partner from a new start gave loss {best_loss}; "
            f"name one instead: --neb.partner FILE, or give two checkpoints"
        )
    numbers = {"loss": best_loss, "given_loss": wanted, "steps": steps}
    return {"vector": best, **{name: torch.tensor(value, dtype=torch.float64) for name, value in numbers.items()}}


def _round(landscape: Landscape, x: Tensor, rate: float, steps: int, rng: torch.Generator) -> Tensor:
    """Adam from x, on the batches in random order, its rate falling to zero as a cosine."""
    variable = x.clone()
    optimiser = torch.optim.Adam([variable], lr=rate)
    order: list[int] = []
    for step in range(steps):
        order = order or torch.randperm(landscape.num_batches, generator=rng).tolist()
        optimiser.param_groups[0]["lr"] = rate * 0.5 * (1 + math.cos(math.pi * step / steps))
        variable.grad = landscape.gradients(variable[None], order.pop())[1][0]
        optimiser.step()
        variable.copy_(landscape.project(variable[None])[0])
    return variable

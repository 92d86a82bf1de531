"""A walk from one end to the other, one layer at a time, the layers behind it retrained at each step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.analysis import Context
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point
from landscape.paths import Path, Search, energies_of, gradients_of, measuring_line
from landscape_finders.layers import Layer, layers_of
from landscape_finders.optimisers import Moments, adam
from landscape_finders.options_layer_walk import LayerWalkOptions
from landscape_finders.searching import Beginning, MiniBatches, beginning, each_pair

__all__ = ["find", "stepped"]

_FEWEST_ITERATIONS = 10
_DENSE = 300  # points of the path at which the loss is measured, unless there are more knots


def find(
    landscape: Landscape,
    pairs: Sequence[Sequence[Point]],
    options: LayerWalkOptions | None = None,
    *,
    context: Context | None = None,
) -> Iterator[tuple[int, Path | Exception]]:
    """A walk from the first point of each pair to the second, at most ``max_gradients`` gradient evaluations each.

    Layer by layer, from the input on: the layer moves a part of what is left to its target in a straight line, its
    weights are rescaled to the variance that lies as far between that of its start and its target's, and the layers
    after it are retrained by Adam on mini-batches until the full-data loss is below the threshold again. Then it rests
    on its target. The last layer ends the walk with one straight segment, on which all others have arrived: where it is
    linear and the loss convex, nothing rises there above its ends. Costs two full-data energies and more a step.

    From Tian et al., ICML 2026 ("layer-wise connectivity"): small steps of one layer, the variance sphere, retraining
    below a threshold. Ours, since only its outline was at hand: the order of the layers; that the walking layer and
    those that have arrived hold still while the others are retrained; spheres that are interpolated, of each weight
    tensor (variances about 0, biases and norms left out), instead of ends that are first brought to one sphere; how
    the threshold and the budget of a step are set.

    A larger budget walks anew, as if nothing had been stored.
    """
    options, context = options or LayerWalkOptions(), context or Context()
    batches = MiniBatches(landscape.num_batches, context.seed)

    def of_pair(between: Landscape, a: Point, b: Point, task: Context) -> Search[Path]:
        return _search(between, a, b, task, options, batches)

    return each_pair(landscape, pairs, context, of_pair)


@dataclass(frozen=True, eq=False)
class _Aim:
    """Where a walk goes and what it is to keep to: rate and losses in the units of the pair."""

    target: Float[Tensor, " P"]
    steps: int
    iterations: int
    rate: float
    threshold: float
    connected_below: float
    tolerance: float
    max_gradients: int


@dataclass(frozen=True, eq=False)
class _Walk:
    """The points reached so far, and what they cost.

    Attributes
    ----------
    knots
        The points.
    moments
        Adam's, of the coordinates after the walking layer.
    gradient_evaluations, energy_evaluations
        What was spent.
    loss
        That of the last point, when last looked at.
    worst
        The highest loss that a point was left at, and the layer that was on its way.
    """

    knots: tuple[Float[Tensor, " P"], ...]
    moments: Moments
    gradient_evaluations: int = 0
    energy_evaluations: int = 0
    loss: float = float("inf")
    worst: tuple[float, str] = (float("-inf"), "")


def _search(
    landscape: Landscape, a: Point, b: Point, task: Context, options: LayerWalkOptions, batches: MiniBatches
) -> Search[Path]:
    layers = layers_of(landscape)
    begin = yield from beginning(landscape, a, b, task, options.tolerance)
    if begin.answer is not None:
        return begin.answer
    aim = _aim(options, begin, a, b, len(layers), batches)
    walk = _Walk((a.vector,), Moments.none(a.vector[None]), energy_evaluations=begin.line.energy_evaluations)
    for passed, layer in enumerate(layers[:-1]):
        walk = yield from _crossed(walk, layer, aim, batches, legs_left=len(layers) - 1 - passed)
        task.progress(walk.gradient_evaluations, aim.max_gradients, f"{layer.name} at loss {walk.loss:.4g}")
    knots = torch.stack([*walk.knots, b.vector])
    path = yield from measuring_line(landscape, knots, aim.tolerance, _DENSE)
    energies = walk.energy_evaluations + path.energy_evaluations
    path = replace(path, gradient_evaluations=walk.gradient_evaluations, energy_evaluations=energies)
    if path.barrier > begin.line.barrier:
        return (yield from _line_instead(landscape, begin.line, _settled(path, walk, aim), aim))
    return _settled(path, walk, aim)


def _line_instead(landscape: Landscape, line: Path, walked: Path, aim: _Aim) -> Search[Path]:
    """The straight line, lower than the walk that was to get around its barrier; the verdict stays the walk's."""
    line = yield from measuring_line(landscape, line.points, aim.tolerance)
    return replace(
        line,
        gradient_evaluations=walked.gradient_evaluations,
        energy_evaluations=walked.energy_evaluations + line.energy_evaluations,
        converged=walked.converged,
        budget_spent=walked.budget_spent,
        messages=(*walked.messages, f"its barrier {walked.barrier:.4g} is above the straight line's: this is the line"),
    )


def _aim(
    options: LayerWalkOptions, begin: Beginning, a: Point, b: Point, num_layers: int, batches: MiniBatches
) -> _Aim:
    below = options.connected_below
    below = 1e-2 * begin.line.barrier if below is None else below
    higher_end = float(begin.line.energies[[0, -1]].max())
    distance = float((b.vector - a.vector).norm()) / len(a.vector) ** 0.5
    return _Aim(
        target=b.vector,
        steps=max(1, min(options.steps, (options.max_knots - 2) // (num_layers - 1))),
        iterations=options.iterations or max(_FEWEST_ITERATIONS, batches.number),
        rate=options.learning_rate * distance,
        threshold=higher_end + below / 2 if options.threshold is None else options.threshold,
        connected_below=below,
        tolerance=begin.tolerance,
        max_gradients=options.max_gradients,
    )


def _crossed(walk: _Walk, layer: Layer, aim: _Aim, batches: MiniBatches, legs_left: int) -> Search[_Walk]:
    """The walk with one more layer on its target; Adam begins anew with each."""
    begin = walk.knots[-1]
    walk = replace(walk, moments=Moments.none(begin[None, layer.stop :]))
    for step in range(1, aim.steps + 1):
        steps_left = legs_left * aim.steps - step + 1
        share = (aim.max_gradients - walk.gradient_evaluations) // steps_left
        point = stepped(walk.knots[-1], begin, aim.target, layer, step, aim.steps)
        walk = yield from _retrained(replace(walk, knots=(*walk.knots, point)), layer, aim, batches, share)
    return walk


def stepped(
    point: Float[Tensor, " P"],
    begin: Float[Tensor, " P"],
    target: Float[Tensor, " P"],
    layer: Layer,
    step: int,
    steps: int,
) -> Float[Tensor, " P"]:
    """The point with one layer moved on: after the last step it is the target's, to the bit.

    Before, each of its weight tensors has the mean square that lies ``step / steps`` of the way, in its root, from that
    at the begin of the layer's walk to the target's.
    """
    own = slice(layer.start, layer.stop)
    moved = point.clone()
    if step == steps:
        moved[own] = target[own]
        return moved
    moved[own] = torch.lerp(point[own], target[own], 1 / (steps - step + 1))
    for weights in layer.weights:
        wanted = torch.lerp(begin[weights].norm(), target[weights].norm(), step / steps)
        met = moved[weights].norm()
        moved[weights] *= torch.where(met > 0, wanted / met, 1.0)
    return moved


def _retrained(walk: _Walk, layer: Layer, aim: _Aim, batches: MiniBatches, share: int) -> Search[_Walk]:
    """The walk with the layers after this one retrained until the loss is below the threshold or the share is spent."""
    last = walk.gradient_evaluations + share
    walk = yield from _looked(walk, layer)
    while walk.loss > aim.threshold and walk.gradient_evaluations < last:
        for _ in range(min(aim.iterations, last - walk.gradient_evaluations)):
            walk = yield from _descended(walk, layer, aim, batches)
        walk = yield from _looked(walk, layer)
    return replace(walk, worst=max(walk.worst, (walk.loss, layer.name)))


def _looked(walk: _Walk, layer: Layer) -> Search[_Walk]:
    """The walk knowing the full-data loss of its last point."""
    (energy,) = yield from energies_of(walk.knots[-1][None])
    return replace(walk, loss=float(energy), energy_evaluations=walk.energy_evaluations + 1)


def _descended(walk: _Walk, layer: Layer, aim: _Aim, batches: MiniBatches) -> Search[_Walk]:
    """One step of Adam at the last point, in the coordinates after the layer.

    Walks that began together have made equally many of them, so their mini-batch is the same.
    """
    point = walk.knots[-1]
    _, gradients = yield from gradients_of(point[None], batches(walk.gradient_evaluations))
    direction, moments = adam(gradients[:, layer.stop :], walk.moments)
    point = torch.cat([point[: layer.stop], point[layer.stop :] + aim.rate * direction[0]])
    spent = walk.gradient_evaluations + 1
    return replace(walk, knots=(*walk.knots[:-1], point), moments=moments, gradient_evaluations=spent)


def _settled(path: Path, walk: _Walk, aim: _Aim) -> Path:
    """The verdict on a walk."""
    loss, layer = walk.worst
    if path.bracket > aim.tolerance:
        text = f"the maximum is bracketed only to {path.bracket:.3g}, wanted {aim.tolerance:.3g}"
        return replace(path, converged=False, messages=(text,))
    if path.barrier <= aim.tolerance:
        text = f"barrier {path.barrier:.3g} is within the tolerance {aim.tolerance:.3g} of none"
        return replace(path, messages=(text,))
    if path.barrier <= aim.connected_below:
        return replace(path, messages=(f"connected: barrier {path.barrier:.4g}, below {aim.connected_below:.4g}",))
    if loss > aim.threshold:
        text = (
            f"the walk was stuck: with {layer!r} on its way the loss stayed at {loss:.4g}, above {aim.threshold:.4g}, "
            "when its share of the budget was spent"
        )
        return replace(path, converged=False, budget_spent=True, messages=(text,))
    text = (
        f"all points of the walk are below {aim.threshold:.4g}, but between them the loss rises to "
        f"{path.max_loss:.4g}: raise steps"
    )
    return replace(path, converged=False, messages=(text,))

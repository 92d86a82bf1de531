"""AutoNEB with the schedule published for networks: Draxler, Veschgini, Salmhofer and Hamprecht, ICML 2018."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from landscape.analysis import Context
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point
from landscape.paths import Path, Search, gradients_of
from landscape_finders.growth import by_excess
from landscape_finders.optimisers import momentum
from landscape_finders.options import Draxler2018Options
from landscape_finders.search import StringSearch, search_of_pair
from landscape_finders.searching import each_pair
from landscape_finders.string import Method, StringState

__all__ = ["find"]

_STEPS = (1000,) * 4 + (2000,) * 2 + (1000,) * 8
_RATES = (0.1,) * 6 + (0.01,) * 4 + (0.001,) * 4
_IMAGES, _MAX_IMAGES, _GROWTH = 3, 31, 2


def find(
    landscape: Landscape,
    pairs: Sequence[Sequence[Point]],
    options: Draxler2018Options | None = None,
    *,
    context: Context | None = None,
) -> Iterator[tuple[int, Path | Exception]]:
    """A low path between each pair by the published schedule, each image on a mini-batch of its own.

    Unlike the authors' code: the tangent's weights at extrema are those of Henkelman and Jónsson (theirs are
    swapped), the best path met is returned, not the last, and buffers are no coordinates.
    """
    options = options or Draxler2018Options()

    def method(distance: float, reach: int, spent: int) -> Method:
        return _method(options, landscape.num_batches, reach)

    search = StringSearch(
        method, _IMAGES, options.max_gradients, options.climb, options.connected_below, options.tolerance
    )

    def of_pair(between: Landscape, a: Point, b: Point, task: Context) -> Search[Path]:
        return search_of_pair(between, a, b, task, search)

    return each_pair(landscape, pairs, context or Context(), of_pair)


def _method(options: Draxler2018Options, num_batches: int, reach: int) -> Method:
    def steps(state: StringState) -> int:
        left = enumerate(_STEPS[state.cycle :])
        whole = sum(steps * min(_MAX_IMAGES, state.images + _GROWTH * later) for later, steps in left)
        return int(_STEPS[state.cycle] * min(1.0, (reach - state.gradient_evaluations) / whole))

    return Method(
        cycles=len(_STEPS),
        max_images=_MAX_IMAGES,
        points_per_segment=9,
        max_gradients=reach,
        connected_below=options.connected_below or 0.0,
        steps=steps,
        rate=lambda state: _RATES[state.cycle],
        gradients=lambda state, rng: _on_own_batches(state.knots[1:-1], num_batches, rng),
        update=momentum,
        insertions=by_excess,
        rebuild=True,
    )


def _on_own_batches(images: Tensor, num_batches: int, rng: torch.Generator) -> Search[tuple[Tensor, Tensor]]:
    """Energies and gradients of the images, each on a mini-batch drawn for it."""
    energies, gradients = [], []
    for image, batch in zip(images, torch.randint(num_batches, (len(images),), generator=rng).tolist(), strict=True):
        energy, gradient = yield from gradients_of(image[None], batch)
        energies.append(energy)
        gradients.append(gradient)
    return torch.cat(energies), torch.cat(gradients)

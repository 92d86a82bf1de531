"""From the highest point of a path to the saddle."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from landscape.landscapes.protocol import Landscape
from landscape.paths import Path, Search, gradients_of, knot_times, path_length, points_at

__all__ = ["Climb", "climb", "through"]

_SMALL = 1e-5  # gradient norm at the saddle, relative to the steepest slope along the path
_PATIENCE = 20  # gradients without a smaller one, after which the direction is turned
_TURN = 2  # gradients that turning takes


@dataclass(frozen=True, eq=False)
class Climb:
    """Where climbing ended.

    Attributes
    ----------
    point
        The point of smallest gradient norm met, shape ``(P,)``.
    time
        The time on the path at which the climb began.
    gradient_norm, wanted
        The norm there, and the one at which it is a saddle: 1e-5 of the steepest slope along the path.
    iterations
        Full-data gradients taken.
    """

    point: Tensor
    time: float
    gradient_norm: float
    wanted: float
    iterations: int

    @property
    def converged(self) -> bool:
        """Whether the saddle was reached."""
        return self.gradient_norm <= self.wanted


def climb(landscape: Landscape, path: Path, max_iterations: int) -> Search[Climb]:
    """The saddle above the highest point of the path, by the climbing force F - 2 (F.t) t [1]_.

    Barzilai-Borwein steps [2]_, never longer than half the spacing of the knots, which is halved whenever the
    gradient has grown tenfold over its smallest: then the climb goes on from there. Where the gradient stops
    shrinking, the path points too far from the unstable mode (as a coarse path across a curved valley does), and the
    direction is turned towards it, as a dimer is [3]_. Each iteration costs one full-data gradient, a turn two.

    References
    ----------
    .. [1] Henkelman, Uberuaga and Jónsson, J. Chem. Phys. 113, 9901 (2000), eq. 5.
    .. [2] Barzilai and Borwein, IMA J. Numer. Anal. 8, 141 (1988).
    .. [3] Henkelman and Jónsson, J. Chem. Phys. 111, 7010 (1999).
    """
    reach = cap = 0.5 * path.length / (len(path.points) - 1)
    along = _direction(landscape, path)
    slopes = (path.energies.diff() / path.times.diff())[1:-1].abs()  # the ends may have statistics of their own
    wanted = _SMALL * float(slopes.max()) / path.length
    x = points_at(landscape, path.points, torch.tensor([path.saddle_time]))[0]
    gradient, norm = yield from _gradient(x)
    best, best_gradient, best_norm = x, gradient, norm
    rate, iterations, improved_at = 0.1 * cap / max(norm, 1e-300), 1, 1
    while best_norm > wanted and iterations < max_iterations:
        if iterations - improved_at >= _PATIENCE and iterations + _TURN < max_iterations:
            along = yield from _turned(landscape, best, best_gradient, along, reach)
            iterations += _TURN
            x, gradient, norm, improved_at = best, best_gradient, best_norm, iterations
            rate = 0.1 * cap / norm
        force = _climbing_force(landscape, x, gradient, along)
        move = rate * force
        move = move * min(1.0, cap / float(move.norm()))
        previous, x = x, landscape.project((x + move)[None])[0]
        gradient, norm = yield from _gradient(x)
        iterations += 1
        if norm < best_norm:
            best, best_gradient, best_norm, improved_at = x, gradient, norm, iterations
        elif not norm <= 10 * best_norm:
            x, gradient, norm, cap = best, best_gradient, best_norm, cap / 2
            rate = 0.1 * cap / norm
            continue
        rate = _barzilai_borwein(x - previous, force - _climbing_force(landscape, x, gradient, along), rate)
    return Climb(best, path.saddle_time, best_norm, wanted, iterations)


def _direction(landscape: Landscape, path: Path) -> Tensor:
    """The direction of the path at its highest point, from points half a segment to either side."""
    half = 0.5 / (len(path.points) - 1)
    around = torch.tensor([path.saddle_time - half, path.saddle_time + half]).clamp(0, 1)
    before, after = points_at(landscape, path.points, around)
    return torch.nn.functional.normalize(after - before, dim=0)


def _gradient(x: Tensor) -> Search[tuple[Tensor, float]]:
    _, gradients = yield from gradients_of(x[None])
    return gradients[0], float(gradients[0].norm())


def _climbing_force(landscape: Landscape, x: Tensor, gradient: Tensor, along: Tensor) -> Tensor:
    tangent = torch.nn.functional.normalize(landscape.tangent(x, along), dim=0)
    return -gradient + 2 * (gradient @ tangent) * tangent


def _turned(landscape: Landscape, x: Tensor, gradient: Tensor, along: Tensor, reach: float) -> Search[Tensor]:
    """The direction of least curvature in the plane of the old one, t, and of Ht. Costs two full-data gradients."""
    little = reach * torch.finfo(x.dtype).eps ** (1 / 3)

    def image(direction: Tensor) -> Search[Tensor]:
        moved = landscape.project((x + little * direction)[None])[0]
        there, _ = yield from _gradient(moved)
        return landscape.tangent(x, there - gradient) / little

    old = torch.nn.functional.normalize(landscape.tangent(x, along), dim=0)
    old_image = yield from image(old)
    aside = torch.nn.functional.normalize(old_image - (old_image @ old) * old, dim=0)
    basis, images = torch.stack([old, aside]), torch.stack([old_image, (yield from image(aside))])
    curvatures = basis @ images.T
    least = torch.linalg.eigh((curvatures + curvatures.T) / 2).eigenvectors[:, 0]
    return torch.nn.functional.normalize(least @ basis, dim=0)


def _barzilai_borwein(moved: Tensor, changed: Tensor, rate: float) -> float:
    """|s.s / s.y|: the inverse of the curvature met; the old rate where none was met."""
    curvature = abs(float(moved @ changed))
    return float(moved @ moved) / curvature if curvature > 0 else rate


def through(path: Path, climb: Climb) -> tuple[Tensor, int]:
    """The knots with the climbed point among them, in place of those within half a spacing; and its place."""
    reached = knot_times(path.points)
    spacing = path_length(path.points) / (len(path.points) - 1)
    apart = (path.points - climb.point).norm(dim=1) > spacing / 2
    apart[0] = apart[-1] = True
    before, after = path.points[apart & (reached < climb.time)], path.points[apart & (reached >= climb.time)]
    return torch.cat([before, climb.point[None], after]), len(before)

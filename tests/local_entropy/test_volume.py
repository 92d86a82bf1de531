"""Volumes that are known: ellipsoids, balls off centre, bodies of a quartic; and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, lgamma, log, pi, sqrt

import numpy as np
import pytest
import torch
from landscape_local_entropy.volume import (
    Stretch,
    diagonal_stretch,
    first_radii,
    hessian_stretch,
    star_volume,
)
from landscape_zoo.bowl import Bowl
from torch import Tensor

from landscape.errors import AnalysisError, UsageError
from landscape.landscapes.analytic import AnalyticLandscape
from landscape.landscapes.protocol import LandscapeInfo
from landscape.neighbourhood.around import Neighbourhood
from landscape.parameters import ParameterSpace, Point

EPSILON = 1e-2
KNOWN = {(2, 1e4): 1.83787707, (10, 1e4): 4.40189359, (100, 1e4): -56.583913631, (1000, 1e2): -2843.68447175,
         (1000, 1e4): -1692.39192526}  # fmt: skip


def formula(energy: Callable[[Tensor], Tensor], vector: list[float], metric: str = "identity") -> Neighbourhood:
    """The neighbourhood of a point of a landscape given by its formula."""
    landscape = AnalyticLandscape(
        energy=energy,
        space=ParameterSpace(("x",), ((len(vector),),)),
        info=LandscapeInfo("formula", "energy"),
        start=lambda rng: torch.zeros(len(vector)),
    )
    return Neighbourhood.of(landscape, Point(torch.tensor(vector, dtype=torch.float64), "point"), metric)


def minimum(bowl: Bowl) -> Neighbourhood:
    cpu = torch.device("cpu")
    system = bowl.build(cpu, torch.float64)
    landscape = system.landscape("bowl", "", cpu, torch.float64)
    return Neighbourhood.of(landscape, Point(torch.zeros(bowl.dim, dtype=torch.float64), "minimum"))


def isotropic(around: Neighbourhood) -> Stretch:
    """Rays alike in all directions."""
    return diagonal_stretch(around, torch.ones(len(around.scales), dtype=torch.float64))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def log_ball(dim: int, radius: float) -> float:
    return dim / 2 * log(pi) - lgamma(dim / 2 + 1) + dim * log(radius)


@pytest.mark.parametrize(("dim", "condition", "seed"), [*((*key, None) for key in KNOWN), (10, 1e4, 0), (100, 1e4, 0)])
def test_ellipsoids_stretched_by_their_hessian(dim, condition, seed):
    place = minimum(Bowl(dim, condition, seed))
    found = star_volume(place, EPSILON, hessian_stretch(place), 100, seeded(0))
    assert found.log_volume == pytest.approx(KNOWN[dim, condition], rel=1e-8)
    assert found.standard_error == pytest.approx(0, abs=1e-6)
    assert found.ess == pytest.approx(100, rel=1e-9)
    assert (found.num_rays, found.num_open, found.energies, found.messages) == (100, 0, 100, ())


@pytest.mark.parametrize(("dim", "condition"), KNOWN)
def test_a_diagonal_does_as_well_where_the_axes_are_the_coordinates(dim, condition):
    bowl = Bowl(dim, condition)
    place = minimum(bowl)
    found = star_volume(place, EPSILON, diagonal_stretch(place, -bowl.spectrum()), 100, seeded(0))
    assert found.log_volume == pytest.approx(KNOWN[dim, condition], rel=1e-8)


@pytest.mark.parametrize(("dim", "condition"), [(100, 1e4), (1000, 1e4), (1000, 1e2)])
def test_isotropic_rays_are_refused_in_many_dimensions(dim, condition):
    place = minimum(Bowl(dim, condition))
    found = star_volume(place, EPSILON, isotropic(place), 1000, seeded(0))
    assert found.log_volume is None
    assert found.standard_error is None
    assert found.ess < 5
    (message,) = found.messages
    assert f"rests on {found.ess:.1f} of 1000 rays" in message
    assert "volume-preconditioner hessian" in message


BODIES = {
    "quartic": (lambda x: x.pow(4).sum(), [0.0] * 4, 4 * log(2) + 4 * lgamma(1.25) - lgamma(2) + log(EPSILON)),
    "off centre": (
        lambda x: (x - torch.tensor([0.02, -0.03, 0.0])).square().sum() / 2,
        [0.0] * 3,
        log_ball(3, sqrt(0.0013 + 2 * EPSILON)),
    ),
    "ellipse": (lambda x: (x[0] ** 2 + x[1] ** 2 / 9) / 2, [0.0] * 2, log_ball(2, sqrt(2 * EPSILON)) + log(3)),
}


@pytest.mark.parametrize("name", BODIES)
def test_errors_are_what_they_say_where_rays_differ(name):
    """Isotropic rays in few dimensions: z-scores have unit variance."""
    energy, vector, wanted = BODIES[name]
    place = formula(energy, vector)
    runs = [star_volume(place, EPSILON, isotropic(place), 400, seeded(seed)) for seed in range(60)]
    scores = [(run.log_volume - wanted) / run.standard_error for run in runs]
    assert abs(np.mean(scores)) < 0.5
    assert 0.7 < np.std(scores) < 1.3
    assert all(100 < run.ess < 399 and run.energies < 400 * 9 for run in runs)


def test_a_stretch_that_is_not_the_right_one_changes_the_error_only():
    """Any Q will do, on the same ellipsoid: its determinant makes up for it."""
    bowl = Bowl(3, 16.0, seed=1)
    place, wanted = minimum(bowl), bowl.log_volume(EPSILON)
    found = star_volume(place, EPSILON, diagonal_stretch(place, torch.tensor([1.0, 3.0, 0.2])), 20000, seeded(1))
    assert 0.001 < found.standard_error < 0.02
    assert abs(found.log_volume - wanted) < 3 * found.standard_error


def test_weights_of_zero_take_their_dimension_with_them():
    """In units of the weights (2, 0, 3): an ellipse, and the Hessian of the two."""
    place = formula(lambda x: ((x - torch.tensor([2.0, 0.0, 3.0])) ** 2).sum() / 2, [2.0, 0.0, 3.0], "weights")
    wanted = log_ball(2, sqrt(2 * EPSILON)) - log(6)
    for stretch in (hessian_stretch(place), diagonal_stretch(place, torch.tensor([4.0, 7.0, 9.0]))):
        found = star_volume(place, EPSILON, stretch, 100, seeded(0))
        assert found.log_volume == pytest.approx(wanted, rel=1e-12)


def test_flat_directions_are_stretched_to_the_floor_and_not_beyond():
    place = formula(lambda x: x[0] ** 2 / 2 + x[1] ** 4, [0.0, 0.0])
    assert hessian_stretch(place).log_det == pytest.approx(log(1e3), rel=1e-12)
    assert hessian_stretch(formula(lambda x: (x**4).sum(), [0.0, 0.0])).log_det == 0
    wanted = log(4 * sqrt(2 * EPSILON) * EPSILON**0.25) + log(exp(lgamma(1.5) + lgamma(1.25) - lgamma(1.75)))
    found = star_volume(place, EPSILON, diagonal_stretch(place, torch.tensor([1.0, 0.05])), 20000, seeded(0))
    assert abs(found.log_volume - wanted) < 3 * found.standard_error < 0.03


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 8.0])
@pytest.mark.parametrize("size", [1e-4, 1.0, 1e5])
def test_radii_of_power_laws(power, size):
    place = formula(lambda x: (x.square().sum() + 1e-300) ** (power / 2) * size, [0.0, 0.0])
    rays = torch.tensor([[1.0, 0.0], [0.6, -0.8], [3.0, 4.0]], dtype=torch.float64)
    wanted = (EPSILON / size) ** (1 / power) / torch.tensor([1.0, 1, 5], dtype=torch.float64)
    torch.testing.assert_close(first_radii(place, rays, EPSILON, 1e-9), wanted, rtol=1e-8, atol=0)


LINES = {
    "falls before it rises": (lambda r: -r + r**2, (1 + sqrt(1 + 4 * EPSILON)) / 2),
    "rises, falls, rises": (lambda r: 0.02 * torch.sin(r) ** 2 + 1e-5 * r**2, 0.785090),
    "a wall": (lambda r: torch.where(r < 0.5, 1e-4 * r, torch.inf), 0.5),
    "not a number beyond": (lambda r: -torch.log(1 - r / 3) * 1e-3, 3 * (1 - exp(-10))),
    "a step": (lambda r: torch.where(r < 0.0123, 0.0, 0.2 * r), 0.05),
}


@pytest.mark.parametrize("name", LINES)
def test_radii_along_lines_that_are_no_power_law(name):
    energy, wanted = LINES[name]
    place = formula(lambda x: energy(x.abs().sum()), [0.0])
    rays = torch.tensor([[1.0], [-2.0]], dtype=torch.float64)
    before = place.landscape.work.energies
    found = first_radii(place, rays, EPSILON, 1e-8)
    assert place.landscape.work.energies - before <= 100  # of two rays; plain regula falsi takes up to 1358
    torch.testing.assert_close(found, wanted / torch.tensor([1.0, 2]).double(), rtol=1e-4, atol=0)
    at = torch.tensor(wanted).double()
    if torch.isfinite(energy(at * 1.001)) and name != "rises, falls, rises":
        assert float(energy(found[0])) == pytest.approx(EPSILON, rel=1e-7)


def test_open_rays_leave_no_volume():
    place = formula(lambda x: 1 - torch.exp(-x.square().sum()), [0.0, 0.0])
    found = star_volume(place, 2.0, isotropic(place), 30, seeded(0))
    assert (found.log_volume, found.standard_error, found.ess, found.num_open) == (None, None, 0.0, 30)
    (message,) = found.messages
    assert message.startswith("volume: along 30 of 30 rays the loss never rises by 2")
    half = formula(lambda x: torch.relu(x[0]), [0.0, 0.0])
    assert 5 < star_volume(half, 1.0, isotropic(half), 30, seeded(0)).num_open < 25


def test_too_many_dimensions_for_a_dense_matrix_are_refused():
    place = formula(lambda x: x.square().sum(), [0.0] * 2001)
    with pytest.raises(
        UsageError, match=r"2001 dimensions .* at most 2000 .* take --local-entropy.volume-preconditioner"
    ):
        hessian_stretch(place)


@pytest.mark.parametrize("height", [1.0, torch.nan])
def test_a_point_that_is_lower_than_all_around_it_is_refused(height):
    place = formula(lambda x: torch.where(x.abs().sum() > 0, height, 0.0), [0.0, 0.0])
    with pytest.raises(AnalysisError, match=r"more than 0.01 higher right beside point.* --dtype float64"):
        star_volume(place, EPSILON, isotropic(place), 5, seeded(0))

"""Polylines: arc length, points, tangents, straight lines and geodesics."""

from __future__ import annotations

import math

import pytest
import torch
from landscape_zoo.opening import open_zoo

from landscape.paths import Path, improved_tangents, knot_times, path_length, points_at, straight

CPU = torch.device("cpu")


def flat(dim: int = 2):
    return open_zoo(f"quadratic?eigenvalues={','.join(['1'] * dim)}", device=CPU)[0]


def sphere():
    return open_zoo("spherical-2-spin?n=16&seed=0", device=CPU)


def corner() -> torch.Tensor:
    return torch.tensor([[0.0, 0.0], [3.0, 0.0], [3.0, 1.0]], dtype=torch.float64)


def test_times_are_arc_lengths():
    torch.testing.assert_close(knot_times(corner()), torch.tensor([0, 0.75, 1], dtype=torch.float64), rtol=0, atol=0)
    assert path_length(corner()) == 4


def test_coinciding_knots_are_spread_evenly():
    knots = torch.ones(5, 3, dtype=torch.float64)
    torch.testing.assert_close(knot_times(knots), torch.linspace(0, 1, 5, dtype=torch.float64), rtol=0, atol=1e-15)
    assert torch.equal(points_at(flat(3), knots, torch.tensor([0.0, 0.3, 1.0])), torch.ones(3, 3, dtype=torch.float64))


@pytest.mark.parametrize(
    ("time", "point"), [(0.0, (0, 0)), (0.5, (2, 0)), (0.75, (3, 0)), (0.875, (3, 0.5)), (1.0, (3, 1))]
)
def test_points_by_arc_length(time, point):
    found = points_at(flat(), corner(), torch.tensor([time], dtype=torch.float64))[0]
    torch.testing.assert_close(found, torch.tensor(point, dtype=torch.float64), rtol=0, atol=1e-15)


def test_knots_are_met_to_the_bit(rng):
    knots = torch.randn(7, 40, generator=rng)
    assert torch.equal(points_at(flat(40), knots, knot_times(knots)), knots)


# Henkelman & Jónsson 2000: tau+ = (1, 0), tau- = (0, 1). The weights of eq. 10-11 by hand.
TANGENTS = {
    "rising": ((0, 1, 3), (1, 0)),
    "falling": ((3, 1, 0), (0, 1)),
    "maximum, left end higher": ((2, 3, 1), (1, 2)),  # |after| = 2, |before| = 1: forward gets the smaller
    "maximum, right end higher": ((1, 3, 2), (2, 1)),
    "minimum, right end higher": ((2, 1, 4), (3, 1)),
    "minimum, left end higher": ((4, 1, 2), (1, 3)),
    "level": ((1, 1, 1), (1, 1)),
}


@pytest.mark.parametrize(("energies", "weights"), TANGENTS.values(), ids=TANGENTS.keys())
def test_tangent_weights(energies, weights):
    knots = torch.tensor([[0, 0], [0, 1], [1, 1]], dtype=torch.float64)
    wanted = torch.tensor(weights, dtype=torch.float64)
    found = improved_tangents(knots, torch.tensor(energies, dtype=torch.float64))[0]
    torch.testing.assert_close(found, wanted / wanted.norm(), rtol=1e-14, atol=0)


def test_tangents_reverse_with_the_path(rng):
    knots, energies = torch.randn(9, 5, generator=rng).double(), torch.randn(9, generator=rng).double()
    there, back = improved_tangents(knots, energies), improved_tangents(knots.flip(0), energies.flip(0))
    torch.testing.assert_close(back, -there.flip(0), rtol=1e-12, atol=1e-14)


def test_tangents_turn_with_the_path(rng):
    knots, energies = torch.randn(9, 5, generator=rng).double(), torch.randn(9, generator=rng).double()
    turn = torch.linalg.qr(torch.randn(5, 5, generator=rng).double())[0]
    turned = improved_tangents(knots @ turn, energies)
    torch.testing.assert_close(turned, improved_tangents(knots, energies) @ turn, rtol=1e-12, atol=1e-14)


def test_a_flat_line_has_two_knots(rng):
    a, b = torch.randn(2, 6, generator=rng).double()
    assert torch.equal(straight(flat(6), a, b, rng), torch.stack([a, b]))


def test_points_between_knots_are_put_back_on_the_sphere(rng):
    land, _ = sphere()
    knots = land.project(torch.randn(4, 16, generator=rng).double())
    found = points_at(land, knots, torch.linspace(0, 1, 17))
    torch.testing.assert_close(found.norm(dim=1), torch.full((17,), 4.0, dtype=torch.float64), rtol=1e-12, atol=0)


@pytest.mark.parametrize("angle", [0.3, 2.0, math.pi], ids=["near", "far", "antipodes"])
def test_geodesics_are_great_circles(angle, rng):
    land, points = sphere()
    a = points[0].vector
    aside = land.tangent(a, torch.randn(16, generator=rng).double())
    b = math.cos(angle) * a + math.sin(angle) * aside * (a.norm() / aside.norm())
    knots = straight(land, a, b, rng)
    torch.testing.assert_close(knots.norm(dim=1), torch.full((33,), 4.0, dtype=torch.float64), rtol=1e-12, atol=0)
    assert path_length(knots) == pytest.approx(4 * 32 * 2 * math.sin(angle / 64), rel=1e-9)
    assert torch.linalg.matrix_rank(knots, rtol=1e-9) == 2


def test_the_great_circle_between_antipodes_is_seeded():
    land, (a, *_) = sphere()
    lines = [straight(land, a.vector, -a.vector, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(lines[0], lines[1])
    assert not torch.allclose(lines[0], lines[2])


def test_the_two_definitions_of_a_barrier():
    times, energies = torch.tensor([0, 0.25, 1]).double(), torch.tensor([0.0, 3.0, 2.0]).double()
    path = Path(corner(), times, energies, bracket=0.0)
    assert (path.barrier, path.max_loss, path.saddle_time, path.length) == (1.0, 3.0, 0.25, 4.0)
    assert path.barrier_above_chord == 2.5

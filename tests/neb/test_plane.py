"""The plane of a path: exact for polylines of known shape, and the loss in it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from landscape_neb.plane import as_dataset, grid_of, measuring_plane, plane_of
from landscape_zoo.opening import open_zoo

from landscape.errors import AnalysisError
from landscape.paths import alone

CPU = torch.device("cpu")
CORNER = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
ROOT = 1 / math.sqrt(2)


def randn(rng, *shape):
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def rotation(rng, dim):
    return torch.linalg.qr(randn(rng, dim, dim))[0]


def placed(rng, knots, dim=40):
    """The same polyline turned and moved somewhere in R^dim."""
    return knots @ rotation(rng, dim)[: knots.shape[1]] + randn(rng, dim)


def close(found, wanted, **tolerance):
    torch.testing.assert_close(
        found, torch.as_tensor(wanted, dtype=found.dtype), **{"rtol": 0, "atol": 1e-12} | tolerance
    )


def test_a_right_angle(rng):
    """Its covariance is [[5, 3], [3, 5]]/48, its mean (3/4, 1/4)."""
    plane = plane_of(CORNER, rng)
    close(plane.variances, [0.8, 0.2])
    close(plane.directions, [[ROOT, ROOT], [ROOT, -ROOT]])
    close(plane.coordinates, [[-ROOT, 0], [0, ROOT], [ROOT, 0]])
    close(plane.times, [0, 0.5, 1])
    close(plane.origin, [0.5, 0.5])


@pytest.mark.parametrize("case", ["placed", "scaled", "more knots", "repeated knots"])
def test_what_does_not_change_the_shape_changes_no_coordinate(rng, case):
    knots = randn(rng, 5, 3)
    wanted = plane_of(knots, rng)
    if case == "more knots":
        denser = torch.cat([knots[:1], torch.lerp(knots[:1], knots[1:2], torch.tensor([[0.1], [0.2], [0.9]]).double())])
        found = plane_of(torch.cat([denser, knots[1:]]), rng)
        kept = [0, *range(4, 8)]
    else:
        moved = {"placed": placed(rng, knots), "scaled": 7 * knots, "repeated knots": knots[[0, 1, 1, 2, 3, 4]]}[case]
        found, kept = plane_of(moved, rng), [0, 1, 3, 4, 5] if case == "repeated knots" else list(range(5))
    close(found.coordinates[kept] / (7 if case == "scaled" else 1), wanted.coordinates, atol=1e-10)
    close(found.variances, wanted.variances, atol=1e-10)


def test_turned_round_a_path_is_mirrored(rng):
    knots = randn(rng, 6, 10)
    there, back = plane_of(knots, rng), plane_of(knots.flip(0), rng)
    close(back.coordinates.flip(0) * torch.tensor([-1.0, 1.0]).double(), there.coordinates, atol=1e-10)


def evenly(a, b, count):
    return torch.lerp(a, b, ((torch.arange(count, dtype=torch.float64) + 0.5) / count)[:, None])


def test_the_plane_is_that_of_points_spread_evenly_along_the_path(rng):
    knots = randn(rng, 7, 12)
    plane = plane_of(knots, rng)
    lengths = knots.diff(dim=0).norm(dim=1)
    points = torch.cat([evenly(knots[i], knots[i + 1], round(20_000 * float(lengths[i]))) for i in range(6)])
    mean = points.mean(0)
    values, vectors = torch.linalg.eigh((points - mean).T @ (points - mean) / len(points))
    close(plane.variances, values.flip(0)[:2] / values.sum(), atol=1e-6)
    close((plane.directions @ vectors.flip(1)[:, :2]).abs(), torch.eye(2), atol=1e-4)
    close(plane.directions @ plane.directions.T, torch.eye(2))
    beside = mean - plane.origin
    close(beside - plane.directions.T @ (plane.directions @ beside), torch.zeros(12), atol=1e-4)
    middle = (knots[0] + knots[-1]) / 2
    close(plane.directions @ (middle - plane.origin), torch.zeros(2))
    close(plane.coordinates, (knots - plane.origin) @ plane.directions.T)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_across_a_straight_path_the_direction_is_random_and_says_so(rng, dtype):
    ends = placed(rng, torch.tensor([[-1.5], [1.5]], dtype=torch.float64), 100)
    knots = torch.lerp(ends[0], ends[1], torch.tensor([0, 0.25, 0.5, 1.0]).double()[:, None]).to(dtype)
    first, same, other = (plane_of(knots, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert first.variances.tolist() == [1, 0]
    assert torch.equal(first.directions, same.directions)
    assert abs(float(first.directions[1] @ other.directions[1])) < 0.5
    rounding = 20 * torch.finfo(dtype).eps
    close(first.directions @ first.directions.T, torch.eye(2), atol=rounding)
    close(first.coordinates, [[-1.5, 0], [-0.75, 0], [0, 0], [1.5, 0]], atol=20 * rounding)


def test_a_path_that_bends_a_little_is_not_straight(rng):
    bent = torch.tensor([[0.0, 0], [1, 1e-9], [2, 0]], dtype=torch.float64)
    assert 0 < float(plane_of(placed(rng, bent, 5), rng).variances[1]) < 1e-15


@pytest.mark.parametrize("knots", [torch.zeros(3, 4).double(), torch.tensor([[0.0], [1.0]]).double()])
def test_what_lies_in_no_plane_is_refused(rng, knots):
    with pytest.raises(AnalysisError, match="a plane needs a path of some length"):
        plane_of(knots, rng)


def test_the_grid_surrounds_path_and_line(rng):
    for knots in (CORNER, CORNER * torch.tensor([1.0, 1e-3]).double()):
        plane = plane_of(placed(rng, knots), rng)
        x, y = grid_of(plane, 9)
        low, high = plane.coordinates.amin(0), plane.coordinates.amax(0)
        for axis, line in enumerate((x, y)):
            assert float(line[0]) < float(low[axis]) - 0.1
            assert float(line[-1]) > float(high[axis]) + 0.1
            close(line.diff().diff(), torch.zeros(7))
        assert 0.7 < float((y[-1] - y[0]) / (x[-1] - x[0])) < 1.4


def test_in_two_dimensions_the_plane_is_the_landscape(rng):
    scape, points = open_zoo("mueller-brown", device=CPU)
    knots = torch.stack([points[0].vector, torch.tensor([-0.8, 0.6]).double(), points[2].vector, points[1].vector])
    found = alone(scape, measuring_plane(scape, knots, 7, rng))
    assert scape.work.energies == 49
    close(scape.energies(found.plane.points(found.plane.coordinates)), scape.energies(knots), atol=1e-9)
    close(found.plane.variances.sum(), 1.0)
    for i, j in ((0, 6), (5, 1)):  # rows are y
        there = found.plane.points(torch.stack([found.x[j], found.y[i]])[None])
        close(found.energies[i, j], scape.energies(there)[0], rtol=1e-9)


def test_on_a_sphere_the_points_are_put_back_on_it(rng):
    scape, (a, b, *_) = open_zoo("spherical-2-spin?n=16&seed=0", device=CPU)
    knots = torch.stack([a.vector, scape.project(randn(rng, 1, 16))[0], b.vector])
    asked = next(measuring_plane(scape, knots, 4, rng)).points
    plane = plane_of(knots, rng)
    x, y = grid_of(plane, 4)
    points = plane.points(torch.cartesian_prod(y, x).flip(1))
    close(asked, 4 * points / points.norm(dim=1, keepdim=True))


def test_as_stored_arrays(rng):
    scape, points = open_zoo("mueller-brown", device=CPU)
    knots = torch.stack([points[0].vector, points[2].vector, points[1].vector])
    measured = alone(scape, measuring_plane(scape, knots, 5, rng))
    data = as_dataset(measured, "energy")
    assert data["plane_energy"].dims == ("plane_y", "plane_x")
    assert data["plane_energy"].attrs["units"] == "energy"
    np.testing.assert_array_equal(data["path_x"], measured.plane.coordinates[:, 0])
    np.testing.assert_array_equal(data["line_y"], measured.plane.coordinates[[0, -1], 1])
    np.testing.assert_array_equal(data["knot"], measured.plane.times)
    assert data.attrs["plane_variance"] == pytest.approx(1, abs=1e-12)
    assert data.attrs["plane_variance_x"] > data.attrs["plane_variance_y"] > 0

"""Volume and Franz-Parisi entropy of spheres whose good points are caps: all exact."""

from math import acos, log, pi, sqrt

import numpy as np
import pytest
import torch
from landscape_local_entropy.options import LocalEntropyOptions
from landscape_local_entropy.sphere import OVERLAPS, Ring, measure_on_sphere, radius_of, sphere_energy
from scipy.special import betainc

from landscape.analysis import Context
from landscape.errors import AnalysisError, UsageError
from landscape.landscapes.analytic import AnalyticLandscape
from landscape.landscapes.protocol import LandscapeInfo
from landscape.parameters import ParameterSpace, Point

N = 10
RADIUS = sqrt(N)


def fraction(dim, cosine):
    """ln of the fraction of S^(dim - 1) where x·e is at least a cosine."""
    small = betainc((dim - 1) / 2, 0.5, 1 - cosine**2) / 2
    return log(small if cosine > 0 else 1 - small)


def on_sphere(x):
    return x * (sqrt(x.shape[-1]) / torch.linalg.vector_norm(x))


def landscape(energy, dim=N, projection=on_sphere, dtype=torch.float64):
    return AnalyticLandscape(
        energy,
        ParameterSpace(("x",), ((dim,),)),
        LandscapeInfo("test", "height", fingerprint="test"),
        start=lambda rng: torch.randn(dim, generator=rng, dtype=torch.float64),
        projection=projection,
        dtype=dtype,
    )


def height(x):
    return -x[0] / RADIUS


def tilted(cosine, dim=N, dtype=torch.float64):
    """A point whose overlap with the first axis is given."""
    vector = torch.full((dim,), sqrt((1 - cosine**2) / (dim - 1)), dtype=torch.float64)
    vector[0] = cosine
    return Point((vector * sqrt(dim)).to(dtype), id="tilted")


def measured(cosine=0.6, **options):
    options = {"particles": 2000, "max_gradients": 10**6} | options
    return measure_on_sphere(landscape(height), tilted(cosine), LocalEntropyOptions(**options), Context())


def ring(overlap, cosine):
    """ln of the fraction of the points at an overlap with ``tilted(cosine)`` that lie no lower than it."""
    along, across = cosine, sqrt(1 - cosine**2)
    return fraction(N - 1, (cosine - overlap * along) / (sqrt(1 - overlap**2) * across))


def test_the_volume_is_that_of_the_cap_above_the_point():
    found = measured()
    exact = fraction(N, 0.6)
    assert found.converged
    assert found.messages == ()
    assert abs(found.summary["log_volume"] - exact) < 4 * found.summary["log_volume_stderr"] < 0.4
    assert found.summary["log_volume_per_dimension"] == found.summary["log_volume"] / N
    assert found.summary["threshold"] == pytest.approx(-0.6, rel=1e-12)
    assert found.summary["levels"] == found.data.sizes["level"]
    assert float(found.data.threshold[-1]) == found.summary["threshold"]
    assert float(found.data.log_fraction[-1]) == found.summary["log_volume"]


def test_the_franz_parisi_entropy_is_that_of_caps_of_one_dimension_less():
    found = measured(distances=(1.0, 4.0))
    overlaps = found.data.overlap.values
    assert set(OVERLAPS) < set(overlaps)
    distances = found.data.distance.values
    assert (np.diff(distances) > 0).all()
    assert {1.0, 4.0} < {round(float(r), 12) for r in distances}
    np.testing.assert_allclose(distances**2, 2 * N * (1 - overlaps), rtol=1e-12)
    exact = np.array([ring(overlap, 0.6) for overlap in overlaps])
    errors = found.data.franz_parisi.values - exact
    assert (np.abs(errors) < 4 * found.data.franz_parisi_stderr.values).all()
    assert found.data.franz_parisi_stderr.values.max() < 0.25


def test_the_loss_may_rise():
    found = measured(volume_loss=0.5)
    assert found.summary["threshold"] == pytest.approx(-0.1, rel=1e-12)
    assert found.data.attrs["loss"] == pytest.approx(-0.6, rel=1e-12)
    assert abs(found.summary["log_volume"] - fraction(N, 0.1)) < 4 * found.summary["log_volume_stderr"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dim", [2, 3])
def test_small_spheres(dim, dtype):
    where = landscape(lambda x: -x[0] / sqrt(dim), dim, dtype=dtype)
    options = LocalEntropyOptions(particles=2000, max_gradients=10**6)
    found = measure_on_sphere(where, tilted(0.8, dim, dtype), options, Context())
    exact = log(acos(0.8) / pi) if dim == 2 else log(0.1)
    assert abs(found.summary["log_volume"] - exact) < 4 * found.summary["log_volume_stderr"]
    assert found.data.sizes["distance"] == (0 if dim == 2 else len(OVERLAPS))


def test_a_strict_minimum_has_no_volume():
    found = measured(cosine=1.0, particles=50)
    assert not found.converged
    assert not found.budget_spent
    assert "a strict minimum by itself has no volume" in found.messages[0]
    assert found.data.sizes["distance"] == 0


@pytest.mark.parametrize("budget", [1, 100, 2000, 3000])
def test_a_small_budget_is_kept_and_said(budget):
    where = landscape(height)
    options = LocalEntropyOptions(particles=200, max_gradients=budget)
    found = measure_on_sphere(where, tilted(0.6), options, Context())
    assert where.work.energies - 1 <= 3 * budget
    assert not found.converged
    assert found.budget_spent
    assert f"now {budget}; an energy counts a third" in found.messages[0]
    assert all(np.isfinite(value) for value in found.summary.values() if not isinstance(value, str))
    assert np.isfinite(found.data.franz_parisi).all()


def test_overlaps_that_the_budget_leaves_out_are_named():
    found = measured(particles=200, max_gradients=3000)
    assert found.summary["log_volume"] == pytest.approx(fraction(N, 0.6), abs=1)
    missing = [f"{q:.3g}" for q in OVERLAPS if q not in found.data.overlap.values]
    assert missing
    assert all(q in found.messages[0] for q in missing)


def test_a_continued_run_begins_with_the_same_volume():
    short, long = (measured(particles=200, max_gradients=budget) for budget in (3000, 10**6))
    assert short.summary["log_volume"] == long.summary["log_volume"]


def test_distances_reach_no_farther_than_the_sphere():
    with pytest.raises(UsageError, match=r"distances 7 reaches past the sphere"):
        measured(distances=(7.0,))


PROJECTIONS = {
    "sphere": (on_sphere, RADIUS),
    "flat": (lambda x: x, None),
    "vertices": (torch.sign, None),
    "ellipsoid": (lambda x: x / torch.linalg.vector_norm(x * torch.arange(1, N + 1)), None),
    "sphere about another centre": (lambda x: 1 + on_sphere(x - 1), None),
}


@pytest.mark.parametrize("name", PROJECTIONS)
def test_which_spaces_are_spheres(name):
    projection, radius = PROJECTIONS[name]
    where = landscape(height, projection=projection)
    if radius is not None:
        assert radius_of(where) == pytest.approx(radius, rel=1e-12)
        return
    assert radius_of(where) is None
    with pytest.raises(AnalysisError, match="no sphere around the origin"):
        measure_on_sphere(where, tilted(0.6), LocalEntropyOptions(), Context())


@pytest.mark.parametrize("first", [1.0, -1.0, 0.3, -0.3, 0.0])
def test_a_ring_is_a_sphere_at_an_overlap_with_its_pole(first, rng):
    pole = torch.randn(N, generator=rng, dtype=torch.float64)
    pole[0] = 0
    pole *= sqrt(1 - first**2) / torch.linalg.vector_norm(pole)
    pole[0] = first
    directions = torch.randn(20, N - 1, generator=rng, dtype=torch.float64)
    directions /= torch.linalg.vector_norm(directions, dim=1, keepdim=True)
    points = Ring(pole, 0.8).points(directions)
    torch.testing.assert_close(points @ pole, torch.full((20,), 0.8, dtype=torch.float64), rtol=1e-12, atol=0)
    gram = 0.64 + 0.36 * directions @ directions.T
    torch.testing.assert_close(points @ points.T, gram, rtol=0, atol=1e-14)


def test_energies_are_taken_at_the_radius():
    energy = sphere_energy(landscape(lambda x: x.square().sum() + x[0], projection=lambda x: x), RADIUS)
    torch.testing.assert_close(energy(torch.eye(N, dtype=torch.float64))[:2], torch.tensor([N + RADIUS, N]).double())

"""Each reference landscape against what is known of it in closed form or to many digits."""

from __future__ import annotations

from math import pi, sqrt

import pytest
import torch
from landscape_zoo.opening import REFERENCES, open_zoo
from landscape_zoo.rotation import Rotation
from landscape_zoo.spherical_two_spin import SphericalTwoSpin
from zoo_cases import dense, opened

from landscape.errors import UsageError
from landscape.landscapes.protocol import Landscape

NAMES = [
    "mueller-brown",
    "curvy-valley",
    "double-well",
    "double-well?dim=7&seed=3",
    "spherical-2-spin?n=16&seed=0",
    "quadratic?eigenvalues=10,9,5",
    "quadratic?eigenvalues=4,1&dim=6&seed=1",
    "wishart?n=20&q=0.5&seed=1",
]
NOT_ONLY_MINIMA = ["spherical-p-spin?n=12&p=3&seed=1", "goe?n=20&seed=1", "spiked-goe?n=20&theta=2&seed=1"]
MINIMA = [
    ("mueller-brown", "A", (-0.5582236346, 1.4417258418), -146.6995172100),
    ("mueller-brown", "B", (0.6234994049, 0.0280377585), -108.1667241169),
    ("mueller-brown", "C", (-0.0500108230, 0.4666941049), -80.7678181297),
    ("curvy-valley", "left", (-5 * pi / 2, -1.0), 0.0),
    ("curvy-valley", "right", (5 * pi / 2, 1.0), 0.0),
    ("double-well?dim=4", "left", (-1.0, 0.0, 0.0, 0.0), 0.0),
    ("double-well?dim=4", "right", (1.0, 0.0, 0.0, 0.0), 0.0),
    ("quadratic?dim=4", "minimum", (0.0, 0.0, 0.0, 0.0), 0.0),
]
SADDLES = [
    ("mueller-brown", (-0.8220015587, 0.6243128028), -40.6648435087),
    ("mueller-brown", (0.2124865820, 0.2929883251), -72.2489401123),
    ("curvy-valley", (0.0, 0.0), 1.0),
    ("double-well?dim=4", (0.0, 1.0, 0.0, 0.0), 1.0),
]
LINES = [
    ("mueller-brown", "A", "B", 12.676228, 0.30662),
    ("mueller-brown", "A", "C", 3.385919, 0.48515),
    ("curvy-valley", "left", "right", 2.97666827, None),
    ("double-well?dim=5&seed=2", "left", "right", 6.0, 0.5),
]


@pytest.mark.parametrize(("name", "label", "place", "energy"), MINIMA)
def test_minima_are_where_and_as_deep_as_known(name, label, place, energy):
    landscape, points = opened(name)
    x = points[label].vector
    torch.testing.assert_close(x, torch.tensor(place, dtype=torch.float64), rtol=0, atol=1e-10)
    assert float(landscape.energies(x[None])) == pytest.approx(energy, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_points_are_minima_to_machine_precision(name):
    landscape, points = opened(name)
    for point in points.values():
        _, gradient = landscape.gradients(point.vector[None])
        assert float(gradient.abs().max()) < 1e-9
        assert float(torch.linalg.eigvalsh(dense(landscape, point.vector)).min()) > -1e-9


@pytest.mark.parametrize(("name", "place", "energy"), SADDLES)
def test_saddles_have_one_descending_direction(name, place, energy):
    landscape, _ = opened(name)
    x = torch.tensor(place, dtype=torch.float64)
    energies, gradients = landscape.gradients(x[None])
    assert float(energies) == pytest.approx(energy, abs=1e-9)
    assert float(gradients.abs().max()) < 1e-6
    assert int((torch.linalg.eigvalsh(dense(landscape, x)) < 0).sum()) == 1


@pytest.mark.parametrize(("name", "start", "end", "peak", "time"), LINES)
def test_straight_lines_peak_where_known(name, start, end, peak, time):
    landscape, points = opened(name)
    times = torch.linspace(0, 1, 20001, dtype=torch.float64)[:, None]
    energies = landscape.energies(torch.lerp(points[start].vector, points[end].vector, times))
    assert float(energies.max()) == pytest.approx(peak, abs=1e-6)
    if time is not None:
        assert float(times[energies.argmax()]) == pytest.approx(time, abs=5e-5)


def test_curvy_valley_floor_has_the_known_length_and_barrier():
    landscape, points = opened("curvy-valley")
    x = torch.linspace(-5 * pi / 2, 5 * pi / 2, 20001, dtype=torch.float64)
    floor = torch.stack([x, torch.sin(x)], dim=1)
    torch.testing.assert_close(floor[-1], points["right"].vector, rtol=0, atol=1e-12)
    assert float(floor.diff(dim=0).norm(dim=1).sum()) == pytest.approx(19.100989, abs=1e-5)
    assert float(landscape.energies(floor).max()) == pytest.approx(1.0, abs=1e-12)


def test_double_well_valley_has_barrier_one_in_a_thousand_dimensions():
    landscape, points = opened("double-well?dim=1000&seed=0")
    s = torch.linspace(-1, 1, 201, dtype=torch.float64)
    axes = torch.zeros(201, 1000, dtype=torch.float64)
    axes[:, 0], axes[:, 1] = s, 1 - s**2
    rotation = Rotation.random(1000, seed=0).matrix
    assert rotation is not None
    valley = axes @ rotation.T
    torch.testing.assert_close(valley[0], points["left"].vector, rtol=0, atol=1e-12)
    torch.testing.assert_close(landscape.energies(valley), (s**2 - 1) ** 2, rtol=0, atol=1e-12)


def test_rotation_changes_no_spectrum_and_no_energy(rng):
    straight, points = opened("double-well?dim=7")
    rotated, turned = opened("double-well?dim=7&seed=3")
    rotation = Rotation.random(7, seed=3).matrix
    assert rotation is not None
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(7, dtype=torch.float64), rtol=0, atol=1e-14)
    assert (rotation - torch.eye(7)).abs().max() > 0.1
    x = torch.randn(5, 7, generator=rng, dtype=torch.float64)
    torch.testing.assert_close(rotated.energies(x @ rotation.T), straight.energies(x), rtol=1e-12, atol=1e-12)
    root = sqrt(761)
    wanted = torch.tensor([29 - root, *[10.0] * 5, 29 + root], dtype=torch.float64)
    for landscape, point in ((straight, points["left"]), (rotated, turned["right"])):
        torch.testing.assert_close(torch.linalg.eigvalsh(dense(landscape, point.vector)), wanted, rtol=1e-12, atol=0)


def test_quadratic_has_its_spectrum_padded_and_rotated(rng):
    landscape, points = opened("quadratic?eigenvalues=10,9,-3&dim=5&seed=4")
    assert list(points) == ["saddle"]
    matrix = dense(landscape, torch.randn(5, generator=rng, dtype=torch.float64))
    wanted = torch.tensor([-3.0, 0.0, 0.0, 9.0, 10.0], dtype=torch.float64)
    torch.testing.assert_close(torch.linalg.eigvalsh(matrix), wanted, rtol=0, atol=1e-12)
    assert (matrix - matrix.diag().diag()).abs().max() > 0.1


def test_two_spin_barrier_and_critical_points():
    landscape, points = opened("spherical-2-spin?n=16&seed=0")
    values, vectors = torch.linalg.eigh(SphericalTwoSpin(16, 0).couplings())
    assert 16 * float(values[-1] - values[-2]) / 2 == pytest.approx(5.7086735447, abs=1e-9)
    assert float(points["+v1"].vector @ points["-v1"].vector) == pytest.approx(-16, abs=1e-12)
    energies, gradients = landscape.gradients(4 * vectors.T)
    torch.testing.assert_close(energies, -8 * values, rtol=0, atol=1e-12)
    torch.testing.assert_close(gradients, torch.zeros(16, 16, dtype=torch.float64), rtol=0, atol=1e-12)
    saddle = 4 * vectors[:, -2]
    half_circle = torch.linspace(0, pi, 101, dtype=torch.float64)[:, None]
    path = torch.cos(half_circle) * points["+v1"].vector + torch.sin(half_circle) * saddle
    assert float(landscape.energies(path).max() - energies[-1]) == pytest.approx(5.7086735447, abs=1e-9)
    assert int((torch.linalg.eigvalsh(dense(landscape, saddle)) < -1e-9).sum()) == 1


def test_two_spin_gradient_and_hessian_are_riemannian(rng):
    landscape, _ = opened("spherical-2-spin?n=9&seed=5")
    x = landscape.initial(rng).vector
    assert float(x @ x) == pytest.approx(9, abs=1e-12)
    couplings = SphericalTwoSpin(9, 5).couplings()
    tangent = torch.eye(9, dtype=torch.float64) - torch.outer(x, x) / 9
    euclidean = -couplings @ x
    _, gradient = landscape.gradients(x[None])
    torch.testing.assert_close(gradient[0], tangent @ euclidean, rtol=0, atol=1e-12)
    hessian = tangent @ (-couplings - (euclidean @ x) / 9 * torch.eye(9, dtype=torch.float64)) @ tangent
    torch.testing.assert_close(dense(landscape, x), hessian, rtol=0, atol=1e-12)


def test_two_spin_projection_is_the_nearest_point_of_the_sphere(rng):
    landscape, _ = opened("spherical-2-spin?n=9&seed=5")
    x = torch.randn(3, 9, generator=rng, dtype=torch.float64)
    torch.testing.assert_close(landscape.project(x), 3 * x / x.norm(dim=1, keepdim=True), rtol=1e-14, atol=0)


@pytest.mark.parametrize("name", [*NAMES, *NOT_ONLY_MINIMA])
def test_every_reference_is_a_landscape_with_seeded_starts(name):
    landscape, points = opened(name)
    assert isinstance(landscape, Landscape)
    starts = [landscape.initial(torch.Generator().manual_seed(seed)).vector for seed in (1, 1, 2)]
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])
    assert torch.isfinite(landscape.energies(torch.stack(starts))).all()
    assert all(point.source == f"zoo:{name}" for point in points.values())


def test_identity_follows_the_keys_and_not_their_spelling():
    def prints(*names):
        return [opened(name)[0].info.fingerprint for name in names]

    same = prints("double-well?dim=4&seed=1", "double-well?seed=1&dim=4")
    others = prints("double-well?dim=4", "double-well?dim=4&seed=2", "curvy-valley", "mueller-brown")
    assert same[0] == same[1]
    assert len({same[0], *others}) == 5


def test_float32_keeps_the_hash_of_the_float64_points():
    coarse, fine = opened("mueller-brown", torch.float32), opened("mueller-brown")
    assert coarse[1]["A"].vector.dtype == torch.float32
    assert coarse[1]["A"].hash == fine[1]["A"].hash
    energy = coarse[0].energies(coarse[1]["A"].vector[None])
    assert float(energy) == pytest.approx(-146.6995172100, rel=1e-6)


REFUSED = [
    ("muller-brown", "Did you mean 'mueller-brown'"),
    ("ising", "There are: binary-perceptron, bowl, curvy-valley, deep-linear, deep-linear-gauge, double-well"),
    ("double-well?dims=3", "Did you mean 'dim'"),
    ("double-well?dim=x", "met 'x', wanted a whole number"),
    ("double-well?dim=1", "dim must be at least 2, got 1"),
    ("double-well?dim=3&dim=4", "given twice"),
    ("double-well?seed=-1", "seed must be 0 or more"),
    ("mueller-brown?dim=2", "It takes no keys"),
    ("quadratic?eigenvalues=a,b", "met 'a,b', wanted numbers such as 10,9,5"),
    ("quadratic?eigenvalues=nan", "finite"),
    ("quadratic?eigenvalues=1,2&dim=1", "dim must be at least 2"),
    ("spherical-2-spin?seed=none", "wanted a whole number"),
    ("spherical-2-spin?n=1", "n must be at least 2"),
    ("spherical-2-spin?n=20000", "take a smaller one"),
    ("spherical-p-spin?p=1", "n and p must be at least 2, got n=100 and p=1"),
    ("spherical-p-spin?n=600", "n=600 and p=3 would take more than 134217728 numbers (1 GiB); take a smaller one"),
    ("spherical-p-spin?n=2&p=1000000000000", "take a smaller one"),
    ("goe?n=1", "n must be at least 2"),
    ("goe?n=20000", "take a smaller one"),
    ("goe?seed=-1", "seed must be 0 or more"),
    ("spiked-goe?theta=inf", "theta must be a finite number, got inf"),
    ("wishart?q=0", "q must be above 0 and at most n = 400"),
    ("wishart?q=nan", "q must be above 0"),
    ("wishart?n=10&q=11", "at most n = 10 (one sample), got 11"),
    ("wishart?q=1e-320", "take a smaller one"),
]


@pytest.mark.parametrize(("name", "advice"), REFUSED)
def test_wrong_names_keys_and_values_are_refused_in_one_line(name, advice):
    with pytest.raises(UsageError) as caught:
        opened(name)
    assert advice in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_reference_documents_its_known_answer():
    assert all("Known answers" in (cls.__doc__ or "") for cls in REFERENCES.values())


def test_hook_offers_the_scheme():
    from landscape_zoo.hooks import landscape_sources

    from landscape.analysis import resolve

    (source,) = landscape_sources()
    assert source.scheme == "zoo"
    assert resolve(source.open) is open_zoo

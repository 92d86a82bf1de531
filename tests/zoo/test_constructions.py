"""Networks whose minima are joined by a symmetry: the loss on the line and on the path of the symmetry."""

from __future__ import annotations

import pytest
import torch
from landscape_zoo.deep_linear import DeepLinearGauge
from landscape_zoo.network_system import two_layers
from landscape_zoo.relu_rescaling import ReluRescaling
from landscape_zoo.xor_swap import XorSwap
from zoo_cases import dense, opened

from landscape.errors import UsageError
from landscape.landscapes.network import NetworkLandscape
from landscape.paths import measured_line, points_at

NAMES = [
    "deep-linear-gauge",
    "deep-linear-gauge?units=7&inputs=2&outputs=4&seed=3",
    "relu-rescaling?alpha=4",
    "relu-rescaling?alpha=0.1&units=3&samples=10&seed=1",
    "xor-swap",
    "xor-swap?spare=1",
]
TIMES = torch.linspace(0, 1, 101, dtype=torch.float64)


def on_the_line(name, times=TIMES):
    landscape, points = opened(name)
    return landscape.energies(torch.lerp(points["A"].vector, points["B"].vector, times[:, None]))


@pytest.mark.parametrize("name", NAMES)
def test_the_points_are_minima_of_loss_zero_on_a_network(name):
    landscape, points = opened(name)
    assert isinstance(landscape, NetworkLandscape)
    assert landscape.space.names == ("hidden.weight", "readout.weight")
    for point in points.values():
        energies, gradients = landscape.gradients(point.vector[None])
        assert float(energies) < 1e-28
        assert float(gradients.abs().max()) < 1e-14
        assert float(torch.linalg.eigvalsh(dense(landscape, point.vector)).min()) > -1e-12


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("units", [3, 5, 9])
def test_the_line_between_gauge_copies_is_the_known_quartic(units, seed):
    known = DeepLinearGauge(units=units, seed=seed)
    hidden, readout = known.weights()
    exchange = torch.eye(units, dtype=torch.float64)[[units - 1, *range(units - 1)]]
    bent = readout @ (exchange + exchange.T - 2 * torch.eye(units, dtype=torch.float64)) @ hidden
    wanted = (TIMES * (1 - TIMES)) ** 2 * float(bent.square().sum()) / known.outputs
    energies = on_the_line(f"deep-linear-gauge?units={units}&seed={seed}")
    torch.testing.assert_close(energies, wanted, rtol=1e-12, atol=1e-28)
    assert float(energies.max()) == float(energies[50]) > 1e-3


@pytest.mark.parametrize("units", [3, 5, 9])
def test_the_gauge_is_a_rotation_group_from_none_to_the_exchange(units):
    gauge = DeepLinearGauge(units=units).gauge(torch.tensor([0, 0.3, 0.4, 0.7, 1], dtype=torch.float64))
    eye = torch.eye(units, dtype=torch.float64)
    torch.testing.assert_close(gauge @ gauge.mT, eye.expand_as(gauge), rtol=0, atol=1e-14)
    torch.testing.assert_close(torch.linalg.det(gauge), torch.ones(5, dtype=torch.float64), rtol=1e-13, atol=0)
    torch.testing.assert_close(gauge[1] @ gauge[2], gauge[3], rtol=0, atol=1e-14)
    torch.testing.assert_close(gauge[0], eye, rtol=0, atol=1e-15)
    torch.testing.assert_close(gauge[4], eye.roll(1, 0), rtol=0, atol=1e-15)


# name: the symmetry's own path
PATHS = {
    "deep-linear-gauge?units=9&seed=1": DeepLinearGauge(units=9, seed=1).gauge_path(TIMES),
    "deep-linear-gauge": DeepLinearGauge().gauge_path(TIMES),
    "relu-rescaling?alpha=4": ReluRescaling(4.0).rescaling_path(TIMES),
    "relu-rescaling?alpha=0.1&units=2": ReluRescaling(0.1, units=2).rescaling_path(TIMES),
    "xor-swap?spare=1": XorSwap(spare=1).polygon(),
}


@pytest.mark.parametrize("name", PATHS)
def test_the_path_of_the_symmetry_leads_from_a_to_b_at_no_loss(name):
    landscape, points = opened(name)
    path = PATHS[name]
    torch.testing.assert_close(path[0], points["A"].vector, rtol=0, atol=1e-15)
    torch.testing.assert_close(path[-1], points["B"].vector, rtol=0, atol=1e-14)
    assert float(landscape.energies(path).max()) < 1e-20


@pytest.mark.parametrize(("alpha", "peak"), [(4.0, 0.31640625), (0.25, 0.31640625), (2.0, 0.015625), (1.0, 0.0)])
def test_rescaling_multiplies_the_function_on_the_line(alpha, peak):
    landscape, _ = opened(f"relu-rescaling?alpha={alpha}&seed=2")
    ((_, targets),) = landscape.batches.batches
    mean_square = float(targets.square().mean())
    energies = on_the_line(f"relu-rescaling?alpha={alpha}&seed=2")
    wanted = (TIMES * (1 - TIMES) * (alpha + 1 / alpha - 2)) ** 2 * mean_square
    torch.testing.assert_close(energies, wanted, rtol=1e-12, atol=1e-28)
    assert float(energies[50]) == pytest.approx(peak * mean_square, rel=1e-13, abs=1e-28)
    assert 0.1 < mean_square < 10


@pytest.mark.parametrize("name", ["xor-swap", "xor-swap?spare=1"])
def test_xor_is_lost_in_the_middle_of_the_line(name):
    wanted = 0.5 * (1 - (1 - 2 * TIMES).abs()) ** 2
    torch.testing.assert_close(on_the_line(name), wanted, rtol=1e-13, atol=1e-30)
    landscape, points = opened(name)
    line = measured_line(landscape, torch.stack([points["A"].vector, points["B"].vector]))
    assert (line.max_loss, line.saddle_time) == (0.5, 0.5)


def test_xor_is_kept_on_five_segments_over_a_spare_unit():
    landscape, _ = opened("xor-swap?spare=1")
    polygon = XorSwap(spare=1).polygon()
    assert polygon.shape == (6, 9)
    assert torch.equal(landscape.energies(polygon), torch.zeros(6, dtype=torch.float64))
    parts = torch.arange(64, dtype=torch.float64)[:, None, None] / 64  # rounding has no part in these
    between = torch.lerp(polygon[:-1], polygon[1:], parts).reshape(-1, 9)
    assert torch.equal(landscape.energies(between), torch.zeros(5 * 64, dtype=torch.float64))
    assert float(landscape.energies(points_at(landscape, polygon, TIMES)).max()) < 1e-30
    with pytest.raises(ValueError, match="set spare to 1"):
        XorSwap().polygon()


@pytest.mark.parametrize("name", NAMES)
def test_b_computes_what_a_does_on_any_input(name, rng):
    landscape, points = opened(name)
    tensors = [landscape.space.unflatten(point.vector) for point in points.values()]
    inputs, outputs = tensors[0]["hidden.weight"].shape[1], tensors[0]["readout.weight"].shape[0]
    model = two_layers(inputs, len(tensors[0]["hidden.weight"]), outputs, landscape.function.model[1:-1])
    x = torch.randn(20, inputs, generator=rng, dtype=torch.float64)
    first, second = (torch.func.functional_call(model, each, (x,)) for each in tensors)
    torch.testing.assert_close(second, first, rtol=1e-12, atol=1e-14)
    assert not torch.equal(*(point.vector for point in points.values()))


def test_networks_have_seeded_starts_an_identity_and_other_precisions():
    prints = [opened(name)[0].info.fingerprint for name in (*NAMES, "xor-swap?spare=0")]
    assert len(set(prints)) == len(NAMES)
    assert prints[-1] == prints[NAMES.index("xor-swap")]
    landscape, points = opened("relu-rescaling", torch.float32)
    assert landscape.info.name == "relu-rescaling"
    assert points["A"].vector.dtype == landscape.initial(torch.Generator()).vector.dtype == torch.float32
    assert points["B"].hash == opened("relu-rescaling")[1]["B"].hash
    starts = [landscape.initial(torch.Generator().manual_seed(seed)).vector for seed in (1, 1, 2)]
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])


REFUSED = [
    ("deep-linear-gauge?units=4", "units must be odd and at least 3"),
    ("deep-linear-gauge?inputs=0", "inputs and outputs must be at least 1"),
    ("deep-linear-gauge?seed=-1", "seed must be 0 or more"),
    ("relu-rescaling?alpha=-2", "alpha must be a positive number, got -2"),
    ("relu-rescaling?alpha=inf", "alpha must be a positive number"),
    ("relu-rescaling?samples=0", "units and samples must be at least 1"),
    ("xor-swap?spare=2", "spare must be 0 or 1, got 2"),
]


@pytest.mark.parametrize(("name", "advice"), REFUSED)
def test_wrong_values_are_refused(name, advice):
    with pytest.raises(UsageError, match="zoo:") as caught:
        opened(name)
    assert advice in str(caught.value)
    assert "\n" not in str(caught.value)

"""A landscape's network laid open: tensors, outputs, activations, moved points."""

from __future__ import annotations

import pytest
import torch
from symmetry_nets import BY_NAME, EACH_NET, SAMPLES, Net, point_of

from landscape.landscapes.batches import Batches
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import cross_entropy
from landscape.parameters import Point
from landscape.symmetry.discovery import symmetry_of


@pytest.mark.parametrize(("name", "net"), EACH_NET)
def test_the_outputs_are_the_models_own(name: str, net: Net) -> None:
    model = net.model()
    network = net.landscape(model).observed(samples=5)
    tensors = network.tensors(point_of(model))
    torch.testing.assert_close(
        network.outputs(tensors), model(net.batch()[0][:5]).detach().flatten(), rtol=1e-12, atol=1e-12
    )


def test_samples_are_taken_over_batches() -> None:
    net = BY_NAME["cnn"]
    x, y = net.batch()
    batches = Batches(tuple(zip(x.split(5), y.split(5), strict=True)), SAMPLES, "made up", "data")
    model = net.model()
    network = NetworkLandscape(model, cross_entropy, batches).observed(samples=8)
    assert [len(batch[0]) for batch in network.batches] == [5, 3]
    torch.testing.assert_close(network.outputs(network.tensors(point_of(model))), model(x[:8]).detach().flatten())


def test_activations_have_their_units_last() -> None:
    net = BY_NAME["cnn"]
    model = net.model()
    x = net.batch()[0]
    seen = net.landscape(model).observed(SAMPLES).activations(dict(model.state_dict()), ["0", "9"])
    torch.testing.assert_close(seen["0"], model[0](x).detach().permute(0, 2, 3, 1).reshape(-1, 6))
    torch.testing.assert_close(seen["9"], model[:10](x).detach())


def test_a_single_precision_network_is_observed_in_double() -> None:
    net = BY_NAME["mlp"]
    model, (x, y) = net.model().float(), net.batch()
    landscape = NetworkLandscape(model, cross_entropy, Batches(((x.float(), y),), SAMPLES, "made up", "data"))
    network = landscape.observed()
    tensors = network.tensors(point_of(model))
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    expected = model.double()(x[:8].float().double()).detach().flatten()
    torch.testing.assert_close(network.outputs(tensors), expected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(
    ("name", "frozen"), [("mlp", ""), ("mlp", "2.weight"), ("resnet", ""), ("tied embedding", ""), ("lstm", "")]
)
@pytest.mark.parametrize("with_buffers", [True, False])
def test_a_moved_point_is_the_same_network_elsewhere(
    name: str, frozen: str, with_buffers: bool, rng: torch.Generator
) -> None:
    """Its energy is the same in the landscape, whatever it is anchored together with and in which order."""
    net = BY_NAME[name]
    symmetry = symmetry_of(net.landscape(), rng=rng)
    model = net.model()
    if frozen:
        model.get_parameter(frozen).requires_grad_(False)
    landscape, point = net.landscape(model), point_of(model)
    if not with_buffers:
        statistics = {key: tensor for key, tensor in point.buffers.items() if "running" in key}
        point = Point(point.vector, "a", statistics, step=7)
    network = landscape.observed()
    permutations = [torch.randperm(group.size, generator=rng) for group in symmetry.groups]
    moved = network.moved(point, symmetry.permuted(network.tensors(point), permutations), "b")
    assert (moved.id, moved.step) == ("b", point.step)
    assert moved.hash != point.hash
    torch.testing.assert_close(network.outputs(network.tensors(moved)), network.outputs(network.tensors(point)))
    energy = landscape.anchored([point]).energies(point.vector[None])
    for anchors in ([point, moved], [moved, point], [moved]):
        energies = landscape.anchored(anchors).energies(torch.stack([anchor.vector for anchor in anchors]))
        torch.testing.assert_close(energies, energy.expand(len(anchors)), rtol=1e-12, atol=0)


def test_a_point_moved_by_nothing_has_the_same_content() -> None:
    model = BY_NAME["resnet"].model()
    point, network = point_of(model), BY_NAME["resnet"].landscape(model).observed()
    same = network.moved(point, network.tensors(point), "a")
    assert same.hash == point.hash

"""Whole points aligned: copies that must come back, trained networks that must come nearer, what is refused."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from symmetry_nets import BY_NAME, ResNet, cnn, point_of
from torch import nn

from landscape.demo.digits import digits
from landscape.errors import AnalysisError
from landscape.landscapes.analytic import AnalyticLandscape
from landscape.landscapes.batches import Batches
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import cross_entropy
from landscape.landscapes.protocol import LandscapeInfo
from landscape.parameters import ParameterSpace, Point
from landscape.paths import measured_line
from landscape.symmetry.align import align, permuted_copy
from landscape.symmetry.discovery import symmetry_of
from landscape.symmetry.groups import Axis, Group, Symmetry
from landscape.symmetry.rescaling import homogeneous_groups


def digits_mlp():
    layers = nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10)
    return nn.Sequential(nn.Flatten(), *layers)


BUILT = {"mlp": digits_mlp, "cnn with flatten": cnn, "residual net": ResNet}


def images(name):
    """The digits as images; the networks of five classes tell them modulo 5."""
    pixels, labels = digits("train").tensors
    return pixels.double().reshape(-1, 1, 8, 8), labels if name == "mlp" else labels % 5


@cache
def trained(name, seed=0):
    """A landscape of 256 digits and a net after 200 steps of Adam."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BUILT[name]().double()
        inputs, targets = images(name)
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(200):
            rows = torch.randint(len(inputs), (64,))
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(inputs[rows]), targets[rows]).backward()
            optimiser.step()
    batches = tuple((inputs[i : i + 128], targets[i : i + 128]) for i in (0, 128))
    landscape = NetworkLandscape(model, cross_entropy, Batches(batches, 256, "digits", "256 digits"))
    return landscape, point_of(model.eval(), f"seed{seed}")


@cache
def found(name):
    return symmetry_of(trained(name)[0], rng=torch.Generator().manual_seed(0))


def line_barrier(landscape, a, b):
    between = landscape.anchored([a, b])
    return measured_line(between, torch.stack([a.vector, b.vector]), tolerance=torch.inf, points=11).barrier


def outputs(landscape, point):
    network = landscape.observed(samples=64)
    return network.outputs(network.tensors(point))


def assert_same_function(landscape, a, b):
    wanted = outputs(landscape, a)
    torch.testing.assert_close(outputs(landscape, b), wanted, rtol=0, atol=1e-10 * float(wanted.abs().max()))


@pytest.mark.parametrize(
    ("method", "seed"), [*(("weights", seed) for seed in range(5)), ("activations", 0), ("activations", 1)]
)
@pytest.mark.parametrize("name", BUILT)
def test_a_permuted_copy_comes_back(name, method, seed):
    landscape, a = trained(name)
    rng = torch.Generator().manual_seed(seed)
    b = permuted_copy(landscape, a, found(name), rng)
    assert_same_function(landscape, a, b)
    if seed == 0:
        assert line_barrier(landscape, a, b) > 0.1
    aligned = align(landscape, a, b, found(name), method=method, rng=rng)
    assert aligned.distance > 1
    assert aligned.distance_aligned < 1e-9
    assert_same_function(landscape, a, aligned.point)
    assert line_barrier(landscape, a, aligned.point) < 1e-6


@pytest.mark.parametrize("method", ["weights", "activations"])
@pytest.mark.parametrize("name", BUILT)
def test_a_rescaled_and_permuted_copy_comes_back(name, method, rng):
    """By factors from 1/256 to 256, each unit its own: only balanced do units look alike again."""
    landscape, a = trained(name)
    network = landscape.observed()
    scales = {
        group.name: 4.0 ** torch.randint(-4, 5, (group.size,), generator=rng).double()
        for group in homogeneous_groups(found(name))
    }
    scaled = network.moved(a, found(name).scaled(network.tensors(a), scales), "scaled")
    b = permuted_copy(landscape, scaled, found(name), rng)
    assert_same_function(landscape, a, b)
    aligned = align(landscape, a, b, found(name), method=method, rng=rng)
    assert aligned.distance > 5
    assert aligned.distance_aligned < 1e-9


@pytest.mark.parametrize("method", ["weights", "activations"])
def test_independent_networks_come_nearer(method, rng):
    """The barrier of the line falls by more than 3 (10 is usual), the function stays."""
    landscape, a = trained("mlp", 0)
    raw, lines = 0.0, 0.0
    for seed in (1, 2, 3):
        _, b = trained("mlp", seed)
        aligned = align(landscape, a, b, found("mlp"), method=method, rng=rng)
        assert_same_function(landscape, b, aligned.point)
        assert aligned.distance_aligned < 0.8 * aligned.distance
        raw, lines = raw + line_barrier(landscape, a, b), lines + line_barrier(landscape, a, aligned.point)
    assert lines < raw / 3


def test_distances_and_permutations_are_those_of_the_point(rng):
    landscape, a = trained("mlp", 0)
    _, b = trained("mlp", 1)
    fixed = replace(found("mlp"), groups=tuple(replace(g, homogeneous=False) for g in found("mlp").groups))
    aligned = align(landscape, a, b, fixed, rng=rng)
    network = landscape.observed()
    moved = network.space.flatten(fixed.permuted(network.tensors(b), aligned.permutations))
    assert torch.equal(aligned.point.vector, moved)
    assert aligned.distance == pytest.approx(float((a.vector - b.vector).norm()), rel=1e-12)
    assert aligned.distance_aligned == pytest.approx(float((a.vector - moved).norm()), rel=1e-12)
    rescaled = align(landscape, a, b, found("mlp"), rng=rng)
    assert rescaled.distance_aligned < aligned.distance_aligned


def test_buffers_move_and_the_point_keeps_its_name(rng):
    landscape, a = trained("residual net")
    b = replace(permuted_copy(landscape, a, found("residual net"), rng), id="b", step=7)
    aligned = align(landscape, a, b, found("residual net"), rng=rng)
    assert (aligned.point.id, aligned.point.step) == ("b", 7)
    assert aligned.point.hash not in (b.hash, "")
    assert not torch.equal(b.buffers["bn.running_mean"], a.buffers["bn.running_mean"])
    for name, tensor in a.buffers.items():
        assert torch.equal(aligned.point.buffers[name], tensor)


def test_the_same_point_is_not_moved(rng):
    landscape, a = trained("mlp")
    aligned = align(landscape, a, a, found("mlp"), rng=rng)
    assert aligned.point is a
    assert aligned.distance == aligned.distance_aligned == 0
    assert all(torch.equal(p, torch.arange(len(p))) for p in aligned.permutations)
    assert "was not moved" in aligned.messages[0]


def test_single_precision_loses_no_copy(rng):
    landscape, a = trained("cnn with flatten")
    a = a.to(torch.device("cpu"), torch.float32)
    b = permuted_copy(landscape, a, found("cnn with flatten"), rng)
    aligned = align(landscape, a, b, found("cnn with flatten"), rng=rng)
    assert aligned.point.vector.dtype == torch.float32
    assert aligned.distance_aligned < 1e-6 * aligned.distance


@pytest.mark.parametrize("method", ["weights", "activations"])
def test_a_group_that_changes_the_function_is_refused(method, rng):
    """The second layer's columns are forgotten: the error names the layer at fault, not the sound one."""
    landscape, a = trained("mlp", 0)
    _, b = trained("mlp", 1)
    sound, broken = found("mlp").groups
    broken = replace(broken, axes=tuple(axis for axis in broken.axes if axis.role == "out"))
    for symmetry in (Symmetry((sound, broken)), Symmetry((broken, sound))):
        with pytest.raises(AnalysisError, match=r"^3: moving its units changes what the network answers"):
            align(landscape, a, b, symmetry, method=method, rng=rng)
    with pytest.raises(AnalysisError, match=r"^3: "):
        permuted_copy(landscape, a, Symmetry((sound, broken)), rng)


@pytest.mark.parametrize(
    ("name", "silent"),
    [("lstm", "core.l0"), ("encoder, norm first", "blocks.0.self_attn heads, blocks.1.self_attn heads")],
)
def test_units_that_no_layer_answers_with_are_matched_by_weights(name, silent, rng):
    """Gates and heads; all other units by what they answer."""
    net = BY_NAME[name]
    landscape, a = net.landscape(), point_of(net.model())
    symmetry = symmetry_of(landscape, rng=rng)
    b = permuted_copy(landscape, a, symmetry, rng)
    aligned = align(landscape, a, b, symmetry, method="activations", rng=rng)
    assert aligned.distance_aligned < 1e-12
    assert aligned.messages == (f"matched by weights, as no layer answers with their units: {silent}",)


def test_blocks_answer_with_their_channels_in_order(rng):
    """The channels of a group norm are matched first; then its blocks, which stayed, look as they did."""
    net = BY_NAME["group norm"]
    landscape, a = net.landscape(), point_of(net.model())
    symmetry, network = symmetry_of(landscape, rng=rng), landscape.observed()
    for _ in range(5):
        drawn = [torch.randperm(group.size, generator=rng) for group in symmetry.groups]
        drawn[[group.name for group in symmetry.groups].index("0, blocks")] = torch.arange(2)
        b = network.moved(a, symmetry.permuted(network.tensors(a), drawn), "b")
        assert align(landscape, a, b, symmetry, method="activations", rng=rng).distance_aligned < 1e-12


@pytest.mark.parametrize(
    "symmetry", [Symmetry(), Symmetry((Group("x", 2, (Axis("x", 0, torch.eye(2).long(), "out"),)),))]
)
def test_a_formula_has_nothing_to_align(symmetry, rng):
    space = ParameterSpace(("x",), ((2,),))
    landscape = AnalyticLandscape(lambda x: x.sum(), space, LandscapeInfo("plane", "x"), lambda rng: torch.zeros(2))
    a, b = (Point(torch.full((2,), value).double(), id=str(value)) for value in (0.0, 3.0))
    aligned = align(landscape, a, b, symmetry, rng=rng)
    assert aligned.point is b
    assert aligned.distance_aligned == pytest.approx(18**0.5)
    assert aligned.messages == ("plane has no units that can be permuted: nothing was aligned",)
    assert permuted_copy(landscape, a, symmetry, rng) is a


def test_an_unknown_method_is_refused(rng):
    landscape, a = trained("mlp")
    with pytest.raises(ValueError, match="method must be one of weights, activations, got 'outputs'"):
        align(landscape, a, a, found("mlp"), method="outputs", rng=rng)

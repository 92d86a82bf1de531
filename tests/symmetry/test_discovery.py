"""Which units of a network can be exchanged: found, tested, and nothing claimed that is not so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from symmetry_nets import BY_NAME, CLASSES, EACH_NET, DataDependent, Net, mlp, point_of, vectors
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from landscape.landscapes.analytic import AnalyticLandscape
from landscape.landscapes.batches import Batches
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import training_step_objective
from landscape.landscapes.protocol import LandscapeInfo
from landscape.parameters import ParameterSpace
from landscape.symmetry.discovery import symmetry_of
from landscape.symmetry.groups import Axis, Group, Symmetry, Tensors
from landscape.symmetry.verification import Verifier


@cache
def found(net: Net, seed: int = 0) -> Symmetry:
    return symmetry_of(net.landscape(), rng=torch.Generator().manual_seed(seed))


def own_answer(net: Net, tensors: Tensors) -> Tensor:
    """What a fresh copy of the model says with these tensors, without any of the code under test."""
    model = net.build().double().eval()
    slots = dict([*model.named_parameters(), *model.named_buffers()])
    for name, tensor in tensors.items():
        slots[name].data.copy_(tensor)
    return model(net.batch()[0]).detach()


def own_tensors(model: nn.Module) -> dict[str, Tensor]:
    return {n: t.detach().clone() for n, t in [*model.named_parameters(), *model.named_buffers()]}


@pytest.mark.parametrize(("name", "net"), EACH_NET)
def test_every_group_is_found_and_nothing_is_left_out(name: str, net: Net) -> None:
    symmetry = found(net)
    assert {group.name: group.size for group in symmetry.groups} == net.groups
    assert {group.name for group in symmetry.groups if group.homogeneous} == net.homogeneous
    assert symmetry.messages == ()


@pytest.mark.parametrize(("name", "net"), EACH_NET)
def test_a_fresh_model_with_permuted_tensors_gives_the_same_answer(name: str, net: Net, rng: torch.Generator) -> None:
    tensors = own_tensors(net.model())
    symmetry = found(net)
    moved = symmetry.permuted(tensors, [torch.randperm(group.size, generator=rng) for group in symmetry.groups])
    scales = {g.name: torch.exp2(2 * torch.rand(g.size, generator=rng).double() - 1) for g in symmetry.groups}
    moved = symmetry.scaled(moved, {name: scale for name, scale in scales.items() if name in net.homogeneous})
    torch.testing.assert_close(own_answer(net, moved), net.model()(net.batch()[0]).detach(), rtol=1e-10, atol=1e-10)
    assert any(not torch.equal(moved[key], tensors[key]) for key in tensors)


@pytest.mark.parametrize(("name", "net"), EACH_NET)
def test_all_axes_of_a_group_are_needed(name: str, net: Net) -> None:
    """Permuting all but one axis changes the answer."""
    verifier = Verifier(net.landscape().observed(), torch.Generator().manual_seed(0))
    for group in found(net).groups:
        cycle = torch.arange(group.size).roll(1)
        for axis in group.axes:
            rest = Group(group.name, group.size, tuple(a for a in group.axes if a is not axis))
            assert verifier.change(rest.permuted(verifier.tensors, cycle)) > 1e-6, (group.name, axis.tensor, axis.dim)


def test_the_places_of_a_network_by_hand() -> None:
    """A CNN with flatten: the channels of the last convolution are blocks of four columns."""
    group = found(BY_NAME["cnn"]).groups[1]
    places = {(axis.tensor, axis.dim): (axis.role, axis.index.tolist()) for axis in group.axes}
    each = [[unit] for unit in range(5)]
    assert places == {
        ("4.weight", 0): ("out", each),
        ("4.bias", 0): ("out", each),
        ("5.weight", 0): ("affine", each),
        ("5.bias", 0): ("affine", each),
        ("5.running_mean", 0): ("statistic", each),
        ("5.running_var", 0): ("statistic", each),
        ("9.weight", 1): ("in", [[4 * unit + k for k in range(4)] for unit in range(5)]),
    }


def test_the_hidden_units_of_a_bidirectional_lstm_by_hand() -> None:
    group = {group.name: group for group in found(BY_NAME["lstm, two layers both ways"]).groups}["core.l0_reverse"]
    gates = [[unit + 4 * gate for gate in range(4)] for unit in range(4)]
    made = {(f"core.{name}_l0_reverse", 0): gates for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    consumed = {(f"core.weight_ih_{layer}", 1): [[4 + u] for u in range(4)] for layer in ("l1", "l1_reverse")}
    itself = {("core.weight_hh_l0_reverse", 1): [[unit] for unit in range(4)]}
    assert {(axis.tensor, axis.dim): axis.index.tolist() for axis in group.axes} == made | consumed | itself


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("fused attention", [[8 * s + 4 * h + k for s in range(3) for k in range(4)] for h in range(2)]),
        ("attention fused by head", [list(range(12 * h, 12 * h + 12)) for h in range(2)]),
    ],
)
def test_the_heads_of_an_attention_by_hand(name: str, rows: list[list[int]]) -> None:
    heads = next(group for group in found(BY_NAME[name]).groups if "heads" in group.name)
    places = {axis.tensor.removeprefix("blocks.0.attention."): axis.index.tolist() for axis in heads.axes}
    assert places == {"qkv.weight": rows, "qkv.bias": rows, "proj.weight": [[0, 1, 2, 3], [4, 5, 6, 7]]}


@pytest.mark.parametrize("name", ["cnn", "lstm", "fused attention"])
def test_the_same_groups_in_the_same_order_whatever_is_drawn(name: str) -> None:
    first, second = found(BY_NAME[name], 0), found(BY_NAME[name], 1)
    for one, other in zip(first.groups, second.groups, strict=True):
        assert (one.name, one.homogeneous) == (other.name, other.homogeneous)
        for a, b in zip(one.axes, other.axes, strict=True):
            assert (a.tensor, a.dim, a.role, a.index.tolist()) == (b.tensor, b.dim, b.role, b.index.tolist())


def changed(group: Group, tensor: str, **how: Any) -> Group:
    return replace(group, axes=tuple(replace(a, **how) if a.tensor == tensor else a for a in group.axes))


def without(group: Group, role: str) -> Group:
    return replace(group, axes=tuple(axis for axis in group.axes if axis.role != role))


BROKEN: list[tuple[str, Callable[[Group], Group]]] = [
    ("columns of other units", lambda group: changed(group, "9.weight", index=torch.arange(20).reshape(4, 5).T)),
    ("a tensor shifted", lambda group: changed(group, "5.bias", index=torch.arange(5).roll(1)[:, None])),
    ("another dimension", lambda group: changed(group, "4.weight", dim=1)),
    ("no statistics", lambda group: without(group, "statistic")),
    ("nothing consumes", lambda group: without(group, "in")),
]


@pytest.mark.parametrize(("how", "broken"), BROKEN)
def test_a_wrong_group_does_not_hold(how: str, broken: Callable[[Group], Group]) -> None:
    net = BY_NAME["cnn"]
    verifier = Verifier(net.landscape().observed(), torch.Generator().manual_seed(0))
    group = found(net).groups[1]
    assert verifier.holds(group)
    assert not verifier.holds(broken(group))


def test_the_test_of_a_permutation_is_of_all_permutations() -> None:
    """Two blocks of a group norm: permutations within the blocks hold, a cycle through both does not."""
    net = BY_NAME["group norm"]
    whole = replace(found(net).groups[0], name="whole", size=8)
    places = [(axis.tensor, axis.dim, axis.role) for axis in whole.axes]
    whole = replace(whole, axes=tuple(Axis(t, d, torch.arange(8)[:, None], r) for t, d, r in places))
    for seed in range(20):
        assert not Verifier(net.landscape().observed(), torch.Generator().manual_seed(seed)).holds(whole)


def test_a_permutation_that_nothing_sees_proves_nothing() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.aside = mlp(), nn.Linear(6, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x)

    verifier = Verifier(Net("unused", Unused, vectors).landscape().observed(), torch.Generator().manual_seed(0))
    group = Group("aside", 4, (Axis("aside.weight", 0, torch.arange(4)[:, None], "out"),))
    assert verifier.permutation_changes(group) == 0
    assert not verifier.holds(group)


def test_dead_units_of_the_network_at_hand_hide_nothing() -> None:
    """All units of the first layer are dead: any permutation leaves this point's function unchanged."""
    net = BY_NAME["mlp"]
    model = net.model()
    model[0].bias.data.fill_(-1e3)
    symmetry = symmetry_of(net.landscape(model), rng=torch.Generator().manual_seed(0))
    assert {group.name: group.size for group in symmetry.groups} == net.groups


class Step(nn.Module):
    """A training step that never calls the module itself."""

    def __init__(self, known_loss: bool) -> None:
        super().__init__()
        self.net, self.known_loss = mlp(), known_loss

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        scores = self.net(batch[0])
        return F.cross_entropy(scores, batch[1]) if self.known_loss else -scores.log_softmax(1).square().mean()


@pytest.mark.parametrize("known_loss", [True, False])
def test_a_training_step_that_calls_the_layers(known_loss: bool) -> None:
    module = Step(known_loss).double()
    batches = Batches((BY_NAME["mlp"].batch(),), 12, "made up", "data")
    landscape = NetworkLandscape(module, training_step_objective(module), batches)
    symmetry = symmetry_of(landscape, rng=torch.Generator().manual_seed(0))
    assert {group.name: group.size for group in symmetry.groups} == {"net.0": 8, "net.2": 7}


class Detached(nn.Module):
    """Nothing of the first layer reaches autograd."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(6, 8), nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            hidden = torch.relu(self.first(x))
        return self.out(hidden)


class Untraceable(nn.Module):
    """Raises as soon as its gradient is wanted, as torch-pruning's tracing does."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(6, 8), nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.from_numpy(self.first(x).numpy()))


def frozen() -> nn.Module:
    model = mlp()
    model[4].requires_grad_(False)
    return model


def weight_norm() -> nn.Module:
    model = mlp()
    nn.utils.parametrizations.weight_norm(model[0])
    return model


@pytest.mark.parametrize(
    ("build", "groups", "said"),
    [
        (frozen, ["0"], ["layer '2': permuting its 7 units would move '4.weight', which is frozen"]),
        (DataDependent, [], ["layer 'first': permuting its 8 units changes the function", "--neb.symmetry FILE"]),
        (Detached, [], ["--neb.symmetry FILE"]),
        (Untraceable, [], ["cannot be followed", "--neb.symmetry FILE"]),
        (weight_norm, ["2"], ["not covered: 0.parametrizations.weight"]),
    ],
)
def test_what_is_not_found_is_said(build: type[nn.Module], groups: list[str], said: list[str]) -> None:
    symmetry = symmetry_of(Net("net", build, vectors).landscape(), rng=torch.Generator().manual_seed(0))
    assert [group.name for group in symmetry.groups] == groups
    assert all("\n" not in message for message in symmetry.messages)
    for words in said:
        assert words in " | ".join(symmetry.messages)


def test_a_formula_has_no_units() -> None:
    landscape = AnalyticLandscape(
        lambda x: x.square().sum(),
        ParameterSpace(("x",), ((2,),)),
        LandscapeInfo("bowl", "energy"),
        lambda rng: torch.randn(2, generator=rng),
    )
    symmetry = symmetry_of(landscape, rng=torch.Generator())
    assert symmetry.groups == ()
    assert "bowl is a formula" in symmetry.messages[0]


def test_the_landscape_is_left_as_it_was() -> None:
    net = BY_NAME["encoder, norm last"]
    model = net.model()
    landscape, point = net.landscape(model), point_of(model)
    before = landscape.energies(point.vector[None])
    symmetry_of(landscape, rng=torch.Generator().manual_seed(0))
    torch.testing.assert_close(landscape.energies(point.vector[None]), before, rtol=0, atol=0)
    assert all(not hasattr(module, "forward") or "forward" not in vars(module) for module in model.modules())

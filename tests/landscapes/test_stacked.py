"""Points of several pairs in one block: each row's energy and gradient are those of its own pair's landscape."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from network_cases import batches_of
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from landscape.landscapes.chunking import Choice, Chunking
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import cross_entropy
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point

POLICIES = ["recalibrate", "frozen", "interpolate"]
SIZES = (5, 4, 3)


class Net(nn.Module):
    """Batch norm behind a frozen layer, and a buffer that is no statistic, before and after it."""

    def __init__(self, batch_norm: bool = True) -> None:
        super().__init__()
        self.frozen = nn.Linear(6, 5)
        self.inner = nn.Linear(5, 4)
        self.norm = nn.BatchNorm1d(4) if batch_norm else nn.Identity()
        self.outer = nn.Linear(4, 3)
        self.register_buffer("scale", torch.ones(5))
        self.frozen.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.frozen(x)) * self.scale
        return self.outer(torch.tanh(self.norm(self.inner(hidden)))) + self.scale[:3]


def net(seed: int, batch_norm: bool = True) -> Net:
    torch.manual_seed(seed)
    model = Net(batch_norm).double()
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(16, 6, dtype=torch.float64))
    return model.eval()


def pair(number: int, batch_norm: bool, differ: str) -> list[Point]:
    """Two points of one pair. ``differ``: what else than statistics is another pair's own."""
    points = []
    for end in range(2):
        model = net(10 + 2 * number + end, batch_norm)
        others = net(0, batch_norm)
        with torch.no_grad():
            if differ in ("buffers", "ends"):
                others.scale += (0.3 * number + (0.2 * end if differ == "ends" else 0)) * torch.arange(5)
            if differ in ("frozen", "ends"):
                others.frozen.weight += 0.2 * number + (0.1 * end if differ == "ends" else 0)
        vector = parameters_to_vector([p for p in model.parameters() if p.requires_grad]).detach()
        buffers = {name: tensor.clone() for name, tensor in model.named_buffers() if name.startswith("norm")}
        frozen = {f"frozen.{name}": p.detach().clone() for name, p in others.frozen.named_parameters()}
        points.append(Point(vector, f"{number}{end}", {**buffers, **frozen, "scale": others.scale.clone()}))
    return points


def landscape_of(policy: str, batch_norm: bool, rng: torch.Generator) -> NetworkLandscape:
    x, y = torch.randn(12, 6, generator=rng, dtype=torch.float64), torch.randint(3, (12,), generator=rng)
    return NetworkLandscape(net(0, batch_norm), cross_entropy, batches_of((x, y), SIZES), batch_norm=policy)


def on_the_line(ends: Sequence[Point], times: Sequence[float]) -> Tensor:
    a, b = (end.vector for end in ends)
    return torch.stack([a if t == 0 else b if t == 1 else torch.lerp(a, b, t) for t in times])


TIMES = [[0.0, 0.3, 1.0], [0.6], [0.2, 0.9]]
"""Of each pair, checkpoints among them: blocks of different height."""


@pytest.fixture(params=["nothing", "buffers", "frozen", "ends"])
def differ(request: pytest.FixtureRequest) -> str:
    """What else than statistics differs between pairs: nothing, a buffer, frozen weights, both within a pair too."""
    return request.param


@pytest.mark.parametrize("size", [1, 4], ids=["loop", "vmap"])
@pytest.mark.parametrize(("policy", "batch_norm"), [*((policy, True) for policy in POLICIES), ("recalibrate", False)])
def test_rows_are_those_of_their_own_pairs(
    policy: str, batch_norm: bool, size: int, differ: str, rng: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Chunking, "_choose", lambda *_: Choice(size, "set by the test"))
    land = landscape_of(policy, batch_norm, rng)
    pairs = [pair(number, batch_norm, differ) for number in range(3)]
    apart: list[Landscape] = [land.anchored(ends) for ends in pairs]
    blocks = [on_the_line(ends, times) for ends, times in zip(pairs, TIMES, strict=True)]
    stacked, points = apart[0].stacked(apart, [len(block) for block in blocks]), torch.cat(blocks)
    expected = torch.cat([own.energies(block) for own, block in zip(apart, blocks, strict=True)])
    torch.testing.assert_close(stacked.energies(points), expected, rtol=1e-12, atol=1e-12)
    errors = torch.cat([own.errors(block) for own, block in zip(apart, blocks, strict=True)])
    torch.testing.assert_close(stacked.errors(points), errors, rtol=1e-12, atol=1e-12)
    for batch in (None, 0, 2):
        each = [own.gradients(block, batch) for own, block in zip(apart, blocks, strict=True)]
        energies, gradients = stacked.gradients(points, batch)
        torch.testing.assert_close(energies, torch.cat([e for e, _ in each]), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(gradients, torch.cat([g for _, g in each]), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("policy", POLICIES)
def test_pairs_keep_what_is_theirs(policy: str, rng: torch.Generator) -> None:
    """The test above would pass if all pairs were taken for one: they differ."""
    land, vector = landscape_of(policy, True, rng), pair(0, True, "nothing")[0].vector
    for differ in ("buffers", "frozen"):
        apart = [land.anchored(pair(number, True, differ)) for number in range(2)]
        energies = apart[0].stacked(apart, [1, 1]).energies(torch.stack([vector + 0.1] * 2))
        assert abs(float(energies[0] - energies[1])) > 1e-3


def expected_energy(model: Net, point: Point, data: tuple[Tensor, Tensor], vector: Tensor, batch: int) -> Tensor:
    """Written out: the point's own buffers and frozen weights, normalised by the statistics of each batch."""
    model.load_state_dict({**model.state_dict(), **point.buffers})
    nn.utils.vector_to_parameters(vector, [p for p in model.parameters() if p.requires_grad])
    x, y = (part.split(list(SIZES))[batch] for part in data)
    return nn.functional.cross_entropy(model.train()(x), y).detach()


def test_gradients_by_batch_statistics_know_the_other_buffers_of_the_nearest_end(rng: torch.Generator) -> None:
    x, y = torch.randn(12, 6, generator=rng, dtype=torch.float64), torch.randint(3, (12,), generator=rng)
    land = NetworkLandscape(net(0), cross_entropy, batches_of((x, y), SIZES))
    ends = pair(1, True, "ends")
    between, points = land.anchored(ends), on_the_line(ends, [0.2, 0.8])
    for row, end in enumerate(ends):
        expected = expected_energy(net(0), end, (x, y), points[row], batch=1)
        assert float(between.gradients(points, 1)[0][row]) == pytest.approx(float(expected), rel=1e-12)


def test_statistics_are_re_estimated_behind_the_other_buffers_of_the_nearest_end(rng: torch.Generator) -> None:
    """One batch: its statistics, the variance apart (biased in training, not in what is kept), are the running ones."""
    x, y = torch.randn(12, 6, generator=rng, dtype=torch.float64), torch.randint(3, (12,), generator=rng)
    land = NetworkLandscape(net(0), cross_entropy, batches_of((x, y), (12,)))
    ends = pair(1, True, "ends")
    made = land.anchored(ends).buffers.at(on_the_line(ends, [0.2, 0.8]), land.anchored(ends)._estimate)
    for row, end in enumerate(ends):
        model = net(0)
        model.load_state_dict({**model.state_dict(), **end.buffers})
        vector = on_the_line(ends, [0.2, 0.8])[row]
        nn.utils.vector_to_parameters(vector, [p for p in model.parameters() if p.requires_grad])
        before = model.inner(torch.tanh(model.frozen(x)) * model.scale).detach()
        torch.testing.assert_close(made["norm.running_mean"][row], before.mean(0), rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(made["norm.running_var"][row], before.var(0), rtol=1e-12, atol=1e-14)


def test_statistics_of_all_pairs_are_estimated_in_one_go(rng: torch.Generator, monkeypatch) -> None:
    land = landscape_of("recalibrate", True, rng)
    pairs = [pair(number, True, "nothing") for number in range(3)]
    apart = [land.anchored(ends) for ends in pairs]
    stacked = apart[0].stacked(apart, [3, 1, 2])
    asked: list[int] = []
    whole = NetworkLandscape._estimate

    def counting(self: NetworkLandscape, points: Tensor, *rest: object) -> dict[str, Tensor]:
        asked.append(len(points))
        return whole(self, points, *rest)

    monkeypatch.setattr(NetworkLandscape, "_estimate", counting)
    stacked.energies(torch.cat([on_the_line(ends, times) for ends, times in zip(pairs, TIMES, strict=True)]))
    assert asked == [4]  # the two checkpoints among the six rows have theirs

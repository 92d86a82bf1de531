"""Batch-norm statistics: the stored ones at checkpoints, made ones between them."""

import copy

import pytest
import torch
from network_cases import batches_of
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from torch.optim.swa_utils import update_bn

from landscape.errors import UsageError
from landscape.landscapes.chunking import Choice
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import cross_entropy
from landscape.parameters import Point


def network(seed: int) -> nn.Module:
    """A small net whose statistics have seen other data."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(12, 5),
        nn.BatchNorm1d(5),
        nn.Linear(5, 3),
    ).double()
    for _ in range(3):
        model(torch.randn(16, 1, 4, 4, dtype=torch.float64))
    return model.eval()


def vector_of(model: nn.Module) -> Tensor:
    return parameters_to_vector(model.parameters()).detach()


def point_of(model: nn.Module, name: str) -> Point:
    return Point(vector_of(model), name, {n: b.clone() for n, b in model.named_buffers()})


@pytest.fixture
def data(rng: torch.Generator) -> tuple[Tensor, Tensor]:
    return torch.randn(12, 1, 4, 4, generator=rng, dtype=torch.float64), torch.randint(3, (12,), generator=rng)


def plain_energy(model: nn.Module, data: tuple[Tensor, Tensor]) -> float:
    return nn.functional.cross_entropy(model(data[0]), data[1]).item()


def landscape_of(data: tuple[Tensor, Tensor], policy: str, *anchors: Point, sizes=(4, 4, 4)) -> NetworkLandscape:
    return NetworkLandscape(network(0), cross_entropy, batches_of(data, sizes), batch_norm=policy, anchors=anchors)


@pytest.mark.parametrize("policy", ["recalibrate", "frozen", "interpolate"])
def test_anchors_have_their_own_models_energies(data: tuple[Tensor, Tensor], policy: str) -> None:
    models = [network(seed) for seed in range(3)]
    points = [point_of(model, str(k)) for k, model in enumerate(models)]
    landscape = landscape_of(data, policy).anchored(points)
    expected = [plain_energy(model, data) for model in models]
    middle = (points[0].vector + points[1].vector) / 2
    found = landscape.energies(torch.stack([points[0].vector, middle, points[1].vector, points[2].vector]))
    assert found[[0, 2, 3]].tolist() == pytest.approx(expected, rel=1e-12)
    hessian = landscape.hessian(points[1])
    assert torch.equal(hessian._loss.constants["1.running_mean"], points[1].buffers["1.running_mean"])


def test_a_hessian_is_taken_at_the_points_own_statistics(data: tuple[Tensor, Tensor]) -> None:
    point = point_of(network(1), "a")
    apart, anchored = landscape_of(data, "recalibrate"), landscape_of(data, "recalibrate", point)
    vectors = torch.eye(len(point.vector), dtype=torch.float64)[:4]
    expected = anchored.hessian(point).matmat(vectors)
    torch.testing.assert_close(apart.hessian(point).matmat(vectors), expected, rtol=1e-12, atol=1e-14)


def recalibrated(model: nn.Module, vector: Tensor, data: tuple[Tensor, Tensor], sizes: tuple[int, ...]) -> nn.Module:
    model = copy.deepcopy(model)
    vector_to_parameters(vector, model.parameters())
    update_bn(data[0].split(list(sizes)), model)
    return model.eval()


@pytest.mark.parametrize("count", [1, 6])
def test_recalibration_is_that_of_update_bn_on_equal_batches(data: tuple[Tensor, Tensor], count: int, rng) -> None:
    landscape = landscape_of(data, "recalibrate", point_of(network(0), "a"))
    points = vector_of(network(0)) + 0.1 * torch.randn(count, landscape.space.dim, generator=rng, dtype=torch.float64)
    models = [recalibrated(network(0), vector, data, (4, 4, 4)) for vector in points]
    made = landscape.buffers.at(points, landscape._estimate)
    for name in landscape.buffers.statistics:
        expected = torch.stack([dict(model.named_buffers())[name] for model in models])
        torch.testing.assert_close(made[name], expected, rtol=1e-12, atol=1e-14)
    expected_energies = [plain_energy(model, data) for model in models]
    assert landscape.energies(points).tolist() == pytest.approx(expected_energies, rel=1e-12)


@pytest.mark.parametrize("size", [1, 2, 4], ids=["loop", "pairs", "all"])
def test_full_gradients_hold_each_points_statistics_fixed(data: tuple[Tensor, Tensor], size: int, rng) -> None:
    landscape = landscape_of(data, "recalibrate", point_of(network(0), "a"))
    landscape.chunking.choices |= {(kind, 4): Choice(size, "asked for") for kind in ("gradients", "statistics")}
    points = vector_of(network(0)) + 0.1 * torch.randn(3, landscape.space.dim, generator=rng, dtype=torch.float64)
    points[1] = vector_of(network(0))
    energies, gradients = landscape.gradients(points)
    for k, vector in enumerate(points):
        model = network(0) if k == 1 else recalibrated(network(0), vector, data, (4, 4, 4))
        nn.functional.cross_entropy(model(data[0]), data[1]).backward()
        expected = parameters_to_vector([p.grad for p in model.parameters()])
        assert energies[k].item() == pytest.approx(plain_energy(model, data), rel=1e-12)
        torch.testing.assert_close(gradients[k], expected, rtol=1e-9, atol=1e-13)


def test_ragged_batches_weigh_by_their_samples(data: tuple[Tensor, Tensor]) -> None:
    landscape, vector = landscape_of(data, "recalibrate", sizes=(8, 3, 1)), vector_of(network(1))
    made = landscape.buffers.at(vector[None], landscape._estimate)["1.running_mean"][0]
    model = network(0)
    vector_to_parameters(vector, model.parameters())
    expected = model[0](data[0][:11]).mean((0, 2, 3))  # a single sample has no variance and is left out
    torch.testing.assert_close(made, expected.detach(), rtol=1e-12, atol=0)


def test_recalibration_leaves_nothing_behind(data: tuple[Tensor, Tensor]) -> None:
    landscape = landscape_of(data, "recalibrate")
    landscape.energies(vector_of(network(2))[None])
    before, at_first = copy.deepcopy(landscape.buffers.shared), landscape.energies(vector_of(network(1))[None])
    landscape.gradients(vector_of(network(3))[None], 0)
    assert torch.equal(landscape.energies(vector_of(network(1))[None]), at_first)
    assert all(torch.equal(tensor, before[name]) for name, tensor in landscape.buffers.shared.items())
    after = landscape.function.model
    assert not any(m.training for m in after.modules())
    assert [m.momentum for m in landscape.buffers.layers] == [0.1, 0.1]
    assert all(m.track_running_stats for m in landscape.buffers.layers)


def test_frozen_takes_the_nearest_anchors(data: tuple[Tensor, Tensor]) -> None:
    a, b = (point_of(network(seed), str(seed)) for seed in (1, 2))
    landscape = landscape_of(data, "frozen", a, b)
    model = network(2)
    vector = 0.3 * a.vector + 0.7 * b.vector
    vector_to_parameters(vector, model.parameters())
    assert landscape.energies(vector[None]).item() == pytest.approx(plain_energy(model, data), rel=1e-12)


@pytest.mark.parametrize(("position", "share"), [(0.3, 0.3), (0.9, 0.9), (1.4, 1.0)])
def test_interpolation_mixes_by_the_projection(data: tuple[Tensor, Tensor], position: float, share: float, rng) -> None:
    a, b = (point_of(network(seed), str(seed)) for seed in (1, 2))
    far = Point(a.vector + 100, "far", point_of(network(3), "far").buffers)
    landscape = landscape_of(data, "interpolate", far, a, b)
    line = b.vector - a.vector
    aside = torch.randn(len(line), generator=rng, dtype=torch.float64)
    aside -= line * (aside @ line) / (line @ line)
    made = landscape.buffers.at((a.vector + position * line + 0.01 * aside)[None], landscape._estimate)
    for name in landscape.buffers.statistics:
        expected = (1 - share) * a.buffers[name] + share * b.buffers[name]
        torch.testing.assert_close(made[name][0], expected, rtol=1e-12, atol=1e-14)


def test_mini_batch_gradients_are_those_of_training(data: tuple[Tensor, Tensor]) -> None:
    landscape, model = landscape_of(data, "recalibrate", sizes=(8, 4)), network(1).train()
    nn.functional.cross_entropy(model(data[0][:8]), data[1][:8]).backward()
    expected = parameters_to_vector([p.grad for p in model.parameters()])
    points = torch.stack([vector_of(model), vector_of(network(2)), vector_of(network(3))])
    for rows in (points, points[:1]):
        torch.testing.assert_close(landscape.gradients(rows, 0)[1][0], expected, rtol=1e-9, atol=1e-12)


def test_a_mini_batch_of_one_sample_uses_the_full_datas_statistics(data: tuple[Tensor, Tensor]) -> None:
    landscape, model = landscape_of(data, "recalibrate", sizes=(11, 1)), network(1)
    recalibrated_model = recalibrated(model, vector_of(model), (data[0][:11],), (11,))
    found = landscape.gradients(vector_of(model)[None], 1)[0].item()
    assert found == pytest.approx(plain_energy(recalibrated_model, (data[0][11:], data[1][11:])), rel=1e-12)


def test_statistics_are_not_made_up_where_no_mini_batch_gives_any(data: tuple[Tensor, Tensor]) -> None:
    landscape = landscape_of(data, "recalibrate", sizes=(1,) * 12)
    with pytest.raises(UsageError, match="mini-batches of one sample: raise --batch-size"):
        landscape.energies(vector_of(network(1))[None])


def test_networks_without_batch_norm_pay_nothing(data: tuple[Tensor, Tensor]) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).double()
    landscape = NetworkLandscape(model, cross_entropy, batches_of(data, (12,)), anchors=[Point(vector_of(model), "a")])
    landscape.energies(vector_of(model)[None])
    assert landscape.buffers.varying == ()
    assert landscape.work.energies == 1


def test_an_unknown_policy_is_refused(data: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(UsageError, match=r"'best'; wanted one of recalibrate, frozen, interpolate"):
        NetworkLandscape(network(0), cross_entropy, batches_of(data, (12,)), batch_norm="best")

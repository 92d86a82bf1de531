"""Energies and gradients of several points at once against plain PyTorch, one point after another."""

import copy
from dataclasses import dataclass

import pytest
import torch
from network_cases import CASES, RAGGED, SAMPLES, Case, batches_of
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from landscape.errors import AnalysisError, CheckpointError
from landscape.landscapes.batches import materialise
from landscape.landscapes.chunking import Choice
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import Objective, cross_entropy, mse
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def plain(case: Case, vector: torch.Tensor) -> tuple[float, torch.Tensor]:
    """Energy and gradient with the parameters written into the model and one ``backward``."""
    model = copy.deepcopy(case.network())
    vector_to_parameters(vector, model.parameters())
    energy = case.plain_energy(model)
    energy.backward()
    return energy.item(), parameters_to_vector([p.grad for p in model.parameters()])


def around(case: Case, count: int, rng: torch.Generator) -> torch.Tensor:
    vector = parameters_to_vector(case.network().parameters()).detach()
    return vector + 0.3 * torch.randn(count, len(vector), generator=rng, dtype=torch.float64)


def frozen(case: Case, sizes: tuple[int, ...] = RAGGED) -> NetworkLandscape:
    """Batch norm with the model's own statistics, so that plain PyTorch in eval mode is the same function."""
    return NetworkLandscape(case.network(), case.objective, batches_of(case.data(), sizes), batch_norm="frozen")


def forced(landscape: NetworkLandscape, size: int) -> NetworkLandscape:
    """The chunk size fixed to ``size`` for calls of three or four points."""
    kinds = ("energies", "gradients", "errors")
    landscape.chunking.choices |= {(kind, 4): Choice(size, "the test asks for it") for kind in kinds}
    return landscape


@each_case
@pytest.mark.parametrize("size", [1, 2, 4], ids=["loop", "pairs", "all"])
def test_energies_and_gradients_are_those_of_plain_pytorch(case: Case, size: int, rng: torch.Generator) -> None:
    if size > 1 and not case.vmaps:
        pytest.skip("recurrent layers raise under vmap")
    landscape, points = forced(frozen(case), size), around(case, 3, rng)
    energies, gradients = landscape.gradients(points)
    expected = [plain(case, vector) for vector in points]
    torch.testing.assert_close(energies.tolist(), [e for e, _ in expected], rtol=1e-12, atol=0)
    torch.testing.assert_close(gradients, torch.stack([g for _, g in expected]), rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(landscape.energies(points), energies, rtol=1e-13, atol=0)


@each_case
def test_choosing_the_chunk_changes_no_result(case: Case, rng: torch.Generator) -> None:
    landscape, points = frozen(case), around(case, 9, rng)
    looped = torch.cat([landscape.energies(point[None]) for point in points])
    torch.testing.assert_close(landscape.energies(points), looped, rtol=1e-12, atol=0)
    choice = landscape.chunking.choices["energies", 16]
    assert case.vmaps or (choice.size == 1 and choice.reason.startswith("vmap: "))


def test_it_is_a_landscape_that_leaves_the_model_alone() -> None:
    model = CASES[0].network().train()
    landscape = NetworkLandscape(model, cross_entropy, batches_of(CASES[0].data(), RAGGED))
    assert isinstance(landscape, Landscape)
    assert model.training
    assert not landscape.function.model.training
    assert landscape.info.samples == SAMPLES
    assert landscape.num_batches == len(RAGGED)


def test_mini_batches_average_to_the_full_gradient(rng: torch.Generator) -> None:
    landscape, points = frozen(CASES[0]), around(CASES[0], 2, rng)
    energies, gradients = landscape.gradients(points)
    parts = [landscape.gradients(points, batch) for batch in range(len(RAGGED))]
    shares = torch.tensor(RAGGED, dtype=torch.float64) / SAMPLES
    torch.testing.assert_close(
        sum(w * e for w, (e, _) in zip(shares, parts, strict=True)), energies, rtol=1e-12, atol=0
    )
    torch.testing.assert_close(
        sum(w * g for w, (_, g) in zip(shares, parts, strict=True)), gradients, rtol=1e-12, atol=1e-14
    )


def test_work_is_counted_in_full_data_equivalents(rng: torch.Generator) -> None:
    landscape, points = frozen(CASES[0]), around(CASES[0], 3, rng)
    landscape.gradients(points)
    landscape.gradients(points, 1)
    landscape.energies(points)
    landscape.hessian(Point(points[0], "a")).matmat(points[:2])
    assert landscape.anchored([]).work is landscape.work
    assert landscape.work.gradients == pytest.approx(3 + 3 * RAGGED[1] / SAMPLES, rel=1e-15)
    assert (landscape.work.energies, landscape.work.hvps) == (3, 2)


def test_errors_are_the_fraction_of_wrong_answers(rng: torch.Generator) -> None:
    case = CASES[0]
    points = around(case, 4, rng)
    *inputs, target = case.data()
    expected = []
    for vector in points:
        model = case.network()
        vector_to_parameters(vector, model.parameters())
        expected.append((model(*inputs).argmax(1) != target).double().mean())
    assert 0 < min(expected) < max(expected)
    torch.testing.assert_close(frozen(case).errors(points), torch.stack(expected), rtol=1e-15, atol=0)


def test_frozen_parameters_are_buffers_that_a_point_may_bring(rng: torch.Generator) -> None:
    case = CASES[0]
    model = case.network()
    model[0].weight.requires_grad_(False)
    landscape = NetworkLandscape(model, cross_entropy, batches_of(case.data(), RAGGED))
    assert landscape.space.names == ("0.bias", "2.weight", "2.bias")
    vector = torch.cat([model[0].bias, model[2].weight.reshape(-1), model[2].bias]).detach()
    other = Point(vector, "other", {"0.weight": torch.zeros(5, 6, dtype=torch.float64)})
    plain_energy = case.plain_energy(model).item()
    assert landscape.energies(vector[None]).item() == pytest.approx(plain_energy, rel=1e-12)
    nn.init.zeros_(model[0].weight)
    zeroed_energy = case.plain_energy(model).item()
    assert landscape.anchored([other]).energies(vector[None]).item() == pytest.approx(zeroed_energy, rel=1e-12)
    assert abs(plain_energy - zeroed_energy) > 1e-3


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_is_computed_in_float32(stored: torch.dtype) -> None:
    landscape = NetworkLandscape(CASES[0].network().to(stored), cross_entropy, batches_of(CASES[0].data(), RAGGED))
    assert landscape.dtype == torch.float32


def test_a_mini_batch_in_which_no_target_counts_pulls_nowhere() -> None:
    inputs, targets = torch.ones(4, 3), torch.tensor([0, 1, -100, -100])
    landscape = NetworkLandscape(nn.Linear(3, 2), cross_entropy, batches_of((inputs, targets), (2, 2)))
    points = torch.zeros(1, landscape.space.dim)
    energies, gradients = landscape.gradients(points, 1)
    assert energies.item() == 0  # NaN would spread through the tangents of a path
    assert gradients.count_nonzero() == 0
    assert torch.equal(landscape.gradients(points)[1], landscape.gradients(points, 0)[1])


def test_a_parameter_may_be_a_single_number() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(2.0))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.scale * x

    landscape = NetworkLandscape(Scaled(), mse, batches_of((torch.ones(3, 1), torch.zeros(3, 1)), (3,)))
    energies, gradients = landscape.gradients(torch.tensor([[2.0]]))
    assert (energies.item(), gradients.item()) == (4.0, 4.0)


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_a_model_that_cannot_be_copied_is_told_why() -> None:
    model = nn.utils.weight_norm(nn.Linear(3, 2))
    model(torch.ones(1, 3))
    with pytest.raises(CheckpointError, match=r"Linear cannot be copied: .*weight_norm"):
        NetworkLandscape(model, cross_entropy, batches_of(CASES[0].data(), RAGGED))


def test_an_objective_without_gradient_is_refused(rng: torch.Generator) -> None:
    def detached(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, int]:
        with torch.no_grad():
            return model(batch[0]).sum(), len(batch[0])

    landscape = NetworkLandscape(
        CASES[0].network(), Objective("detached", detached), batches_of(CASES[0].data(), RAGGED)
    )
    with pytest.raises(CheckpointError, match="no_grad"):
        landscape.gradients(around(CASES[0], 2, rng))


class TestInitial:
    @each_case
    def test_the_seed_fixes_it_and_the_global_generator_is_untouched(self, case: Case) -> None:
        landscape = case.landscape()
        before = torch.random.get_rng_state()
        first, again, other = (landscape.initial(torch.Generator().manual_seed(seed)).vector for seed in (1, 1, 2))
        assert torch.equal(torch.random.get_rng_state(), before)
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        assert first.isfinite().all()

    @each_case
    def test_resetting_draws_what_building_draws(self, case: Case) -> None:
        if case.name == "tied weights":
            pytest.skip("building draws the weight that tying throws away")
        reset = NetworkLandscape(case.model(), case.objective, batches_of(case.data(), RAGGED))
        built = NetworkLandscape(case.model(), case.objective, batches_of(case.data(), RAGGED), factory=case.model)
        vectors = [scape.initial(torch.Generator().manual_seed(3)).vector for scape in (reset, built)]
        assert torch.equal(*vectors)

    def test_a_bare_parameter_that_nothing_resets_is_named(self) -> None:
        model = nn.Sequential(nn.Linear(6, 3))
        model.register_parameter("scale", nn.Parameter(torch.ones(2)))
        landscape = NetworkLandscape(model, cross_entropy, batches_of(CASES[0].data(), RAGGED))
        with pytest.raises(AnalysisError, match=r"initialises 'scale'.*--model"):
            landscape.initial(torch.Generator())

    def test_a_factory_of_another_architecture_is_refused(self) -> None:
        landscape = NetworkLandscape(
            CASES[0].network(), cross_entropy, batches_of(CASES[0].data(), RAGGED), factory=lambda: nn.Linear(6, 3)
        )
        with pytest.raises(AnalysisError, match="other parameters"):
            landscape.initial(torch.Generator())


@dataclass
class Pair:
    inputs: torch.Tensor
    targets: torch.Tensor


def test_batches_may_be_dataclasses(rng: torch.Generator) -> None:
    """They are materialised as such, so their samples must be counted as such too."""
    data = [Pair(torch.randn(k, 3, generator=rng), torch.randn(k, 1, generator=rng)) for k in (5, 2)]
    batches = materialise(data, device=torch.device("cpu"), dtype=torch.float32)
    objective = Objective("mse", lambda model, b: ((model(b.inputs) - b.targets).square().sum(), len(b.targets)))
    landscape = NetworkLandscape(nn.Linear(3, 1), objective, batches)
    points = landscape.initial(rng).vector[None]
    parts = torch.cat([landscape.gradients(points, batch)[0] for batch in range(2)])
    torch.testing.assert_close((5 * parts[:1] + 2 * parts[1:]) / 7, landscape.energies(points), rtol=1e-6, atol=0)
    assert landscape.work.gradients == pytest.approx(1.0)

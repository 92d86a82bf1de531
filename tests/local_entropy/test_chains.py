"""Chains of several temperatures to their end: exact averages, honest verdicts, the same numbers when interrupted."""

from __future__ import annotations

from dataclasses import replace
from math import inf, isfinite, sqrt

import pytest
import torch
from landscape_local_entropy import chains as chains_module
from landscape_local_entropy.chains import Sampled, sample
from landscape_local_entropy.diagnostics import evidence_of, virial_of
from landscape_local_entropy.draws import BudgetError, Node
from landscape_local_entropy.ledger import Ledger
from landscape_local_entropy.options import LocalEntropyOptions
from landscape_local_entropy.sgld import sgld_bias
from landscape_local_entropy.targets import wanted_errors
from landscape_zoo.bowl import Bowl
from landscape_zoo.opening import open_zoo
from landscape_zoo.singular import Singular

from landscape.analysis import Context, Unstored
from landscape.landscapes.analytic import AnalyticLandscape
from landscape.landscapes.protocol import LandscapeInfo
from landscape.neighbourhood.around import Neighbourhood
from landscape.neighbourhood.hessian import dense_hessian, whole_spectrum
from landscape.parameters import ParameterSpace, Point

NODES = (Node(1.0, 1.0), Node(30.0, 1.0), Node(1e3, 1.0), Node(1e3, 10.0))
OPTIONS = LocalEntropyOptions(rtol=0.03)
QUANTITIES = ("rise", "pull", "square", "distance2", "warmup")


def neighbourhood(name, metric="identity"):
    landscape, points = open_zoo(name, device=torch.device("cpu"), dtype=torch.float64)
    return Neighbourhood.of(landscape, points[0], metric)


def flat():
    space = ParameterSpace(("x",), ((3,),))
    landscape = AnalyticLandscape(
        lambda x: 0 * x.sum(), space, LandscapeInfo("flat", "energy"), start=lambda rng: torch.zeros(3)
    )
    return Neighbourhood.of(landscape, Point(torch.zeros(3, dtype=torch.float64), id="flat"))


def run(around, nodes=NODES, options=OPTIONS, context=None, budget=1e6, diagonal=True) -> Sampled:
    known = dense_hessian(around).diagonal().clone() if diagonal else None
    return sample(around, nodes, known, options, context or Context(), budget=budget)


class Kept(Unstored):
    """A storage that keeps the last state, and how often it was saved."""

    def __init__(self):
        self.state, self.saves, self.streams = None, 0, []

    def save(self, key, state):
        self.state = {name: tensor.clone() for name, tensor in state.items()}
        self.saves += 1
        self.streams.append(self.state["3.stream"])

    def load(self, key):
        return self.state


class Interrupted(Kept):
    """Breaks off after so many saves."""

    def __init__(self, after):
        super().__init__()
        self.after = after

    def save(self, key, state):
        super().save(key, state)
        if self.saves == self.after:
            raise KeyboardInterrupt


def same(one, other):
    assert (one.done, one.reason, one.gradients) == (other.done, other.reason, other.gradients)
    assert torch.equal(one.positions, other.positions)
    for first, second in zip(one.draws, other.draws, strict=True):
        assert (first.step_size, first.num_steps, first.acceptance) == (
            second.step_size,
            second.num_steps,
            second.acceptance,
        )
        assert all(torch.equal(getattr(first, name), getattr(second, name)) for name in QUANTITIES)


@pytest.mark.parametrize(
    ("name", "options", "diagonal"),
    [
        ("bowl?dim=30&condition=1e3", {}, True),
        ("bowl?dim=30&condition=1e2&seed=0", {}, True),
        ("bowl?dim=30&condition=1e2", {}, False),
        ("bowl?dim=30&condition=1e3", {"sampler": "mala"}, True),
        ("bowl?dim=30&condition=1e2&seed=0", {"sampler": "mala"}, True),
    ],
    ids=["hmc", "rotated", "identity mass", "mala", "rotated mala"],
)
def test_averages_over_a_bowl_are_exact(name, options, diagonal):
    around = neighbourhood(name)
    spectrum = torch.linalg.eigvalsh(dense_hessian(around))
    found = run(around, options=replace(OPTIONS, **options), diagonal=diagonal)
    assert found.done, found.reason
    for node, draws in zip(NODES, found.draws, strict=True):
        precision = node.beta * spectrum + node.gamma
        energy = evidence_of(node.beta * draws.rise)
        square, distance2 = evidence_of(draws.square), evidence_of(draws.distance2)
        assert abs(energy.mean - float((node.beta * spectrum / precision).sum()) / 2) < 4 * energy.standard_error
        assert abs(square.mean - float((1 / precision).sum())) < 4.5 * square.standard_error
        assert distance2.mean == pytest.approx(square.mean, rel=1e-12)
        ratio, error = virial_of(draws, node, around.dim)
        assert abs(ratio - 1) < min(0.02 + 1e-12, 4.5 * error)
        assert energy.rhat < 1.05
        assert energy.ess > 100
        assert draws.divergences == 0
        torch.testing.assert_close(draws.pull, 2 * draws.rise, rtol=1e-10, atol=1e-12)


def test_errors_of_the_coefficient_hold_over_seeds():
    """The scatter of LLC over seeds is what its standard error says; `benchmarks` has the larger version."""
    around, exact = neighbourhood("bowl?dim=100&condition=1e4"), Bowl(100, 1e4)
    nodes, scores = (Node(1e3, 1.0), Node(10.0, 1.0)), []
    for seed in range(12):
        found = run(around, nodes, replace(OPTIONS, rtol=0.02), Context(seed=seed))
        for node, draws in zip(nodes, found.draws, strict=True):
            energy = evidence_of(node.beta * draws.rise)
            scores.append((energy.mean - exact.learning_coefficient(node.beta, node.gamma)) / energy.standard_error)
    assert 0.7 < float(torch.tensor(scores).std()) < 1.4
    assert abs(float(torch.tensor(scores).mean())) < 3.5 / sqrt(len(scores))


def test_a_singular_point_has_its_coefficient_at_finite_beta():
    around = neighbourhood("singular?powers=2,2")
    options = replace(OPTIONS, chains=128, rtol=0.02)
    node = Node(1e3, 1.0)
    energy = evidence_of(node.beta * run(around, (node,), options).draws[0].rise)
    exact = Singular((2, 2)).learning_coefficient(node.beta, node.gamma)
    assert exact == pytest.approx(0.390273, abs=1e-6)
    assert abs(energy.mean - exact) < min(4 * energy.standard_error, 0.1 * exact)


def test_langevin_steps_have_the_bias_that_is_predicted():
    around, node = neighbourhood("bowl?dim=30&condition=10"), Node(1e3, 1.0)
    options = replace(OPTIONS, sampler="sgld", sgld_step=0.5, chains=16, rtol=0.01)
    found = run(around, (node,), options, budget=60_000)
    draws, density = found.draws[0], whole_spectrum(torch.linalg.eigvalsh(dense_hessian(around)))
    exact = Bowl(30, 10).learning_coefficient(node.beta, node.gamma)
    bias = sgld_bias(density, around.dim, node.beta, node.gamma, draws.step_size)
    energy = evidence_of(node.beta * draws.rise)
    assert draws.step_size == pytest.approx(0.5 / (1e3 + 1), rel=0.02)
    assert bias > 10 * energy.standard_error
    assert abs(energy.mean - exact - bias) < 4 * energy.standard_error
    assert draws.acceptance == 1
    assert not found.done  # the virial ratio gives the bias away
    assert "virial ratio 1.0" in found.reason


def test_the_units_of_a_displacement_are_those_of_the_metric():
    """A weight of w has the scale |w|, one of zero does not move."""
    vector = torch.tensor([2.0, 0.0, -0.5, 1.0], dtype=torch.float64)
    space = ParameterSpace(("x",), ((4,),))
    landscape = AnalyticLandscape(
        lambda x: ((x - vector) ** 2).sum() / 2, space, LandscapeInfo("", ""), start=lambda rng: torch.zeros(4)
    )
    around = Neighbourhood.of(landscape, Point(vector, id="w"), "weights")
    node, spectrum = Node(20.0, 2.0), vector.square()
    diagonal = spectrum.clone()
    found = sample(around, (node,), diagonal, replace(OPTIONS, rtol=0.02), Context(), budget=1e6)
    draws, moving = found.draws[0], spectrum[spectrum > 0]
    precision = node.beta * moving + node.gamma
    energy, distance2 = evidence_of(node.beta * draws.rise), evidence_of(draws.distance2)
    assert abs(energy.mean - float((node.beta * moving / precision).sum()) / 2) < 4 * energy.standard_error
    assert abs(distance2.mean - float((moving / precision).sum())) < 4 * distance2.standard_error
    assert (found.positions[:, :, 1] == 0).all()


@pytest.mark.parametrize("sampler", ["hmc", "sgld"])
def test_interrupted_twice_is_as_undisturbed(sampler):
    around = neighbourhood("bowl?dim=12&condition=1e2&seed=0")
    options = replace(OPTIONS, sampler=sampler)
    whole = Kept()
    undisturbed = run(around, options=options, context=Context(storage=whole), budget=40_000)
    assert whole.saves > 3
    first, second = Interrupted(1), Interrupted(2)
    with pytest.raises(KeyboardInterrupt):
        run(around, options=options, context=Context(storage=first), budget=40_000)
    second.state = first.state
    with pytest.raises(KeyboardInterrupt):
        run(around, options=options, context=Context(storage=second), budget=40_000)
    assert len({bytes(stream.tolist()) for stream in whole.streams}) == whole.saves
    last = Kept()
    last.state = second.state
    same(run(around, options=options, context=Context(storage=last), budget=40_000), undisturbed)


def test_a_larger_budget_goes_on_to_what_it_would_have_given_at_once():
    around, kept, work = neighbourhood("bowl?dim=12&condition=1e2&seed=0"), Kept(), []
    at_once = run(around, context=Context(storage=Kept()), budget=1e5)
    for budget in (8_000, 12_000, 1e5):
        before = around.landscape.work.gradients
        found = run(around, context=Context(storage=kept), budget=budget)
        work.append(around.landscape.work.gradients - before)
        assert found.done or found.reason
        assert budget < 1e5 or found.done
    same(found, at_once)
    assert work[2] < at_once.gradients


@pytest.mark.parametrize("sampler", ["hmc", "mala", "sgld"])
def test_the_gradients_are_those_that_were_taken(sampler):
    around = neighbourhood("bowl?dim=12&condition=1e2&seed=0")
    before = around.landscape.work.gradients
    found = run(around, options=replace(OPTIONS, sampler=sampler), budget=30_000)
    assert found.gradients == around.landscape.work.gradients - before
    assert found.gradients <= 30_000


def test_nodes_do_not_depend_on_how_many_move_together(monkeypatch):
    around = neighbourhood("bowl?dim=12&condition=1e2&seed=0")
    together = run(around, budget=15_000)
    rows = chains_module.ROW_VECTORS * 12 * 8 * OPTIONS.chains
    monkeypatch.setattr(chains_module, "spare_bytes", lambda *_: 3 * rows)
    in_groups = run(around, budget=15_000)
    assert in_groups.gradients == together.gradients
    for one, other in zip(in_groups.draws, together.draws, strict=True):
        torch.testing.assert_close(one.rise, other.rise, rtol=1e-7, atol=1e-12)


def test_another_seed_draws_other_chains_and_the_same_seed_the_same():
    around = neighbourhood("bowl?dim=12&condition=1e2")
    first, again, other = (run(around, context=Context(seed=seed), budget=20_000) for seed in (0, 0, 1))
    same(first, again)
    assert not torch.equal(first.positions, other.positions)


def test_a_budget_below_the_warm_up_says_what_it_takes():
    around = neighbourhood("bowl?dim=12&condition=1e2")
    with pytest.raises(
        BudgetError, match=r"a budget of 100 gradients .* about \d+: raise --local-entropy.max-gradients"
    ):
        run(around, budget=100)
    assert around.landscape.work.gradients == 0


def test_a_budget_that_ends_in_the_warm_up_leaves_a_few_draws_and_a_reason():
    around = neighbourhood("bowl?dim=12&condition=1e4&seed=0")
    found = run(around, budget=5_500)
    assert not found.done
    assert "does not cover the warm-up" in found.reason
    for node, draws in zip(NODES, found.draws, strict=True):
        assert draws.rise.shape[1] >= 2
        assert draws.rise.isfinite().all()
        assert isfinite(evidence_of(draws.rise).standard_error)
        assert isfinite(virial_of(draws, node, around.dim)[0])


def test_a_flat_loss_is_not_called_converged():
    found = run(flat(), (Node(10.0, 1.0),), budget=3_000)
    assert not found.done
    assert evidence_of(found.draws[0].rise).rhat == inf
    assert "R-hat inf" in found.reason


def test_burn_in_is_measured_apart_from_the_draws():
    """Chains that come from far away: what they measured on the way joins the warm-up."""
    rng = torch.Generator().manual_seed(0)
    trace = torch.randn(6, 4, 400, generator=rng, dtype=torch.float64)
    trace[:, :, :100] += torch.linspace(50, 0, 100, dtype=torch.float64)
    scalar, warmup = torch.ones((), dtype=torch.float64), torch.randn(4, 50, generator=rng, dtype=torch.float64)
    ledger = Ledger(torch.zeros(4, 3), rng.get_state(), scalar, scalar, scalar, scalar, warmup, trace)
    draws = ledger.draws(num_steps=5, behind=30)
    length = draws.rise.shape[1]
    assert 200 <= length < 300
    assert torch.equal(torch.cat([draws.warmup, draws.rise], dim=1), torch.cat([warmup, trace[0]], dim=1))
    assert torch.equal(draws.square, trace[2, :, -length:])
    assert draws.acceptance == float(trace[4, :, -length:].mean())


def test_errors_are_shared_so_that_the_integral_has_its_own():
    nodes = [Node(beta, 1.0) for beta in (0.1, 1.0, 10.0, 100.0)] + [Node(100.0, 5.0)]
    llc, rtol = [0.1, 1.0, 4.0, 5.0, 3.0], 0.01
    wanted = wanted_errors(nodes, llc, rtol)
    widths = torch.tensor([0.5, 1.0, 1.0, 0.5], dtype=torch.float64) * torch.tensor(10.0).double().log()
    phi = float((widths * torch.tensor(llc[:4], dtype=torch.float64)).sum())
    assert wanted[:3] == pytest.approx((rtol * phi / 2 / widths[:3]).tolist())
    assert wanted[3:] == pytest.approx([rtol * 5, rtol * 3])
    assert wanted_errors(nodes[::-1], llc[::-1], rtol) == pytest.approx(wanted[::-1])

"""One transition at a time: trajectories, what they leave invariant, what they refuse, what a warm-up learns."""

from __future__ import annotations

from math import acos, pi

import pytest
import torch
from landscape_local_entropy import hmc, sgld
from landscape_local_entropy.adaptation import DualAveraging
from landscape_local_entropy.draws import Node
from landscape_local_entropy.samplers import GOLDEN, LEAST_ACCEPTANCE, LONG, Hamiltonian, Tuning
from landscape_local_entropy.tilted import Streams, Tilted

from landscape.curvature.density import SpectralDensity
from landscape.errors import AnalysisError
from landscape.landscapes.analytic import AnalyticLandscape
from landscape.landscapes.batches import Batches
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import mse
from landscape.landscapes.protocol import LandscapeInfo
from landscape.neighbourhood.around import Neighbourhood
from landscape.neighbourhood.hessian import dense_hessian, whole_spectrum
from landscape.parameters import ParameterSpace, Point

SPECTRUM = torch.logspace(0, -2, 6, dtype=torch.float64)
NODE = Node(50.0, 1.0)


def around_of(energy, dim, metric="identity", vector=None):
    space = ParameterSpace(("x",), ((dim,),))
    landscape = AnalyticLandscape(energy, space, LandscapeInfo("test", "energy"), start=lambda rng: torch.zeros(dim))
    point = Point(torch.zeros(dim, dtype=torch.float64) if vector is None else vector, id="point")
    return Neighbourhood.of(landscape, point, metric)


def rotation(dim):
    return torch.linalg.qr(torch.randn(dim, dim, generator=torch.Generator().manual_seed(7), dtype=torch.float64))[0]


def bowl(rotated=False):
    basis = rotation(6) if rotated else torch.eye(6, dtype=torch.float64)
    return around_of(lambda x: (SPECTRUM * (basis @ x) ** 2).sum() / 2, 6)


def quartic():
    return around_of(lambda x: (x**2).sum() / 2 + x[0] ** 4 + (x[1] - x[0]) ** 2, 3)


AROUND = {"bowl": bowl, "rotated": lambda: bowl(True), "quartic": quartic}


def placed(around, chains, diagonal=None, nodes=(NODE,), seed=0):
    tilted = Tilted.of(around, nodes, chains, diagonal)
    generators = tuple(torch.Generator().manual_seed(seed + k) for k in range(len(nodes)))
    return tilted, Streams(generators, chains, around.scales)


def full(value, rows):
    return torch.full((rows,), value, dtype=torch.float64)


def diagonal_of(around):
    return dense_hessian(around).diagonal().clone()


@pytest.mark.parametrize("name", AROUND)
def test_trajectories_are_reversible(name):
    around = AROUND[name]()
    tilted, streams = placed(around, 5, diagonal_of(around))
    state, velocity, steps = tilted.start(streams)[0], tilted.thermal(streams), torch.full((5,), 7)
    there, last = hmc.trajectory(tilted, state, velocity, full(0.1, 5), steps)
    back, first = hmc.trajectory(tilted, there, -last, full(0.1, 5), steps)
    assert (there.x - state.x).norm() > 0.1
    torch.testing.assert_close(back.x, state.x, rtol=0, atol=1e-11)
    torch.testing.assert_close(-first, velocity, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", AROUND)
def test_trajectories_preserve_volume(name):
    """The determinant of (x, v) -> (x', v') is 1, by forward differences along every coordinate."""
    around = AROUND[name]()
    dim = len(around.scales)
    tilted, streams = placed(around, 4 * dim + 1, diagonal_of(around))
    start = torch.cat([tilted.start(streams)[0].x[0], tilted.thermal(streams)[0]])
    width = 1e-5
    shifts = width * torch.cat([torch.zeros(1, 2 * dim), torch.eye(2 * dim), -torch.eye(2 * dim)]).to(start)
    x, velocity = (start + shifts).split(dim, dim=1)
    end, last = hmc.trajectory(tilted, tilted.at(x), velocity, full(0.2, len(x)), torch.full((len(x),), 4))
    image = torch.cat([end.x, last], dim=1)
    jacobian = (image[1 : 2 * dim + 1] - image[2 * dim + 1 :]) / (2 * width)
    assert float(torch.linalg.det(jacobian)) == pytest.approx(1, abs=1e-5)


def test_the_energy_error_is_of_second_order():
    around = quartic()
    tilted, streams = placed(around, 8, diagonal_of(around))
    state, velocity = tilted.start(streams)[0], tilted.thermal(streams)
    errors = []
    for steps in (20, 40, 80):
        end, last = hmc.trajectory(tilted, state, velocity, full(1 / steps, 8), torch.full((8,), steps))
        kinetic = [(tilted.mass * v**2).sum(dim=1) / 2 for v in (velocity, last)]
        errors.append((tilted.potential(end) - tilted.potential(state) + kinetic[1] - kinetic[0]).abs().max())
    assert float(errors[0] / errors[1]) == pytest.approx(4, rel=0.15)
    assert float(errors[1] / errors[2]) == pytest.approx(4, rel=0.05)


def test_rows_that_leave_the_batch_end_where_they_would_alone():
    around = quartic()
    tilted, streams = placed(around, 6, diagonal_of(around))
    state, velocity = tilted.start(streams)[0], tilted.thermal(streams)
    steps, sizes = torch.tensor([3, 1, 5, 1, 3, 4]), torch.linspace(0.05, 0.1, 6, dtype=torch.float64)
    before = around.landscape.work.gradients
    end, last = hmc.trajectory(tilted, state, velocity, sizes, steps)
    assert around.landscape.work.gradients - before == steps.sum()
    for row in range(6):
        one = torch.tensor([row])
        alone, v = hmc.trajectory(tilted.take(one), state.take(one), velocity[one], sizes[one], steps[one])
        torch.testing.assert_close(end.take(one).x, alone.x, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(end.take(one).slope, alone.slope, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(last[one], v, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("fitted", [True, False], ids=["diagonal", "identity"])
@pytest.mark.parametrize(("size", "steps"), [(1.0, 1), (0.7, 3)], ids=["mala", "hmc"])
@pytest.mark.parametrize("name", ["bowl", "rotated"])
def test_a_transition_leaves_the_measure_as_it_is(name, size, steps, fitted):
    """Exact draws stay exact draws, though a third of the proposals are refused."""
    around, rows = AROUND[name](), 20_000
    tilted, streams = placed(around, rows, diagonal_of(around) if fitted else None)
    precision = NODE.beta * dense_hessian(around) + NODE.gamma * torch.eye(6)
    root = torch.linalg.cholesky(torch.linalg.inv(precision))
    state = tilted.at(streams.normal() @ root.T)
    scale = 1.0 if fitted and name == "bowl" else float((precision.diagonal().max() / tilted.mass[0].min()).sqrt())
    for _ in range(3):
        state, info = hmc.step(tilted, state, full(size / scale, rows), torch.full((rows,), steps), streams)
    assert 0.3 < float(info.acceptance.mean()) < 0.99
    covariance = state.x.T @ state.x / rows
    wanted = torch.linalg.inv(precision)
    spread = ((wanted.diagonal()[:, None] * wanted.diagonal() + wanted**2) / rows).sqrt()
    assert float(((covariance - wanted) / spread).abs().max()) < 4.5
    exact = float((NODE.beta * SPECTRUM / (NODE.beta * SPECTRUM + NODE.gamma)).sum()) / 2
    energies = NODE.beta * state.rise
    assert abs(float(energies.mean()) - exact) < 4 * float(energies.std()) / rows**0.5


def test_one_step_is_the_metropolis_adjusted_langevin_algorithm():
    """Its proposal x - (ε²/2)∇U/M + ε ξ/√M, and its probability from the densities of the proposal and its reverse."""
    around, rows, size = quartic(), 50, 1.3
    tilted, streams = placed(around, rows, diagonal_of(around))
    state = tilted.start(streams)[0]
    (again,) = placed(around, rows)[1:]
    again.generators[0].set_state(streams.generators[0].get_state())
    moved, info = hmc.step(tilted, state, full(size, rows), torch.ones(rows, dtype=torch.long), streams)

    def drifted(at):
        return at.x - size**2 / 2 * tilted.slope(at) / tilted.mass

    def log_proposal(end, begin):
        return -(tilted.mass * (end.x - drifted(begin)) ** 2).sum(dim=1) / (2 * size**2)

    proposal = tilted.at(drifted(state) + size * again.normal() / tilted.mass.sqrt())
    ratio = tilted.potential(state) - tilted.potential(proposal)
    ratio = ratio + log_proposal(state, proposal) - log_proposal(proposal, state)
    torch.testing.assert_close(info.acceptance, ratio.exp().clamp(max=1), rtol=1e-9, atol=1e-12)
    accepted = again.uniform() < info.acceptance
    assert 5 < int(accepted.sum()) < 45
    torch.testing.assert_close(moved.x, proposal.where(accepted, state).x, rtol=1e-12, atol=1e-14)


def test_the_gradient_at_the_end_belongs_to_the_state():
    around = quartic()
    tilted, streams = placed(around, 30, diagonal_of(around))
    state = tilted.start(streams)[0]
    for _ in range(5):
        state, _ = hmc.step(tilted, state, full(0.9, 30), torch.full((30,), 2), streams)
    torch.testing.assert_close(state.slope, around.slopes(state.x)[1], rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(state.rise, around.rises(state.x), rtol=1e-12, atol=1e-14)


def test_a_fitted_mass_decorrelates_in_a_known_time():
    around = bowl()
    tilted, streams = placed(around, 400, diagonal_of(around))
    times, steps = hmc.decorrelation_times(tilted, tilted.start(streams)[0], full(0.05, 400), LONG, streams)
    assert float(times) == pytest.approx(acos(hmc.FALLEN), rel=0.05)
    assert int(steps) == pytest.approx(float(times) / 0.05, abs=1)


def test_the_time_counts_directions_by_their_learning_coefficient():
    around = bowl(rotated=True)
    tilted, streams = placed(around, 2000, full(float(SPECTRUM.mean()), 6))
    mass = NODE.beta * SPECTRUM.mean() + NODE.gamma
    precision = NODE.beta * SPECTRUM + NODE.gamma
    exact_draws = tilted.at(streams.normal() / precision.sqrt() @ rotation(6))
    times, _ = hmc.decorrelation_times(tilted, exact_draws, full(0.05, 2000), LONG, streams)
    weights, frequencies = NODE.beta * SPECTRUM / precision, (precision / mass).sqrt()
    left = (weights * torch.cos(frequencies * times)).sum() / weights.sum()
    assert float(left) == pytest.approx(hmc.FALLEN, abs=0.04)


def test_the_mass_is_the_curvature_of_the_exponent_where_that_is_positive():
    around = bowl()
    diagonal = torch.tensor([1.0, 0.5, 0.0, -3.0, 2.0, 0.1], dtype=torch.float64)
    tilted, _ = placed(around, 2, diagonal, (Node(10.0, 3.0), Node(0.5, 1.0)))
    torch.testing.assert_close(tilted.mass[1], 10 * diagonal.clamp(min=0) + 3)
    torch.testing.assert_close(tilted.mass[2], 0.5 * diagonal.clamp(min=0) + 1)
    assert (placed(around, 1)[0].mass == NODE.gamma).all()


def test_the_time_does_not_depend_on_where_the_measure_is_centred():
    """Chains around a place far from the point: their mean pull does not fade, what is left of it does."""
    shift = torch.full((6,), 30.0, dtype=torch.float64)
    around = around_of(lambda x: (SPECTRUM * (x - shift) ** 2).sum() / 2, 6)
    tilted, streams = placed(around, 1000, SPECTRUM)
    precision = NODE.beta * SPECTRUM + NODE.gamma
    exact_draws = tilted.at(NODE.beta * SPECTRUM * shift / precision + streams.normal() / precision.sqrt())
    times, _ = hmc.decorrelation_times(tilted, exact_draws, full(0.05, 1000), LONG, streams)
    assert float(times) == pytest.approx(acos(hmc.FALLEN), rel=0.05)


def test_without_a_pull_the_time_is_a_quarter_of_a_period():
    around = around_of(lambda x: 0 * x.sum(), 4)
    tilted, streams = placed(around, 3)
    times, steps = hmc.decorrelation_times(tilted, tilted.start(streams)[0], full(0.1, 3), LONG, streams)
    assert times.tolist() == [pi / 2]
    assert steps.tolist() == [0]


def wall(x):
    """Finite within the unit ball only."""
    return torch.where((x**2).sum() < 1, (x**2).sum(), torch.inf) + 0 * torch.sqrt(1.0 - (x**2).sum())


@pytest.mark.parametrize("step", ["hmc", "sgld"])
def test_a_proposal_that_is_not_finite_is_refused_and_counted(step):
    around, rows = around_of(wall, 2), 200
    tilted, streams = placed(around, rows, nodes=(Node(1.0, 4.0),))
    state, refused = tilted.start(streams)[0], 0
    assert state.rise.isfinite().all()
    for _ in range(10):
        if step == "hmc":
            state, info = hmc.step(tilted, state, full(0.5, rows), torch.full((rows,), 2), streams)
            assert (info.acceptance[info.divergent] == 0).all()
        else:
            state, info = sgld.step(tilted, state, full(0.2, rows), streams)
        refused += int(info.divergent.sum())
        assert state.x.isfinite().all()
        assert (state.x.norm(dim=1) < 1).all()
    assert refused > 0


def test_chains_that_cannot_start_say_so():
    around = around_of(lambda x: torch.where((x**2).sum() == 0, 0.0, torch.nan) * x.sum(), 2)
    tilted, streams = placed(around, 3)
    with pytest.raises(AnalysisError, match="3 of 3 chains cannot start"):
        tilted.start(streams)[0]


@pytest.mark.parametrize("step", ["hmc", "sgld"])
def test_what_has_no_scale_stays_where_it_is(step):
    vector = torch.tensor([1.0, 0.0, 2.0], dtype=torch.float64)
    around = around_of(lambda x: ((x - 1) ** 2).sum(), 3, "weights", vector)
    tilted, streams = placed(around, 10)
    state = tilted.start(streams)[0]
    if step == "hmc":
        moved, _ = hmc.step(tilted, state, full(0.05, 10), torch.full((10,), 3), streams)
    else:
        moved, _ = sgld.step(tilted, state, full(0.01, 10), streams)
    assert (moved.x[:, 1] == 0).all()
    assert (moved.x[:, [0, 2]] != state.x[:, [0, 2]]).any()


def test_a_node_draws_the_same_whoever_else_is_in_the_batch():
    around = quartic()
    nodes, rows = (Node(1.0, 1.0), Node(50.0, 2.0)), torch.arange(4, 8)
    both, streams = placed(around, 4, nodes=nodes, seed=3)
    alone, stream = placed(around, 4, nodes=nodes[1:], seed=4)
    together, single = both.start(streams)[0], alone.start(stream)[0]
    for _ in range(3):
        together, _ = hmc.step(both, together, full(0.3, 8), torch.tensor([2] * 4 + [3] * 4), streams)
        single, _ = hmc.step(alone, single, full(0.3, 4), torch.full((4,), 3), stream)
    torch.testing.assert_close(together.take(rows).x, single.x, rtol=1e-12, atol=1e-14)


def test_dual_averaging_finds_the_step_of_the_target_for_each_node():
    scales = torch.tensor([1.0, 5.0, 20.0], dtype=torch.float64)
    search = DualAveraging.init(torch.ones(3))
    for _ in range(400):
        search = search.step((-search.step_size / scales).exp(), 0.8)
    torch.testing.assert_close(search.averaged, -scales * torch.tensor(0.8).double().log(), rtol=0.05, atol=0)


@pytest.mark.parametrize("sampler", [Hamiltonian.hmc(), Hamiltonian.mala()], ids=["hmc", "mala"])
@pytest.mark.parametrize("fitted", [True, False], ids=["diagonal", "identity"])
def test_the_warm_up_ends_near_its_acceptance(sampler, fitted):
    around, chains = bowl(rotated=True), 16
    tilted, streams = placed(around, chains, diagonal_of(around) if fitted else None)
    state, tuning = tilted.start(streams)[0], sampler.begin(around, (NODE,), torch.Generator())
    before = around.landscape.work.gradients
    spent = 0.0
    for part in range(len(sampler.warm_up)):
        warmed = sampler.tune(tilted, state, tuning, part, streams)
        state, tuning, spent = warmed.state, warmed.tuning, spent + float(warmed.gradients)
        assert warmed.rises.shape == (chains, sampler.warm_up[part])
    assert around.landscape.work.gradients - before == pytest.approx(chains * spent)
    found = []
    for iteration in range(60):
        state, info = sampler.step(tilted, state, tuning, torch.tensor([iteration]), streams)
        found.append(info.acceptance)
    harmonic = 1 / (1 / torch.stack(found).clamp(min=LEAST_ACCEPTANCE)).mean(dim=1)
    assert float(harmonic.mean()) == pytest.approx(sampler.acceptance, abs=0.1)


def test_numbers_of_steps_vary_evenly_between_half_and_three_halves():
    tuning = Tuning(full(0.01, 2), torch.tensor([0.2, 10.0], dtype=torch.float64))
    steps = torch.stack([Hamiltonian.hmc().num_steps(tuning, torch.tensor([t, t])) for t in range(200)])
    assert (int(steps[:, 0].min()), int(steps[:, 0].max())) == (10, 30)
    assert float(steps[:, 0].double().mean()) == pytest.approx(20, abs=0.2)
    assert (steps[:, 1] == LONG).all()
    assert pytest.approx(0.6180339887) == GOLDEN


def test_the_bias_of_langevin_steps_is_that_of_the_gaussian_they_sample():
    """Its covariance solves C = (1 - εA/2) C (1 - εA/2) + ε."""
    beta, gamma, size = 20.0, 2.0, 0.05
    precision = beta * SPECTRUM + gamma
    variance = full(0.0, 6)
    for _ in range(20_000):
        variance = (1 - size * precision / 2) ** 2 * variance + size
    excess = (beta * SPECTRUM * (variance - 1 / precision)).sum() / 2
    found = sgld.sgld_bias(whole_spectrum(SPECTRUM), 6, beta, gamma, size)
    assert found == pytest.approx(float(excess), rel=1e-9)
    with pytest.raises(AnalysisError, match="diverge"):
        sgld.sgld_bias(whole_spectrum(SPECTRUM), 6, beta, gamma, 4 / (beta + gamma))


def test_padding_of_a_density_counts_for_nothing():
    nodes = torch.tensor([[1.0, 0.1, 1e9]], dtype=torch.float64)
    weights = torch.tensor([[0.5, 0.5, 0.0]], dtype=torch.float64)
    padded = SpectralDensity(nodes, weights, torch.ones(1, 3, dtype=torch.bool), 0)
    whole = whole_spectrum(torch.tensor([1.0, 0.1], dtype=torch.float64))
    assert sgld.sgld_bias(padded, 2, 10.0, 1.0, 0.05) == sgld.sgld_bias(whole, 2, 10.0, 1.0, 0.05)


def test_the_largest_curvature_is_that_of_the_dense_matrix(rng):
    around = bowl(rotated=True)
    assert sgld.largest_curvature(around, rng) == pytest.approx(1.0, rel=1e-2)
    assert sgld.largest_curvature(around_of(lambda x: -(x**2).sum(), 3), rng) == 0


def test_a_pass_over_the_data_takes_every_mini_batch_once_for_each_chain():
    rng = torch.Generator().manual_seed(5)
    model = torch.nn.Linear(3, 2).double()
    parts = [tuple(torch.randn(4, k, generator=rng, dtype=torch.float64) for k in (3, 2)) for _ in range(3)]
    landscape = NetworkLandscape(model, mse, Batches(tuple(parts), 12, "made up", "made up"))
    point = Point(torch.zeros(landscape.space.dim, dtype=torch.float64), id="zero")
    around = Neighbourhood.of(landscape, point)
    tilted, streams = placed(around, 4)
    (again,) = placed(around, 4)[1:]
    state = tilted.start(streams)[0]
    again.generators[0].set_state(streams.generators[0].get_state())
    before = landscape.work.gradients
    moved, _ = sgld.step(tilted, state, full(0.01, 4), streams)
    assert landscape.work.gradients - before == pytest.approx(4 * 2)
    orders = again.orders(3)
    assert (orders.sort(dim=1).values == torch.arange(3)).all()
    assert len(set(map(tuple, orders.tolist()))) > 1
    x = state.x
    for batches in orders.T:
        slope = torch.cat([around.slopes(x[k : k + 1], int(b))[1] for k, b in enumerate(batches)])
        x = x - 0.01 / 2 * (NODE.beta * slope + NODE.gamma * x) + 0.1 * again.normal()
    torch.testing.assert_close(moved.x, x, rtol=1e-10, atol=1e-12)

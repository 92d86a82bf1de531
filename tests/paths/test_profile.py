"""The maximum along a curve, bracketed."""

from __future__ import annotations

import math

import pytest
import torch
from landscape_zoo.opening import open_zoo

from landscape.errors import AnalysisError
from landscape.landscapes.analytic import AnalyticLandscape
from landscape.landscapes.protocol import LandscapeInfo
from landscape.parameters import ParameterSpace
from landscape.paths import dense_times, measure, refine

CPU = torch.device("cpu")

CURVES = {
    "parabola": lambda t: 4 * t * (1 - t),
    "off centre": lambda t: torch.sin(math.pi * t**1.7),
    "two peaks, the second higher": lambda t: torch.sin(3 * math.pi * t) + 0.01 * t,
    "many peaks": lambda t: torch.sin(11 * math.pi * t) * (1 + 0.1 * t) + 0.3 * t,
    "a corner": lambda t: 1 - (t - 0.3123456).abs(),
    "monotone": lambda t: t**3,
    "flat": lambda t: torch.full_like(t, 0.7),
    "a well": lambda t: (t - 0.4) ** 2,
}
FINE = torch.linspace(0, 1, 200_001, dtype=torch.float64)


@pytest.mark.parametrize("tolerance", [1e-2, 1e-5, 1e-8])
@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES.keys())
def test_the_true_maximum_is_inside_the_bracket(curve, tolerance):
    times = torch.linspace(0, 1, 41, dtype=torch.float64)
    found = refine(curve, times, curve(times), tolerance)
    highest, true = float(found.energies.max()), float(curve(FINE).max())
    assert found.bracket <= tolerance
    assert true - found.bracket - 1e-12 <= highest
    assert len(found.times) - 41 < 250
    assert torch.equal(found.energies, curve(found.times))
    assert (found.times.diff() > 0).all()


def test_the_bracket_is_that_of_the_formula():
    """Curvature 8, two equal tops a spacing h = 1/41 apart, slope 8 h beside them: room 8 h², where h² is the truth."""
    times = torch.linspace(0, 1, 42, dtype=torch.float64)
    curve = CURVES["parabola"]
    found = refine(curve, times, curve(times), tolerance=torch.inf)
    assert found.bracket == pytest.approx(8 / 41**2, rel=1e-10)
    assert 1 - float(found.energies.max()) == pytest.approx(1 / 41**2, rel=1e-10)


@pytest.mark.parametrize("name", ["flat", "monotone", "a well"])
def test_without_a_barrier_nothing_is_refined(name):
    times = torch.linspace(0, 1, 41, dtype=torch.float64)
    found = refine(CURVES[name], times, CURVES[name](times), tolerance=1e-12)
    assert len(found.times) == 41
    assert found.bracket == 0


def test_a_limit_leaves_the_bracket_as_it_is():
    times = torch.linspace(0, 1, 12, dtype=torch.float64)
    curve = CURVES["off centre"]
    found = refine(curve, times, curve(times), tolerance=1e-12, max_rounds=2)
    assert 1e-12 < found.bracket < 0.1
    assert 1 - found.bracket <= float(found.energies.max()) < 1


def test_a_step_at_an_end_is_no_slope():
    """Energies may step at a checkpoint itself: the limit from inside is found, the end keeps its own value."""

    def curve(t: torch.Tensor) -> torch.Tensor:
        return torch.where((t == 0) | (t == 1), 0.0, 0.5 - 0.2 * t)

    times = torch.cat([torch.tensor([0, 1e-6]), torch.linspace(0, 1, 11)[1:-1], torch.tensor([1 - 1e-6, 1])]).double()
    found = refine(curve, times, curve(times), tolerance=1e-4)
    assert found.energies[0] == found.energies[-1] == 0
    assert float(found.energies.max()) == pytest.approx(0.5, abs=1e-6)
    assert found.bracket <= 1e-4


def test_a_maximum_at_the_rim_is_bracketed_from_inside():
    """0.5 - 0.2 t² from samples at 0+, h, 2h: the chord of the last two, carried back, leaves 0.4 h²."""
    times = torch.cat([torch.tensor([0, 1e-9]), torch.linspace(0, 1, 11)[1:-1], torch.tensor([1 - 1e-9, 1])]).double()
    energies = torch.where((times == 0) | (times == 1), 0.0, 0.5 - 0.2 * times**2)
    found = refine(lambda t: 0.5 - 0.2 * t**2, times, energies, tolerance=torch.inf)
    assert found.bracket == pytest.approx(0.4 * 0.1**2, rel=1e-5)


def test_refinement_is_symmetric_under_reversal():
    curve = CURVES["many peaks"]
    times = torch.linspace(0, 1, 41, dtype=torch.float64)
    there = refine(curve, times, curve(times), 1e-4)
    back = refine(lambda t: curve(1 - t), times, curve(1 - times), 1e-4)
    assert float(back.energies.max()) == pytest.approx(float(there.energies.max()), abs=1e-12)
    assert back.bracket == pytest.approx(there.bracket, abs=1e-10)


def test_dense_times_hold_the_knots():
    knots = torch.tensor([[0.0], [3.0], [4.0]], dtype=torch.float64)
    wanted = torch.tensor([0, 0.25, 0.5, 0.75, 0.75 + 0.25 / 3, 0.75 + 0.5 / 3, 1], dtype=torch.float64)
    torch.testing.assert_close(dense_times(knots, 2), wanted, rtol=0, atol=1e-15)


LINES = {"mueller-brown": (0, 1, 12.676227, 0.3066), "curvy-valley": (0, 1, 2.97666827, None)}


@pytest.mark.parametrize(("name", "a", "b", "peak", "time"), [(n, *v) for n, v in LINES.items()])
def test_peaks_of_straight_lines(name, a, b, peak, time):
    land, points = open_zoo(name, device=CPU)
    profile = measure(land, torch.stack([points[a].vector, points[b].vector]), tolerance=1e-7, inside=39)
    assert profile.bracket <= 1e-7
    assert float(profile.energies.max()) == pytest.approx(peak, abs=1e-6)
    if time is not None:
        assert float(profile.times[profile.energies.argmax()]) == pytest.approx(time, abs=1e-4)


def test_an_infinite_energy_is_refused():
    land, _ = open_zoo("quadratic?eigenvalues=1,1", device=CPU)
    knots = torch.tensor([[0.0, 0.0], [1e200, 0.0]], dtype=torch.float64)
    with pytest.raises(AnalysisError, match="the loss on the path is inf at time"):
        measure(land, knots)


def test_a_bump_behind_a_corner_is_found():
    """Past the corner at 0.5 the curve rises again more steeply: the left side's slope must not be carried across."""

    def curve(t: torch.Tensor) -> torch.Tensor:
        right = (t - 0.5).clamp(0)
        return torch.where(t < 0.5, 1 - 1e-3 * (t - 0.49) ** 2, 1 - 1e-7) + 0.1 * right - 4 * right**2

    times = torch.linspace(0, 1, 41, dtype=torch.float64)
    found = refine(curve, times, curve(times), tolerance=1e-7, corners=times[[0, 20, 40]])
    true = float(curve(torch.linspace(0, 1, 1_000_001).double()).max())
    assert true > 1 + 6e-4
    assert found.bracket <= 1e-7
    assert float(found.energies.max()) == pytest.approx(true, abs=1.1e-7)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_corner_gives_no_more_than_its_own_side_says(mirrored):
    """Samples at 0.1 spacing of 1 - right²: the chord from 0.1 to 0.2 carried back to the corner leaves 2 * 0.1²."""
    times = torch.linspace(0, 1, 11, dtype=torch.float64)
    energies = torch.where(times < 0.45, -1.0, 1 - (times - 0.5) ** 2)
    energies = energies.flip(0) if mirrored else energies
    found = refine(lambda t: t, times, energies, tolerance=torch.inf, corners=times[[0, 5, 10]])
    assert found.bracket == pytest.approx(2 * 0.1**2, rel=1e-9)


def test_the_excess_over_the_chord_is_refined_as_well():
    def curve(t: torch.Tensor) -> torch.Tensor:
        return 10 * t - 4 * (t - 0.3123) ** 2

    times = torch.linspace(0, 1, 12, dtype=torch.float64)
    found = refine(curve, times, curve(times), tolerance=1e-6)
    ends = curve(torch.tensor([0.0, 1.0]).double())
    excess = found.energies - torch.lerp(ends[0], ends[1], found.times)
    fine = curve(FINE) - torch.lerp(ends[0], ends[1], FINE)
    assert float(excess.max()) == pytest.approx(float(fine.max()), rel=1e-3)
    assert float(fine.max()) > 1.002 * float((curve(times) - torch.lerp(ends[0], ends[1], times)).max())


@pytest.mark.parametrize("mirrored", [False, True])
def test_chords_are_carried_over_the_width_of_the_other_interval(mirrored):
    """Slope 5 before the top, carried over 0.3 behind it: room 1.5."""
    times = torch.tensor([0, 0.2, 0.3, 0.6, 0.9, 1], dtype=torch.float64)
    energies = torch.tensor([0, 0.5, 1, 0.95, 0, -1], dtype=torch.float64)
    if mirrored:
        times, energies = 1 - times.flip(0), energies.flip(0)
    found = refine(lambda t: t, times, energies, tolerance=torch.inf)
    assert found.bracket == pytest.approx(1.5, rel=1e-9)


def test_the_knots_of_a_path_are_corners():
    """Behind the corner at (1, 0) lies a bump of 6.25e-4 that samples at a tenth of a segment do not show."""

    def energy(x: torch.Tensor) -> torch.Tensor:
        return 1 - 1e-3 * (x[0] - 0.9) ** 2 + 0.05 * x[1] - x[1] ** 2

    space, info = ParameterSpace(("x",), ((2,),)), LandscapeInfo("behind a corner", "energy")
    land = AnalyticLandscape(energy, space, info, lambda rng: torch.zeros(2, dtype=torch.float64))
    knots = torch.tensor([[0, 0], [1, 0], [1, 1]], dtype=torch.float64)
    profile = measure(land, knots, tolerance=1e-6)
    assert float(profile.energies.max()) == pytest.approx(1 - 1e-5 + 6.25e-4, abs=1e-6)

"""Searches that run together get what they get alone, from as few calls as can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from landscape.errors import AnalysisError, LandscapeError
from landscape.landscapes.analytic import AnalyticLandscape
from landscape.landscapes.batches import Batches
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import cross_entropy
from landscape.landscapes.protocol import LandscapeInfo
from landscape.parameters import ParameterSpace
from landscape.paths import (
    Search,
    alone,
    asking,
    energies_of,
    errors_of,
    gradients_of,
    measured_path,
    measuring_path,
    together,
)

DIM = 3


@dataclass(eq=False)
class Noted(AnalyticLandscape):
    """|x|² + 100 batch, every call noted; a copy has a number that it adds to its energies."""

    calls: list[tuple[str, int, int | None]] = field(default_factory=list)
    numbers: tuple[float, ...] = (0.0,)
    rows: tuple[int, ...] | None = None
    error: str = ""

    def _offsets(self, points: Tensor) -> Tensor:
        rows = self.rows or (len(points),)
        assert sum(rows) == len(points)
        return torch.repeat_interleave(torch.tensor(self.numbers, dtype=torch.float64), torch.tensor(rows))

    def _noted(self, kind: str, points: Tensor, batch: int | None = None) -> None:
        self.calls.append((kind, len(points), batch))
        if self.error == kind:
            raise AnalysisError(f"no {kind}")

    def energies(self, points: Tensor) -> Tensor:
        self._noted("energies", points)
        return points.square().sum(1) + self._offsets(points)

    def errors(self, points: Tensor) -> Tensor | None:
        self._noted("errors", points)
        return None if self.error == "unknown" else points[:, 0] + self._offsets(points)

    def gradients(self, points: Tensor, batch: int | None = None) -> tuple[Tensor, Tensor]:
        self._noted("gradients", points, batch)
        return points.square().sum(1) + self._offsets(points) + 100.0 * (batch or 0), 2 * points

    def copy(self, number: float) -> Noted:
        return Noted(self.energy, self.space, self.info, self.start, calls=self.calls, numbers=(number,))

    def stacked(self, landscapes: Sequence[object], rows: Sequence[int]) -> Noted:
        numbers = tuple(part.numbers[0] for part in landscapes if isinstance(part, Noted))
        more = {"calls": self.calls, "numbers": numbers, "rows": tuple(rows), "error": self.error}
        return Noted(self.energy, self.space, self.info, self.start, **more)


@pytest.fixture
def land() -> Noted:
    space, info = ParameterSpace(("x",), ((DIM,),)), LandscapeInfo("noted", "energy")
    return Noted(lambda x: x @ x, space, info, lambda rng: torch.zeros(DIM, dtype=torch.float64))


def copies(land: Noted, number: int) -> list[Noted]:
    return [land.copy(1000.0 * k) for k in range(number)]


def filled(rows: int, value: float) -> Tensor:
    return torch.full((rows, DIM), value, dtype=torch.float64)


def walk(steps: int, rows: int, value: float, measure_at: Sequence[int] = ()) -> Search[list[float]]:
    """Gradient steps with all rows on mini-batch step % 3, energies measured before some of them."""
    points, seen = filled(rows, value), []
    for step in range(steps):
        if step in measure_at:
            seen += (yield from energies_of(points)).tolist()
        energies, gradients = yield from gradients_of(points, step % 3)
        seen += energies.tolist()
        points = points - 0.1 * gradients
    return [*seen, *points.flatten().tolist()]


def test_alone_returns_what_the_search_returns(land: Noted) -> None:
    def search() -> Search[tuple[Tensor, Tensor, Tensor, Tensor]]:
        energies = yield from energies_of(filled(2, 1.0))
        errors = yield from errors_of(filled(1, 4.0))
        slope = yield from gradients_of(filled(1, 2.0))
        return energies, errors, *slope

    energies, errors, values, gradients = alone(land, search())
    assert energies.tolist() == [3, 3]
    assert errors.tolist() == [4]
    assert values.tolist() == [12]
    assert gradients.tolist() == [[4, 4, 4]]
    assert land.calls == [("energies", 2, None), ("errors", 1, None), ("gradients", 1, None)]


def test_a_search_that_asks_nothing(land: Noted) -> None:
    def known(value: int) -> Search[int]:
        yield from ()
        return value

    assert alone(land, known(7)) == 7
    assert list(together(copies(land, 2), [known(1), known(2)])) == [(0, 1), (1, 2)]
    assert list(together([], [])) == []
    assert land.calls == []


@pytest.mark.parametrize("rows", [(1, 1, 1), (2, 1, 5), (4, 3, 1)])
def test_together_is_alone(land: Noted, rows: tuple[int, ...]) -> None:
    """Searches of different height, length and habit; every landscape adds a number of its own."""

    def made() -> list[Search[list[float]]]:
        return [walk(4 + 3 * k, height, 1.0 + k, measure_at=range(k, 9, k + 1)) for k, height in enumerate(rows)]

    expected = [alone(own, search) for own, search in zip(copies(land, 3), made(), strict=True)]
    assert len({values[0] for values in expected}) == 3
    found = dict(together(copies(land, 3), made()))
    assert [found[index] for index in range(3)] == expected


def test_steps_of_many_searches_are_one_call_each(land: Noted) -> None:
    found = dict(together(copies(land, 15), [walk(100, 2, float(k)) for k in range(15)]))
    assert sorted(found) == list(range(15))
    assert land.calls == [("gradients", 30, step % 3) for step in range(100)]


def test_mini_batches_stay_shared_whoever_measures_when(land: Noted) -> None:
    """A search that measures more often than another does not fall behind it."""
    walks = [walk(20, 1, 1.0, range(0, 20, k + 1)) for k in range(6)]
    dict(together(copies(land, 6), walks))
    gradients = [call for call in land.calls if call[0] == "gradients"]
    assert gradients == [("gradients", 6, step % 3) for step in range(20)]
    measured = [len([k for k in range(6) if step % (k + 1) == 0]) for step in range(20)]
    assert [rows for kind, rows, _ in land.calls if kind == "energies"] == measured


def test_searches_on_different_batches_are_answered_apart(land: Noted) -> None:
    def one(batch: int | None) -> Search[float]:
        energies, _ = yield from gradients_of(filled(1, 1.0), batch)
        return float(energies)

    batches = [2, None, 0, 2, None]
    found = dict(together(copies(land, 5), [one(batch) for batch in batches]))
    assert found == {k: 3 + 1000 * k + 100 * (batch or 0) for k, batch in enumerate(batches)}
    assert sorted(land.calls, key=str) == [("gradients", 1, 0), ("gradients", 2, 2), ("gradients", 2, None)]


def test_searches_end_as_they_end(land: Noted) -> None:
    order = []
    for index, _ in together(copies(land, 3), [walk(steps, 1, 1.0) for steps in (9, 2, 5)]):
        order.append((index, len(land.calls)))
    assert order == [(1, 2), (2, 5), (0, 9)]


def test_a_search_that_fails_leaves_the_others(land: Noted) -> None:
    def failing(after: int) -> Search[list[float]]:
        yield from walk(after, 1, 5.0)
        raise AnalysisError(f"failed after {after}")

    expected = alone(copies(land, 3)[2], walk(6, 2, 3.0))
    found = dict(together(copies(land, 4), [failing(0), failing(3), walk(6, 2, 3.0), failing(6)]))
    assert [str(found[k]) for k in (0, 1, 3)] == ["failed after 0", "failed after 3", "failed after 6"]
    assert all(isinstance(found[k], AnalysisError) for k in (0, 1, 3))
    assert found[2] == expected


def test_alone_raises_what_fails(land: Noted) -> None:
    def failing() -> Search[None]:
        yield from energies_of(filled(1, 1.0))
        raise AnalysisError("it failed")

    with pytest.raises(AnalysisError, match="it failed"):
        alone(land, failing())


def test_what_is_no_error_of_ours_is_not_caught(land: Noted) -> None:
    def broken() -> Search[None]:
        yield from energies_of(filled(1, 1.0))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        dict(together(copies(land, 2), [broken(), walk(3, 1, 1.0)]))


def test_an_error_of_the_landscape_reaches_every_search_that_asked(land: Noted) -> None:
    """Those that can do without go on; those that asked for something else never hear of it."""

    def careful() -> Search[str]:
        try:
            yield from gradients_of(filled(1, 1.0), 0)
        except LandscapeError as error:
            energies = yield from energies_of(filled(1, 2.0))
            return f"{error}, energy {float(energies)}"
        return "fine"

    land.error = "gradients"
    each = copies(land, 4)
    each[0].error = "gradients"
    found = dict(together(each, [careful(), walk(5, 2, 1.0), careful(), measuring_path(each[3], filled(2, 1.0))]))
    assert found[0] == "no gradients, energy 12.0"
    assert str(found[1]) == "no gradients"
    assert found[2] == "no gradients, energy 2012.0"
    assert found[3].max_loss == 3003


def test_errors_may_be_unknown(land: Noted) -> None:
    land.error = "unknown"
    each = copies(land, 2)
    for own in each:
        own.error = "unknown"
    assert dict(together(each, [errors_of(filled(1, 1.0)), errors_of(filled(3, 1.0))])) == {0: None, 1: None}


@pytest.mark.parametrize("most", [1, 2, 4, 100])
def test_no_more_run_at_once_than_memory_holds(land: Noted, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    bytes_of_one = asking._ROWS * DIM * 8
    monkeypatch.setattr(asking, "_HOST_MEMORY", most * bytes_of_one + bytes_of_one // 2)
    expected = {k: alone(own, walk(2 + k, 1, 1.0 + k)) for k, own in enumerate(copies(land, 5))}
    land.calls.clear()
    running = 0
    begun = []

    def counted(k: int) -> Search[list[float]]:
        nonlocal running
        running += 1
        begun.append(running)
        values = yield from walk(2 + k, 1, 1.0 + k)
        running -= 1
        return values

    assert dict(together(copies(land, 5), [counted(k) for k in range(5)])) == expected
    assert max(begun) == min(5, most)
    assert max(rows for _, rows, _ in land.calls) <= most


def test_one_runs_where_memory_holds_none(land: Noted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_HOST_MEMORY", 1)
    assert len(dict(together(copies(land, 3), [walk(2, 1, 1.0)] * 1 + [walk(3, 1, 1.0), walk(1, 1, 1.0)]))) == 3


def test_paths_of_networks_measured_together(rng: torch.Generator) -> None:
    """To rounding: how many rows share a call changes the order of sums."""
    x, y = torch.randn(20, 4, generator=rng, dtype=torch.float64), torch.randint(3, (20,), generator=rng)
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 3)).double()
    batches = Batches(tuple(zip(x.split(7), y.split(7), strict=True)), 20, "made up", "made up")
    net = NetworkLandscape(model, cross_entropy, batches)
    knots = [torch.randn(m, net.space.dim, generator=rng, dtype=torch.float64) for m in (2, 3, 5)]
    found = dict(together([net] * 3, [measuring_path(net, each) for each in knots]))
    for index, each in enumerate(knots):
        expected = measured_path(net, each)
        torch.testing.assert_close(found[index].times, expected.times, rtol=0, atol=1e-12)
        torch.testing.assert_close(found[index].energies, expected.energies, rtol=1e-12, atol=1e-12)
        assert found[index].bracket == pytest.approx(expected.bracket, rel=1e-6)

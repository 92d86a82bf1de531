"""Executing analyses: groups, identities, what is computed once, what a failure harms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from landscape.analysis import Analysis, Context, Cost, Result
from landscape.errors import AnalysisError, UsageError
from landscape.landscapes.analytic import AnalyticLandscape
from landscape.landscapes.protocol import LandscapeInfo
from landscape.parameters import ParameterSpace, Point
from landscape.registry import Registry
from landscape.run.execute import Setting, execute
from landscape.run.store import RunStore
from landscape.run.tasks import Request, form_groups, make_options, satisfies, task_key

HERE = __name__


@dataclass(frozen=True)
class Options:
    scale: float = 1.0
    fail_at: str = ""
    max_steps: int = 10


calls: list[tuple[str, ...]] = []


@pytest.fixture(autouse=True)
def forget_calls() -> None:
    calls.clear()


def _result(points: Sequence[Point], options: Options, context: Context, **fields: Any) -> Result:
    value = options.scale * sum(float(point.vector.sum()) for point in points)
    draw = float(torch.rand((), generator=context.rng, dtype=torch.float64))
    return Result(xr.Dataset({"v": ("i", np.array([value]))}), {"value": value, "draw": draw}, **fields)


def single(landscape: Any, points: Sequence[Point], options: Options, *, context: Context) -> Result:
    calls.append(tuple(point.id for point in points))
    if options.fail_at == points[0].id:
        raise AnalysisError("asked to fail")
    landscape.energies(points[0].vector[None])
    return _result(points, options, context)


def batched(
    landscape: Any, groups: Sequence[Sequence[Point]], options: Options, *, context: Context
) -> Iterator[tuple[int, Result | Exception]]:
    for index, group in reversed(list(enumerate(groups))):
        calls.append(tuple(point.id for point in group))
        if options.fail_at == "all" and index == 0:
            raise RuntimeError("broke in the middle")
        if options.fail_at == group[0].id:
            yield index, AnalysisError("asked to fail")
        else:
            yield index, _result(group, options, context.task(index))


def budgeted(landscape: Any, points: Sequence[Point], options: Options, *, context: Context) -> Result:
    before = context.previous
    done = int(before.summary["done"]) if before else 0
    calls.append((f"from {done}",))
    return replace(_result(points, options, context, budget_spent=True), summary={"done": options.max_steps})


def combined(results: Sequence[Result], *, context: Context) -> Result:
    values = [result.summary["value"] for result in results]
    return Result(xr.Dataset(), {"largest": max(values)})


def completed(landscape: Any, points: Sequence[Point], options: Options, *, context: Context) -> list[Point]:
    made = context.memo(f"partner of {points[0].hash}", lambda: {"vector": torch.full((2,), 7.0).double()})
    return [*points, Point(made["vector"], "made")]


def completed_by_two(landscape: Any, points: Sequence[Point], options: Options, *, context: Context) -> list[Point]:
    return [*points, *(Point(torch.full((2,), 7.0 + k).double(), f"made{k}") for k in range(2))]


SINGLE = Analysis("single", "", Options, f"{HERE}:single")
BATCHED = Analysis("batched", "", Options, f"{HERE}:batched", points=2, batched=True)


def a_landscape() -> AnalyticLandscape:
    space = ParameterSpace(("x",), ((2,),))
    info = LandscapeInfo("bowl", "energy", fingerprint="bowl")
    return AnalyticLandscape(lambda x: (x**2).sum(), space, info, lambda rng: torch.randn(2, generator=rng))


def points(count: int = 3) -> list[Point]:
    return [Point(torch.tensor([k, k + 1.0]).double(), f"p{k}") for k in range(count)]


def setting(store: RunStore | None = None, **fields: Any) -> Setting:
    return Setting(a_landscape(), Registry(), store=store, **fields)


def values(outcome: Any) -> Mapping[tuple[str, ...], Any]:
    return {tuple(p.id for p in entry.points): entry.result.summary for entry in outcome.entries}


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [("all", ["p0p1", "p0p2", "p1p2"]), ("star", ["p0p1", "p0p2"]), ("chain", ["p0p1", "p1p2"])],
)
def test_pairs(pairs: str, expected: list[str]) -> None:
    assert ["".join(p.id for p in group) for group in form_groups(points(), BATCHED, pairs)] == expected


def test_results_do_not_depend_on_order_or_on_what_was_stored(tmp_path: Path) -> None:
    request = Request(SINGLE, Options())
    alone = values(execute(setting(), points()[1:2], [request]))
    store = RunStore.create(tmp_path)
    execute(setting(store), points()[:1], [request])
    together = values(execute(setting(store), list(reversed(points())), [request]))
    assert together[("p1",)] == alone[("p1",)]
    assert calls == [("p1",), ("p0",), ("p2",), ("p1",)]


def test_the_seed_is_part_of_the_identity(tmp_path: Path) -> None:
    store = RunStore.create(tmp_path)
    draws = [
        values(execute(setting(store, seed=seed), points(1), [Request(SINGLE, Options())]))[("p0",)]["draw"]
        for seed in (0, 1, 0)
    ]
    assert draws[0] == draws[2] != draws[1]
    assert len(calls) == 2


def test_a_budget_is_no_part_of_the_identity_but_other_options_are() -> None:
    landscape, group = a_landscape(), tuple(points(1))
    keys = [
        task_key(landscape, group, SINGLE, options, 0)
        for options in (Options(), Options(max_steps=99), Options(scale=2.0))
    ]
    assert keys[0] == keys[1] != keys[2]
    assert task_key(landscape, group, replace(SINGLE, version=2), Options(), 0) != keys[0]


def test_a_larger_budget_continues_and_a_smaller_one_is_answered(tmp_path: Path) -> None:
    store = RunStore.create(tmp_path)
    analysis = Analysis("budgeted", "", Options, f"{HERE}:budgeted")
    for budget in (10, 20, 5, 20):
        execute(setting(store), points(1), [Request(analysis, Options(max_steps=budget))])
    assert calls == [("from 0",), ("from 10",)]


def test_no_limit_is_the_largest_budget() -> None:
    stored = Result(xr.Dataset(), {}, budget_spent=True, options={"max_steps": 10})

    @dataclass(frozen=True)
    class Free:
        max_steps: int | None = None

    assert not satisfies(stored, Free())
    assert satisfies(replace(stored, options={"max_steps": None}), Free(max_steps=99))
    assert satisfies(replace(stored, budget_spent=False), Free())


def test_the_same_question_is_asked_once() -> None:
    same = [replace(point, id=name) for point, name in zip([*points(2), points(1)[0]], "abc", strict=True)]
    outcome = execute(setting(), same, [Request(SINGLE, Options())])
    assert calls == [("a",), ("b",)]
    assert list(values(outcome)) == [("a",), ("b",), ("c",)]
    assert values(outcome)[("c",)] == values(outcome)[("a",)]
    assert [entry.cached for entry in outcome.entries] == [False, False, True]


def test_one_failure_harms_no_other(tmp_path: Path) -> None:
    store = RunStore.create(tmp_path)
    outcome = execute(setting(store), points(), [Request(SINGLE, Options(fail_at="p1"))])
    assert [failure.points for failure in outcome.failed] == [("p1",)]
    assert outcome.failed[0].error == "asked to fail"
    assert set(values(outcome)) == {("p0",), ("p2",)}


def test_batched_groups_come_as_they_end_and_fail_alone(tmp_path: Path) -> None:
    outcome = execute(setting(RunStore.create(tmp_path)), points(), [Request(BATCHED, Options(fail_at="p1"))])
    assert list(values(outcome)) == [("p0", "p1"), ("p0", "p2")]
    assert calls == [("p1", "p2"), ("p0", "p2"), ("p0", "p1")]
    assert [failure.points for failure in outcome.failed] == [("p1", "p2")]


def test_a_batch_that_breaks_keeps_what_was_done_and_goes_on_from_there(tmp_path: Path) -> None:
    store = RunStore.create(tmp_path)
    outcome = execute(setting(store), points(), [Request(BATCHED, Options(fail_at="all"))])
    assert [failure.points for failure in outcome.failed] == [("p0", "p1")]
    assert "RuntimeError: broke in the middle. Add --debug" in outcome.failed[0].error
    calls.clear()
    execute(setting(store), points(), [Request(BATCHED, Options(fail_at="all"))])
    assert calls == [("p0", "p1")]


def test_groups_of_a_batch_draw_as_they_would_alone(tmp_path: Path) -> None:
    whole = values(execute(setting(), points(), [Request(BATCHED, Options())]))
    store = RunStore.create(tmp_path)
    execute(setting(store), points(2), [Request(BATCHED, Options())])
    rest = values(execute(setting(store), points(), [Request(BATCHED, Options())]))
    assert whole == rest
    assert len({summary["draw"] for summary in whole.values()}) == 3


def test_too_few_points_are_completed_once_or_refused(tmp_path: Path) -> None:
    store = RunStore.create(tmp_path)
    with pytest.raises(UsageError, match="compares 2 points, the call has 1"):
        execute(setting(store), points(1), [Request(BATCHED, Options())])
    analysis = replace(BATCHED, complete=f"{HERE}:completed")
    outcome = execute(setting(store), points(1), [Request(analysis, Options())])
    assert list(values(outcome)) == [("p0", "made")]
    assert [point.id for point in outcome.points] == ["p0", "made"]


def test_a_point_with_several_partners_is_paired_with_each() -> None:
    analysis = replace(BATCHED, complete=f"{HERE}:completed_by_two", combine=f"{HERE}:combined")
    outcome = execute(setting(pairs="chain"), points(1), [Request(analysis, Options())])
    assert list(values(outcome)) == [("p0", "made0"), ("p0", "made1"), ("p0", "made0", "made1")]
    assert [point.id for point in outcome.points] == ["p0", "made0", "made1"]


def alone(landscape: Any, points: Sequence[Point], options: Options, *, context: Context) -> list[Point]:
    return list(points)


def test_an_analysis_that_makes_no_partner_has_failed() -> None:
    analysis = replace(BATCHED, complete=f"{HERE}:alone")
    outcome = execute(setting(), points(1), [Request(analysis, Options())])
    assert outcome.failed[0].error == "batched compares 2 points, its partner function gave 1"


def test_combine_adds_one_result(tmp_path: Path) -> None:
    analysis = replace(SINGLE, combine=f"{HERE}:combined")
    outcome = execute(setting(RunStore.create(tmp_path)), points(), [Request(analysis, Options())])
    assert outcome.entries[-1].result.summary == {"largest": 5.0}
    assert [point.id for point in outcome.entries[-1].points] == ["p0", "p1", "p2"]
    assert len(outcome.entries) == 4


def test_what_is_not_finite_is_a_failure() -> None:
    bad = [Point(torch.tensor([float("inf"), 0.0]).double(), "bad")]
    outcome = execute(setting(), bad, [Request(SINGLE, Options())])
    assert "value = inf" in outcome.failed[0].error


@pytest.mark.parametrize(
    ("summary", "messages", "says"),
    [
        ({"v": [1.0, float("nan")]}, (), "v = nan"),
        ({"v": None}, (), "v = None"),
        ({"v": torch.tensor(1.0)}, (), "v = tensor"),
        ({"v": np.float32(1)}, (), "plain numbers"),
        ({}, "hello", "tuple of strings"),
    ],
)
def test_a_malformed_result_is_a_failure_of_its_plugin(summary: Any, messages: Any, says: str) -> None:
    global malformed
    malformed = Result(xr.Dataset(), summary, messages=messages)
    analysis = Analysis("bad", "", Options, f"{HERE}:returns_malformed")
    outcome = execute(setting(), points(2), [Request(analysis, Options()), Request(SINGLE, Options())])
    assert [says in failure.error and "bad" in failure.error for failure in outcome.failed] == [True, True]
    assert len(outcome.entries) == 2


malformed: Any = None


def returns_malformed(landscape: Any, points: Sequence[Point], options: Options, *, context: Context) -> Result:
    return malformed


def exits(landscape: Any, points: Sequence[Point], options: Options, *, context: Context) -> Result:
    raise SystemExit(3)


def test_a_plugin_that_exits_has_failed() -> None:
    outcome = execute(setting(), points(1), [Request(Analysis("exits", "", Options, f"{HERE}:exits"), Options())])
    assert outcome.failed[0].error == "it called sys.exit(3)"


def test_cost_is_what_the_landscape_was_asked_for() -> None:
    outcome = execute(setting(), points(2), [Request(SINGLE, Options())])
    assert [entry.result.cost.energies for entry in outcome.entries] == [1, 1]


def test_what_is_spent_is_shared_by_the_groups_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """12 energies for three groups, then 4 for the two left, then 1: 4, 4 + 2 and 4 + 2 + 1; seconds likewise."""
    clock = iter([0.0, 6.0, 8.0, 9.0])
    monkeypatch.setattr("landscape.run.finishing.time.perf_counter", lambda: next(clock))
    outcome = execute(setting(), points(), [Request(replace(BATCHED, run=f"{HERE}:advancing"), Options())])
    costs = [entry.result.cost for entry in outcome.entries]
    assert [cost.energies for cost in costs] == [4, 6, 7]
    assert [cost.seconds for cost in costs] == [2, 3, 4]


def advancing(
    landscape: Any, groups: Sequence[Sequence[Point]], options: Options, *, context: Context
) -> Iterator[tuple[int, Result]]:
    for index, spent in enumerate((12, 4, 1)):
        landscape.energies(torch.zeros(spent, 2).double())
        yield index, _result(groups[index], options, context.task(index))


def test_a_group_that_fails_takes_its_share_with_it() -> None:
    outcome = execute(setting(), points(), [Request(replace(BATCHED, run=f"{HERE}:failing_first"), Options())])
    assert [entry.result.cost.energies for entry in outcome.entries] == [6, 6]
    single = replace(SINGLE, run=f"{HERE}:failing_late")
    outcome = execute(setting(), points(2), [Request(single, Options(fail_at="p0"))])
    assert [entry.result.cost.energies for entry in outcome.entries] == [1]


def failing_first(
    landscape: Any, groups: Sequence[Sequence[Point]], options: Options, *, context: Context
) -> Iterator[tuple[int, Result | Exception]]:
    landscape.energies(torch.zeros(9, 2).double())
    yield 1, AnalysisError("asked to fail")
    landscape.energies(torch.zeros(6, 2).double())
    yield 0, _result(groups[0], options, context.task(0))
    yield 2, _result(groups[2], options, context.task(2))


def failing_late(landscape: Any, points: Sequence[Point], options: Options, *, context: Context) -> Result:
    landscape.energies(points[0].vector[None])
    if points[0].id == options.fail_at:
        raise AnalysisError("asked to fail")
    return _result(points, options, context)


def test_an_analysis_that_counts_for_itself_is_believed() -> None:
    outcome = execute(setting(), points(), [Request(replace(BATCHED, run=f"{HERE}:counting"), Options())])
    costs = [entry.result.cost for entry in outcome.entries]
    assert [(cost.gradients, cost.hvps, cost.energies) for cost in costs] == [(1, 0, 5), (2, 0, 5), (3, 0, 5)]
    assert all(0 < cost.seconds < 60 and cost.peak_memory_mb > 1 for cost in costs)


def counting(
    landscape: Any, groups: Sequence[Sequence[Point]], options: Options, *, context: Context
) -> Iterator[tuple[int, Result]]:
    for index, group in enumerate(groups):
        landscape.energies(group[0].vector[None])
        cost = Cost(seconds=1e6, gradients=index + 1.0, energies=5.0)
        yield index, _result(group, options, context.task(index), cost=cost)


def test_a_continued_result_has_the_cost_of_both_calls(tmp_path: Path) -> None:
    store = RunStore.create(tmp_path)
    analysis = Analysis("budgeted", "", Options, f"{HERE}:spending")
    for budget in (10, 20, 30):
        (entry,) = execute(setting(store), points(1), [Request(analysis, Options(max_steps=budget))]).entries
    assert entry.result.cost.energies == 60


def spending(landscape: Any, points: Sequence[Point], options: Options, *, context: Context) -> Result:
    landscape.energies(torch.zeros(options.max_steps, 2).double())
    return _result(points, options, context, budget_spent=True)


def test_options_refuse_what_they_do_not_know() -> None:
    with pytest.raises(UsageError, match=r"no option 'skale'\. Did you mean 'scale'"):
        make_options(SINGLE, {"skale": 2})


def careless(
    landscape: Any, groups: Sequence[Sequence[Point]], options: Options, *, context: Context
) -> Iterator[tuple[int, Result]]:
    yield 0, _result(groups[0], options, context.task(0))
    if options.fail_at:
        yield int(options.fail_at), _result(groups[0], options, context.task(0))


@pytest.mark.parametrize(
    ("fail_at", "says"), [("", "no result"), ("0", "none of those left"), ("7", "group 7, which is none")]
)
def test_a_batched_analysis_that_forgets_a_group_or_gives_a_wrong_one_has_failed_there(fail_at: str, says: str) -> None:
    request = Request(replace(BATCHED, run=f"{HERE}:careless"), Options(fail_at=fail_at))
    outcome = execute(setting(), points(), [request])
    assert list(values(outcome)) == [("p0", "p1")]
    assert [failure.points for failure in outcome.failed] == [("p0", "p2"), ("p1", "p2")]
    assert all(says in failure.error for failure in outcome.failed)


@pytest.mark.parametrize("analysis", [SINGLE, BATCHED], ids=["single", "batched"])
def test_an_analysis_whose_function_is_not_there_has_failed_and_harms_no_other(analysis: Analysis) -> None:
    lost = Request(replace(analysis, name="lost", run=f"{HERE}:nowhere"), Options())
    outcome = execute(setting(), points(2), [lost, Request(SINGLE, Options())])
    assert len(outcome.entries) == 2
    assert {failure.analysis for failure in outcome.failed} == {"lost"}

"""What is measured of all libraries on one problem."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

import torch
from exact import dense_spectrum, distance, plain_product, residual, trace_by_curvature_of_loss
from library import Attempt, Density, Eigenpairs, Library, Product
from memory import peak_memory
from ours import converged_values
from problems import Problem
from rows import Goal, Row, at_most, of_best_peer, of_peer, row, written
from timing import Timed, interleaved, median_seconds, refusal, seconds_of
from torch import Tensor

__all__ = ["measure"]

RTOL = 1e-3  # of the residuals of the ten eigenpairs, relative to the largest eigenvalue
DENSE_MOST = 5_000  # parameters up to which the whole spectrum is computed
GIVEN_UP = 600  # gradients of one attempt beyond which no dearer setting is tried
PRODUCT_SECONDS, CALLS = 0.02, 9  # calls of products are to take so long, and there are so many


@dataclass
class Bench:
    """The libraries on one problem, what is known of it, and the settings that reached the tolerance."""

    problem: Problem
    libraries: Sequence[Library]
    spectrum: Tensor | None
    top: Tensor
    trace: float
    product: Product
    chosen: dict[str, int] = field(default_factory=dict)

    def timed(self, functions: Mapping[str, Callable[[int], object]]) -> Mapping[str, Timed[Any]]:
        """In turn, as often as the problem says."""
        return interleaved(functions, self.problem.gradient, self.problem.repeats, self.problem.device)

    def row(
        self,
        what: str,
        timed: Mapping[str, Timed[Any]],
        goal: Goal,
        note: Callable[[Timed[Any]], str] = lambda entry: "",
    ) -> Row:
        """Median costs with a note for each."""
        costs = {name: statistics.median(entry.costs) for name, entry in timed.items() if not entry.failure}
        failures = {name: entry.failure for name, entry in timed.items() if entry.failure}
        cells = {name: f"{written(cost)}{note(timed[name])}" for name, cost in costs.items()}
        return row(what, self.problem.name, costs, cells | failures, goal)


def measure(problem: Problem, libraries: Sequence[Library]) -> Iterator[Row]:
    """All rows of a problem, as they are done."""
    spectrum = dense_spectrum(problem) if problem.num_parameters <= DENSE_MOST else None
    top = converged_values(problem) if spectrum is None else spectrum.flip(0)[:10]
    bench = Bench(problem, libraries, spectrum, top, trace_by_curvature_of_loss(problem), plain_product(problem))
    goal = at_most({"MLP": 1.3, "CNN": 2.2, "ResNet": 2.9})
    yield _products(bench, "Hessian-vector product", [library.product for library in libraries], goal)
    goal = of_peer("hessian-eigenthings", 1.1)
    yield _products(bench, "the same with nothing kept", [library.streamed_product for library in libraries], goal)
    goal = of_peer("curvlinops", 0.25, only="MLP")
    yield _products(bench, "GGN-vector product", [library.ggn_product for library in libraries], goal)
    yield _top(bench)
    yield _trace(bench)
    yield _density(bench)
    yield _memory(bench)


def _products(bench: Bench, what: str, setups: Sequence[Callable[[Problem], Product] | None], goal: Goal) -> Row:
    """One vector at a time. What a library sets up is off the clock, and so is the first call."""
    problem = bench.problem
    vector = torch.randn(problem.num_parameters, generator=torch.Generator().manual_seed(0)).to(problem.device)
    per_call = max(1, round(PRODUCT_SECONDS / median_seconds(problem.gradient, problem.device, 5)))

    def calls(setup: Callable[[Problem], Product]) -> Callable[[int], None]:
        made: list[Product] = []

        def run(repeat: int) -> None:
            product = made[0] if made else setup(problem)
            made[:] = [product]
            for _ in range(per_call):
                product(vector)

        return run

    offered = {library.name: calls(setup) for library, setup in zip(bench.libraries, setups, strict=True) if setup}
    timed = interleaved(offered, problem.gradient, CALLS, problem.device, warm=True)
    for entry in timed.values():
        entry.costs = [cost / per_call for cost in entry.costs]
    return bench.row(what, timed, goal)


def _top(bench: Bench) -> Row:
    """Each library by its first setting that reaches the tolerance."""
    unit = median_seconds(bench.problem.gradient, bench.problem.device, 5)
    reached: dict[str, Attempt] = {}
    words: dict[str, str] = {}
    for library in bench.libraries:
        try:
            words[library.name], attempt = _first_to_reach(bench, library, unit)
        except Exception as error:  # a peer may raise anything, and its cell says so
            words[library.name] = refusal(error)
            continue
        if attempt:
            reached[library.name] = attempt
    timed = bench.timed({name: _again(attempt) for name, attempt in reached.items()})
    found = bench.row("top 10 to residual 1e-3", timed, of_best_peer(0.40))
    cells = {name: f"{found.cells[name]} ({text})" if name in reached else text for name, text in words.items()}
    return row(found.what, found.problem, found.values, cells, of_best_peer(0.40))


def _again(attempt: Attempt) -> Callable[[int], Eigenpairs]:
    return lambda repeat: attempt.run()


def _first_to_reach(bench: Bench, library: Library, unit: float) -> tuple[str, Attempt | None]:
    """What to say of a library's first setting that reaches the tolerance, and it; or of the last one tried."""
    assert library.top is not None
    text = ""
    for number, attempt in enumerate(library.top(bench.problem)):
        seconds, pairs = seconds_of(attempt.run, bench.problem.device)
        bench.chosen[library.name] = number
        left, error = residual(bench.product, pairs), _error(bench, pairs)
        text = f"{attempt.setting}; residual {left:.0e}, error {error:.0e}"
        if max(left, error) <= RTOL:
            return text, attempt
        text = f"not reached by {written(seconds / unit)} ({text})"
        if seconds > GIVEN_UP * unit:
            break
    return text, None


def _error(bench: Bench, pairs: Eigenpairs) -> float:
    """The largest error of an eigenvalue, relative to the largest."""
    found = pairs.values.double().cpu().sort(descending=True).values
    return float((found - bench.top).abs().max() / bench.top[0])


def _trace(bench: Bench) -> Row:
    """At equal products, each repeat with a seed of its own."""

    def note(entry: Timed[float]) -> str:
        squares = [(answer / bench.trace - 1) ** 2 for answer in entry.answers]
        return f" (error {sqrt(statistics.mean(squares)):.1%})"

    functions = {
        library.name: lambda seed, trace=library.trace: trace(bench.problem, seed)
        for library in bench.libraries
        if library.trace
    }
    what = f"trace, {bench.problem.trace_products} products"
    return bench.row(what, bench.timed(functions), of_peer("hessian-eigenthings", 0.60), note)


def _density(bench: Bench) -> Row:
    """Lanczos quadrature with equal probes and steps, each repeat with a seed of its own."""

    def note(entry: Timed[Density]) -> str:
        if bench.spectrum is None:
            return ""
        return f" (W1 {statistics.mean(distance(answer, bench.spectrum) for answer in entry.answers):.1e})"

    functions = {
        library.name: lambda seed, density=library.density: density(bench.problem, seed)
        for library in bench.libraries
        if library.density
    }
    what = f"density, {bench.problem.density_probes} × {bench.problem.density_steps}"
    return bench.row(what, bench.timed(functions), of_best_peer(0.50), note)


def _memory(bench: Bench) -> Row:
    """Of a search for the ten, in a fresh process; by power iteration the shortest, as its length does not matter."""
    peaks: dict[str, float] = {}
    cells: dict[str, str] = {}
    for library in bench.libraries:
        attempt = 0 if library.name == "PyHessian" else bench.chosen.get(library.name, 0)
        try:
            peaks[library.name] = peak_memory(library, bench.problem, attempt)
            cells[library.name] = f"{written(peaks[library.name])} MB"
        except RuntimeError as error:
            cells[library.name] = refusal(error)
    return row("peak memory of the top 10", bench.problem.name, peaks, cells, of_peer("PyHessian", 1.5))

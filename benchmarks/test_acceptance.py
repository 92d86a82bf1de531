"""What takes longer than a test may: every promise measured on real runs. `make acceptance` writes the table."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from nets import MLP, digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector, vector_to_parameters

import landscape
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point

Row = Callable[[str, str, object], None]
EXAMPLES = Path(__file__).parents[1] / "examples" / "plain_torch"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """seed0.pt and seed1.pt: digits MLPs 64-32-32-10, trained by the example script."""
    folder = tmp_path_factory.mktemp("trained")
    subprocess.run([sys.executable, EXAMPLES / "train.py", folder], check=True, env=_one_thread())
    return folder


def _one_thread() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def _load(*files: Path, **options: Any) -> tuple[Landscape, list[Point]]:
    recipe = {"model": MLP, "data": digits, "objective": "cross_entropy"}
    return landscape.load(*map(str, files), **{**recipe, **options})


KNOWN = [
    ("zoo:mueller-brown", ("A", "B"), "max_loss", -40.6648435086574, 1e-6),
    ("zoo:curvy-valley", None, "max_loss", 1.0, 1e-6),
    ("zoo:spherical-2-spin?n=16&seed=0", None, "barrier", 5.7086735447, 1e-6),
    ("zoo:double-well?dim=1000&seed=0", None, "max_loss", 1.0, 1e-3),
]


@pytest.mark.parametrize(("name", "pair", "summary", "exact", "tolerance"), KNOWN, ids=[case[0] for case in KNOWN])
def test_known_barriers(
    name: str, pair: tuple[str, str] | None, summary: str, exact: float, tolerance: float, tmp_path: Path, row: Row
) -> None:
    words = ["analyze", name, "--plugin", "neb", "--neb.climb", "true", "--json", "--out", str(tmp_path)]
    shown = subprocess.run(
        [sys.executable, "-m", "landscape", *words], capture_output=True, text=True, check=True, env=_one_thread()
    )
    results = json.loads(shown.stdout)["results"]
    result = next(r for r in results if pair is None or tuple(r["points"]) == pair)
    error = abs(result["summary"][summary] - exact)
    spent = f"{error:.1e} ({result['summary']['gradient_evaluations']:,} gradient evaluations)"
    row(f"`{name}`, `--neb.climb true`: error of `{summary}`", f"≤ {tolerance:g}", spent)
    assert error <= tolerance
    assert result["converged"]


def test_digits_path(trained: Path, row: Row) -> None:
    scape, points = _load(trained / "seed0.pt", trained / "seed1.pt")
    losses = [float(scape.energies(point.vector[None])[0]) for point in points]
    result = landscape.analyze(scape, points, "neb", max_gradients=8000)[0]
    ratio = result.summary["max_loss"] / result.summary["barrier_linear"]
    row("two digits MLPs 64-32-32-10: train loss", "~1e-3 or less", " and ".join(f"{loss:.2e}" for loss in losses))
    row("their path: `max_loss` / `barrier_linear`", "≤ 1/20", ratio)
    row("gradient evaluations", "≤ 8,000", f"{result.summary['gradient_evaluations']:,}")
    energies = result.data["energy"].values
    apart = max(abs(energies[0] - losses[0]), abs(energies[-1] - losses[1]))
    row("energies at the ends of the path against the checkpoints' own", "≤ 1e-6", float(apart))
    assert max(losses) <= 1.5e-3
    assert ratio <= 1 / 20
    assert result.summary["gradient_evaluations"] <= 8000
    assert apart <= 1e-6


@pytest.mark.parametrize("budget", [1000, 2000, 4000, 8000])
def test_digits_paths_over_seeds(trained: Path, budget: int, row: Row) -> None:
    scape, points = _load(trained / "seed0.pt", trained / "seed1.pt")
    found = [
        landscape.analyze(scape, points, "neb", seed=seed, max_gradients=budget)[0].summary["max_loss"]
        for seed in range(5)
    ]
    row(f"`max_loss`, {budget:,} gradient evaluations, five seeds: median (worst)", "–",
        f"{statistics.median(found):.2e} ({max(found):.2e})")  # fmt: skip
    assert all(value > 0 for value in found)


def test_published_schedule(trained: Path, row: Row) -> None:
    scape, points = _load(trained / "seed0.pt", trained / "seed1.pt")
    result = landscape.analyze(scape, points, "neb", preset="draxler2018", max_gradients=8000)[0]
    row("the published schedule, shortened to 8,000 gradient evaluations: `max_loss`", "–", result.summary["max_loss"])
    assert result.summary["gradient_evaluations"] <= 8000


def test_containers_agree(trained: Path, tmp_path: Path, row: Row) -> None:
    import pytorch_lightning as pl
    from safetensors.torch import save_file

    pair = [torch.load(trained / f"seed{seed}.pt", weights_only=True) for seed in (0, 1)]
    writers: dict[str, Callable[[dict[str, Tensor], Path], None]] = {
        "plain": lambda state, path: torch.save(state, path),
        "ddp": lambda state, path: torch.save({"model": {f"module.{n}": t for n, t in state.items()}}, path),
        "safetensors": lambda state, path: save_file(state, path.with_suffix(".safetensors")),
        "lightning": lambda state, path: torch.save(
            {"state_dict": {f"model.{n}": t for n, t in state.items()}, "pytorch-lightning_version": pl.__version__,
             "global_step": 7, "epoch": 1}, path),
    }  # fmt: skip
    hashes, numbers = {}, {}
    for name, write in writers.items():
        folder = tmp_path / name
        folder.mkdir()
        for seed, state in enumerate(pair):
            write(state, folder / f"{seed}.ckpt")
        scape, points = _load(*sorted(folder.iterdir()))
        hashes[name] = [point.hash for point in points]
        numbers[name] = landscape.analyze(scape, points, "neb", max_gradients=500)[0].summary
    row("one pair from state dict, DDP, safetensors, Lightning: different hashes", "0",
        len({tuple(value) for value in hashes.values()}) - 1)  # fmt: skip
    spread = max(abs(n["max_loss"] - numbers["plain"]["max_loss"]) for n in numbers.values())
    row("the same: spread of `max_loss`", "0 up to rounding", spread)
    assert len({tuple(value) for value in hashes.values()}) == 1
    assert spread <= 1e-3 * numbers["plain"]["barrier_linear"]


def test_start_up(row: Row) -> None:
    for words in (["--help"], ["plugins"]):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        program = "import sys; from landscape.cli import main; main(sys.argv[1:]); assert 'torch' not in sys.modules"
        subprocess.run([sys.executable, "-c", program, *words], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        row(f"`landscape {words[0]}`: seconds of CPU, torch not imported", "< 0.3", seconds)
        assert seconds < 0.3


def test_ten_kills(tmp_path: Path, row: Row) -> None:
    from interrupting import check_killed_runs

    killed = check_killed_runs(tmp_path, kills=10, seed=1)
    row("`kill -9` ten times, then the same command: finished tasks after each kill", "none lost or made twice",
        ", ".join(map(str, killed.finished)))  # fmt: skip


# speed: ratios in one process, CPU seconds, the least of interleaved repeats


def _cpu_seconds(functions: dict[str, Callable[[], object]], repeats: int = 15) -> dict[str, float]:
    best = dict.fromkeys(functions, float("inf"))
    for function in functions.values():
        function()
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.process_time()
            function()
            best[name] = min(best[name], time.process_time() - start)
    return best


def _nets() -> Iterator[tuple[str, nn.Module, tuple[Tensor, Tensor]]]:
    inputs, targets = digits().tensors
    conv = nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(256, 10),
    )  # fmt: skip
    torch.manual_seed(0)
    yield "MLP 64-32-32-10", MLP(), (inputs, targets)
    yield "small CNN", conv, (inputs, targets)


@pytest.mark.parametrize("batch_size", [32, 128, 512])
def test_many_points_at_once(batch_size: int, row: Row) -> None:
    for name, model, data in _nets():
        scape, points = landscape.load(model, data=data, objective="cross_entropy", batch_size=batch_size)
        rows = points[0].vector.repeat(16, 1) + 0.01 * torch.randn(16, scape.space.dim)
        batch, plain = scape.batches.batches[0], scape.function.model  # type: ignore[attr-defined]
        parameters = list(plain.parameters())

        def loop() -> None:
            for vector in rows:  # noqa: B023
                vector_to_parameters(vector, parameters)  # noqa: B023
                loss = cross_entropy(plain(batch[0]), batch[1])  # noqa: B023
                torch.autograd.grad(loss, parameters)  # noqa: B023

        seconds = _cpu_seconds({"ours": lambda: scape.gradients(rows, batch=0), "loop": loop})  # noqa: B023
        ratio = seconds["ours"] / seconds["loop"]
        row(
            f"{name}, batch {batch_size}: gradients of 16 points at once, CPU time over the plain loop's",
            "≤ 1.10",
            ratio,
        )
        assert ratio <= 1.10


def test_hessian_vector_products(row: Row) -> None:
    for name, model, data in _nets():
        scape, points = landscape.load(model, data=data, objective="cross_entropy", batch_size=len(data[0]))
        hessian = scape.hessian(points[0])
        vectors = torch.randn(10, scape.space.dim)
        hessian.matmat(vectors)

        def gradient() -> None:
            loss = cross_entropy(model(data[0]), data[1])  # noqa: B023
            torch.autograd.grad(loss, list(model.parameters()))  # noqa: B023

        seconds = _cpu_seconds({"products": lambda: hessian.matmat(vectors), "gradient": gradient})  # noqa: B023
        row(f"{name}: a Hessian-vector product in plain gradients, one batch of 1,797", "–",
            seconds["products"] / 10 / seconds["gradient"])  # fmt: skip
        assert torch.linalg.vector_norm(parameters_to_vector(model.parameters())) > 0

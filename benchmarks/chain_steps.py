"""What a step of a Langevin chain costs, many of ours at once, in a bare loop, and in devinterp: one net, one batch."""

from __future__ import annotations

import statistics
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from math import sqrt
from pathlib import Path

import torch
from calibration_pair import SAMPLES, digits_to_train, good
from timing import interleaved, median_seconds
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import landscape
from landscape.neighbourhood.around import Neighbourhood

__all__ = ["CHAINS", "StepCosts", "step_costs"]

CHAINS = (1, 4, 16)
BETA, GAMMA, STEP = 66.8, 10.0, 1e-4
CPU = torch.device("cpu")
PEER_CHAINS = 2  # it runs them one after another: more cost as much each

Advance = Callable[[int], None]
"""Moves the chains by so many steps."""


@dataclass(frozen=True)
class StepCosts:
    """CPU time of a chain-step in plain gradients of the same mini-batch.

    Attributes
    ----------
    batch_size, dtype
        Samples in a mini-batch, at most, and their precision.
    gradient
        Milliseconds of the unit: loss and backward pass of the bare model.
    bare
        The bare loop's.
    ours
        By the number of chains.
    peer, peer_set_up
        devinterp's for a further step, and what a chain costs before its first one; None where it is not installed.
    """

    batch_size: int
    dtype: str
    gradient: float
    bare: float
    ours: dict[int, float]
    peer: float | None
    peer_set_up: float | None


def step_costs(
    batch_size: int, steps: int = 200, repeats: int = 7, dtype: torch.dtype = torch.float32, peer: bool = True
) -> StepCosts:
    """Medians over interleaved repeats, each of so many steps of each chain; devinterp's from two lengths."""
    net, (inputs, targets) = good().to(dtype), digits_to_train().tensors
    data = inputs.to(dtype), targets
    scape, points = landscape.load(net, data=data, objective="cross_entropy", batch_size=batch_size, device="cpu")
    batches: tuple[tuple[Tensor, Tensor], ...] = scape.batches.batches  # type: ignore[attr-defined]
    bare, first = _bare(net, batches), batches[0]
    around = Neighbourhood.of(scape, points[0])
    ways = {"bare": bare, **{str(chains): _ours(around, chains) for chains in CHAINS}}
    functions = {name: lambda repeat, way=way: way(steps) for name, way in ways.items()}
    if peer and find_spec("devinterp"):
        lengths = {f"peer {length}": length for length in (steps, 5 * steps)}
        functions |= {name: lambda repeat, n=n: _peer(net, data, batch_size, n) for name, n in lengths.items()}

    def gradient() -> None:
        torch.autograd.grad(cross_entropy(net(first[0]), first[1]), list(net.parameters()))

    timed = interleaved(functions, gradient, repeats, CPU, warm=True)
    failed = {name: entry.failure for name, entry in timed.items() if entry.failure}
    if failed:
        raise RuntimeError(f"chain-steps could not be timed: {failed}")
    costs = {name: statistics.median(entry.costs) for name, entry in timed.items()}
    further = None if len(costs) == len(ways) else (costs[f"peer {5 * steps}"] - costs[f"peer {steps}"]) / (4 * steps)
    return StepCosts(
        batch_size,
        str(dtype).removeprefix("torch."),
        1e3 * median_seconds(gradient, CPU, 200),
        costs["bare"] / steps,
        {chains: costs[str(chains)] / (chains * steps) for chains in CHAINS},
        None if further is None else further / PEER_CHAINS,
        None if further is None else (costs[f"peer {steps}"] - steps * further) / PEER_CHAINS,
    )


def _ours(around: Neighbourhood, chains: int) -> Advance:
    """Langevin steps of all chains, one batched gradient each."""
    num_batches, rng = around.landscape.num_batches, torch.Generator().manual_seed(0)
    state = torch.zeros_like(around.point.vector).repeat(chains, 1)

    def advance(steps: int) -> None:
        x, kept = state, []
        for step in range(steps):
            rises, slopes = around.slopes(x, step % num_batches)
            noise = torch.randn(x.shape, generator=rng, dtype=x.dtype)
            x = x * (1 - STEP / 2 * GAMMA) + slopes * (-STEP / 2 * BETA) + noise * sqrt(STEP)
            kept.append(rises)
        state.copy_(x)
        torch.stack(kept)

    return advance


def _bare(net: nn.Module, batches: tuple[tuple[Tensor, Tensor], ...]) -> Advance:
    """The loop that one would write for one chain."""
    parameters = list(net.parameters())
    start = [parameter.detach().clone() for parameter in parameters]

    def advance(steps: int) -> None:
        losses = []
        for step in range(steps):
            inputs, targets = batches[step % len(batches)]
            loss = cross_entropy(net(inputs), targets)
            loss.backward()
            with torch.no_grad():
                for parameter, home in zip(parameters, start, strict=True):
                    assert parameter.grad is not None
                    parameter.add_(parameter.grad, alpha=-STEP / 2 * BETA)
                    parameter.add_(parameter - home, alpha=-STEP / 2 * GAMMA)
                    parameter.add_(torch.randn_like(parameter), alpha=sqrt(STEP))
                    parameter.grad = None
            losses.append(loss.item())

    return advance


def _peer(net: nn.Module, data: tuple[Tensor, Tensor], batch_size: int, steps: int) -> None:
    """devinterp's sampler as its documentation shows; samples are tokens to it, so they go by their numbers."""
    from datasets import Dataset
    from devinterp.slt.sampling import sample

    inputs, targets = data
    numbers = Dataset.from_dict({"input_ids": [[index, 0] for index in range(SAMPLES)]}).with_format("torch")

    def loss(model: nn.Module, ids: Tensor) -> Tensor:
        chosen = ids[:, 0]
        return cross_entropy(model(inputs[chosen]), targets[chosen], reduction="none")[:, None]

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sample(
            net, numbers, {}, lr=STEP, n_beta=BETA, localization=GAMMA, num_chains=PEER_CHAINS, num_draws=steps,
            batch_size=batch_size, num_init_loss_batches=1, loss_fn=loss, device="cpu", output_path=Path(folder) / "z",
        )  # fmt: skip

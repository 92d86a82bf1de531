"""Two nets of equal training loss, one good and one that had memorised random labels.

Measures of flatness are judged by them. ``python benchmarks/calibration_pair.py FOLDER`` trains both in some seconds,
says what is known of them and writes good.pt and memorised.pt; from the same folder as before,
``landscape analyze FOLDER/*.pt --trust --plugin local-entropy`` rebuilds everything.
"""

from __future__ import annotations

import argparse
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import TensorDataset

import landscape
from landscape.landscapes.network import NetworkLandscape
from landscape.parameters import Point

__all__ = ["TanhNet", "accuracy", "calibration_pair", "digits_to_test", "digits_to_train", "good", "memorised"]

TRAINING_LOSS = 0.0100
SAMPLES = 400
MEMORISED = 0.05  # training loss on random labels at which the bad start is taken: nearer to zero, it ends worse


class TanhNet(nn.Sequential):
    """A network 64 - 16 - 10 with biases, 1,210 parameters, float64."""

    def __init__(self) -> None:
        layers = OrderedDict[str, nn.Module](hidden=nn.Linear(64, 16), activation=nn.Tanh(), readout=nn.Linear(16, 10))
        super().__init__(layers)
        self.double()


def digits_to_train() -> TensorDataset:
    """400 of the digits, pixels in [0, 1] less their means over all digits, float64."""
    return TensorDataset(*(part[:SAMPLES] for part in _shuffled_digits()))


def digits_to_test() -> TensorDataset:
    """The other 1,397."""
    return TensorDataset(*(part[SAMPLES:] for part in _shuffled_digits()))


def _shuffled_digits() -> tuple[Tensor, Tensor]:
    pixels, labels = load_digits(return_X_y=True)
    inputs, targets = torch.from_numpy(pixels) / 16, torch.from_numpy(labels)
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))
    return (inputs - inputs.mean(0))[order], targets[order]


def good(seed: int = 0) -> TanhNet:
    """From an ordinary start by SGD, mini-batches of 16 at a rate of .2, until the training loss is .0100."""
    net, (inputs, targets) = _start(seed), digits_to_train().tensors
    for chosen in _mini_batches(seed):
        _descend(net, inputs[chosen], targets[chosen], rate=0.2)
        if _loss(net, inputs, targets) <= TRAINING_LOSS:
            return net
    raise AssertionError("mini-batches do not end")


def memorised(seed: int = 0) -> TanhNet:
    """From a start that knows random labels of the same inputs, by full-batch descent at a rate of 4."""
    net, (inputs, targets) = _start(seed), digits_to_train().tensors
    labels = torch.randint(10, (SAMPLES,), generator=torch.Generator().manual_seed(1000 + seed))
    adam = torch.optim.Adam(net.parameters(), lr=0.01)
    while (loss := cross_entropy(net(inputs), labels)) > MEMORISED:
        adam.zero_grad()
        loss.backward()
        adam.step()
    while _loss(net, inputs, targets) > TRAINING_LOSS:
        _descend(net, inputs, targets, rate=4.0)
    return net


def _start(seed: int) -> TanhNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return TanhNet()


def _mini_batches(seed: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(SAMPLES, generator=generator).split(16)


def _descend(net: nn.Module, inputs: Tensor, targets: Tensor, rate: float) -> None:
    """One step of plain gradient descent."""
    parameters = list(net.parameters())
    gradients = torch.autograd.grad(cross_entropy(net(inputs), targets), parameters)
    with torch.no_grad():
        torch._foreach_add_(parameters, gradients, alpha=-rate)


@torch.no_grad()
def _loss(net: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    return float(cross_entropy(net(inputs), targets))


@torch.no_grad()
def accuracy(net: nn.Module) -> float:
    """The part of the other digits that it gets right."""
    inputs, targets = digits_to_test().tensors
    return float((net(inputs).argmax(1) == targets).double().mean())


def calibration_pair(seed: int = 0, batch_size: int = SAMPLES) -> tuple[NetworkLandscape, list[Point]]:
    """The training loss, and the good net and the memorised one as points on it."""
    scape, points = landscape.load(
        good(seed), memorised(seed), data=digits_to_train, objective="cross_entropy", batch_size=batch_size
    )
    assert isinstance(scape, NetworkLandscape)
    return scape, [replace(point, id=name) for point, name in zip(points, ("good", "memorised"), strict=True)]


def main() -> None:
    """Train, say what is known, write."""
    parser = argparse.ArgumentParser(description="Two nets of equal training loss, one good, one not.")
    parser.add_argument("folder", type=Path, help="where good.pt and memorised.pt are written")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    nets = {"good": good(arguments.seed), "memorised": memorised(arguments.seed)}
    for name, net in nets.items():
        data = "benchmarks/calibration_pair.py:digits_to_train"
        landscape.save(arguments.folder / f"{name}.pt", model=net, data=data, objective="cross_entropy")
    scape, points = landscape.load(*nets.values(), data=digits_to_train, objective="cross_entropy", batch_size=SAMPLES)
    for name, net, point in zip(nets, nets.values(), points, strict=True):
        print(f"{name}: {_described(scape, point)}, test accuracy {accuracy(net):.1%}")


def _described(scape: landscape.Landscape, point: Point) -> str:
    """Loss, norm, and the dense Hessian's trace, largest eigenvalue and product with the weights."""
    weights = point.vector
    hessian = scape.hessian(point).matmat(torch.eye(len(weights), dtype=weights.dtype))
    largest, trace = torch.linalg.eigvalsh(hessian)[-1], hessian.trace()
    curvature = f"tr H {trace:.3f}, largest eigenvalue {largest:.4f}, wHw {weights @ hessian @ weights:.3f}"
    return f"training loss {float(scape.energies(weights[None])):.5f}, norm {weights.norm():.1f}, {curvature}"


if __name__ == "__main__":
    main()

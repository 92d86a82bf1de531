"""Losses whose rise around a point is known in closed form, and ReLU networks with copies of other scale."""

from __future__ import annotations

import torch
from landscape_zoo.relu_rescaling import ReluRescaling
from torch import nn

from landscape.landscapes.analytic import AnalyticLandscape
from landscape.landscapes.batches import Batches
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import bce, cross_entropy
from landscape.landscapes.protocol import LandscapeInfo
from landscape.parameters import ParameterSpace, Point


def formula(energy, dim):
    """A landscape of ``dim`` coordinates from E(x)."""
    space = ParameterSpace(("x",), ((dim,),))
    return AnalyticLandscape(energy, space, LandscapeInfo("formula", "formula"), start=lambda rng: torch.zeros(dim))


def quadratic(matrix, slope, at):
    """slope·(x - at) + (x - at)ᵀ matrix (x - at) / 2, and the point ``at``."""

    def energy(x):
        return slope @ (x - at) + (x - at) @ matrix @ (x - at) / 2

    return formula(energy, len(at)), Point(at, id="w")


def symmetric(dim, rng, *, definite=True):
    """A random symmetric matrix, its largest eigenvalue twice the second."""
    vectors = torch.linalg.qr(torch.randn(dim, dim, generator=rng, dtype=torch.float64))[0]
    values = torch.rand(dim, generator=rng, dtype=torch.float64) * 2 - (0 if definite else 1)
    values[0] = 4.0
    return vectors @ torch.diag(values) @ vectors.T


def perceptron(inputs, weights):
    """sign(w·x) on patterns of class 1, so that the error counts the patterns with w·x <= 0; and the point w."""
    model = nn.Linear(inputs.shape[1], 1, bias=False).double()
    batch = inputs, torch.ones(len(inputs), 1, dtype=torch.float64)
    landscape = NetworkLandscape(model, bce, Batches((batch,), len(inputs), "patterns", "patterns"))
    return landscape, Point(weights, id="w")


def relu_classifier(rng, sizes=(20, 20, 20)):
    """A ReLU network 4 - 6 - 3 fitted to its own noisy answers, in float64; its landscape and a point."""
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).double()
    landscape_of = ParameterSpace.of(model.named_parameters())
    vector = 1.5 * torch.randn(landscape_of.dim, generator=rng, dtype=torch.float64)
    torch.nn.utils.vector_to_parameters(vector, model.parameters())
    inputs = torch.randn(sum(sizes), 4, generator=rng, dtype=torch.float64)
    targets = model(inputs).argmax(1)
    parts = tuple(zip(inputs.split(sizes), targets.split(sizes), strict=True))
    return NetworkLandscape(model, cross_entropy, Batches(parts, sum(sizes), "made up", "made up")), Point(
        vector, id="A"
    )


def rescaled(landscape, point, factors):
    """The same function with unit i of the hidden layer scaled by factors[i]."""
    tensors = landscape.space.unflatten(point.vector)
    first, bias, second, last = tensors.values()
    moved = [first * factors[:, None], bias * factors, second / factors, last]
    return Point(landscape.space.flatten(dict(zip(tensors, moved, strict=True))), id="B")


def zoo_pair():
    """The mean squared error of a ReLU network and its minima A and B, B with the scale moved by α = 4."""
    cpu, dtype = torch.device("cpu"), torch.float64
    system = ReluRescaling(alpha=4.0).build(cpu, dtype)
    a, b = (Point(system.points[name], id=name) for name in "AB")
    return system.landscape("relu-rescaling", "zoo", cpu, dtype), a, b

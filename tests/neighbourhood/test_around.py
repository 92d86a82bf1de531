"""Which batch-norm statistics a point and its neighbours have, and what slopes are where they are estimated anew."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from landscape.landscapes.batches import Batches
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import cross_entropy
from landscape.neighbourhood.around import Neighbourhood
from landscape.parameters import Point

STEP = 1e-4


def network(rng: torch.Generator, policy: str) -> tuple[NetworkLandscape, Point]:
    """A classifier of 40 samples at random weights, with statistics that are not those of the data."""
    inputs = torch.randn(40, 3, generator=rng, dtype=torch.float64)
    targets = (inputs[:, 0] > 0).long()
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2)).double()
    for tensor in (*model.parameters(), model[1].running_mean, model[1].running_var):
        tensor.data = 0.5 + torch.rand(tensor.shape, generator=rng, dtype=torch.float64)
    data = Batches(((inputs, targets),), 40, "made up", "made up")
    landscape = NetworkLandscape(model, cross_entropy, data, batch_norm=policy)
    vector = landscape.space.flatten(dict(model.named_parameters())).detach()
    point = Point(vector, buffers={name: tensor.clone() for name, tensor in model.named_buffers()}, id="net")
    return landscape.anchored([point]), point


@pytest.mark.parametrize(("policy", "same"), [("recalibrate", False), ("frozen", True), ("interpolate", True)])
def test_slopes_are_those_of_the_rise_unless_statistics_follow_the_weights(policy, same, rng):
    """Gradients hold the statistics fixed: where they are estimated anew they are not the whole slope."""
    around = Neighbourhood.of(*network(rng, policy))
    x, direction = torch.randn(2, 3, len(around.scales), generator=rng, dtype=torch.float64) / 10
    rises, slopes = around.slopes(x)
    torch.testing.assert_close(rises, around.rises(x), rtol=1e-12, atol=1e-15)
    change = (around.rises(x + STEP * direction) - around.rises(x - STEP * direction)) / (2 * STEP)
    error = ((slopes * direction).sum(dim=1) - change).abs().max() / change.abs().max()
    assert (float(error) < 1e-6) == same
    assert same or float(error) > 0.05


@pytest.mark.parametrize(("policy", "same"), [("recalibrate", False), ("frozen", True), ("interpolate", True)])
def test_the_point_has_the_statistics_of_its_neighbours(policy, same, rng):
    landscape, point = network(rng, policy)
    around = Neighbourhood.of(landscape, point)
    near = torch.full((1, len(around.scales)), 1e-9, dtype=torch.float64)
    assert abs(float(around.rises(near))) < 1e-7
    stored = float(landscape.energies(point.vector[None])[0])
    assert (around.energy == pytest.approx(stored, rel=1e-6)) == same

"""Units of displacements, and the loss around a point in them."""

from __future__ import annotations

import pytest
import torch
from landscape_zoo.opening import open_zoo
from landscape_zoo.relu_rescaling import ReluRescaling
from torch import nn

from landscape.landscapes.batches import Batches
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import cross_entropy
from landscape.neighbourhood.around import Neighbourhood
from landscape.neighbourhood.flat_space import is_flat
from landscape.neighbourhood.hessian import dense_hessian
from landscape.neighbourhood.metric import METRICS, scales
from landscape.parameters import ParameterSpace, Point

SPACE = ParameterSpace(("w", "b"), ((2, 2, 1), (3,)))
VECTOR = torch.tensor([3.0, -4.0, 0.0, 1.0, 0.0, -2.0, 0.5], dtype=torch.float64)
RMS = 12.5**0.5, 0.5**0.5
SCALES = {
    "identity": [1.0] * 7,
    "weights": [3.0, 4.0, 0.0, 1.0, 0.0, 2.0, 0.5],
    "filter": [RMS[0], RMS[0], RMS[1], RMS[1], 0.0, 2.0, 0.5],
}


@pytest.mark.parametrize("metric", METRICS)
def test_units_by_hand(metric):
    wanted = torch.tensor(SCALES[metric], dtype=torch.float64)
    torch.testing.assert_close(scales(SPACE, VECTOR, metric), wanted, rtol=1e-15, atol=0)


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match=r"one of identity, weights, filter, got 'euclid'"):
        scales(SPACE, VECTOR, "euclid")


def classifier(rng: torch.Generator, batch_norm: bool = False) -> tuple[NetworkLandscape, Point]:
    """A net on 24 samples, in batches of 8, at random weights of which some are zero."""
    torch.manual_seed(0)
    layers = [nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2)]
    model = nn.Sequential(*(layers if batch_norm else layers[:1] + layers[2:])).double().eval()
    x = torch.randn(24, 3, generator=rng, dtype=torch.float64)
    y = torch.randint(2, (24,), generator=rng)
    batches = Batches(tuple(zip(x.split(8), y.split(8), strict=True)), 24, "made up", "data")
    landscape = NetworkLandscape(model, cross_entropy, batches)
    vector = torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone()
    vector[[1, 7]] = 0
    stored = {name: buffer.clone() for name, buffer in model.named_buffers()}
    return landscape, Point(vector, "net", stored)


@pytest.mark.parametrize("metric", METRICS)
def test_rises_and_slopes_are_those_of_the_weights(metric, rng):
    landscape, point = classifier(rng)
    around = Neighbourhood.of(landscape, point, metric)
    assert around.dim == {"identity": 26, "weights": 24, "filter": 26}[metric]
    x = 0.3 * torch.randn(5, 26, generator=rng, dtype=torch.float64)
    unit = scales(landscape.space, point.vector, metric)
    at = float(landscape.energies(point.vector[None])[0])
    energies, gradients = landscape.gradients(point.vector + unit * x)
    torch.testing.assert_close(around.rises(x), energies - at, rtol=0, atol=1e-14)
    rises, slopes = around.slopes(x)
    torch.testing.assert_close(rises, energies - at, rtol=0, atol=1e-14)
    torch.testing.assert_close(slopes, unit * gradients, rtol=1e-12, atol=1e-15)
    step = 1e-5 * torch.randn(26, generator=rng, dtype=torch.float64)
    differences = around.rises(x + step) - around.rises(x - step)
    torch.testing.assert_close(differences, 2 * slopes @ step, rtol=1e-6, atol=1e-13)
    batch, _ = around.slopes(x, 1)
    torch.testing.assert_close(batch, landscape.gradients(around.places(x), 1)[0] - at, rtol=0, atol=1e-14)


@pytest.mark.parametrize("metric", ["weights", "filter"])
def test_rescaled_relu_layers_have_the_same_neighbourhood(metric, rng):
    """w = (W₁, W₂) and (4W₁, W₂/4): the same ΔL at the same x, and not with the identity."""
    landscape, points = open_zoo("relu-rescaling?alpha=4", device=torch.device("cpu"), dtype=torch.float64)
    a, b = (Neighbourhood.of(landscape, point, metric) for point in points[:2])
    x = 0.5 * torch.randn(20, a.landscape.space.dim, generator=rng, dtype=torch.float64)
    torch.testing.assert_close(a.rises(x), b.rises(x), rtol=1e-9, atol=1e-13)
    torch.testing.assert_close(a.slopes(x)[1], b.slopes(x)[1], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(dense_hessian(a), dense_hessian(b), rtol=1e-9, atol=1e-12)
    plain = [Neighbourhood.of(landscape, point).rises(x) for point in points[:2]]
    assert float((plain[0] - plain[1]).abs().max()) > 1


def test_weights_follow_a_rescaling_of_each_unit_and_filters_do_not(rng):
    system = ReluRescaling()
    hidden, readout, _ = system.weights()
    factor = torch.tensor([0.5, 2, 3, 1, 4], dtype=torch.float64)
    landscape, _ = open_zoo("relu-rescaling", device=torch.device("cpu"), dtype=torch.float64)
    vectors = [
        torch.cat([(factor**k)[:, None].mul(hidden).flatten(), readout.div(factor**k).flatten()]) for k in (0, 1)
    ]
    x = 0.5 * torch.randn(20, len(vectors[0]), generator=rng, dtype=torch.float64)

    def rises(metric):
        return [Neighbourhood.of(landscape, Point(v, "p"), metric).rises(x) for v in vectors]

    torch.testing.assert_close(*rises("weights"), rtol=1e-9, atol=1e-13)
    assert float((rises("filter")[0] - rises("filter")[1]).abs().max()) > 0.1


@pytest.mark.parametrize("metric", METRICS)
def test_a_point_has_no_step_to_its_neighbours_where_batch_norm_is_estimated_anew(metric, rng):
    landscape, point = classifier(rng, batch_norm=True)
    assert landscape.info.batch_norm == "recalibrate"
    around = Neighbourhood.of(landscape, point, metric)
    stored = float(landscape.anchored((point,)).energies(point.vector[None])[0])
    assert abs(around.energy - stored) > 1e-3  # the stored statistics have not seen the data
    x = 1e-9 * torch.randn(3, len(point.vector), generator=rng, dtype=torch.float64)
    assert float(around.rises(x).abs().max()) < 1e-8
    recalibrated = landscape.anchored(()).hessian(Point(point.vector, "bare"))
    units = torch.eye(len(point.vector), dtype=torch.float64)
    kept = around.scales > 0
    wanted = around.scales * recalibrated.matmat(units * around.scales)
    torch.testing.assert_close(dense_hessian(around), wanted[kept][:, kept], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    ("name", "flat"),
    [("bowl", True), ("relu-rescaling", True), ("spherical-2-spin", False), ("binary-perceptron?n=5&alpha=0.2", False)],
)
def test_which_spaces_are_flat(name, flat):
    landscape, points = open_zoo(name, device=torch.device("cpu"))
    assert is_flat(landscape, points[0]) is flat

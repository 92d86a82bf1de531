"""Solutions of the binary perceptron counted around a point, as the analysis reports them."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
import torch
from landscape_local_entropy.counting import count, remarks
from landscape_zoo.opening import open_zoo

from landscape.errors import AnalysisError
from landscape.landscapes.solutions import Solutions
from landscape.parameters import Point


def opened(name, dtype=None):
    landscape, points = open_zoo(name, device=torch.device("cpu"), dtype=dtype)
    return landscape, {point.id: point for point in points}, landscape.solutions()


@pytest.fixture(scope="module")
def small():
    return opened("binary-perceptron?n=13&alpha=0.5&seed=3")


def test_the_large_instance_has_the_known_numbers():
    landscape, points, solutions = opened("binary-perceptron?n=21&alpha=0.4&seed=0")
    dataset, summary = count(landscape, points["densest"], solutions)
    assert summary["num_solutions"] == 2092
    assert summary["entropy_total"] == pytest.approx(log(2092) / 21, rel=1e-14)
    assert summary["isolated_fraction"] == 470 / 2092
    assert summary["mean_at_distance"] == [5192 / 2092, 48706 / 2092, 83510 / 2092]
    assert [summary[f"within_3_{name}"] for name in ("min", "median", "max")] == [10, 55, 349]
    assert summary["solutions_within_3"] == 349
    assert sum(summary["at_distance"]) == 348
    assert int(dataset.solutions.sum()) == 2092
    assert dataset.attrs == {"dimension": 21, "loss": 0.0}


def test_curves_are_those_counted_one_by_one(small):
    landscape, points, solutions = small
    x = torch.stack([solutions.configuration(vertex) for vertex in range(2**13)])
    solved = x[(landscape.energies(x) == 0)]
    for point in points.values():
        dataset, summary = count(landscape, point, solutions)
        wanted = np.bincount((solved != point.vector).sum(1).numpy(), minlength=14)
        np.testing.assert_array_equal(dataset.solutions, wanted)
        np.testing.assert_array_equal(dataset.entropy.isnull(), wanted == 0)
        np.testing.assert_allclose(dataset.entropy[wanted > 0], np.log(wanted[wanted > 0]) / 13, rtol=1e-14)
        np.testing.assert_array_equal(dataset.distance, np.arange(14))
        assert summary["at_distance"] == wanted[1:4].tolist()
        assert summary["num_solutions"] == len(solved)
        assert summary["is_solution"]
        assert remarks(point, solutions) == ()
    pairs = (solved[:, None] != solved).sum(-1)
    means = [float((pairs == d).sum()) / len(solved) for d in range(14)]
    np.testing.assert_allclose(dataset.solutions_mean, means, rtol=1e-14)


def test_a_point_that_is_no_solution_is_said(small):
    landscape, points, solutions = small
    other = Point(-points["densest"].vector, id="far")
    dataset, summary = count(landscape, other, solutions)
    assert not summary["is_solution"]
    assert int(dataset.solutions[0]) == 0
    assert "far is not a solution" in remarks(other, solutions)[0]
    assert dataset.attrs["loss"] == float(landscape.energies(other.vector[None])) == 1.0


def test_a_point_counts_as_its_nearest_configuration(small):
    landscape, points, solutions = small
    inside = Point(0.01 * points["typical"].vector, id="inside")
    assert count(landscape, inside, solutions)[1] == count(landscape, points["typical"], solutions)[1]


def test_one_solution_alone_makes_no_nonsense():
    landscape, points, _ = opened("binary-perceptron?n=1&alpha=1&seed=0")
    dataset, summary = count(landscape, points["densest"], landscape.solutions())
    assert summary["num_solutions"] == summary["within_3_min"] == 1
    assert summary["at_distance"] == [0]
    assert summary["entropy_total"] == 0
    assert all(value == value for value in summary.values())
    assert float(dataset.entropy[0]) == 0


def test_no_solution_at_all_is_refused_in_one_line(small):
    landscape, points, _ = small
    with pytest.raises(AnalysisError, match="binary-perceptron has no solutions to be counted") as caught:
        count(landscape, points["densest"], Solutions(torch.zeros(2**13, dtype=torch.bool)))
    assert "\n" not in str(caught.value)

"""The hessian analysis on random matrices, spin glasses and small networks whose spectra are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from landscape_hessian.blocks import Block, choose_blocks
from landscape_hessian.options import HessianOptions
from landscape_hessian.verdict import negative_count
from landscape_zoo.opening import open_zoo
from torch import nn

import landscape
from landscape.analysis import Result
from landscape.curvature.lanczos import End, ExtremeEigenpairs
from landscape.errors import AnalysisError, UsageError
from landscape.landscapes.batches import materialise
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import cross_entropy
from landscape.parameters import ParameterSpace, Point

CPU = torch.device("cpu")


def analysed(name: str, point: int = 0, **options) -> Result:
    scape, points = open_zoo(name, device=CPU)
    return landscape.analyze(scape, [points[point]], "hessian", **options)[0]


def dense(name: str, point: int = 0) -> np.ndarray:
    scape, points = open_zoo(name, device=CPU)
    matrix = scape.hessian(points[point]).matmat(torch.eye(scape.space.dim, dtype=scape.dtype))
    return torch.linalg.eigvalsh((matrix + matrix.T) / 2).numpy()


def cumulative(result: Result, grid: np.ndarray) -> np.ndarray:
    """The fraction of eigenvalues below each grid value: half of a node's weight lies below it."""
    rows = []
    for nodes, weights in zip(result.data["density_node"].values, result.data["density_weight"].values, strict=True):
        order = np.argsort(nodes[weights > 0])
        node, weight = nodes[weights > 0][order], weights[weights > 0][order]
        rows.append(np.interp(grid, node, weight.cumsum() - weight / 2, left=0, right=1))
    return np.mean(rows, axis=0)


def semicircle_below(x: np.ndarray, radius: float = 2.0) -> np.ndarray:
    u = np.clip(x / radius, -1, 1)
    return 0.5 + (u * np.sqrt(1 - u**2) + np.arcsin(u)) / np.pi


def test_the_semicircle_and_its_moments():
    result = analysed("goe?n=1000&seed=0", top=0, bottom=0, density_probes=10, density_steps=50, max_hvps=533)
    grid = np.linspace(-2.2, 2.2, 2001)
    assert np.abs(cumulative(result, grid) - semicircle_below(grid)).max() < 0.03
    moments = dict(zip(result.data["order"].values.tolist(), result.data["moment"].values.tolist(), strict=True))
    assert moments[2] == pytest.approx(1, abs=0.02)
    assert moments[4] == pytest.approx(2, abs=0.06)
    assert result.data["density_node"].values.max() == pytest.approx(2, abs=0.05)
    assert result.data["density_node"].values.min() == pytest.approx(-2, abs=0.05)
    assert result.summary["density_mass_negative"] == pytest.approx(0.5, abs=0.03)
    assert result.summary["frobenius_norm"] == pytest.approx(1000**0.5, rel=0.03)


def test_the_spike_of_a_spiked_matrix_is_its_only_outlier():
    result = analysed("spiked-goe?n=1000&theta=3&seed=0", top=5, bottom=1, density_probes=2)
    assert result.summary["eigenvalue_max"] == pytest.approx(10 / 3, abs=0.1)
    assert result.data["eigenvalue_top"].values[1] == pytest.approx(2, abs=0.05)
    far = result.data["density_node"].values > 2.5
    assert result.data["density_weight"].values[far] == pytest.approx(1 / 1000, rel=1e-9)


def test_the_edges_of_a_wishart_matrix():
    result = analysed("wishart?n=400&q=0.25&seed=0", top=1, bottom=1, probes=0)
    assert result.summary["eigenvalue_max"] == pytest.approx(2.25, abs=0.08)
    assert result.summary["eigenvalue_min"] == pytest.approx(0.25, abs=0.02)
    assert result.summary["negative_count"] == 0
    assert result.summary["density_mass_negative"] == 0


@pytest.mark.parametrize("point", [0, 1])
def test_the_tangent_space_hessian_of_the_p_spin_is_a_shifted_semicircle(point):
    """Centre -pe and radius 2 √(p (p-1)), over the N - 1 eigenvalues of the tangent space."""
    name = "spherical-p-spin?n=100&p=3&seed=0"
    scape, points = open_zoo(name, device=CPU)
    e = float(scape.energies(points[point].vector[None])[0]) / 100
    result = analysed(name, point, density_probes=60, density_steps=30, max_hvps=3000)
    assert result.data.attrs["dimension"] == 99
    mean = result.summary["trace"] / 99
    assert abs(mean + 3 * e) < 4 * 0.035
    centre, radius = -3 * e, 2 * 6**0.5
    grid = np.linspace(centre - radius - 1, centre + radius + 1, 2001)
    assert np.abs(cumulative(result, grid) - semicircle_below(grid - centre, radius)).max() < 0.06
    x = e / (2 * (2 / 3) ** 0.5)
    fraction = 0.5 + (x * (1 - x**2) ** 0.5 + np.arcsin(x)) / np.pi
    assert result.summary["density_mass_negative"] == pytest.approx(fraction, abs=0.03)


def test_the_minimum_of_a_p_spin_has_no_negative_eigenvalue():
    result = analysed("spherical-p-spin?n=60&p=3&seed=0", point=2)
    assert result.summary["negative_count"] == 0
    assert result.data["density_node"].values[result.data["density_weight"].values > 0].min() > 0


def test_negative_eigenvalues_are_counted_only_when_all_are_known():
    name = "quadratic?eigenvalues=5,4,3,2,1,-0.5,-1,-2,-3&seed=1&dim=40"
    for bottom, count in ((4, None), (5, None)):  # the fifth is zero: it has no sign
        assert analysed(name, bottom=bottom, rtol=1e-9).summary.get("negative_count") == count
    name = "quadratic?eigenvalues=5,4,3,2,1,-0.5,-1,-2,-3&seed=1"
    for top, bottom, count in ((1, 3, None), (1, 4, None), (1, 5, 4), (9, 3, None), (10, 3, 4)):
        assert analysed(name, top=top, bottom=bottom, rtol=1e-9).summary.get("negative_count") == count
    assert analysed("quadratic?eigenvalues=-1,-2,-3&seed=1", bottom=3).summary["negative_count"] == 3


@pytest.mark.parametrize(
    ("values", "residual", "count"),
    [
        ((-3.0, -1.0, 2.0), 0.6, 2),
        ((-3.0, -1.0, 2.0), 0.8, None),  # -3 may stand for two eigenvalues, -3.8 and -2.2
        ((-3.0, -2.5, 2.0), 0.2, None),
        ((0.5, 0.6, 0.7), 0.4, 0),
    ],
)
def test_no_negative_eigenvalue_is_hidden_behind_another(values, residual, count):
    bottom = End(torch.tensor(values), torch.full((3,), residual), None, True)
    pairs = ExtremeEigenpairs(End(bottom.values[:0], bottom.values[:0], None, True), bottom, 10.0, 9, False)
    assert negative_count(pairs, HessianOptions(top=0, bottom=3)) == count


@pytest.mark.parametrize("blocks", ["network", "layers", "x"])
def test_a_block_of_all_parameters_stays_in_the_tangent_space(blocks):
    scape, (point, *_) = open_zoo("spherical-p-spin?n=30&p=3&seed=0", device=CPU)
    blocks = scape.space.names[0] if blocks == "x" else blocks
    result = landscape.analyze(scape, [point], "hessian", blocks=blocks, top=40, bottom=0)[0]
    assert result.data.attrs["dimension"] == 29
    assert len(result.data["eigenvalue_top"]) == 29


def test_a_block_of_vectors_counts_multiplicities():
    name = "quadratic?eigenvalues=10,9,9,5,-3&dim=60&seed=0"
    once, twice = (analysed(name, block_size=size, top=4, bottom=1) for size in (1, 2))
    assert once.data["eigenvalue_top"].values == pytest.approx([10, 9, 5, 0], abs=1e-8)
    assert twice.data["eigenvalue_top"].values == pytest.approx([10, 9, 9, 5], abs=1e-6)


def test_little_memory_changes_the_products_but_not_the_answer():
    name, wanted = "goe?n=1000&seed=3", {"top": 3, "bottom": 2, "rtol": 1e-6, "probes": 0, "density_probes": 2}
    free = analysed(name, **wanted, max_hvps=2000)
    tight = analysed(name, **wanted, max_hvps=2000, max_basis_mb=0.24)
    assert tight.converged
    for end in ("top", "bottom"):
        one, other = (result.data[f"eigenvalue_{end}"].values for result in (free, tight))
        assert other == pytest.approx(one, abs=1e-8)
    assert tight.data.attrs["lanczos_products"] > free.data.attrs["lanczos_products"]
    assert "30 steps instead of 50" in tight.messages[-1]
    assert "--hessian.max-basis-mb" in tight.messages[-1]


# networks


def blobs(samples: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    labels = torch.arange(samples) % 3
    return torch.randn(samples, 4, generator=generator, dtype=torch.float64) + 2 * labels[:, None], labels


def network(batch_size: int | None = None, max_samples: int | None = None) -> tuple[NetworkLandscape, Point]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    batches = materialise(blobs(), batch_size=batch_size, max_samples=max_samples, device=CPU, dtype=torch.float64)
    scape = NetworkLandscape(model, cross_entropy, batches)
    return scape, Point(nn.utils.parameters_to_vector(model.parameters()).detach(), "net", step=7)


def dense_of(scape: NetworkLandscape, point: Point, **wanted) -> torch.Tensor:
    operator = scape.curvature(point, **wanted)
    return operator.matmat(torch.eye(operator.dim, dtype=torch.float64))


@pytest.mark.parametrize("matrix", ["hessian", "ggn", "fisher", "empirical-fisher", "remainder"])
def test_every_matrix_is_measured(matrix):
    scape, point = network()
    exact = torch.linalg.eigvalsh(dense_of(scape, point, matrix=matrix)).numpy()
    result = landscape.analyze(scape, [point], "hessian", matrix=matrix, rtol=1e-9, top=5, bottom=2)[0]
    assert result.summary["matrix"] == matrix
    assert result.data["eigenvalue_top"].values == pytest.approx(exact[::-1][:5], abs=1e-10)
    assert result.data["eigenvalue_bottom"].values[0] == pytest.approx(exact[0], abs=1e-10)
    assert result.summary["trace"] == pytest.approx(exact.sum(), abs=4 * result.summary["trace_stderr"] + 1e-10)
    assert result.summary["frobenius_norm"] == pytest.approx(np.sqrt((exact**2).sum()), rel=0.05)
    assert int(result.data["step"]) == 7


def test_traces_of_parameters_add_up_and_agree_with_the_dense_diagonal():
    scape, point = network()
    diagonal = dense_of(scape, point).diagonal()
    exact = [float(part.sum()) for part in torch.split(diagonal, list(scape.space.sizes))]
    result = landscape.analyze(scape, [point], "hessian", probes=200, max_hvps=1000, diagonal=True)[0]
    data = result.data
    assert data["parameter"].values.tolist() == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert float(data["trace_by_parameter"].sum()) == pytest.approx(result.summary["trace"], rel=1e-12)
    error = data["trace_by_parameter"].values - exact
    assert (np.abs(error) <= 4 * data["trace_by_parameter_stderr"].values + 1e-12).all()
    assert float(result.vectors["diagonal"].sum()) == pytest.approx(result.summary["trace"], rel=1e-9)


@pytest.mark.parametrize("blocks", ["layers", "one=^0;two=^2"])
def test_blocks_are_diagonal_blocks(blocks):
    scape, point = network()
    whole = dense_of(scape, point)
    first = scape.space.sizes[0] + scape.space.sizes[1]
    result = landscape.analyze(scape, [point], "hessian", blocks=blocks, rtol=1e-9)[0]
    for index, part in enumerate((whole[:first, :first], whole[first:, first:])):
        exact = torch.linalg.eigvalsh(part).flip(0)
        values = result.data["eigenvalue_top"].isel(block=index).values
        assert values == pytest.approx(exact[:10].numpy(), abs=1e-9)
        assert result.summary["eigenvalue_max_by_block"][index] == pytest.approx(float(exact[0]), rel=1e-9)
        assert result.data["num_parameters"].values[index] == len(part)
    assert result.summary["blocks"] == (["0", "2"] if blocks == "layers" else ["one", "two"])
    assert result.data["block"].values.tolist() == result.summary["blocks"]


def test_an_empty_parameter_makes_no_block():
    space = ParameterSpace(("a.weight", "b.weight"), ((2, 3), (0,)))
    assert choose_blocks(space, "layers") == [Block("a", ("a.weight",))]
    with pytest.raises(UsageError, match="matches no parameter"):
        choose_blocks(space, "^b")


def test_a_single_block_reads_like_a_network():
    scape, point = network()
    exact = torch.linalg.eigvalsh(dense_of(scape, point, parameters=["0.bias", "2.bias"]))
    result = landscape.analyze(scape, [point], "hessian", blocks="bias$", rtol=1e-9)[0]
    assert result.data.attrs["block"] == "bias$"
    assert result.summary["eigenvalue_max"] == pytest.approx(float(exact[-1]), rel=1e-9)


@pytest.mark.parametrize(
    ("blocks", "advice"),
    [
        ("conv", "'conv' matches no parameter; they are called 0.weight, 0.bias, 2.weight"),
        ("a(", "is no regular expression"),
        ("a=^0;a=^2", "a name is given twice"),
    ],
)
def test_wrong_blocks_are_refused(blocks, advice):
    scape, point = network()
    with pytest.raises(UsageError, match=advice.replace("(", r"\(")):
        landscape.analyze(scape, [point], "hessian", blocks=blocks)


def test_a_subset_of_the_data_tells_its_sampling_error():
    scape, point = network(batch_size=10, max_samples=40)
    result = landscape.analyze(scape, [point], "hessian", top=3)[0]
    halves = [dense_of(scape, point, half=half) for half in (0, 1)]
    vectors = result.vectors["top"]
    spread = ((vectors @ (halves[0] - halves[1])) * vectors).sum(dim=1).abs() / 2 * (1 - 40 / 60) ** 0.5
    assert result.data["sampling_error_top"].values == pytest.approx(spread.numpy(), rel=1e-9)
    assert result.summary["eigenvalue_max_sampling_error"] == pytest.approx(float(spread[0]), rel=1e-9)
    outside = torch.eye(len(vectors[0]), dtype=torch.float64) - vectors.T @ vectors
    rest = outside @ (halves[0] - halves[1]) @ outside / 2 * (1 - 40 / 60) ** 0.5
    noise = float((2 * (rest.square().sum() - rest.diagonal().square().sum()) / 30).sqrt())
    exact = float((halves[0] - halves[1]).trace().abs()) / 2 * (1 - 40 / 60) ** 0.5
    assert result.data.attrs["sampling_products"] == 33
    assert result.summary["trace_sampling_error"] == pytest.approx(exact, abs=3 * noise)
    whole, point = network()
    assert "eigenvalue_max_sampling_error" not in landscape.analyze(whole, [point], "hessian")[0].summary


@pytest.mark.parametrize("size", [7, 20, 60])
def test_the_batch_size_changes_nothing(size):
    (one, point), (other, _) = network(60), network(size)
    first, second = (landscape.analyze(scape, [point], "hessian")[0] for scape in (one, other))
    assert first.summary.keys() == second.summary.keys()
    for name in first.summary.keys() - {"matrix", "symmetry_error"}:
        assert second.summary[name] == pytest.approx(first.summary[name], rel=1e-5, abs=1e-9), name
    for name in ("eigenvalue_top", "eigenvalue_bottom", "trace_by_parameter", "moment"):
        assert second.data[name].values == pytest.approx(first.data[name].values, rel=1e-5, abs=1e-9), name


def test_eigenvectors_are_stored_and_are_eigenvectors():
    scape, point = network()
    whole = dense_of(scape, point)
    result = landscape.analyze(scape, [point], "hessian", top=3, bottom=2, rtol=1e-8)[0]
    for end in ("top", "bottom"):
        vectors, values = result.vectors[end], torch.tensor(result.data[f"eigenvalue_{end}"].values)
        torch.testing.assert_close(vectors @ whole, values[:, None] * vectors, rtol=0, atol=1e-7)
    assert not landscape.analyze(scape, [point], "hessian", vectors=False)[0].vectors


def test_several_points_are_compared():
    scape, point = network()
    other = Point(point.vector + 0.1, "other", step=9)
    *single, combined = landscape.analyze(scape, [other, point], "hessian", top=4)
    assert [result.points for result in single] == [("other",), ("net",)]
    assert set(combined.points) == {"other", "net"}
    assert combined.data["step"].values.tolist() == [7, 9]
    assert combined.summary["points"] == 2


def test_dropout_left_on_is_refused():
    class Noisy(nn.Linear):
        def forward(self, x):
            return nn.functional.dropout(super().forward(x), 0.5, training=True)

    scape, _ = network()
    noisy = NetworkLandscape(Noisy(4, 3).double(), cross_entropy, scape.batches)
    point = noisy.initial(torch.Generator().manual_seed(0))
    with pytest.raises(AnalysisError, match=r"the loss is random.*dropout"):
        landscape.analyze(noisy, [replace(point, id="noisy")], "hessian")


def test_too_little_memory_says_how_much_it_takes():
    with pytest.raises(UsageError, match=r"memory for 2 Lanczos vectors; 10 \+ 3 .* --hessian.max-basis-mb 0.068, or"):
        analysed("goe?n=500", max_basis_mb=0.01)
    assert analysed("goe?n=500", max_basis_mb=0.0681, max_hvps=3000, density_probes=0).data.attrs["lanczos_products"]

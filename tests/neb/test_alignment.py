"""neb on networks: ends aligned, batch norm, partners, starts."""

from __future__ import annotations

import pytest
import torch
import yaml
from sklearn.datasets import load_digits
from torch import nn

import landscape
from landscape.errors import AnalysisError, UsageError
from landscape.parameters import Point

QUICK = {"max_gradients": 240, "plane": 0}
POLICIES = ("recalibrate", "frozen", "interpolate")


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    pixels, labels = load_digits(return_X_y=True)
    return torch.tensor(pixels[:400], dtype=torch.float32) / 16, torch.tensor(labels[:400])


def trained(seed: int, *layers: nn.Module, steps: int = 120) -> nn.Module:
    torch.manual_seed(seed)
    model = nn.Sequential(*(layer for layer in layers))
    for layer in model.modules():
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
    x, y = digits()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    return model.eval()


def mlp(seed: int) -> nn.Module:
    return trained(seed, nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 10))


def normed(seed: int) -> nn.Module:
    return trained(seed, nn.Linear(64, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 10), steps=40)


@pytest.fixture(scope="module")
def pair():
    return mlp(0), mlp(1)


def opened(*models, **options):
    return landscape.load(*models, data=digits(), objective="cross_entropy", batch_size=100, **options)


def test_aligning_lowers_the_line_and_keeps_the_loss(pair):
    scape, points = opened(*pair, dtype="float64")
    result = landscape.analyze(scape, points, "neb", **QUICK)[0]
    shown = result.summary
    assert shown["align"] == "weights"
    assert shown["distance_aligned"] < shown["distance"]
    assert shown["barrier_linear_aligned"] < 0.6 * shown["barrier_linear"]
    assert shown["barrier_aligned"] == shown["barrier"] < 0.1 * shown["barrier_linear"]
    own = scape.energies(torch.stack([point.vector for point in points]))
    torch.testing.assert_close(torch.from_numpy(result.data["energy"].values[[0, -1]]), own, rtol=0, atol=1e-10)
    assert not torch.equal(result.vectors["path"][-1], points[1].vector)
    assert result.data["energy_linear_aligned"].values.max() == pytest.approx(
        shown["barrier_linear_aligned"] + float(own.max())
    )


def test_a_climb_where_the_curve_left_nothing_to_climb(pair):
    result = landscape.analyze(*opened(*pair), "neb", climb=True, max_gradients=2000, tolerance=1e-7, plane=0)[0]
    assert result.summary["barrier"] == 0
    assert result.converged
    assert not result.budget_spent
    assert not [text for text in result.messages if "budget" in text]


@pytest.mark.parametrize("apart", [True, False])
def test_frozen_parameters_that_differ_are_said(apart):
    ends = mlp(0), mlp(1)
    for end in ends:
        end[0].weight.requires_grad_(False)
    if not apart:
        ends[1][0].load_state_dict(ends[0][0].state_dict())
    result = landscape.analyze(*opened(*ends), "neb", finder="linear")[0]
    said = [text for text in result.messages if text.startswith("the ends differ in frozen parameters (0.weight)")]
    assert len(said) == apart


def test_left_as_they_are(pair):
    scape, points = opened(*pair)
    result = landscape.analyze(scape, points, "neb", align="none", **QUICK)[0]
    assert result.summary["align"] == "none"
    assert not {"barrier_aligned", "barrier_linear_aligned", "distance_aligned"} & set(result.summary)
    assert "energy_linear_aligned" not in result.data
    assert torch.equal(result.vectors["path"][-1], points[1].vector)


@pytest.mark.parametrize("method", ["weights", "activations"])
def test_a_permuted_copy_of_itself_has_no_barrier(pair, method):
    scape, points = opened(pair[0])
    result = landscape.analyze(scape, points, "neb", partner="permuted", align=method, **QUICK)[0]
    assert result.messages[0] == "one checkpoint: its partner is a permuted copy of it (groups of 12, 12 units)"
    assert result.summary["barrier_linear"] > 0.3
    assert result.summary["barrier_linear_aligned"] < 1e-6
    assert result.summary["barrier"] < 1e-6
    assert result.summary["gradient_evaluations"] == 0


@pytest.mark.parametrize("policy", POLICIES)
def test_the_ends_of_a_path_are_the_checkpoints_under_each_policy(policy):
    models = [normed(seed) for seed in (0, 1)]
    x, y = digits()
    own = [nn.functional.cross_entropy(model(x), y).item() for model in models]
    scape, points = opened(*models, bn=policy)
    for align in ("weights", "none"):
        result = landscape.analyze(scape, points, "neb", align=align, **QUICK)[0]
        assert result.data["energy"].values[[0, -1]] == pytest.approx(own, abs=1e-6)
        assert result.data["energy_linear"].values[[0, -1]] == pytest.approx(own, abs=1e-6)
        assert result.summary["bn"] == policy


def test_all_pairs_give_what_each_gives_alone():
    """Batch norm between four anchors at once: the same path as with the two alone, up to rounding."""
    models = [normed(seed) for seed in (0, 1, 2)]
    scape, points = opened(*models, dtype="float64")
    options = {"align": "none", "tolerance": 1e-4, **QUICK}
    together = landscape.analyze(scape, points, "neb", **options)
    alone = landscape.analyze(scape, [points[0], points[2]], "neb", **options)[0]
    (same,) = [result for result in together if result.points == alone.points]
    torch.testing.assert_close(same.vectors["path"], alone.vectors["path"], rtol=0, atol=1e-7)
    assert same.summary["barrier"] == pytest.approx(alone.summary["barrier"], abs=1e-7)


def test_a_stored_path_is_the_start_of_another_finder(pair, tmp_path):
    scape, points = opened(*pair)
    first = landscape.analyze(scape, points, "neb", out=tmp_path / "a", finder="bezier", **QUICK)[0]
    options = {"finder": "autoneb", "start": str(tmp_path / "a"), **QUICK}
    second = landscape.analyze(scape, points, "neb", out=tmp_path / "b", **options)[0]
    assert second.summary["barrier"] <= 1.02 * first.summary["barrier"]
    cold = landscape.analyze(scape, points, "neb", finder="autoneb", **QUICK)[0]
    assert second.summary["barrier"] < cold.summary["barrier"]


def test_a_start_with_other_ends_is_refused(pair, tmp_path):
    scape, points = opened(*pair)
    landscape.analyze(scape, points, "neb", out=tmp_path / "a", finder="bezier", **QUICK)
    with pytest.raises(UsageError, match=r"has other ends: take its --neb.align"):
        landscape.analyze(scape, points, "neb", start=str(tmp_path / "a"), align="none", **QUICK)
    with pytest.raises(UsageError, match=r"'linear' begins from its ends alone; take one of autoneb, bezier"):
        landscape.analyze(scape, points, "neb", start=str(tmp_path / "a"), finder="linear")


def test_a_straight_stored_path_is_a_start_too(pair, tmp_path):
    scape, points = opened(*pair)
    landscape.analyze(scape, points, "neb", out=tmp_path / "a", finder="linear", plane=0)
    for finder in ("autoneb", "bezier", "polygon", "bezier-autoneb", "string-sampling"):
        result = landscape.analyze(scape, points, "neb", start=str(tmp_path / "a"), finder=finder, **QUICK)[0]
        assert result.summary["barrier"] < result.summary["barrier_linear"]


class Branching(nn.Module):
    """Goes one way or the other with its data: nothing can follow it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(64, 6), nn.Linear(6, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.first(x)) if float(x.sum()) > 0 else self.first(x)
        return self.last(hidden @ torch.diag(torch.arange(1.0, 7.0, dtype=x.dtype)))


def spec_file(tmp_path, *axes):
    file = tmp_path / "groups.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "hidden", "axes": list(axes)}]}))
    return str(file)


def test_where_no_group_is_found_none_is_aligned_and_it_is_said():
    torch.manual_seed(0)
    scape, points = opened(Branching(), Branching())
    result = landscape.analyze(scape, points, "neb", **QUICK)[0]
    assert result.summary["align"] == "none"
    assert any("--neb.symmetry" in message for message in result.messages)
    with pytest.raises(AnalysisError, match="has no units that can be permuted"):
        landscape.analyze(scape, points[:1], "neb", partner="permuted")


def test_a_specification_of_the_user_is_used(pair, tmp_path):
    scape, points = opened(*pair)
    file = spec_file(tmp_path, "0.weight:0", "0.bias:0", "2.weight:1")
    result = landscape.analyze(scape, points, "neb", symmetry=file, **QUICK)[0]
    assert result.summary["align"] == "weights"


def test_a_specification_that_changes_the_function_is_refused(pair, tmp_path):
    scape, points = opened(*pair)
    with pytest.raises(UsageError, match="hidden"):
        landscape.analyze(scape, points, "neb", symmetry=spec_file(tmp_path, "0.weight:0", "0.bias:0"), **QUICK)


def test_equal_checkpoints_are_said(pair):
    scape, (a, _) = opened(*pair)
    again = Point(a.vector.clone(), "again", a.buffers)
    result = landscape.analyze(scape, [a, again], "neb", **QUICK)[0]
    assert result.summary["barrier"] == 0
    assert result.messages[0] == "both ends are the same point: there is nothing to cross"
    assert result.converged

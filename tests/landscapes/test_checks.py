"""Landscapes that cannot be trusted are refused with the reason."""

import pytest
import torch
from network_cases import CASES, RAGGED, Apply, batches_of
from torch import nn
from torch.nn import functional as F  # noqa: N812

from landscape.errors import CheckpointError
from landscape.landscapes.checks import check_deterministic, check_finite
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import cross_entropy


class StuckDropout(nn.Dropout):
    def train(self, mode: bool = True) -> "StuckDropout":
        return super().train(True)


def landscape_of(model: nn.Module) -> NetworkLandscape:
    return NetworkLandscape(model.double(), cross_entropy, batches_of(CASES[0].data(), RAGGED))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_two_evaluations_of_one_point_agree(case) -> None:
    landscape = case.landscape()
    check_deterministic(landscape, landscape.initial(torch.Generator().manual_seed(0)))


def test_dropout_in_eval_mode_is_no_randomness() -> None:
    landscape = landscape_of(nn.Sequential(nn.Dropout(), nn.Linear(6, 3)))
    check_deterministic(landscape, landscape.initial(torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(
    ("model", "suspect"),
    [
        (Apply(lambda m, x: m.out(F.dropout(x)), out=nn.Linear(6, 3)), "training=self.training"),
        (nn.Sequential(StuckDropout(), nn.Linear(6, 3)), "0 stayed in training mode"),
    ],
    ids=["functional", "module"],
)
def test_dropout_left_on_is_refused_with_the_place_to_look(model: nn.Module, suspect: str) -> None:
    landscape = landscape_of(model)
    point = landscape.initial(torch.Generator().manual_seed(0))
    with pytest.raises(CheckpointError, match=rf"initial: not deterministic.*is dropout left on\?.*{suspect}") as error:
        check_deterministic(landscape, point)
    assert "\n" not in str(error.value)


def test_a_loss_that_is_not_finite_is_refused() -> None:
    landscape = landscape_of(nn.Sequential(nn.Linear(6, 3)))
    point = landscape.initial(torch.Generator().manual_seed(0))
    assert check_finite(landscape, point) == pytest.approx(landscape.energies(point.vector[None]).item())
    point.vector[0] = torch.inf
    with pytest.raises(CheckpointError, match=r"initial: the loss over 11 samples is nan: .*--dtype float64"):
        check_finite(landscape, point)

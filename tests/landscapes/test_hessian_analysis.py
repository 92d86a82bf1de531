"""The `hessian` plugin on small networks against the eigenvalues of dense Hessians."""

from __future__ import annotations

import pytest
import torch
from network_cases import CASES, Case
from test_hessian import dense_hessian
from torch.nn.utils import parameters_to_vector

import landscape
from landscape.parameters import Point

TOP, BOTTOM = 5, 3


def distinct(values: torch.Tensor, scale: float) -> torch.Tensor:
    """Ascending eigenvalues, each once: Lanczos from one vector sees no multiplicity."""
    gaps = torch.cat([torch.ones(1, dtype=torch.bool), values.diff() > 1e-9 * scale])
    return values[gaps]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_both_ends_of_the_spectrum_are_those_of_the_dense_hessian(case: Case) -> None:
    network = case.network()
    point = Point(parameters_to_vector(network.parameters()).detach(), "net", dict(network.named_buffers()))
    result = landscape.analyze(
        case.landscape(), [point], "hessian", top=TOP, bottom=BOTTOM, rtol=1e-7, probes=200, max_hvps=2000
    )[0]
    dense = torch.linalg.eigvalsh(dense_hessian(case))
    scale = float(dense.abs().max())
    expected = distinct(dense, scale)
    top, bottom = (torch.tensor(result.data[f"eigenvalue_{end}"].values) for end in ("top", "bottom"))
    assert result.converged, result.messages
    torch.testing.assert_close(top, expected.flip(0)[:TOP], rtol=1e-5, atol=1e-9 * scale)
    torch.testing.assert_close(bottom, expected[:BOTTOM], rtol=1e-5, atol=1e-9 * scale)
    error = abs(result.summary["trace"] - float(dense.sum()))
    assert error <= 4 * result.summary["trace_stderr"] + 1e-9 * scale
    assert result.cost.hvps <= 2000

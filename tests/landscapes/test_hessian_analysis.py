"""The `hessian` plugin on small networks against the eigenvalues of dense matrices."""

from __future__ import annotations

import pytest
import torch
from curvature_cases import CURVATURE_CASES, CurvatureCase
from network_cases import CASES

import landscape

TOP, BOTTOM = 5, 3


def distinct(values: torch.Tensor, scale: float) -> torch.Tensor:
    """Ascending eigenvalues, each once: Lanczos from one vector sees no multiplicity."""
    gaps = torch.cat([torch.ones(1, dtype=torch.bool), values.diff() > 1e-9 * scale])
    return values[gaps]


FIRST = CURVATURE_CASES[: len(CASES)]
ASKED = [
    *(pytest.param(case, "hessian", BOTTOM, id=f"hessian-{case.name}") for case in FIRST),
    *(pytest.param(case, "ggn", 1, id=f"ggn-{case.name}") for case in FIRST[::3]),
]


@pytest.mark.parametrize(("case", "matrix", "bottom"), ASKED)
def test_the_spectrum_is_that_of_the_dense_matrix(case: CurvatureCase, matrix: str, bottom: int) -> None:
    options = {"top": TOP, "bottom": bottom, "rtol": 1e-7, "probes": 40, "density_probes": 0, "max_hvps": 2000}
    result = landscape.analyze(case.landscape(), [case.point()], "hessian", matrix=matrix, **options)[0]
    dense = torch.linalg.eigvalsh(case.dense(matrix))
    scale = float(dense.abs().max())
    expected = distinct(dense, scale)
    found = {end: torch.tensor(result.data[f"eigenvalue_{end}"].values) for end in ("top", "bottom")}
    assert result.converged, result.messages
    torch.testing.assert_close(found["top"], expected.flip(0)[:TOP], rtol=1e-5, atol=1e-9 * scale)
    torch.testing.assert_close(found["bottom"], expected[:bottom], rtol=1e-5, atol=1e-9 * scale)
    for name, value in ("trace", dense.sum()), ("frobenius_norm", dense.square().sum().sqrt()):
        allowed = 4 * result.summary[f"{name}_stderr"] + 1e-9 * scale
        assert abs(result.summary[name] - float(value)) <= allowed, name
    assert result.cost.hvps <= 2000

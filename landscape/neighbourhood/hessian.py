"""The Hessian in the units of a metric: as an operator, as a matrix, by its spectral density."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.density import SpectralDensity, lanczos_quadrature
from landscape.curvature.lanczos import ExtremeEigenpairs, extreme_eigenpairs, init
from landscape.curvature.memory import spare_bytes
from landscape.curvature.operator import SymmetricOperator
from landscape.errors import AnalysisError
from landscape.neighbourhood.around import Neighbourhood

__all__ = ["ScaledHessian", "dense_hessian", "movable", "scaled_density", "scaled_hessian", "whole_spectrum"]

ROWS = 64  # unit vectors multiplied at once
DEFLATED = 20  # outliers that are looked for before the rest is left to random probes
DEFLATION_RTOL = 1e-5  # of their residuals, relative to the largest of them


@dataclass(frozen=True, eq=False)
class ScaledHessian:
    """The Hessian of ΔL in x: v -> s ∘ H(s ∘ v), on R^P, zero on the coordinates that cannot move.

    Attributes
    ----------
    operator
        H, in the weights.
    scales
        s.
    """

    operator: SymmetricOperator
    scales: Float[Tensor, " P"]

    @property
    def dim(self) -> int:
        """P."""
        return self.operator.dim

    def matmat(self, vectors: Float[Tensor, "K P"]) -> Float[Tensor, "K P"]:
        """The product with each row. Costs K products."""
        return self.scales * self.operator.matmat(self.scales * vectors)


def scaled_hessian(around: Neighbourhood) -> ScaledHessian:
    """The Hessian of ΔL(x) at x = 0.

    Raises
    ------
    AnalysisError
        If no coordinate can move.
    """
    if not around.dim:
        raise AnalysisError(
            f"{around.point.id}: all weights are zero, which leaves no neighbourhood in units of the weights; take the "
            "metric identity"
        )
    # without buffers of its own the point has the batch-norm statistics that its neighbours are compared with
    return ScaledHessian(around.landscape.hessian(replace(around.point, buffers={})), around.scales)


def movable(around: Neighbourhood) -> Callable[[Tensor], Tensor]:
    """The projection of rows on the D coordinates that can move."""
    mask = (around.scales > 0).to(around.scales)

    def project(rows: Tensor) -> Tensor:
        return rows * mask

    return project


def dense_hessian(around: Neighbourhood, progress: Callable[[int], None] | None = None) -> Float[Tensor, "D D"]:
    """The Hessian of ΔL(x) at x = 0 on the D coordinates that can move, float64 on the CPU. Costs D products."""
    operator = scaled_hessian(around)
    coordinates = around.scales.nonzero()[:, 0]
    matrix = torch.empty(around.dim, around.dim, dtype=torch.float64)
    for start in range(0, around.dim, ROWS):
        block = coordinates[start : start + ROWS]
        units = torch.zeros(len(block), operator.dim).to(around.scales)
        units[torch.arange(len(block), device=block.device), block] = 1
        matrix[start : start + ROWS] = operator.matmat(units)[:, coordinates].double().cpu()
        if progress:
            progress(start + len(block))
    if not matrix.isfinite().all():
        raise AnalysisError(f"{around.point.id}: the Hessian is not finite there; try --dtype float64")
    return (matrix + matrix.T) / 2


def scaled_density(
    around: Neighbourhood,
    rng: torch.Generator,
    *,
    num_probes: int,
    num_steps: int = 64,
    progress: Callable[[int], None] | None = None,
) -> SpectralDensity:
    """The spectral density of the Hessian of ΔL(x) at x = 0, on the D coordinates that can move.

    By Lanczos quadrature with the largest eigenvalues deflated: log determinants sum over few large eigenvalues and
    many small ones, and the large ones would be most of the noise of the probes. (On an MLP of 1210 parameters it is 5
    times smaller without them.) Costs at most 1.5 ``num_probes`` ``num_steps`` products; where D are no more, exact,
    from the whole matrix.

    Parameters
    ----------
    rng
        Draws probes on the CPU: one seed gives points of a call the same ones.
    num_probes
        Two or more, so that there is an error.
    """
    if num_probes < 2:
        raise ValueError(f"want 2 probes or more, so that they tell an error, got {num_probes}")
    if 2 * around.dim <= 3 * num_probes * num_steps:
        return whole_spectrum(torch.linalg.eigvalsh(dense_hessian(around, progress)), around.dim)
    operator, project = scaled_hessian(around), movable(around)
    probes = torch.randn(num_probes + 1, operator.dim, generator=rng, dtype=torch.float64).to(around.scales)
    outliers = _outliers(operator, probes[0], project, num_probes * num_steps // 2, progress)
    within = outliers.top.residuals <= DEFLATION_RTOL * outliers.scale
    assert outliers.top.vectors is not None  # asked for
    row_bytes = 2 * num_steps * operator.dim * probes.element_size()
    density = lanczos_quadrature(
        operator,
        probes[1:],
        num_steps=num_steps,
        dimension=around.dim,
        deflated=(outliers.top.values[within], outliers.top.vectors[within.to(probes.device)]),
        project=project,
        group=max(1, spare_bytes(probes.device) // row_bytes),
        progress=(lambda done: progress(outliers.num_products + done)) if progress else None,
    )
    return replace(density, num_products=density.num_products + outliers.num_products)


def whole_spectrum(eigenvalues: Float[Tensor, " D"], num_products: int = 0) -> SpectralDensity:
    """All eigenvalues as a density: two probes that see the same, so that no sum over it has an error."""
    nodes = eigenvalues.double().cpu().expand(2, -1)
    return SpectralDensity(
        nodes, torch.full_like(nodes, 1 / nodes.shape[1]), torch.ones_like(nodes, dtype=torch.bool), num_products
    )


def _outliers(
    operator: SymmetricOperator,
    start: Float[Tensor, " P"],
    project: Callable[[Tensor], Tensor],
    max_products: int,
    progress: Callable[[int], None] | None,
) -> ExtremeEigenpairs:
    """The largest eigenpairs, as many as converge in the given products. Each product keeps a vector in memory."""
    return extreme_eigenpairs(
        operator, init(start, project), top=DEFLATED, bottom=0, rtol=DEFLATION_RTOL,
        max_products=max_products, vectors=True,
        progress=(lambda pairs: progress(pairs.num_products)) if progress else None,
    )  # fmt: skip

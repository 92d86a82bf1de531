"""The spectral density of a symmetric operator by stochastic Lanczos quadrature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import sqrt

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from landscape.curvature.krylov import BREAKDOWN
from landscape.curvature.operator import SymmetricOperator, everywhere
from landscape.errors import AnalysisError

__all__ = ["SpectralDensity", "lanczos_quadrature"]


@dataclass(frozen=True, eq=False)
class SpectralDensity:
    """The spectral measure (1/n) Σ_i δ(λ - λ_i), as each random probe sees it.

    Attributes
    ----------
    nodes, weights
        One row per probe, float64 on the CPU: eigenvalues stand at the nodes with these fractions of all. Each row's
        weights sum to 1; rows are padded with weight 0.
    exact
        Which nodes are eigenvalues: those that were deflated, and all of a probe whose Krylov space closed.
    num_products
        Products with the operator.
    """

    nodes: Float[Tensor, "K M"]
    weights: Float[Tensor, "K M"]
    exact: Bool[Tensor, "K M"]
    num_products: int

    def moment(self, order: int) -> tuple[float, float | None]:
        """The mean of λ to a power over the spectrum, and its standard error over probes (None with one)."""
        return self._mean(self.nodes**order)

    def mass_below(self, threshold: float) -> tuple[float, float | None]:
        """The fraction of eigenvalues below a threshold, and its standard error over probes (None with one).

        All of a node's weight is taken to lie at the node: see ``bounds_below`` for what that leaves open.
        """
        return self._mean((self.nodes < threshold).double())

    def bounds_below(self, threshold: float) -> tuple[float, float]:
        """Between what the fraction of eigenvalues below a threshold lies, but for the noise of the probes.

        A probe knows how much lies on either side of its nodes up to the weight of one node (the inequalities of
        Chebyshev, Markov and Stieltjes: Σ_(i<k) w_i ≤ μ(-∞, θ_k) ≤ μ(-∞, θ_k] ≤ Σ_(i≤k) w_i), of two where the
        threshold lies between nodes. Wide bounds mean that many eigenvalues are crowded around the threshold.
        """
        below = self.nodes < threshold
        certain = (self.weights * (below & self.exact)).sum(dim=1)
        open_ended = torch.where(self.exact | (self.weights == 0), torch.inf, self.nodes)
        order = open_ended.argsort(dim=1)
        weights = self.weights.gather(1, order) * open_ended.gather(1, order).isfinite()
        sums = pad(weights.cumsum(dim=1), (1, 1))
        sums[:, -1] = sums[:, -2]
        count = (below & ~self.exact & (self.weights > 0)).sum(dim=1, keepdim=True)
        lower = sums.gather(1, (count - 1).clamp(min=0))
        upper = sums.gather(1, count + 1)
        return float((certain + lower[:, 0]).mean()), float((certain + upper[:, 0]).mean())

    def _mean(self, values: Tensor) -> tuple[float, float | None]:
        samples = (self.weights * values).sum(dim=1)
        error = float(samples.std()) / sqrt(len(samples)) if len(samples) > 1 else None
        return float(samples.mean()), error


def lanczos_quadrature(
    operator: SymmetricOperator,
    probes: Float[Tensor, "K P"],
    *,
    num_steps: int,
    dimension: int,
    deflated: tuple[Float[Tensor, " k"], Float[Tensor, "k P"]] | None = None,
    project: Callable[[Tensor], Tensor] = everywhere,
    group: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> SpectralDensity:
    """The spectral density by Gauss quadrature: a Lanczos run from each probe, whose Ritz values are the nodes and the
    squared first components of the eigenvectors of T the weights.

    Each run has the moments of its probe below the order 2 ``num_steps`` exactly; the rest is noise of the probes.
    Known outliers are best deflated: probes and images are kept orthogonal to their eigenvectors, all else counts
    (n - k) / n, and each of the k values comes back as a node of weight exactly 1/n. The runs go in lock step, one
    product with a block of vectors per step. Costs at most K ``num_steps`` products; a run whose Krylov space closes
    ends there and is never restarted, as another vector's Ritz values do not belong to its measure.

    Parameters
    ----------
    probes
        Vectors of independent normal components, for which all moments are unbiased. Signs do as well where n is large.
    dimension
        n, the number of eigenvalues: P, or less on a curved space.
    deflated
        Eigenvalues and orthonormal eigenvectors, as rows.
    project
        Into the subspace that A acts in.
    group
        How many probes run at once, all by default: fewer take less memory, of ``num_steps`` P numbers each. No result
        depends on it but by rounding.
    progress
        Called with the number of products done.

    Sources: Ubaru, Chen & Saad 2017, algorithm 1; Golub & Meurant, Matrices, Moments and Quadrature, chapter 6.
    """
    values, vectors = deflated if deflated else (torch.zeros(0), probes[:0])
    values, left = values.double().cpu(), dimension - len(values)
    if left < 0 or num_steps < 1:
        raise ValueError(f"{num_steps} steps in a space of {dimension} dimensions, {len(values)} of them deflated")
    scale = float(values.abs().max()) if len(values) else 0.0

    def outside(rows: Tensor) -> Tensor:
        rows = project(rows)
        return rows - (rows @ vectors.T) @ vectors

    runs: list[tuple[Tensor, Tensor]] = []
    for block in torch.split(probes, group or len(probes)):
        done = sum(len(diagonal) for diagonal, _ in runs)
        runs += _tridiagonals(operator, block, min(num_steps, left), outside, scale, done, progress)
    return _density(runs, values, dimension, num_steps)


def _tridiagonals(
    operator: SymmetricOperator,
    probes: Float[Tensor, "K P"],
    num_steps: int,
    outside: Callable[[Tensor], Tensor],
    scale: float,
    done: int,
    progress: Callable[[int], None] | None,
) -> list[tuple[Tensor, Tensor]]:
    """Diagonal and off-diagonal of T of each probe, float64 on the CPU, in lock step.

    The three-term recurrence is the first pass of Gram-Schmidt (its other coefficients are zero to rounding), one
    with the whole basis the second. All that is compared with zero is compared per probe with its own T and ``scale``.
    """
    basis = probes.new_empty(len(probes), num_steps, probes.shape[1])
    entries = torch.zeros(2, len(probes), num_steps, dtype=torch.float64)  # diagonal, off-diagonal
    steps = [0] * len(probes)
    active = torch.arange(len(probes))
    frontier = outside(probes)
    frontier = frontier / torch.linalg.vector_norm(frontier, dim=1, keepdim=True)
    previous, beta = torch.zeros_like(frontier), frontier.new_zeros(len(probes))
    for step in range(num_steps):
        images = operator.matmat(frontier)
        alpha = (frontier * images).sum(dim=1, dtype=torch.float64)
        images = outside(images - alpha.to(images)[:, None] * frontier - beta.to(images)[:, None] * previous)
        for image, row, probe in zip(images, frontier, active.tolist(), strict=True):
            basis[probe, step] = row
            v = basis[probe, : step + 1]
            image -= (v @ image) @ v
            steps[probe] += 1
        beta = torch.linalg.vector_norm(images, dim=1, dtype=torch.float64)
        entries[:, active, step] = torch.stack([alpha, beta]).cpu()
        if not entries.isfinite().all():
            raise AnalysisError(f"density: a product in step {step + 1} is not finite; try --dtype float64")
        if progress:
            progress(done + sum(steps))
        largest = entries[:, active].abs().amax(dim=(0, 2)).clamp(min=scale)
        alive = entries[1, active, step] > BREAKDOWN[probes.dtype] * largest
        if not alive.any():
            break
        active, kept = active[alive], alive.to(images.device)
        previous, beta = frontier[kept], beta[kept]
        frontier = images[kept] / beta.to(images)[:, None]
    return [(entries[0, probe, :m], entries[1, probe, : m - 1]) for probe, m in enumerate(steps)]


def _density(runs: list[tuple[Tensor, Tensor]], deflated: Tensor, dimension: int, num_steps: int) -> SpectralDensity:
    """The quadrature rule of each run, with the deflated eigenvalues."""
    left = dimension - len(deflated)
    rules = [_gauss(*run) for run in runs]
    nodes = [torch.cat([nodes, deflated]) for nodes, _ in rules]
    weights = [torch.cat([left / dimension * w, torch.full_like(deflated, 1 / dimension)]) for _, w in rules]
    closed = [len(diagonal) < num_steps or len(diagonal) == left for diagonal, _ in runs]
    exact = [torch.arange(len(row)) >= (0 if all_of_it else len(row) - len(deflated))
             for row, all_of_it in zip(nodes, closed, strict=True)]  # fmt: skip
    num_products = sum(len(diagonal) for diagonal, _ in runs)
    padded = partial(pad_sequence, batch_first=True)
    return SpectralDensity(padded(nodes), padded(weights), padded(exact), num_products)


def _gauss(diagonal: Tensor, off_diagonal: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes and weights of the Gauss rule of a tridiagonal matrix (Golub & Welsch 1969)."""
    if not len(diagonal):
        return diagonal, diagonal
    nodes, s = torch.linalg.eigh(diagonal.diag() + off_diagonal.diag(1) + off_diagonal.diag(-1))
    return nodes, s[0].square()

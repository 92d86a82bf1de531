"""What can be asked of the curvature at a point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["CHECK_PRODUCTS", "HessianOptions"]

CHECK_PRODUCTS = 3  # two for the symmetry probe, one of them again for repeatability


@dataclass(frozen=True)
class HessianOptions:
    """Options of the Hessian spectrum.

    Attributes
    ----------
    matrix
        Which matrix: the hessian; the ggn (generalised Gauss-Newton: the Hessian without the curvature of the network);
        the fisher information; the empirical-fisher (mean outer product of the samples' gradients); the remainder
        (Hessian less ggn).
    blocks
        Which diagonal block: network (all parameters), layers (one spectrum for each layer), a regular expression that
        parameter names must match, or several named ones as 'NAME=REGEX;NAME=REGEX'.
    top
        How many of the largest eigenvalues to converge.
    bottom
        How many of the smallest (most negative) eigenvalues to converge.
    rtol
        An eigenvalue has converged when its residual is at most rtol times the largest absolute eigenvalue.
    block_size
        Vectors multiplied at once by Lanczos. With 1 each distinct eigenvalue is found once; with b a degenerate one up
        to b times, at the price of more products.
    vectors
        Store the eigenvectors. By default where they take at most 100 MB.
    trace
        Estimator of the trace. hutch++ also gives the Frobenius norm and the trace of each parameter; xtrace the trace
        alone.
    probes
        Products for the trace; 0 leaves it out.
    diagonal
        Store the estimated diagonal as a vector.
    density_probes
        Random vectors for the spectral density; 0 leaves it out.
    density_steps
        Lanczos steps, and products, for each of them.
    max_hvps
        Budget in matrix-vector products over the full data, everything included; for each of several blocks.
    max_basis_mb
        Memory for Lanczos vectors; beyond it Lanczos restarts and the density makes do with fewer at a time. By default
        half of what the GPU has free, or a quarter of the machine's memory.
    max_graph_mb
        Memory for the graphs of all mini-batches; beyond it each is made anew for every block of products. By default
        half of what the GPU has free, or 1 GB.
    """

    matrix: Literal["hessian", "ggn", "fisher", "empirical-fisher", "remainder"] = "hessian"
    blocks: str = "network"
    top: int = 10
    bottom: int = 3
    rtol: float = 1e-4
    block_size: int = 1
    vectors: bool | None = None
    trace: Literal["hutch++", "xtrace"] = "hutch++"
    probes: int = 30
    diagonal: bool = False
    density_probes: int = 4
    density_steps: int = 50
    max_hvps: int = 600
    max_basis_mb: float | None = None
    max_graph_mb: float | None = None

    def __post_init__(self) -> None:
        self._check_choices()
        for name, least in (("top", 0), ("bottom", 0), ("block_size", 1), ("density_probes", 0), ("density_steps", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more, got {getattr(self, name)}")
        for name in ("max_basis_mb", "max_graph_mb"):
            if getattr(self, name) is not None and getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
        if not 0 < self.rtol < 1:
            raise ValueError(f"rtol must lie between 0 and 1, got {self.rtol}")
        if self.probes < 0 or 0 < self.probes < self.least_probes:
            raise ValueError(f"probes must be 0 or at least {self.least_probes}, got {self.probes}")
        if not (self.wants_eigenvalues or self.probes or self.density_probes):
            raise ValueError("top, bottom, probes and density_probes are all 0: there is nothing left to measure")
        self._check_budget()

    def _check_choices(self) -> None:
        if self.matrix not in ("hessian", "ggn", "fisher", "empirical-fisher", "remainder"):
            raise ValueError(f"matrix must be hessian, ggn, fisher, empirical-fisher or remainder, got {self.matrix!r}")
        if self.trace not in ("hutch++", "xtrace"):
            raise ValueError(f"trace must be hutch++ or xtrace, got {self.trace!r}")
        if self.diagonal and not (self.probes and self.trace == "hutch++"):
            raise ValueError("diagonal needs --hessian.trace hutch++ and probes of 1 or more")

    def _check_budget(self) -> None:
        least = self.max_hvps - self.max_lanczos + (self.block_size if self.wants_eigenvalues else 0)
        if self.max_hvps < least:
            raise ValueError(
                f"max_hvps must be at least {least} ({CHECK_PRODUCTS} to check the matrix, {self.probes} for the "
                f"trace, {self.density_products} for the density, the rest for eigenvalues), got {self.max_hvps}"
            )

    @property
    def wants_eigenvalues(self) -> bool:
        """Whether any end of the spectrum is asked for."""
        return self.top + self.bottom > 0

    @property
    def least_probes(self) -> int:
        """XTrace needs two test vectors; Hutch++ a third of its products for a sketch where Lanczos gives none."""
        if self.trace == "xtrace":
            return 4
        return 1 if self.wants_eigenvalues else 3

    @property
    def density_products(self) -> int:
        """What the density takes."""
        return self.density_probes * self.density_steps

    @property
    def max_lanczos(self) -> int:
        """The products that are left for the eigenvalues."""
        return self.max_hvps - CHECK_PRODUCTS - self.probes - self.density_products

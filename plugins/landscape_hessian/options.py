"""What can be asked of the Hessian's spectrum."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SYMMETRY_PRODUCTS", "HessianOptions"]

SYMMETRY_PRODUCTS = 2  # what the symmetry probe takes


@dataclass(frozen=True)
class HessianOptions:
    """Options of the Hessian spectrum.

    Attributes
    ----------
    top
        How many of the largest distinct eigenvalues to converge.
    bottom
        How many of the smallest (most negative) distinct eigenvalues to converge.
    rtol
        An eigenvalue has converged when its residual is at most rtol times the largest absolute eigenvalue.
    probes
        Random vectors for the trace, one Hessian-vector product each; 0 leaves the trace out.
    max_hvps
        Budget in Hessian-vector products over the full data, everything included.
    """

    top: int = 10
    bottom: int = 3
    rtol: float = 1e-4
    probes: int = 30
    max_hvps: int = 300

    def __post_init__(self) -> None:
        if self.top < 1:
            raise ValueError(f"top must be at least 1, got {self.top}")
        if self.bottom < 0:
            raise ValueError(f"bottom must be 0 or more, got {self.bottom}")
        if not 0 < self.rtol < 1:
            raise ValueError(f"rtol must lie between 0 and 1, got {self.rtol}")
        if self.probes < 0:
            raise ValueError(f"probes must be 0 or more, got {self.probes}")
        if self.max_lanczos < 1:
            least = SYMMETRY_PRODUCTS + self.probes + 1
            raise ValueError(
                f"max_hvps must be at least {least} ({SYMMETRY_PRODUCTS} for the symmetry probe, {self.probes} for the "
                f"trace, 1 for an eigenvalue), got {self.max_hvps}"
            )

    @property
    def max_lanczos(self) -> int:
        """The products that are left for the eigenvalues."""
        return self.max_hvps - SYMMETRY_PRODUCTS - self.probes

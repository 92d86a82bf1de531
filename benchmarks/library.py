"""What is asked of each library, ours and the peers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from problems import Problem
from torch import Tensor

__all__ = ["Attempt", "Density", "Eigenpairs", "Library", "Product"]

Product = Callable[[Tensor], Tensor]
"""The image of one vector of shape (P,)."""


@dataclass(frozen=True, eq=False)
class Eigenpairs:
    """The ten largest eigenvalues that a library found, descending, and its unit vectors, shape (10, P)."""

    values: Tensor
    vectors: Tensor


@dataclass(frozen=True, eq=False)
class Density:
    """A spectral density as positions and masses, both of shape (n,); the masses sum to one."""

    nodes: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Attempt:
    """One setting of a library's eigensolver, in words, and the call."""

    setting: str
    run: Callable[[], Eigenpairs]


@dataclass(frozen=True)
class Library:
    """How a library is used; None for what it does not offer.

    A product is set up outside the clock. The other calls are timed whole, with what they build, but for loading.

    Attributes
    ----------
    distribution
        What is installed, for the version.
    modules
        What is imported, for the memory that importing takes.
    product, streamed_product, ggn_product
        The Hessian's product with everything kept that can be, with nothing kept between products, and that of the
        generalised Gauss-Newton matrix.
    top
        Settings for the ten largest eigenpairs, the cheapest first. The first that reaches the tolerance is timed.
    trace, density
        Of a problem, from a seed.
    """

    name: str
    distribution: str
    modules: tuple[str, ...]
    product: Callable[[Problem], Product] | None = None
    streamed_product: Callable[[Problem], Product] | None = None
    ggn_product: Callable[[Problem], Product] | None = None
    top: Callable[[Problem], Iterable[Attempt]] | None = None
    trace: Callable[[Problem, int], float] | None = None
    density: Callable[[Problem, int], Density] | None = None

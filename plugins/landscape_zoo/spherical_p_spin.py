"""The pure spherical p-spin glass: exponentially many saddles, whose spectra are shifted semicircles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from landscape_zoo.descent import Derivatives, descend
from landscape_zoo.disorder import check_entries, symmetric_couplings
from landscape_zoo.rotation import check_seed
from landscape_zoo.sphere import Sphere
from landscape_zoo.system import System

__all__ = ["SphericalPSpin", "derivatives"]


@dataclass(frozen=True)
class SphericalPSpin:
    """H(x) = n^(-(p-1)/2) Σ J_{i1...ip} x_{i1}...x_{ip} over all ordered tuples, J standard Gaussian, on |x|² = n.

    Energies are extensive, with E[H(x)H(x')] = n q^p at the overlap q = x·x'/n. (Sums over i1 < ... < ip, and the
    convention of Cugliandolo & Kurchan 1993, H/√2, differ by a factor.)

    Known answers as n grows, with e = H/n: the Hessian in the n - 1 tangent directions, P ∂²H P - p e P, is a GOE whose
    spectrum is the semicircle with centre -pe and radius R = 2√(p(p-1)) at a random point (Auffinger, Ben Arous and
    Černý, Comm. Pure Appl. Math. 66, 165 (2013)). Its fraction of negative eigenvalues is
    k(e) = 1/2 + [u√(1-u²) + asin u]/π, u = e/|e_th|, which vanishes at the threshold e_th = -2√((p-1)/p). For p=3 that
    is -1.632993, the ground state is at -1.656998, and at n=100 gradient flow from a random start ends at -1.55 ± .04.
    For p=2 the minima are the two ground states, at n times the lowest eigenvalue of S.

    The points: two drawn uniformly, and the minima that gradient flow reaches from two more such.

    Attributes
    ----------
    n
        How many spins, at least 2.
    p
        How many interact, at least 2. There are n^p couplings.
    seed
        Of J, drawn by ``numpy.random.default_rng(seed)``, and of the points (``default_rng((seed, 1))``).
    """

    n: int = 100
    p: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n < 2 or self.p < 2:
            raise ValueError(f"n and p must be at least 2, got n={self.n} and p={self.p}")
        check_entries(self.n ** min(self.p, 30), f"n={self.n} and p={self.p}")  # 2^30 is too many already
        check_seed(self.seed)

    def couplings(self) -> Tensor:
        """S = n^(-(p-1)/2) J, symmetric in its p indices, so that H = S x...x: float64."""
        couplings = symmetric_couplings(self.n, self.p, np.random.default_rng(self.seed))
        return couplings * self.n ** (-(self.p - 1) / 2)

    def build(self, device: torch.device, dtype: torch.dtype) -> System:
        exact, sphere = self.couplings(), Sphere(self.n)
        couplings = exact.to(device, dtype)
        return System(
            partial(_contract, couplings, self.p),
            self.n,
            sphere.start,
            self._points(exact),
            sphere.project,
            sphere.tangent,
        )

    def _points(self, couplings: Tensor) -> dict[str, Tensor]:
        sphere, rng = Sphere(self.n), np.random.default_rng((self.seed, 1))
        first, second, *starts = (sphere.project(torch.from_numpy(rng.normal(size=self.n))) for _ in range(4))
        minima = [descend(partial(derivatives, couplings), sphere, start) for start in starts]
        return {"random1": first, "random2": second, "minimum1": minima[0], "minimum2": minima[1]}


def derivatives(couplings: Tensor, x: Float[Tensor, " N"]) -> Derivatives:
    """H, its gradient p S x^(p-1) and its Hessian p(p-1) S x^(p-2) in R^n. Costs one pass over S."""
    p = couplings.ndim
    matrix = _contract(couplings, p - 2, x)
    vector = matrix @ x
    return Derivatives(float(vector @ x), p * vector, p * (p - 1) * matrix)


def _contract(couplings: Tensor, times: int, x: Float[Tensor, " N"]) -> Tensor:
    """S with its last indices summed over x."""
    for _ in range(times):
        couplings = couplings @ x
    return couplings

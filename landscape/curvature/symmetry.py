"""Is an operator that should be symmetric symmetric, and the same each time?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.operator import SymmetricOperator

__all__ = ["ASYMMETRY_TOLERANCE", "Soundness", "check_sound"]

# What rounding explains. A wrong second derivative (torch's old weight_norm: 0.24 and more) is far above.
ASYMMETRY_TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-3}


@dataclass(frozen=True)
class Soundness:
    """What speaks against an operator A before anything is computed with it.

    Attributes
    ----------
    asymmetry
        An estimate of |A - Aᵀ|_F / |A|_F.
    repeatability
        |Au - A'u| / |Au| of two products with one vector: dropout left on makes it of order 1.
    tolerance
        What rounding explains in this precision.
    """

    asymmetry: float
    repeatability: float
    tolerance: float

    @property
    def sound(self) -> bool:
        """Whether rounding explains both."""
        return max(self.asymmetry, self.repeatability) <= self.tolerance


def check_sound(operator: SymmetricOperator, probes: Float[Tensor, "2 P"]) -> Soundness:
    """Probes A with two vectors u, v of independent components with variance 1. Costs 3 products.

    The asymmetry is |u·Av - v·Au| / |Av|: these are the root mean squares of |A - Aᵀ|_F and |A|_F (for which the mean
    of |Au|² and |Av|² is taken). Divided by |u| as well it would shrink as 1/√P and see nothing in a large network.
    """
    images = operator.matmat(probes).double()
    again = operator.matmat(probes[:1]).double()
    u, v = probes.double()
    size = float((images.square().sum() / 2).sqrt())
    skew = abs(float(u @ images[1] - v @ images[0]))
    apart = float(torch.linalg.vector_norm(again - images[:1]))
    tolerance = ASYMMETRY_TOLERANCE[probes.dtype]
    return Soundness(skew / size, apart / size, tolerance) if size else Soundness(skew, apart, tolerance)

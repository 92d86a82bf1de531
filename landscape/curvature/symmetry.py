"""Is an operator that should be symmetric symmetric?"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.operator import SymmetricOperator

__all__ = ["ASYMMETRY_TOLERANCE", "asymmetry"]

# What rounding explains. A wrong second derivative (torch's old weight_norm: 0.24 and more) is far above.
ASYMMETRY_TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-3}


def asymmetry(operator: SymmetricOperator, probes: Float[Tensor, "2 P"]) -> float:
    """|u·Av - v·Au| / |Av| for two vectors u, v of independent components with variance 1.

    A probe of |A - Aᵀ|_F / |A|_F: these are the root mean squares of numerator and denominator (for which the mean of
    |Au|² and |Av|² is taken). Divided by |u| as well it would shrink as 1/√P and see nothing in a large network.
    Costs 2 products.
    """
    u, v = probes.double()
    image_u, image_v = operator.matmat(probes).double()
    size = float((image_u.square().sum() + image_v.square().sum()) / 2) ** 0.5
    difference = abs(float(u @ image_v - v @ image_u))
    return difference / size if size else difference

"""Trace, Frobenius norm and diagonal of a symmetric operator, all from the same random probes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.known import KnownPart, sketch
from landscape.curvature.operator import SymmetricOperator, everywhere

__all__ = ["TraceEstimates", "estimate_trace", "hutch_plus_plus", "rademacher"]


@dataclass(frozen=True, eq=False)
class TraceEstimates:
    """Unbiased estimates of tr A, of its parts and of |A|_F².

    Standard errors are standard deviations of the estimates, taken from the scatter of the probes: with K probes an
    estimate's distance from the truth over its error follows Student's t with K - 1 degrees of freedom. None with one.

    Attributes
    ----------
    value, standard_error
        tr A: the sum of ``by_group``.
    frobenius_norm, frobenius_norm_stderr
        |A|_F, the root of the unbiased estimate of its square; the error is carried over to first order.
    by_group, by_group_stderr
        The sum of the diagonal over each group of coordinates, float64 on the CPU.
    diagonal
        The diagonal itself, in the operator's dtype: unbiased, and too noisy to be read entry by entry.
    num_probes
        Random probes.
    num_products
        Products with the operator, those that the known part took for itself included.
    """

    value: float
    standard_error: float | None
    frobenius_norm: float
    frobenius_norm_stderr: float | None
    by_group: Float[Tensor, " G"]
    by_group_stderr: Float[Tensor, " G"] | None
    diagonal: Float[Tensor, " P"]
    num_probes: int
    num_products: int


def rademacher(num_probes: int, like: Float[Tensor, " P"], rng: torch.Generator) -> Float[Tensor, "K P"]:
    """Vectors of independent signs ±1, drawn on the CPU so that devices agree.

    Eight signs come from one random byte. Drawing K vectors at once or in several calls gives the same ones.
    """
    octets = torch.randint(0, 256, (num_probes, -(-len(like) // 8)), generator=rng, dtype=torch.uint8).to(like.device)
    bits = (octets[..., None] >> torch.arange(8, dtype=torch.uint8, device=like.device)) & 1
    return 1 - 2 * bits.reshape(num_probes, -1)[:, : len(like)].to(like)


def estimate_trace(
    operator: SymmetricOperator,
    known: KnownPart,
    num_probes: int,
    rng: torch.Generator,
    sizes: Sequence[int],
    *,
    block: int = 8,
    progress: Callable[[int], None] | None = None,
) -> TraceEstimates:
    """tr A, |A|_F and diag A: what is known plus Hutchinson's estimators on the rest, N A N.

    With signs z and the image y = N A N z: E[z·y] = tr NAN, E[|y|²] = |NAN|_F², E[z ∘ y] = diag NAN. A basis that
    was made without these probes keeps all of them unbiased, and takes the large eigenvalues out of their variance,
    which is 2 (|NAN|_F² - Σ_i (NAN)_ii²) for one trace sample. A Lanczos run leaves such a basis behind, free of
    charge; otherwise see ``hutch_plus_plus``. Costs one product per probe; memory 5 ``block`` P.

    Parameters
    ----------
    sizes
        Lengths of consecutive groups of coordinates (the sizes of the parameters).
    block
        Probes that are multiplied at once; no result depends on it.
    progress
        Called with the number of probes done.

    Sources: Hutchinson 1990; deflation: Gambhir, Stathopoulos & Orginos 2017, equation (5); diagonal: Bekas,
    Kokiopoulou & Saad 2007, for signs.
    """
    if sum(sizes) != operator.dim or num_probes < 1:
        raise ValueError(f"{num_probes} probes, groups of {sum(sizes)} coordinates: want 1 or more, of {operator.dim}")
    diagonal = known.diagonal.clone()
    samples = []
    for start in range(0, num_probes, block):
        probes = rademacher(min(block, num_probes - start), diagonal, rng)
        images = known.outside(operator.matmat(known.outside(probes)))
        squares = torch.linalg.vector_norm(images, dim=1, keepdim=True, dtype=torch.float64).square()
        images *= probes
        groups = _group_sums(images, sizes)
        samples.append(torch.cat([groups, groups.sum(dim=1, keepdim=True), squares], dim=1).cpu())
        diagonal += images.sum(dim=0) / num_probes
        if progress:
            progress(start + len(probes))
    return _estimates(torch.cat(samples), known, _group_sums(known.diagonal[None], sizes)[0].cpu(), diagonal)


def _group_sums(rows: Tensor, sizes: Sequence[int]) -> Tensor:
    """The sum over each group of consecutive coordinates, float64."""
    return torch.stack([part.sum(dim=1, dtype=torch.float64) for part in torch.split(rows, list(sizes), dim=1)], dim=1)


def _estimates(samples: Tensor, known: KnownPart, known_groups: Tensor, diagonal: Tensor) -> TraceEstimates:
    """Means and errors of the columns of ``samples``: the groups, their sum, the square of the Frobenius norm."""
    num_probes = len(samples)
    means = samples.mean(dim=0)
    errors = samples.std(dim=0) / sqrt(num_probes) if num_probes > 1 else None
    by_group = known_groups + means[:-2]
    norm = sqrt(max(0.0, known.square + float(means[-1])))
    return TraceEstimates(
        value=float(by_group.sum()),
        standard_error=None if errors is None else float(errors[-2]),
        frobenius_norm=norm,
        frobenius_norm_stderr=None if errors is None else float(errors[-1]) / (2 * norm) if norm else 0.0,
        by_group=by_group,
        by_group_stderr=None if errors is None else errors[:-2],
        diagonal=diagonal,
        num_probes=num_probes,
        num_products=known.num_products + num_probes,
    )


def hutch_plus_plus(
    operator: SymmetricOperator,
    num_products: int,
    like: Float[Tensor, " P"],
    rng: torch.Generator,
    sizes: Sequence[int],
    *,
    project: Callable[[Tensor], Tensor] = everywhere,
    block: int = 8,
    progress: Callable[[int], None] | None = None,
) -> TraceEstimates:
    """tr A, |A|_F and diag A by Hutch++: a third of the products sketch the range of A, a third know A on it, and a
    third are probes of the rest.

    A relative error ε of the trace of a positive semidefinite A takes O(1/ε) products, Hutchinson's estimator O(1/ε²).
    Where A has a smaller rank than the sketch the result is exact.

    Parameters
    ----------
    num_products
        At most so many, 3 or more; fewer are needed where the sketch finds the range of A.
    like
        A vector of the operator's dtype on its device.
    progress
        Called with the number of products done.

    Source: Meyer, Musco, Musco & Woodruff 2021, algorithm 1.
    """
    if num_products < 3:
        raise ValueError(f"Hutch++ takes 3 products or more, got {num_products}")
    third = num_products // 3
    known = sketch(operator, rademacher(third, like, rng), project)
    probes = num_products - 2 * third
    report = (lambda done: progress(known.num_products + done)) if progress else None
    return estimate_trace(operator, known, probes, rng, sizes, block=block, progress=report)

"""Whether the curvature of a loss in its outputs means something: looked at once, by products with random vectors."""

from __future__ import annotations

import torch

from landscape.errors import AnalysisError
from landscape.landscapes.graphs import Evaluation
from landscape.landscapes.loss_curvature import ByAutograd, Curvature, Parts

__all__ = ["agree", "norm", "random_parts", "refuse_linear", "refuse_not_convex"]


def refuse_linear(evaluation: Evaluation, general: ByAutograd) -> None:
    """Refuses a loss that is linear in the outputs by construction; where it is so in parts only (Huber) G is zero."""
    linear = not any(slope.requires_grad for slope in general.slopes)
    linear = linear or any(seen.logarithms_only for seen in evaluation.observed)
    if linear and float(evaluation.total.detach()):
        raise AnalysisError(
            "the loss is linear in what the model returns, so there is no ggn: let it return the logits, not the loss "
            "or log-probabilities, and take F.cross_entropy of them in the objective"
        )


def random_parts(outputs: Parts) -> Parts:
    """A vector in the space of the outputs, always the same one."""
    rng = torch.Generator().manual_seed(0)
    return tuple(torch.randn(output.shape, generator=rng, dtype=output.dtype).to(output.device) for output in outputs)


def refuse_not_convex(curvature: Curvature, probe: Parts, image: Parts) -> None:
    """Looks at uᵀ B u for a random u, and for u cut down to the sample that adds the least to it.

    Rounding is judged by the whole batch: a sample that is classified with certainty has no curvature but rounding.
    """
    cut = _least_sample(probe, image)
    rounding = _rounding(probe) * norm(image) / norm(probe)
    for direction, product in ((probe, image), (cut, curvature(cut))):
        form = float(sum((u * b).sum() for u, b in zip(direction, product, strict=True)))
        if form < -rounding * norm(direction) ** 2:
            raise AnalysisError(
                "the loss is not convex in the model's outputs, so the ggn could have negative eigenvalues and is not "
                "defined: take the hessian"
            )


def _least_sample(probe: Parts, image: Parts) -> Parts:
    """The probe with all but one row of one output set to zero."""
    forms = [(u * b).reshape(len(u) if u.ndim else 1, -1).sum(1) for u, b in zip(probe, image, strict=True)]
    place = min(range(len(forms)), key=lambda k: float(forms[k].min()))
    row = int(forms[place].argmin())
    masked = [torch.zeros_like(u) for u in probe]
    masked[place].view(len(forms[place]), -1)[row] = probe[place].reshape(len(forms[place]), -1)[row]
    return tuple(masked)


def agree(found: Parts, expected: Parts) -> bool:
    """Whether two vectors are the same up to rounding."""
    if any(a.shape != b.shape for a, b in zip(found, expected, strict=True)):
        return False
    difference = tuple(a - b for a, b in zip(found, expected, strict=True))
    return norm(difference) <= _rounding(expected) * norm(expected)


def _rounding(parts: Parts) -> float:
    """What rounding explains of a difference between two ways to compute the same."""
    return torch.finfo(parts[0].dtype).eps ** 0.5


def norm(parts: Parts) -> float:
    """The Euclidean norm."""
    return float(torch.stack([torch.linalg.vector_norm(part, dtype=torch.float64) for part in parts]).norm())

"""What is known without any of the libraries: products, residuals, a dense spectrum, traces."""

from __future__ import annotations

import torch
from library import Density, Eigenpairs, Product
from problems import Problem
from scipy.stats import wasserstein_distance
from torch import Tensor
from torch.func import functional_call, jacrev, vmap
from torch.nn import functional as F  # noqa: N812

__all__ = ["dense_spectrum", "distance", "plain_product", "residual", "trace_by_curvature_of_loss"]


def plain_product(problem: Problem, dtype: torch.dtype = torch.float32) -> Product:
    """H v by double backward with the graph kept, in a dozen lines of PyTorch."""
    inputs, targets = problem.data
    leaves = {name: p.detach().to(dtype).clone().requires_grad_() for name, p in problem.model.named_parameters()}
    buffers = {name: b.to(dtype) if b.is_floating_point() else b for name, b in problem.model.named_buffers()}
    outputs = functional_call(problem.model, {**leaves, **buffers}, (inputs.to(dtype),))
    tensors = list(leaves.values())
    gradient = torch.autograd.grad(F.cross_entropy(outputs, targets), tensors, create_graph=True)
    flat = torch.cat([part.reshape(-1) for part in gradient])

    def product(vector: Tensor) -> Tensor:
        images = torch.autograd.grad(flat, tensors, vector.to(flat), retain_graph=True)
        return torch.cat([image.reshape(-1) for image in images])

    return product


def dense_spectrum(problem: Problem) -> Tensor:
    """All eigenvalues, ascending, in float64. Costs P products and an eigendecomposition of a P x P matrix."""
    product = plain_product(problem, torch.float64)
    axes = torch.eye(problem.num_parameters, dtype=torch.float64, device=problem.device)
    matrix = torch.stack([product(axis) for axis in axes])
    return torch.linalg.eigvalsh((matrix + matrix.T) / 2).cpu()


def residual(product: Product, pairs: Eigenpairs) -> float:
    """The largest |H y - θ y| over the pairs, relative to the largest θ, whatever the library itself says of it."""
    worst = 0.0
    for value, vector in zip(pairs.values.double().tolist(), pairs.vectors, strict=True):
        unit = (vector / torch.linalg.vector_norm(vector)).to(torch.float32)
        worst = max(worst, float(torch.linalg.vector_norm(product(unit).to(unit) - value * unit)))
    return worst / float(pairs.values.max())


def trace_by_curvature_of_loss(problem: Problem, chunk: int = 64) -> float:
    """tr H, exactly: that of J'(diag p - pp')J, summed over samples one by one.

    The outputs of a network of linear layers, ReLU, max-pooling and fixed batch norm are piecewise linear in each
    single parameter, so that their own curvature adds nothing to the diagonal.
    """
    inputs, _ = problem.data
    parameters = {name: p.detach() for name, p in problem.model.named_parameters()}

    def outputs(tensors: dict[str, Tensor], sample: Tensor) -> Tensor:
        return functional_call(problem.model, tensors, (sample[None],))[0]

    def contribution(sample: Tensor) -> Tensor:
        probabilities = outputs(parameters, sample).softmax(0)
        jacobian = torch.cat([part.flatten(1) for part in jacrev(outputs)(parameters, sample).values()], dim=1)
        mean = probabilities @ jacobian
        return probabilities @ jacobian.square().sum(1) - mean @ mean

    parts = [vmap(contribution)(some).double().sum() for some in inputs.split(chunk)]
    return float(torch.stack(parts).sum()) / len(inputs)


def distance(density: Density, spectrum: Tensor) -> float:
    """Wasserstein distance W1 between a density and the exact one, relative to the largest eigenvalue."""
    nodes, weights = density.nodes.double().cpu().numpy(), density.weights.double().cpu().numpy()
    return wasserstein_distance(spectrum.numpy(), nodes, None, weights) / float(spectrum[-1])

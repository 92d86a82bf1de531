"""The other libraries, each used as its documentation shows, with the cheapest settings that we found."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from library import Attempt, Density, Eigenpairs, Library, Product
from problems import Problem
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

__all__ = ["PEERS"]

WANTED = 10


# PyHessian: keeps the graph of one batch; power iteration with deflation, Hutchinson


def _pyhessian(problem: Problem) -> Any:
    from pyhessian import hessian

    model = deepcopy(problem.model)  # it leaves gradients with graphs in the model
    return hessian(model, nn.CrossEntropyLoss(), data=problem.data, cuda=problem.device.type == "cuda")


def _pyhessian_product(problem: Problem) -> Product:
    from pyhessian.utils import hessian_vector_product

    operator = _pyhessian(problem)
    sizes = [parameter.numel() for parameter in operator.params]

    def product(vector: Tensor) -> Tensor:
        along = [part.view_as(p) for part, p in zip(vector.split(sizes), operator.params, strict=True)]
        return torch.cat([part.reshape(-1) for part in hessian_vector_product(operator.gradsH, operator.params, along)])

    return product


def _pyhessian_top(problem: Problem) -> Iterator[Attempt]:
    def run(tolerance: float, iterations: int) -> Eigenpairs:
        torch.manual_seed(0)
        values, vectors = _pyhessian(problem).eigenvalues(maxIter=iterations, tol=tolerance, top_n=WANTED)
        rows = torch.stack([torch.cat([part.reshape(-1) for part in parts]).detach() for parts in vectors])
        return Eigenpairs(torch.tensor(values), rows)

    for tolerance, iterations in ((1e-3, 100), (1e-4, 300), (1e-5, 1000), (1e-6, 3000)):
        yield Attempt(f"tol={tolerance:g}, maxIter={iterations}", partial(run, tolerance, iterations))


def _pyhessian_trace(problem: Problem, seed: int) -> float:
    torch.manual_seed(seed)
    samples = _pyhessian(problem).trace(maxIter=problem.trace_products, tol=0)  # else it stops at random
    return sum(samples) / len(samples)


def _pyhessian_density(problem: Problem, seed: int) -> Density:
    torch.manual_seed(seed)
    nodes, weights = _pyhessian(problem).density(iter=problem.density_steps, n_v=problem.density_probes)
    return Density(torch.tensor(nodes).flatten(), torch.tensor(weights).flatten() / problem.density_probes)


# hessian-eigenthings: a new graph for each product; Lanczos of a given length, Hutch++, Lanczos quadrature


def _eigenthings(problem: Problem) -> Any:
    from hessian_eigenthings import HessianOperator
    from hessian_eigenthings.loss_fns import supervised_loss

    return HessianOperator(problem.model, [problem.data], supervised_loss(F.cross_entropy))


def _eigenthings_ggn(problem: Problem) -> Product:
    from hessian_eigenthings import GGNOperator
    from hessian_eigenthings.loss_fns import supervised_forward, supervised_loss_of_output

    loss = supervised_loss_of_output(F.cross_entropy)
    operator: Any = GGNOperator(problem.model, [problem.data], supervised_forward, loss)
    return operator.matvec


# Lanczos steps, and vectors of ARPACK, at which the search begins: one fewer did not reach the tolerance
EIGENTHINGS_STEPS = {"MLP": 15, "CNN": 19, "ResNet": 19}
CURVLINOPS_VECTORS = {"MLP": 14, "CNN": 15, "ResNet": 14}
MOST_VECTORS = 200


def _eigenthings_top(problem: Problem) -> Iterator[Attempt]:
    from hessian_eigenthings.algorithms import lanczos

    def run(steps: int) -> Eigenpairs:
        operator = _eigenthings(problem)
        found = lanczos(operator, k=WANTED, max_iter=steps, which="LA", reorthogonalize=True, seed=0)
        return Eigenpairs(found.eigenvalues, found.eigenvectors)

    for steps in range(EIGENTHINGS_STEPS.get(problem.name, 2 * WANTED), MOST_VECTORS):
        yield Attempt(f"max_iter={steps}, reorthogonalize=True", partial(run, steps))


def _eigenthings_trace(problem: Problem, seed: int) -> float:
    from hessian_eigenthings.algorithms import trace

    estimate = trace(_eigenthings(problem), num_matvecs=problem.trace_products, method="hutch++", seed=seed)
    return float(estimate.estimate)


def _eigenthings_density(problem: Problem, seed: int) -> Density:
    from hessian_eigenthings.algorithms import spectral_density

    runs, steps = problem.density_probes, problem.density_steps
    found = spectral_density(_eigenthings(problem), num_runs=runs, lanczos_steps=steps, seed=1000 * seed)
    known = found.raw_weights > 0
    return Density(found.raw_eigenvalues[known], found.raw_weights[known] / runs)


# curvlinops: vmapped forward over reverse; scipy's ARPACK, Hutch++, Lanczos quadrature without re-orthogonalisation


def _curvlinops(problem: Problem, kind: str = "HessianLinearOperator") -> Any:
    import curvlinops

    parameters = list(problem.model.parameters())
    operator = getattr(curvlinops, kind)
    return operator(problem.model, nn.CrossEntropyLoss(), parameters, [problem.data], check_deterministic=False)


def _curvlinops_product(problem: Problem, kind: str = "HessianLinearOperator") -> Product:
    operator = _curvlinops(problem, kind)
    return lambda vector: operator @ vector


def _curvlinops_top(problem: Problem) -> Iterator[Attempt]:
    import numpy as np
    from scipy.sparse.linalg import eigsh

    def run(ncv: int) -> Eigenpairs:
        operator = _curvlinops(problem).to_scipy()
        start = np.random.default_rng(0).standard_normal(operator.shape[0]).astype(np.float32)
        values, vectors = eigsh(operator, k=WANTED, which="LA", ncv=ncv, tol=0.1, v0=start)
        order = np.argsort(-values)
        return Eigenpairs(torch.tensor(values[order]), torch.tensor(vectors.T[order]))

    for ncv in range(CURVLINOPS_VECTORS.get(problem.name, 2 * WANTED), MOST_VECTORS):  # a loose tol: no restarts
        yield Attempt(f"eigsh, ncv={ncv}, tol=0.1", partial(run, ncv))


def _curvlinops_trace(problem: Problem, seed: int) -> float:
    from curvlinops import hutchpp_trace

    torch.manual_seed(seed)
    return float(hutchpp_trace(_curvlinops(problem), num_matvecs=problem.trace_products))


def _curvlinops_density(problem: Problem, seed: int) -> Density:
    from curvlinops.papyan2020traces.spectrum import lanczos_approximate_spectrum

    torch.manual_seed(seed)
    steps, probes = problem.density_steps, problem.density_probes
    grid, density = lanczos_approximate_spectrum(_curvlinops(problem), steps, num_repeats=probes)
    return Density(grid, density / density.sum())


PEERS = (
    Library(
        "PyHessian",
        "pyhessian",
        ("pyhessian",),
        product=_pyhessian_product,
        top=_pyhessian_top,
        trace=_pyhessian_trace,
        density=_pyhessian_density,
    ),
    Library(
        "hessian-eigenthings",
        "hessian-eigenthings",
        ("hessian_eigenthings",),
        product=lambda problem: _eigenthings(problem).matvec,
        streamed_product=lambda problem: _eigenthings(problem).matvec,
        ggn_product=_eigenthings_ggn,
        top=_eigenthings_top,
        trace=_eigenthings_trace,
        density=_eigenthings_density,
    ),
    Library(
        "curvlinops",
        "curvlinops-for-pytorch",
        ("curvlinops", "curvlinops.papyan2020traces.spectrum", "scipy.sparse.linalg"),
        product=_curvlinops_product,
        streamed_product=_curvlinops_product,
        ggn_product=partial(_curvlinops_product, kind="GGNLinearOperator"),
        top=_curvlinops_top,
        trace=_curvlinops_trace,
        density=_curvlinops_density,
    ),
)

"""This library: its numerics called by hand, and its plugin from end to end."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
from library import Attempt, Density, Eigenpairs, Library, Product
from problems import Problem
from torch import Tensor

import landscape
from landscape.curvature.density import lanczos_quadrature
from landscape.curvature.lanczos import extreme_eigenpairs, init
from landscape.curvature.operator import SymmetricOperator
from landscape.curvature.trace import hutch_plus_plus, rademacher
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point

__all__ = ["OURS", "PLUGIN", "converged_values"]

WANTED, RTOL = 10, 1e-3


@cache
def _loaded(problem: Problem) -> tuple[Landscape, Point]:
    scape, (point,) = landscape.load(
        problem.model,
        data=problem.data,
        objective="cross_entropy",
        batch_size=problem.samples,
        device=str(problem.device),
    )
    return scape, point


def _operator(problem: Problem, **options: Any) -> SymmetricOperator:
    scape, point = _loaded(problem)
    return scape.curvature(point, **options)


def _product(problem: Problem, **options: Any) -> Product:
    operator = _operator(problem, **options)
    return lambda vector: operator.matmat(vector[None])[0]


def _drawn(problem: Problem, seed: int) -> tuple[Tensor, torch.Generator]:
    """A vector of normal numbers, which also says where and in which precision to compute, and its generator."""
    rng = torch.Generator().manual_seed(seed)
    _, point = _loaded(problem)
    return torch.randn(len(point.vector), generator=rng).to(point.vector), rng


def _eigenpairs(problem: Problem, rtol: float) -> Eigenpairs:
    start, _ = _drawn(problem, 0)
    found = extreme_eigenpairs(
        _operator(problem), init(start), top=WANTED, bottom=0, rtol=rtol, max_products=500, vectors=True
    )
    assert found.top.vectors is not None
    return Eigenpairs(found.top.values, found.top.vectors)


def converged_values(problem: Problem) -> Tensor:
    """The ten largest eigenvalues at a tolerance at which their error, of second order, is rounding."""
    return _eigenpairs(problem, 1e-5).values


def _top(problem: Problem) -> Iterator[Attempt]:
    yield Attempt(f"rtol={RTOL:g}", lambda: _eigenpairs(problem, RTOL))


def _trace(problem: Problem, seed: int) -> float:
    like, rng = _drawn(problem, seed)
    return hutch_plus_plus(_operator(problem), problem.trace_products, like, rng, _loaded(problem)[0].space.sizes).value


def _density(problem: Problem, seed: int) -> Density:
    like, rng = _drawn(problem, seed)
    probes = rademacher(problem.density_probes, like, rng)
    found = lanczos_quadrature(_operator(problem), probes, num_steps=problem.density_steps, dimension=len(like))
    return Density(found.nodes.flatten(), found.weights.flatten() / problem.density_probes)


NOTHING = {"top": 0, "bottom": 0, "probes": 0, "density_probes": 0}


def _plugin(problem: Problem, seed: int, **options: Any) -> Any:
    scape, point = _loaded(problem)
    (result,) = landscape.analyze(scape, [point], "hessian", seed=seed, **{**NOTHING, **options})
    return result


def _plugin_top(problem: Problem) -> Iterator[Attempt]:
    def run() -> Eigenpairs:
        result = _plugin(problem, 0, top=WANTED, rtol=RTOL, vectors=True)
        return Eigenpairs(torch.tensor(result.data["eigenvalue_top"].values), result.vectors["top"])

    yield Attempt(f"rtol={RTOL:g}", run)


def _plugin_trace(problem: Problem, seed: int) -> float:
    return float(_plugin(problem, seed, probes=problem.trace_products).summary["trace"])


OURS = Library(
    "landscape",
    "landscape-geometry",
    ("landscape.run.api", "landscape_hessian.analysis"),
    product=_product,
    streamed_product=lambda problem: _product(problem, graph_memory=0),
    ggn_product=lambda problem: _product(problem, matrix="ggn"),
    top=_top,
    trace=_trace,
    density=_density,
)

PLUGIN = Library("its plugin", "", OURS.modules, top=_plugin_top, trace=_plugin_trace)

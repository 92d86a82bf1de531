"""One matrix at one point: eigenvalues at both ends, trace, density, and what speaks for or against them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.analysis import Context
from landscape.curvature.density import SpectralDensity, lanczos_quadrature
from landscape.curvature.known import known_in_krylov
from landscape.curvature.lanczos import ExtremeEigenpairs, Krylov, extreme_eigenpairs, init, least_basis
from landscape.curvature.memory import spare_bytes
from landscape.curvature.operator import SymmetricOperator, everywhere
from landscape.curvature.symmetry import Soundness, check_sound
from landscape.curvature.trace import TraceEstimates, estimate_trace, hutch_plus_plus, rademacher
from landscape.curvature.xtrace import XTraceEstimate, xtrace
from landscape.errors import UsageError
from landscape.labels import number
from landscape.landscapes.protocol import Landscape
from landscape.parameters import ParameterSpace, Point
from landscape_hessian.blocks import Block
from landscape_hessian.keeping import resumed_space, saver
from landscape_hessian.options import CHECK_PRODUCTS, HessianOptions
from landscape_hessian.sampling import SamplingError, sampling_error

__all__ = ["Spectrum", "measure"]

MB = 10**6


@dataclass(frozen=True, eq=False)
class Spectrum:
    """What was measured of one matrix.

    Attributes
    ----------
    space
        The parameters that the matrix acts on.
    dimension
        n, the number of its eigenvalues: that of the parameters, less on a curved space.
    dtype
        The precision of its products.
    soundness
        Whether it is symmetric and the same at each product.
    mode
        How products are made, in words.
    num_classes
        C, where the loss is a softmax cross-entropy.
    pairs, trace, density, sampling
        None where not asked for.
    num_deflated
        Eigenpairs that the density knows exactly.
    notes
        What had to be cut for lack of memory.
    """

    space: ParameterSpace
    dimension: int
    dtype: torch.dtype
    soundness: Soundness
    mode: str
    num_classes: int | None
    pairs: ExtremeEigenpairs | None
    trace: TraceEstimates | XTraceEstimate | None
    density: SpectralDensity | None
    sampling: SamplingError | None
    num_deflated: int
    notes: tuple[str, ...]


def measure(landscape: Landscape, point: Point, block: Block, options: HessianOptions, context: Context) -> Spectrum:
    """All that the options ask of one block of a matrix at a point.

    Costs 3 products for the checks, those that the eigenvalues need, ``probes`` for the trace and ``density_probes *
    density_steps`` for the density: ``max_hvps`` at most. Where the data are a subset, ``top`` and ``probes`` more for
    the sampling error, within the same budget.
    """
    point = point.to(landscape.device, landscape.dtype)
    task = _Task.of(landscape, point, block, options, context)
    # random vectors are drawn in a fixed order, so that a continued task draws the same
    start, probes = task.normal(options.block_size), task.normal(2)
    soundness = check_sound(task.operator, probes)
    dimension = _dimension(task)
    krylov, pairs = _eigenpairs(task, start) if options.wants_eigenvalues else (None, None)
    trace = _trace(task, krylov, dimension) if options.probes else None
    known = _converged_pairs(task, krylov, pairs)
    del krylov  # its memory goes to the density
    used = sum(part.num_products for part in (pairs, trace) if part)
    density, notes = _density(task, known, dimension, used) if options.density_probes else (None, ())
    return Spectrum(
        space=task.space,
        dimension=dimension,
        dtype=landscape.dtype,
        soundness=soundness,
        mode=getattr(task.operator, "mode", "exact"),
        num_classes=landscape.num_classes(),
        pairs=pairs,
        trace=trace,
        density=density,
        sampling=_sampling(task, pairs) if task.subset else None,
        num_deflated=len(known[0]) if density else 0,
        notes=notes,
    )


@dataclass(frozen=True, eq=False)
class _Task:
    """A matrix and how it is to be measured.

    ``matrix`` makes its operator, ``matrix(half=0)`` that of half the data; ``project`` leads into the space that it
    acts in; ``max_rows`` vectors fit into memory; ``subset`` is √(1 - n/N) for n of N samples, zero for all of them.
    """

    matrix: Callable[..., SymmetricOperator]
    operator: SymmetricOperator
    project: Callable[[Tensor], Tensor]
    space: ParameterSpace
    like: Float[Tensor, " P"]
    max_rows: int
    subset: float
    options: HessianOptions
    context: Context

    @classmethod
    def of(cls, landscape: Landscape, point: Point, block: Block, options: HessianOptions, context: Context) -> _Task:
        graph_memory = None if options.max_graph_mb is None else int(options.max_graph_mb * MB)
        matrix = partial(
            landscape.curvature, point, matrix=options.matrix, parameters=block.parameters, graph_memory=graph_memory
        )

        def tangent(vectors: Tensor) -> Tensor:
            return landscape.tangent(point.vector.expand_as(vectors), vectors)

        space = landscape.space if block.parameters is None else landscape.space.restricted(block.parameters)
        project = tangent if space == landscape.space else everywhere
        like = torch.zeros(space.dim, dtype=landscape.dtype, device=landscape.device)
        memory = spare_bytes(landscape.device) if options.max_basis_mb is None else options.max_basis_mb * MB
        rows = int(memory) // (space.dim * like.element_size())
        subset = (
            _subset(landscape) if 2 * options.block_size + _sampling_products(options) < options.max_lanczos else 0.0
        )
        return cls(matrix, matrix(), project, space, like, rows, subset, options, context)

    def normal(self, count: int) -> Float[Tensor, "K P"]:
        """Gaussian vectors, drawn on the CPU so that devices agree."""
        rows = self.like.new_empty(count, len(self.like))
        for row in rows:
            row.copy_(torch.randn(len(row), generator=self.context.rng, dtype=torch.float64))
        return rows

    def progress(self, used: int, text: str) -> None:
        self.context.progress(CHECK_PRODUCTS + used, self.options.max_hvps, text)


def _eigenpairs(task: _Task, start: Float[Tensor, "b P"]) -> tuple[Krylov, ExtremeEigenpairs]:
    options = task.options
    least = min(least_basis(options.top, options.bottom, options.block_size), task.space.dim)
    if task.max_rows < least:
        needed = least * task.space.dim * task.like.element_size() / MB
        raise UsageError(
            f"memory for {task.max_rows} Lanczos vectors; {options.top} + {options.bottom} eigenvalues take {least} at "
            f"least: --hessian.max-basis-mb {number(needed)}, or ask for fewer"
        )
    krylov = resumed_space(task.context, init(start, project=task.project))
    save = saver(task.context, krylov)

    def report(found: ExtremeEigenpairs) -> None:
        task.progress(found.num_products, f"largest {float(found.top.values[0]):.4g}" if options.top else "")
        save(False)

    pairs = extreme_eigenpairs(
        task.operator,
        krylov,
        top=options.top,
        bottom=options.bottom,
        rtol=options.rtol,
        max_products=options.max_lanczos - (_sampling_products(options) if task.subset else 0),
        max_basis=task.max_rows,
        vectors=True,
        progress=report,
    )
    if not (pairs.converged or pairs.exhausted):
        save(True)
    return krylov, pairs


def _trace(task: _Task, krylov: Krylov | None, dimension: int) -> TraceEstimates | XTraceEstimate:
    """The trace. What the Krylov space knows of it is known already."""
    options, rng = task.options, task.context.rng
    before = krylov.num_products if krylov else 0

    def report(done: int) -> None:
        task.progress(before + done, "trace")

    if options.trace == "xtrace":
        return xtrace(task.operator, options.probes, task.like, rng, project=task.project, dimension=dimension)
    if krylov is not None:
        known = known_in_krylov(krylov)
        return estimate_trace(task.operator, known, options.probes, rng, task.space.sizes, progress=report)
    return hutch_plus_plus(
        task.operator, options.probes, task.like, rng, task.space.sizes, project=task.project, progress=report
    )


def _converged_pairs(
    task: _Task, krylov: Krylov | None, pairs: ExtremeEigenpairs | None
) -> tuple[Float[Tensor, " k"], Float[Tensor, "k P"]]:
    """Values and vectors of both ends that are within the tolerance, each pair once."""
    if krylov is None or pairs is None:
        return torch.zeros(0, dtype=torch.float64), task.like[None][:0]
    apart = len(krylov.basis) - len(pairs.top.values)  # in a small space the ends overlap
    ends = [(pairs.top, len(pairs.top.values)), (pairs.bottom, apart)]
    within = [end.residuals[:n] <= task.options.rtol * pairs.scale for end, n in ends]
    values = [end.values[:n][met] for (end, n), met in zip(ends, within, strict=True)]
    vectors = [end.vectors[:n][met] for (end, n), met in zip(ends, within, strict=True) if end.vectors is not None]
    return torch.cat(values), torch.cat(vectors)


def _density(
    task: _Task, known: tuple[Tensor, Tensor], dimension: int, used: int
) -> tuple[SpectralDensity, tuple[str, ...]]:
    """The density, with as many probes at a time and as many steps as memory holds."""
    options = task.options
    notes: tuple[str, ...] = ()
    steps = min(options.density_steps, max(1, task.max_rows))
    if steps < options.density_steps:
        needed = -(-options.density_steps * task.space.dim * task.like.element_size() // MB)
        notes = (
            f"the density has {steps} steps instead of {options.density_steps}, for lack of memory: raise "
            f"--hessian.max-basis-mb to {needed}",
        )

    def report(done: int) -> None:
        task.progress(used + done, "density")

    density = lanczos_quadrature(
        task.operator,
        task.normal(options.density_probes),
        num_steps=steps,
        dimension=dimension,
        deflated=known,
        project=task.project,
        group=max(1, task.max_rows // steps),
        progress=report,
    )
    return density, notes


def _subset(landscape: Landscape) -> float:
    """√(1 - n/N), by which an error over the choice of n of N samples is smaller than over samples of infinitely many.

    Zero if the data are all there are, or cannot be halved.
    """
    info = landscape.info
    if info.population is None or info.samples is None or info.samples >= info.population or landscape.num_batches < 2:
        return 0.0
    return sqrt(1 - info.samples / info.population)


def _sampling_products(options: HessianOptions) -> int:
    return options.top + options.probes


def _sampling(task: _Task, pairs: ExtremeEigenpairs | None) -> SamplingError:
    """Where the data are a subset of more: what the choice of it makes uncertain."""
    vectors = task.like[None][:0] if pairs is None or pairs.top.vectors is None else pairs.top.vectors
    probes = rademacher(task.options.probes, task.like, task.context.rng)
    return sampling_error(lambda half: task.matrix(half=half), vectors, probes, task.subset)


def _dimension(task: _Task) -> int:
    """The number of eigenvalues: P in flat space, else the trace of the projection onto the tangent space.

    In flat space costs nothing, in a curved one P projections.
    """
    probe = rademacher(1, task.like, torch.Generator().manual_seed(0))
    if torch.equal(task.project(probe), probe):
        return task.space.dim
    axes = torch.eye(task.space.dim, dtype=task.like.dtype, device=task.like.device)
    return round(float(task.project(axes).diagonal().sum()))

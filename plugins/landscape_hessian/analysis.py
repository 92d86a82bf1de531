"""The ``hessian`` analysis: the spectrum of one matrix at a point, or of several of its diagonal blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import xarray as xr
from torch import Tensor

from landscape.analysis import Context, Result, Unstored
from landscape.curvature.trace import TraceEstimates
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point
from landscape_hessian.blocks import Block, choose_blocks
from landscape_hessian.dataset import Summary, dataset, summary
from landscape_hessian.measuring import Spectrum, measure
from landscape_hessian.options import HessianOptions
from landscape_hessian.verdict import messages

__all__ = ["run"]

MAX_VECTOR_BYTES = 100 * 10**6
"""Eigenvectors that take more are stored only on request."""

BY_BLOCK = ("eigenvalue_max", "eigenvalue_min", "trace", "trace_stderr", "frobenius_norm")


def run(landscape: Landscape, points: Sequence[Point], options: HessianOptions, *, context: Context) -> Result:
    """Eigenvalues of both ends with residuals, trace, Frobenius norm and spectral density of a matrix at one point.

    Costs what ``measure`` says, for each block.
    """
    (point,) = points
    blocks = choose_blocks(landscape.space, options.blocks)
    if len(blocks) == 1:
        return _of_one(measure(landscape, point, blocks[0], options, context), options, blocks[0], point)
    return _joined([_of_block(landscape, point, block, options, context) for block in blocks], blocks, options)


def _of_one(spectrum: Spectrum, options: HessianOptions, block: Block, point: Point) -> Result:
    pairs = spectrum.pairs
    return Result(
        data=dataset(spectrum, options, block.name, point.step),
        summary=summary(spectrum, options),
        converged=(pairs is None or pairs.converged) and spectrum.soundness.sound,
        messages=messages(spectrum, options),
        vectors=_vectors(spectrum, options),
        budget_spent=pairs is not None and not (pairs.converged or pairs.exhausted),
    )


def _vectors(spectrum: Spectrum, options: HessianOptions) -> dict[str, Tensor]:
    """Eigenvectors and diagonal, as far as they are to be stored."""
    kept: dict[str, Tensor] = {}
    if spectrum.pairs is not None:
        ends = {"top": spectrum.pairs.top.vectors, "bottom": spectrum.pairs.bottom.vectors}
        kept = {name: vectors for name, vectors in ends.items() if vectors is not None and len(vectors)}
    size = sum(vectors.numel() * vectors.element_size() for vectors in kept.values())
    if options.vectors is False or (options.vectors is None and size > MAX_VECTOR_BYTES):
        kept = {}
    if options.diagonal and isinstance(spectrum.trace, TraceEstimates):
        kept["diagonal"] = spectrum.trace.diagonal
    return kept


def _of_block(landscape: Landscape, point: Point, block: Block, options: HessianOptions, context: Context) -> Result:
    """A block by itself: its random vectors are its own, its progress is shown with that of the whole task."""

    def report(key: str, done: float, total: float, text: str) -> None:
        context.progress(done, total, f"{block.name}: {text}")

    own = replace(context, key=f"{context.key}/{block.name}", storage=Unstored(), reporter=report)
    return _of_one(measure(landscape, point, block, options, own), options, block, point)


def _joined(results: Sequence[Result], blocks: Sequence[Block], options: HessianOptions) -> Result:
    """One result of several blocks: a dimension ``block`` in front, lists in the summary."""
    names = [block.name for block in blocks]
    short: Summary = {"matrix": options.matrix, "blocks": names}
    for name in BY_BLOCK:
        if all(name in result.summary for result in results):
            short[f"{name}_by_block"] = [result.summary[name] for result in results]
    for name in ("converged_top", "converged_bottom"):
        if all(name in result.summary for result in results):
            short[name] = all(result.summary[name] for result in results)
    short["symmetry_error"] = max(result.data.attrs["asymmetry"] for result in results)
    return Result(
        data=_stacked(results, names),
        summary=short,
        converged=all(result.converged for result in results),
        messages=tuple(
            f"{name}: {line}" for name, result in zip(names, results, strict=True) for line in result.messages
        ),
        vectors={
            f"{name}/{kind}": vectors
            for name, result in zip(names, results, strict=True)
            for kind, vectors in result.vectors.items()
        },
        budget_spent=any(result.budget_spent for result in results),
    )


def _stacked(results: Sequence[Result], names: Sequence[str]) -> xr.Dataset:
    """Arrays one behind the other, with NaN where a block has fewer entries; numbers of one block become arrays."""
    common = ("matrix", "mode", "num_classes")
    parts = []
    for result in results:
        traces = {name: result.summary[name] for name in ("trace", "trace_stderr") if name in result.summary}
        counts = {key: value for key, value in result.data.attrs.items() if key not in (*common, "block")}
        numbered = {dim: range(size) for dim, size in result.data.sizes.items() if dim in ("probe", "node")}
        parts.append(result.data.assign({**traces, **counts}).assign_coords(numbered))
    joined = xr.concat(parts, xr.Variable("block", list(names)), join="outer", combine_attrs="drop")
    joined.attrs = {key: results[0].data.attrs[key] for key in common if key in results[0].data.attrs}
    return joined

"""The block Krylov space of a symmetric operator, with full re-orthogonalisation and thick restart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import hypot, isfinite

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from landscape.curvature.operator import SymmetricOperator, everywhere
from landscape.errors import AnalysisError

__all__ = ["BREAKDOWN", "Krylov", "init", "restart", "resumed", "ritz", "state", "step"]

# A new basis vector shorter than this, relative to the operator, is rounding noise. eps * sqrt(P) was found too tight.
BREAKDOWN = {torch.float64: 1e-12, torch.float32: 1e-6}

CHUNK_ELEMENTS = 2**24  # a restart turns so many numbers of the basis at a time


@dataclass(eq=False)
class Krylov:
    """A space that a symmetric A maps almost into itself: A Vᵀ = Vᵀ T + Fᵀ C.

    The m rows of V are an orthonormal basis and T = V A Vᵀ. The b rows of F, orthonormal and orthogonal to V, are where
    A leads out of it. ``step`` and ``restart`` change the space in place. Memory: one vector of the operator's dtype
    per row.

    Attributes
    ----------
    buffer
        Rows hold V, then F.
    table
        Holds T and below it C, float64 on the CPU; zero elsewhere.
    size, width
        m and b.
    project
        Keeps rows in the subspace that A acts in (a tangent space); the identity if that is all of R^P. Without it
        rounding leaks out of the subspace and grows into Ritz values that are none of A's.
    max_basis
        The most rows that V may have, P at most; a full space needs a restart.
    num_products
        Products that it took: for the rows of V, and for those that restarts gave up.
    scale
        The largest entry that T and C had, a lower bound of |A|.
    dropped
        Norm of what was dropped from F as rounding noise.
    """

    buffer: Float[Tensor, "rows P"]
    table: Float[Tensor, "c c"]
    size: int
    width: int
    project: Callable[[Tensor], Tensor]
    max_basis: int
    num_products: int = 0
    scale: float = 0.0
    dropped: float = 0.0

    @property
    def basis(self) -> Float[Tensor, "m P"]:
        """V."""
        return self.buffer[: self.size]

    @property
    def projected(self) -> Float[Tensor, "m m"]:
        """T, float64 on the CPU."""
        return self.table[: self.size, : self.size]

    @property
    def frontier(self) -> Float[Tensor, "b P"]:
        """F, the next block to be multiplied."""
        return self.buffer[self.size : self.size + self.width]

    @property
    def coupling(self) -> Float[Tensor, "b m"]:
        """C = F A Vᵀ, float64 on the CPU."""
        return self.table[self.size : self.size + self.width, : self.size]

    @property
    def exhausted(self) -> bool:
        """Whether the space is closed: A maps it to itself and another step would add rounding noise only."""
        return not self.width

    @property
    def full(self) -> bool:
        """Whether V has no place for the frontier."""
        return self.size + self.width > self.max_basis


def init(start: Float[Tensor, "*b P"], project: Callable[[Tensor], Tensor] = everywhere) -> Krylov:
    """The Krylov space of a start vector, or of a block of them, before the first product.

    A block of b counts eigenvalues up to multiplicity b. Device and dtype are those of the start.
    """
    rows, factor = _orthonormal(project(start.reshape(-1, start.shape[-1])))
    factor = factor.double().cpu()
    rows, _, _ = _independent(rows, factor, BREAKDOWN[rows.dtype] * float(factor.abs().max()), len(rows))
    if not len(rows):
        raise ValueError("Lanczos: the start vector is zero in the subspace that the operator acts in")
    return Krylov(rows, torch.zeros(0, 0, dtype=torch.float64), 0, len(rows), project, max_basis=rows.shape[1])


def step(operator: SymmetricOperator, space: Krylov) -> Krylov:
    """The space, with the frontier taken in. Costs b products in one block and 8 b m P flops; nothing if exhausted.

    What the images have outside of V and F is found by two passes of classical Gram-Schmidt: matrix products, and
    enough to keep V orthonormal to rounding (Giraud, Langou & Rozložník 2005). Several remainders are orthonormalised
    between the passes: if they are nearly dependent the rounding of their size is large beside what sets them apart.
    """
    if space.exhausted:
        return space
    if space.full:
        raise ValueError(f"Lanczos: {space.size} basis vectors of at most {space.max_basis}: restart first")
    m, b = space.size, space.width
    known = space.buffer[: m + b]
    images = operator.matmat(known[m:])
    coefficients = images @ known.T
    rows = space.project(torch.addmm(images, coefficients, known, alpha=-1))
    rows, first = _orthonormal(rows) if b > 1 else (rows, rows.new_ones(1, 1))
    rows, second = _orthonormal(torch.addmm(rows, rows @ known.T, known, alpha=-1))
    diagonal, first, second = torch.stack([part.double() for part in (coefficients[:, m:], first, second)]).cpu()
    space.num_products += b
    largest = float(diagonal.abs().max())
    if not isfinite(largest):
        raise AnalysisError(
            f"Lanczos: product {space.num_products} with the operator is not finite; try --dtype float64"
        )
    outward = second @ first
    space.scale = max(space.scale, largest, float(outward.abs().max()))
    rows, outward, noise = _independent(rows, outward, BREAKDOWN[rows.dtype] * space.scale, operator.dim - m - b)
    space.dropped = hypot(space.dropped, noise)
    _take_in(space, (diagonal + diagonal.T) / 2, rows, outward)
    return space


def _take_in(space: Krylov, diagonal: Float[Tensor, "b b"], rows: Float[Tensor, "r P"], outward: Tensor) -> None:
    """F joins V and the new rows are the frontier: T grows by C and the diagonal block, C becomes (0, outward)."""
    old, new, end = space.size, space.size + space.width, space.size + space.width + len(rows)
    if end > len(space.table):
        space.table = pad(space.table, (0, end, 0, end))
    space.table[:old, old:new] = space.coupling.T
    space.table[old:new, old:new] = diagonal
    space.table[new:end, old:new] = outward
    if end > len(space.buffer):
        _grow(space, new, end)
    space.buffer[new:end] = rows
    space.size, space.width = new, len(rows)


def _orthonormal(rows: Float[Tensor, "b P"]) -> tuple[Float[Tensor, "c P"], Float[Tensor, "c b"]]:
    """Orthonormal Q and R with rows = Rᵀ Q. By Householder: Q is orthonormal even where the rows are dependent."""
    if len(rows) > 1:
        columns, factor = torch.linalg.qr(rows.T)
        return columns.T, factor
    size = torch.linalg.vector_norm(rows, dtype=torch.float64)
    return rows / size.clamp(min=torch.finfo(rows.dtype).tiny), size.reshape(1, 1)


def _independent(
    rows: Float[Tensor, "c P"], factor: Float[Tensor, "c b"], tolerance: float, most: int
) -> tuple[Float[Tensor, "r P"], Float[Tensor, "r b"], float]:
    """Those directions of Rᵀ Q, so many at most, whose singular values exceed a tolerance; the norm of the others."""
    if factor.numel() == 1 and most and abs(factor.item()) > tolerance:
        return rows, factor, 0.0
    u, sizes, vh = torch.linalg.svd(factor, full_matrices=False)
    rank = min(sum(size > tolerance for size in sizes.tolist()), most)
    if rank == len(rows):
        return rows, factor, 0.0
    return u[:, :rank].T.to(rows) @ rows, sizes[:rank, None] * vh[:rank], float(sizes[rank:].norm())


def _grow(space: Krylov, used: int, needed: int) -> None:
    """The buffer doubles, or takes all that ``max_basis`` allows where it could not double again within it.

    Old and new exist together. So the last growth starts with at most half of the rows, and goes by way of the host: a
    GPU never holds more than all of them, the host neither, whose pages count when they are written.
    """
    held, like = space.buffer[:used], space.buffer.new_empty(0)
    capacity, most = max(needed, 2 * len(space.buffer)), max(needed, space.max_basis + space.width)
    if 2 * capacity > most:
        held, capacity = held.cpu(), most
    space.buffer = like  # the old one is gone before the new one comes
    space.buffer = like.new_empty(capacity, held.shape[1])
    space.buffer[:used] = held


def restart(space: Krylov, keep: Int[Tensor, " k"]) -> Krylov:
    """The space of some of its Ritz vectors, with the same frontier: T = diag(θ), C = C S. Costs 2 k m P flops only.

    A thick restart: ``step`` goes on as from any other space, and what is kept goes on converging.

    Parameters
    ----------
    keep
        Places of the Ritz pairs to keep, in ascending order of θ. The outermost at both ends set the scale of A.

    Sources: Wu & Simon 2000; Stewart 2001 (Krylov-Schur), of which this is the symmetric case.
    """
    values, s = torch.linalg.eigh(space.projected)
    k, turn, frontier = len(keep), s[:, keep].T.to(space.buffer), space.frontier.clone()
    for columns in torch.split(space.buffer, max(1, CHUNK_ELEMENTS // space.size), dim=1):
        columns[:k] = turn @ columns[: space.size]
    space.buffer[k : k + space.width] = frontier
    table = torch.zeros_like(space.table)
    table[:k, :k], table[k : k + space.width, :k] = values[keep].diag(), space.coupling @ s[:, keep]
    space.table, space.size, space.scale = table, k, max(space.scale, float(values.abs().max()))
    return space


def ritz(space: Krylov) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"], Float[Tensor, "m m"]]:
    """Ritz values θ, ascending, their residuals |A y - θ y|, and the s as columns: y = sᵀV. float64 on the CPU.

    The residuals are |C s|, but none is below the rounding of the products, and what was dropped counts in all of them.
    """
    values, s = torch.linalg.eigh(space.projected)
    rounding = hypot(torch.finfo(space.buffer.dtype).eps * space.scale, space.dropped)
    return values, (space.coupling @ s).square().sum(dim=0).add(rounding**2).sqrt(), s


def state(space: Krylov) -> dict[str, Tensor]:
    """All of a space as tensors on the CPU, to be stored."""
    end = space.size + space.width
    return {
        "rows": space.buffer[:end].to("cpu", copy=True),
        "table": space.table[:end, :end].clone(),
        "counts": torch.tensor([space.size, space.width, space.num_products]),
        "scales": torch.tensor([space.scale, space.dropped], dtype=torch.float64),
    }


def resumed(fresh: Krylov, state: Mapping[str, Tensor]) -> Krylov:
    """The stored space on the device, in the dtype and in the subspace of a fresh one."""
    size, width, num_products = state["counts"].tolist()
    scale, dropped = state["scales"].tolist()
    return Krylov(
        state["rows"].to(fresh.buffer),
        state["table"].clone(),
        size,
        width,
        fresh.project,
        fresh.max_basis,
        num_products,
        scale,
        dropped,
    )

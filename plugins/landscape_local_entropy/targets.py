"""When a node has been sampled enough, and what it lacks until then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import inf, log, sqrt

from landscape_local_entropy.diagnostics import VIRIAL_ERROR, Evidence, evidence_of, virial_of
from landscape_local_entropy.draws import Draws, Node

__all__ = ["Shortfall", "shortfall", "wanted_errors"]

RHAT, ESS = 1.02, 200.0  # what sampling aims at: verdicts are passed at 1.05 and 100
NEGLIGIBLE = 0.05  # nats: below that an error is no longer compared with the value


@dataclass(frozen=True)
class Shortfall:
    """What a node lacks, in words, and about how many times the draws it has it would need."""

    words: str
    times: float


def wanted_errors(nodes: Sequence[Node], llc: Sequence[float], rtol: float) -> list[float]:
    """The standard error that each node's β⟨ΔL⟩ may have, so that Φ and the LLC are known to ``rtol`` of their values.

    Where several nodes share a γ they are the nodes of the integral Φ = -∫ LLC d ln β. Each of n may contribute
    rtol |Φ| / √n to its error; a node counts by the width that it stands for (trapezoidal rule). The LLC itself is
    wanted at the largest β of each γ.
    """
    wanted = [0.0] * len(nodes)
    order = sorted(range(len(nodes)), key=lambda i: (nodes[i].gamma, nodes[i].beta))
    for _, group in groupby(order, key=lambda i: nodes[i].gamma):
        curve = list(group)
        logs = [log(nodes[i].beta) for i in curve]
        edges = [logs[0], *((low + high) / 2 for low, high in pairwise(logs)), logs[-1]]
        widths = [high - low for low, high in pairwise(edges)]
        phi = sum(width * llc[i] for width, i in zip(widths, curve, strict=True))
        share = rtol * max(abs(phi), NEGLIGIBLE) / sqrt(len(curve))
        for i, width in zip(curve, widths, strict=True):
            wanted[i] = share / width if width else inf
        last = curve[-1]
        wanted[last] = min(wanted[last], rtol * max(abs(llc[last]), NEGLIGIBLE))
    return wanted


def shortfall(draws: Draws, node: Node, dim: int, wanted: float) -> Shortfall | None:
    """What the chains of a node lack of what is aimed at; None if nothing."""
    if not draws.rise.numel():
        return Shortfall("no draws", inf)
    rise = evidence_of(draws.rise)
    ratio, uncertain = virial_of(draws, node, dim)
    error = node.beta * rise.standard_error
    found = [
        *_unmixed("ΔL", rise),
        *_unmixed("x·∇ΔL", evidence_of(draws.pull)),
        (
            error > wanted,
            (error / wanted) ** 2,
            f"standard error {error:.2g} of the learning coefficient (want {wanted:.2g})",
        ),
        (
            abs(ratio - 1) > VIRIAL_ERROR,
            max(2.0, (2 * uncertain / VIRIAL_ERROR) ** 2),
            f"virial ratio {ratio:.3f} (want 1 to within {VIRIAL_ERROR})",
        ),
    ]
    lacking = [(times, words) for lacks, times, words in found if lacks]
    return Shortfall(", ".join(words for _, words in lacking), max(lacking)[0]) if lacking else None


def _unmixed(name: str, found: Evidence) -> list[tuple[bool, float, str]]:
    return [
        (found.rhat > RHAT, 2.0, f"R-hat {found.rhat:.3g} of {name} (want {RHAT})"),
        (found.ess < ESS, ESS / max(found.ess, 1.0), f"ESS {found.ess:.0f} of {name} (want {ESS:.0f})"),
    ]

"""Local entropy and learning coefficient at a point: the plan of the chains and what they say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from landscape.analysis import Context
from landscape.landscapes.protocol import Landscape
from landscape.neighbourhood.around import Neighbourhood
from landscape.neighbourhood.temperature import inverse_temperature
from landscape.parameters import Point
from landscape_local_entropy.chains import Sampled, sample
from landscape_local_entropy.draws import Node
from landscape_local_entropy.franz_parisi import FranzParisi, franz_parisi
from landscape_local_entropy.free_energy import (
    Curve,
    FreeEnergy,
    Quadrature,
    along_gamma,
    free_energy,
    gamma_nodes,
    lowest_beta,
    reference_rises,
    reweighted,
)
from landscape_local_entropy.options import LocalEntropyOptions
from landscape_local_entropy.osculating import Osculating, osculating
from landscape_local_entropy.sgld import sgld_bias
from landscape_local_entropy.stations import Station, station

__all__ = ["Ground", "LocalEntropy", "measure", "survey"]

_REFERENCE_DRAWS = 512


@dataclass(frozen=True, eq=False)
class Ground:
    """What is known of the neighbourhood of a point before any chain runs.

    Attributes
    ----------
    around
        The neighbourhood.
    beta, beta_words
        β and where it comes from.
    parabola
        Gradient and Hessian at the point.
    """

    around: Neighbourhood
    beta: float
    beta_words: str
    parabola: Osculating


@dataclass(frozen=True, eq=False)
class LocalEntropy:
    """What the chains say of the neighbourhood of a point.

    Attributes
    ----------
    ground
        What was known before.
    sampled
        The chains.
    ascent
        Their stations at ascending β and the given γ: the last is at β itself.
    across
        Those at β and ascending γ: the middle one is the last of ``ascent``.
    free
        Φ(β, γ) by integration along ``ascent``.
    curve
        Φ along ``across``.
    potential
        The Franz-Parisi potential.
    """

    ground: Ground
    sampled: Sampled
    ascent: tuple[Station, ...]
    across: tuple[Station, ...]
    free: FreeEnergy
    curve: Curve
    potential: FranzParisi

    @property
    def here(self) -> Station:
        """The station at the given β and γ."""
        return self.ascent[-1]

    @property
    def step_bias(self) -> float:
        """By how much the step of unadjusted chains raises the LLC, if the loss is its parabola; see ``sgld_bias``."""
        ground, node = self.ground, self.here.node
        size = self.here.draws.step_size
        return sgld_bias(ground.parabola.density, ground.around.dim, node.beta, node.gamma, size)

    @property
    def stations(self) -> tuple[Station, ...]:
        """All, each once."""
        return self.ascent + tuple(one for one in self.across if one is not self.here)


def survey(landscape: Landscape, point: Point, options: LocalEntropyOptions, context: Context) -> Ground:
    """The temperature, and the parabola that osculates the loss; see ``osculating``."""
    around = Neighbourhood.of(landscape, point, options.metric)
    beta, words = inverse_temperature(options.beta, landscape.info, "--local-entropy.beta")

    def progress(products: int) -> None:
        context.progress(0, options.max_gradients, f"{products} products with the Hessian")

    return Ground(around, beta, words, osculating(around, context.rng, options.probes, progress))


def measure(ground: Ground, options: LocalEntropyOptions, context: Context) -> LocalEntropy:
    """Φ and the LLC of a point from chains at all temperatures at once.

    Costs the budget in gradients at most, and 512 energies of the reference.

    Raises
    ------
    BudgetError
        If the budget does not cover the warm-up.
    """
    around, beta, parabola = ground.around, ground.beta, ground.parabola
    rises = reference_rises(around, options.gamma, _REFERENCE_DRAWS, context.rng)
    quadrature = Quadrature.between(lowest_beta(rises, beta), beta, options.nodes)
    gammas = gamma_nodes(options.gamma, options.gamma_span, options.gamma_nodes)
    nodes = [
        *(Node(float(one), options.gamma) for one in quadrature.betas),
        *(Node(beta, float(gamma)) for gamma in gammas if gamma != options.gamma),
        *(Node(beta, gamma) for gamma in _for_distances(parabola, beta, gammas, options)),
    ]
    diagonal = parabola.diagonal if options.preconditioner == "diagonal" else None
    sampled = sample(around, nodes, diagonal, options, context, budget=options.max_gradients)
    found = [station(node, draws, around.dim) for node, draws in zip(nodes, sampled.draws, strict=True)]
    ascent, rest = found[: len(quadrature.betas)], found[len(quadrature.betas) :]
    others, further = rest[: len(gammas) - 1], rest[len(gammas) - 1 :]
    across = sorted([ascent[-1], *others], key=lambda one: one.node.gamma)
    free = free_energy(
        quadrature, [one.llc for one in ascent], [one.llc_stderr for one in ascent],
        reweighted(rises, float(quadrature.betas[0])),
    )  # fmt: skip
    curve = _along(gammas, across, free, gammas)
    potential = _potential(gammas, across, further, free, around.dim, options)
    return LocalEntropy(ground, sampled, tuple(ascent), tuple(across), free, curve, potential)


def _for_distances(
    parabola: Osculating, beta: float, gammas: Sequence[float], options: LocalEntropyOptions
) -> list[float]:
    """Stiffnesses at which chains should be at home at the distances asked for, as far as the γ of the curve reach."""
    wanted = (parabola.stiffness_at(distance, beta, gammas[0], gammas[-1]) for distance in options.distances)
    return [gamma for gamma in wanted if gamma is not None]


def _along(gammas: Sequence[float], across: Sequence[Station], free: FreeEnergy, wanted: Sequence[float]) -> Curve:
    """Φ at the γ that are wanted."""
    slopes, errors = [one.slope for one in across], [one.slope_stderr for one in across]
    return along_gamma(gammas, slopes, errors, (free.phi, free.standard_error), wanted)


def _potential(
    gammas: Sequence[float],
    across: Sequence[Station],
    further: Sequence[Station],
    free: FreeEnergy,
    dim: int,
    options: LocalEntropyOptions,
) -> FranzParisi:
    stations = [*across, *further]
    stiffnesses = [one.node.gamma for one in stations]
    phi = _along(gammas, across, free, stiffnesses)
    squares = [one.draws.square for one in stations]
    return franz_parisi(stiffnesses, squares, phi.phi.tolist(), phi.standard_error.tolist(), dim, options.distances)

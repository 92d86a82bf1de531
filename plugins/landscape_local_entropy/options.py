"""What can be asked of the neighbourhood of a minimum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["LocalEntropyOptions"]

SMALLEST, LARGEST = 1e-12, 1e12  # of lengths and temperatures: their squares are finite in float32
MOST_NODES = 1024


@dataclass(frozen=True)
class LocalEntropyOptions:
    """Options of the local entropy.

    Attributes
    ----------
    beta
        Inverse temperature of the mean loss. By default n / ln n for n samples, and 1 where there are no data.
    gamma
        Stiffness of the reference measure: without the loss each coordinate has variance 1 / gamma, in units of the
        metric.
    gamma_span
        The curve against the distance runs from gamma / gamma_span to gamma * gamma_span.
    gamma_nodes
        How many values of gamma it has, an odd number; 1 for the given gamma alone.
    metric
        Units of a displacement: identity; weights (each by its own absolute value); filter (each by the root mean
        square of its filter).
    sampler
        hmc (Hamiltonian Monte Carlo); mala (with one step); sgld (mini-batches, unadjusted: biased by its step).
    preconditioner
        Mass matrix of hmc and mala: diagonal (of the Hessian, by Hutchinson's estimator) or identity.
    probes
        Products with the Hessian for its diagonal, and Lanczos runs for the Laplace value.
    chains
        Chains for each temperature, two or more.
    nodes
        Intervals of the quadrature over ln beta, a multiple of 4; half of them tell its error.
    rtol
        Sampling goes on until the standard errors of phi and llc are at most so much of their values.
    sgld_step
        Step of sgld, in units of 1 / (largest curvature of the sampled measure).
    distances
        Further distances of the Franz-Parisi curve, in units of the metric, within those that gamma_span reaches.
    volume_loss
        The volume where the loss has risen by at most this is measured along rays; by default it is not. On a sphere:
        how far above the point's loss a solution may lie, by default not at all.
    volume_preconditioner
        How rays are stretched: hessian (full, dense) or diagonal.
    rays
        How many rays.
    particles
        Of multilevel splitting, on a sphere.
    max_gradients
        Budget in gradients over the full data.
    """

    beta: float | None = None
    gamma: float = 10.0
    gamma_span: float = 10.0
    gamma_nodes: int = 5
    metric: Literal["identity", "weights", "filter"] = "identity"
    sampler: Literal["hmc", "mala", "sgld"] = "hmc"
    preconditioner: Literal["diagonal", "identity"] = "diagonal"
    probes: int = 16
    chains: int = 8
    nodes: int = 16
    rtol: float = 0.01
    sgld_step: float = 0.1
    distances: tuple[float, ...] = ()
    volume_loss: float | None = None
    volume_preconditioner: Literal["hessian", "diagonal"] = "hessian"
    rays: int = 4000
    particles: int = 300
    max_gradients: int = 200_000

    def __post_init__(self) -> None:
        for name in ("beta", "gamma", "rtol", "sgld_step", "volume_loss"):
            value = getattr(self, name)
            if value is not None and not SMALLEST <= value <= LARGEST:
                raise ValueError(f"{name} must be a positive number, from {SMALLEST:g} to {LARGEST:g}, got {value}")
        least = {"gamma_nodes": 1, "probes": 2, "chains": 2, "nodes": 4, "rays": 2, "particles": 10, "max_gradients": 1}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ValueError(f"{name} must be {value} or more, got {getattr(self, name)}")
        if max(self.nodes, self.gamma_nodes) > MOST_NODES:
            found = f"{self.nodes} and {self.gamma_nodes}"
            raise ValueError(f"nodes and gamma_nodes must be {MOST_NODES} or less, got {found}")
        if not 1 < self.gamma_span <= LARGEST:
            raise ValueError(f"gamma_span must be above 1, and {LARGEST:g} at most, got {self.gamma_span}")
        if self.gamma_nodes % 2 == 0:
            raise ValueError(f"gamma_nodes must be odd, so that gamma is one of them, got {self.gamma_nodes}")
        if self.sgld_step >= 2:
            raise ValueError(
                f"sgld_step must be below 2: longer steps overshoot, and diverge at 4, got {self.sgld_step}"
            )
        if self.nodes % 4:
            raise ValueError(f"nodes must be a multiple of 4, got {self.nodes}")
        if not all(SMALLEST <= r <= LARGEST for r in self.distances):
            raise ValueError(
                f"distances must be positive numbers, from {SMALLEST:g} to {LARGEST:g}, got {self.distances}"
            )

"""What can be asked of the flatness of a minimum."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FlatnessOptions"]

SMALLEST, LARGEST = 1e-12, 1e12  # of lengths and temperatures: their squares are finite in float32


@dataclass(frozen=True)
class FlatnessOptions:
    """Options of the flatness measures.

    Attributes
    ----------
    sigma
        Standard deviation of the perturbations of the average sharpness, per coordinate.
    adaptive_sigma
        The same relative to each weight, for the adaptive average sharpness and the local energy.
    sigmas
        How many values the local-energy curve has, from adaptive_sigma / 10 to 2 adaptive_sigma.
    draws
        Random perturbations, in pairs of opposite sign.
    rho
        Radius of the ball of the worst case, as a fraction of the norm of the weights.
    adaptive_rho
        Radius of the ball of the adaptive worst case, where a weight's displacement is divided by its absolute value.
    ascent_steps
        Projected gradient steps of the worst cases, of each mini-batch (--batch-size) by itself.
    error_rise
        By how much the error may rise on average for PAC-Bayes' sigma.
    beta
        Inverse temperature of the Laplace value. By default n / ln n for n samples, and 1 where there are no data.
    gamma
        Stiffness of its reference measure: without the loss each weight has variance 1 / gamma.
    probes
        Random vectors for trace, Frobenius norm, relative flatness and Laplace value.
    """

    sigma: float = 0.05
    adaptive_sigma: float = 0.3
    sigmas: int = 9
    draws: int = 64
    rho: float = 0.05
    adaptive_rho: float = 0.5
    ascent_steps: int = 20
    error_rise: float = 0.1
    beta: float | None = None
    gamma: float = 10.0
    probes: int = 32

    def __post_init__(self) -> None:
        for name in ("sigma", "adaptive_sigma", "rho", "adaptive_rho", "error_rise", "beta", "gamma"):
            value = getattr(self, name)
            if value is not None and not SMALLEST <= value <= LARGEST:
                raise ValueError(f"{name} must be a positive number, from {SMALLEST:g} to {LARGEST:g}, got {value}")
        least = {"sigmas": 2, "draws": 4, "ascent_steps": 1, "probes": 2}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ValueError(f"{name} must be {value} or more, got {getattr(self, name)}")
        if self.draws % 2:
            raise ValueError(f"draws must be even, as they come in pairs of opposite sign, got {self.draws}")

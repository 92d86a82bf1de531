"""Whether the numbers can be believed, and what the reader has to know of them."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from landscape.neighbourhood.laplace import negative_part
from landscape_local_entropy.diagnostics import LEAST_ESS, VIRIAL_ERROR, WORST_RHAT
from landscape_local_entropy.measuring import LocalEntropy
from landscape_local_entropy.options import LocalEntropyOptions
from landscape_local_entropy.stations import Station

__all__ = ["doubts", "remarks"]

_DRIFT = 0.1  # of Φ, or of a nat where Φ is smaller: more than that is no minimum
_ERRORS = 2.0  # standard errors
_SCATTER = 3.0  # standard errors, of a difference that is mostly noise
_PERCENT = 0.01
_LONGER = "raise --local-entropy.max-gradients"
_NEGLIGIBLE = 0.01  # nats: what rounding may make of a zero


def doubts(found: LocalEntropy, options: LocalEntropyOptions) -> Iterator[str]:
    """The reasons not to believe the numbers, the gravest first; none where they have converged."""
    yield from _no_minimum(found, options)
    info = found.ground.around.landscape.info
    if info.batch_norm == "recalibrate":
        yield (
            "batch-norm statistics are re-estimated at every point while gradients hold them fixed, so that x·∇ΔL, and "
            "with it the virial ratio and the curve along gamma, is not that of this loss: take --bn frozen"
        )
    if info.samples == 1:
        yield f"there is one sample, of which no loss landscape is typical; {found.ground.beta_words}"
    yield from _unmixed(found, options)
    if not found.sampled.done:
        reason = found.sampled.reason
        spent = f"the budget of {options.max_gradients} gradients is spent: {reason}; {_LONGER}"
        yield reason if _LONGER in reason else spent
    allowed = max(_PERCENT * abs(found.free.phi), _SCATTER * found.free.standard_error, _NEGLIGIBLE)
    if found.free.quadrature_error > allowed:
        yield (
            f"half of the nodes in ln beta change phi by {found.free.quadrature_error:.2g}: raise --local-entropy.nodes"
        )


def _no_minimum(found: LocalEntropy, options: LocalEntropyOptions) -> Iterator[str]:
    drift = found.ground.parabola.drift(found.ground.beta, options.gamma)
    below = _positive(-found.here.llc, found.here.llc_stderr) or _positive(found.free.phi, found.free.standard_error)
    if drift > _DRIFT * max(1.0, abs(found.free.phi)):
        yield (
            f"{found.ground.around.point.id} is not a minimum: its gradient has norm "
            f"{found.ground.parabola.gradient_norm:.2g}, which alone changes phi by {drift:.2g}; train it to the end, "
            "or lower --local-entropy.beta"
        )
    elif below:
        yield (
            f"{found.ground.around.point.id} is not a minimum: the loss is lower around it (phi {found.free.phi:.3g}, "
            f"llc {found.here.llc:.3g}); train it to the end, or raise --local-entropy.gamma"
        )


def _positive(value: float, standard_error: float) -> bool:
    """Whether a number of nats is clearly above zero."""
    return value > max(_ERRORS * standard_error, _NEGLIGIBLE)


def _unmixed(found: LocalEntropy, options: LocalEntropyOptions) -> Iterator[str]:
    """The worst node by each of the three criteria."""
    stations = found.stations
    worst = max(stations, key=lambda one: one.rhat)
    if worst.rhat > WORST_RHAT:
        value = f"is {worst.rhat:.3g}" if isfinite(worst.rhat) else "has no value"
        yield f"R-hat {value} at {worst.node}, want {WORST_RHAT} or less: {_LONGER}"
    fewest = min(stations, key=lambda one: one.ess)
    if fewest.ess < LEAST_ESS:
        yield f"effective sample size {fewest.ess:.0f} at {fewest.node}, below {LEAST_ESS:.0f}: {_LONGER}"
    away = max(stations, key=lambda one: abs(one.virial - 1))
    if abs(away.virial - 1) > VIRIAL_ERROR:
        yield (
            f"virial ratio {away.virial:.4g} (standard error {away.virial_stderr:.2g}) at {away.node}, want 1 to "
            f"within {VIRIAL_ERROR}: {_virial_advice(away, options)}"
        )


def _virial_advice(away: Station, options: LocalEntropyOptions) -> str:
    if away.virial > 1 and options.sampler == "sgld" and away.rhat <= WORST_RHAT:
        return "lower --local-entropy.sgld-step"
    return _LONGER


def remarks(found: LocalEntropy, options: LocalEntropyOptions) -> Iterator[str]:
    """What the reader has to know, whatever the verdict."""
    yield found.ground.beta_words
    yield from found.potential.messages
    if found.curve.quadrature_error > max(_PERCENT * abs(found.free.phi), _SCATTER * found.free.standard_error):
        yield (
            f"half of the nodes in ln gamma change phi along the curve by up to {found.curve.quadrature_error:.2g}: "
            "raise --local-entropy.gamma-nodes"
        )
    if options.sampler == "sgld":
        yield (
            f"sgld accepts every step: in a bowl steps of this size raise llc by {found.step_bias:.2g}, mini-batches "
            "by more; lower --local-entropy.sgld-step, or take --local-entropy.sampler hmc"
        )
    divergences = sum(one.draws.divergences for one in found.stations)
    if divergences > _PERCENT * sum(one.draws.rise.numel() for one in found.stations):
        yield (
            f"{divergences} proposals were not finite and were rejected: the loss overflows within reach of the steps; "
            "a larger --local-entropy.gamma keeps them nearer"
        )
    norm = float(found.ground.around.point.vector.norm())
    if options.metric == "identity" and norm and found.here.r_rms > norm:
        yield (
            f"the neighbourhood reaches {found.here.r_rms:.2g}, further than the weights are long ({norm:.2g}): "
            "raise --local-entropy.gamma"
        )
    _, share = negative_part(found.ground.parabola.density, found.ground.parabola.dim)
    if share > _PERCENT:
        yield (
            f"the Hessian has negative eigenvalues, {share:.0%} of the sum of absolute values: the Laplace value takes "
            "them for flat"
        )

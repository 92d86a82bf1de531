"""Whether minima are at the same loss, without which no measure of flatness compares them."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["loss_warning"]

AGREE = 0.1  # relative to the larger: losses that differ by less are compared
TINY = 1e-12  # losses as small as that are all zero


def loss_warning(losses: Sequence[float], labels: Sequence[str]) -> str | None:
    """What to say of points whose training losses differ by more than 10 %; None where they agree."""
    low, high = min(losses), max(losses)
    if high - low <= AGREE * max(abs(low), abs(high)) + TINY:
        return None
    least, most = labels[losses.index(low)], labels[losses.index(high)]
    return (
        f"TRAINING LOSSES DIFFER: {low:.3g} at {least}, {high:.3g} at {most}: no measure of flatness compares minima "
        "but at equal loss. Take checkpoints whose losses agree within 10 %"
    )

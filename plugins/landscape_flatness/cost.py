"""What a measure takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from landscape.analysis import Cost
from landscape.landscapes.protocol import Work

__all__ = ["counted"]


def counted(work: Work) -> Callable[[], Cost]:
    """A function that says what a landscape was asked for since now, in full-data equivalents."""
    before = replace(work)

    def spent() -> Cost:
        return Cost(
            gradients=work.gradients - before.gradients,
            hvps=work.hvps - before.hvps,
            energies=work.energies - before.energies,
        )

    return spent

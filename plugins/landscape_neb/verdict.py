"""What the reader of a path has to know, the most important line first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from landscape.landscapes.protocol import Landscape
from landscape.paths import Path, energies_at
from landscape_neb.dataset import Curves
from landscape_neb.ends import Ends, Slope
from landscape_neb.options import NebOptions

__all__ = ["messages_of", "with_jump"]

_BESIDE = 1e-6  # in time: so close to an end only a jump can change the energy
_SAME = 1e-3  # of the larger end's size: closer ends are one minimum


def with_jump(landscape: Landscape, path: Path, line: Path, options: NebOptions) -> tuple[Path, str]:
    """The path, and a line on how the energy jumps next to an end, as batch-norm statistics can make it.

    The barrier is over the checkpoints' own energies, so it holds the jump. Costs two energies where one is suspected.
    """
    ends, inside = path.energies[[0, -1]], path.energies[[1, -2]]
    tolerance = max(options.tolerance or 1e-3 * line.barrier, 1e-3 * float(ends.abs().max()))
    if float((inside - ends).abs().max()) <= tolerance:
        return path, ""
    beside = energies_at(landscape, path.points, torch.tensor([_BESIDE, 1 - _BESIDE], dtype=torch.float64))
    path = replace(path, energy_evaluations=path.energy_evaluations + 2)
    jumps = [
        f"{float(end):.4g} at it, {float(near):.4g} beside it"
        for end, near in zip(ends, beside, strict=True)
        if float((near - end).abs()) > tolerance
    ]
    if not jumps:
        return path, ""
    where = "the ends" if len(jumps) == 2 else "an end"
    text = f"the loss jumps at {where} ({'; '.join(jumps)}): batch norm has the checkpoint's own statistics there"
    return path, f"{text}, and barriers are over those; compare --bn frozen"


def messages_of(ends: Ends, slopes: Sequence[Slope], curves: Curves, jump: str, options: NebOptions) -> tuple[str, ...]:
    """First that a partner was made, then the verdict, what casts doubt on it, and how to go on."""
    path, line = curves.path, curves.aligned_line or curves.line
    made = (ends.given[1].source,) if ends.is_made else ()
    unfinished = path.budget_spent and not path.converged
    more = (f"to go on from here: --neb.max-gradients {2 * options.max_gradients}",) if unfinished else ()
    said = (
        *made,
        *_verdict(ends, path),
        *_steep(ends, slopes, path, line),
        *((jump,) if jump else ()),
        *(curves.saddle.in_words() if curves.saddle else ()),
        *ends.messages,
        *_left_aside(ends, options),
        *more,
    )
    return tuple(dict.fromkeys(said))


def _verdict(ends: Ends, path: Path) -> tuple[str, ...]:
    """What the finder says, unless the ends are one point or nearly so."""
    a, b = ends.used
    if torch.equal(a.vector, b.vector):
        moved = not torch.equal(*(end.vector for end in ends.given))
        return (
            ("the second end is the first with its units exchanged or rescaled: aligned, they are one point",)
            if moved
            else path.messages
        )
    size = max(float(a.vector.norm()), float(b.vector.norm()))
    same = ends.distance_aligned < _SAME * size
    return (*(("both ends are the same minimum to a thousandth of their size",) if same else ()), *path.messages)


def _left_aside(ends: Ends, options: NebOptions) -> tuple[str, ...]:
    if ends.is_made or options.partner == NebOptions.partner:
        return ()
    return (f"--neb.partner {options.partner} is for a call with one checkpoint: it was left aside",)


def _steep(ends: Ends, slopes: Sequence[Slope], path: Path, line: Path) -> tuple[str, ...]:
    """Which ends are no minima."""
    energies = path.energies[[0, -1]].tolist()
    return tuple(
        f"{end.id} is not a minimum: gradient norm {slope.gradient_norm:.3g}, and a step of at most a tenth of the "
        f"distance along it lowers the loss by {slope.drop:.3g} from {energy:.4g}; train it further"
        for end, slope, energy in zip(ends.given, slopes, energies, strict=True)
        if slope.is_steep(energy, line.barrier)
    )

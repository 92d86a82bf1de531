"""The straight line and the path between two points, measured, as a result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
import xarray as xr

from landscape.analysis import Context, Result, resolve
from landscape.landscapes.protocol import Landscape
from landscape.parameters import Point
from landscape.paths import Path, alone, energies_at, errors_along, measured_line, straight
from landscape_neb.finding import chosen
from landscape_neb.options import NebOptions
from landscape_neb.partner import is_made, same_minimum

__all__ = ["run"]

_BESIDE = 1e-6  # in time: so close to an end only a jump can change the energy


def run(
    landscape: Landscape,
    groups: Sequence[Sequence[Point]],
    options: NebOptions | None = None,
    *,
    context: Context | None = None,
) -> Iterator[tuple[int, Result | Exception]]:
    """The minimum-energy path of each pair as it is found.

    Beyond the finder's budget a pair costs about 50 energies for the line and ten for each image of the final path,
    twice that where the objective knows an error.
    """
    options, context = options or NebOptions(), context or Context()
    finder, finder_options = chosen(options, context)
    for index, path in resolve(finder.find)(landscape, groups, finder_options, context=context):
        if isinstance(path, Exception):
            yield index, path
            continue
        pair = groups[index]
        between = landscape.anchored(pair)
        rng = context.task(index).rng
        line = measured_line(between, straight(between, pair[0].vector, pair[1].vector, rng), options.tolerance)
        path = _checked_at_ends(between, line, path, options)
        yield index, _result(between, pair, _with_errors(between, line), _with_errors(between, path), options)


def _with_errors(landscape: Landscape, path: Path) -> Path:
    return replace(path, errors=alone(landscape, errors_along(landscape, path.points, path.times)))


def _result(landscape: Landscape, pair: Sequence[Point], line: Path, path: Path, options: NebOptions) -> Result:
    partner = options.partner if is_made(pair[1]) else ""
    summary: dict[str, float | int | str] = {
        "max_loss": path.max_loss,
        "max_loss_linear": line.max_loss,
        "barrier": path.barrier,
        "barrier_linear": line.barrier,
        "barrier_above_chord": path.barrier_above_chord,
        "saddle_time": path.saddle_time,
        "length": path.length,
        "length_linear": line.length,
        "gradient_evaluations": path.gradient_evaluations,
        "energy_evaluations": path.energy_evaluations + line.energy_evaluations,
        "bracket": path.bracket,
        "finder": options.preset or options.finder,
    }
    return Result(
        data=_data(landscape, line, path),
        summary=summary | ({"partner": partner} if partner else {}),
        converged=path.converged,
        messages=_messages(pair, path, options),
        vectors={"path": path.points},
        budget_spent=path.budget_spent,
    )


def _checked_at_ends(landscape: Landscape, line: Path, path: Path, options: NebOptions) -> Path:
    """The path with a message where the energy jumps next to an end, as batch-norm statistics can make it.

    A barrier over the ends is then off by the jump. Costs two energies where one is suspected.
    """
    ends, inside = path.energies[[0, -1]], path.energies[[1, -2]]
    tolerance = max(options.tolerance or 1e-3 * line.barrier, 1e-3 * float(ends.abs().max()))
    if float((inside - ends).abs().max()) <= tolerance:
        return path
    beside = energies_at(landscape, path.points, torch.tensor([_BESIDE, 1 - _BESIDE], dtype=torch.float64))
    path = replace(path, energy_evaluations=path.energy_evaluations + 2)
    if float((beside - ends).abs().max()) <= tolerance:
        return path
    pairs = [f"{float(end):.4g} at it, {float(near):.4g} beside it" for end, near in zip(ends, beside, strict=True)]
    text = f"the loss jumps at the ends ({'; '.join(pairs)}): batch norm has the checkpoints' own statistics there"
    return replace(path, messages=(*path.messages, f"{text}, and barriers are over those; compare --bn frozen"))


def _messages(pair: Sequence[Point], path: Path, options: NebOptions) -> tuple[str, ...]:
    """What the reader has to know: first that a partner was made, then the verdict, then how to go on."""
    made = (pair[1].source,) if is_made(pair[1]) else ()
    same = ("both ends are the same minimum to a thousandth of their size",) if same_minimum(*pair) else ()
    unfinished = path.budget_spent and not path.converged
    more = (f"to go on from here: --neb.max-gradients {2 * options.max_gradients}",) if unfinished else ()
    return made + same + path.messages + more


def _data(landscape: Landscape, line: Path, path: Path) -> xr.Dataset:
    loss = {"long_name": "mean loss", "units": landscape.info.objective}
    arc = {"long_name": "normalised arc length", "units": "1"}
    data = xr.Dataset(
        {
            "energy": ("time", path.energies.numpy(), {**loss, "long_name": f"{loss['long_name']} on the path"}),
            "energy_linear": (
                "time_linear",
                line.energies.numpy(),
                {**loss, "long_name": f"{loss['long_name']} on the line"},
            ),
        },
        coords={"time": ("time", path.times.numpy(), arc), "time_linear": ("time_linear", line.times.numpy(), arc)},
    )
    for suffix, curve in (("", path), ("_linear", line)):
        if curve.errors is not None:
            attributes = {"long_name": "fraction of wrong answers", "units": "1"}
            data[f"error{suffix}"] = (f"time{suffix}", curve.errors.numpy(), attributes)
    return data

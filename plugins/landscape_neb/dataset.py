"""What was measured along lines and paths, as named arrays with units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import xarray as xr
from torch import Tensor

from landscape.landscapes.protocol import Landscape
from landscape.paths import Path
from landscape_neb.plane import PlaneEnergies, as_dataset
from landscape_neb.saddle import Saddle

__all__ = ["Curves", "dataset"]

_ARC = {"long_name": "normalised arc length", "units": "1"}
_FRACTION = {"long_name": "fraction of wrong answers", "units": "1"}


@dataclass(frozen=True, eq=False)
class Curves:
    """All that was measured for one pair.

    Attributes
    ----------
    line, aligned_line, path
        The straight line between the given ends; the one to the aligned end, where there is one; the path.
    validation
        The line's and the path's energies (and errors) on validation data, where there are some.
    saddle
        The evidence at the highest point.
    plane
        Energies in the plane of the path, where they were asked for.
    """

    line: Path
    aligned_line: Path | None
    path: Path
    validation: Mapping[str, tuple[Tensor, Tensor | None]]
    saddle: Saddle | None
    plane: PlaneEnergies | None


def dataset(landscape: Landscape, curves: Curves) -> xr.Dataset:
    """The arrays of one pair; see the README for their names."""
    named = {"": curves.path, "_linear": curves.line}
    if curves.aligned_line is not None:
        named["_linear_aligned"] = curves.aligned_line
    data = xr.Dataset()
    units = landscape.info.objective
    for suffix, curve in named.items():
        time = f"time{suffix}"
        data = data.assign_coords({time: (time, curve.times.numpy(), _ARC)})
        data[f"energy{suffix}"] = (time, curve.energies.numpy(), {"long_name": "mean loss", "units": units})
        if curve.errors is not None:
            data[f"error{suffix}"] = (time, curve.errors.numpy(), _FRACTION)
    for suffix, (energies, errors) in curves.validation.items():
        loss = {"long_name": "mean loss on validation data", "units": units}
        data[f"energy_val{suffix}"] = (f"time{suffix}", energies.numpy(), loss)
        if errors is not None:
            data[f"error_val{suffix}"] = (f"time{suffix}", errors.numpy(), _FRACTION)
    if curves.saddle is not None and len(curves.saddle.eigenvalues):
        attributes = {
            "long_name": "lowest eigenvalues of the Hessian at the saddle",
            "units": f"{units} per parameter²",
        }
        data["saddle_eigenvalue"] = ("rank", curves.saddle.eigenvalues.numpy(), attributes)
        data["saddle_residual"] = ("rank", curves.saddle.residuals.numpy(), attributes)
    return data if curves.plane is None else data.merge(as_dataset(curves.plane, units), combine_attrs="drop_conflicts")

"""Which of several points is the flattest?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from landscape import Context, Result

__all__ = ["combine"]

RESOLVED = 2.0  # standard errors of the difference of two points, 95 % for a single pair


def combine(results: Sequence[Result], *, context: Context) -> Result:
    """The points of a call from the flattest to the sharpest, by their average sharpness at the largest sigma.

    Points have independent draws, so that the variances of two estimates add in their difference.
    """
    data = _together(results)
    sharpness, error = data["sharpness"].values, data["sharpness_stderr"].values
    order = np.argsort(sharpness[:, -1])
    gaps = np.diff(sharpness[order, -1])
    resolved = bool((gaps > RESOLVED * np.hypot(error[order[1:], -1], error[order[:-1], -1])).all())
    names = [str(name) for name in data["point"].values[order]]
    messages = []
    if not resolved:
        messages.append(
            f"some neighbours in the order differ by less than {RESOLVED:g} standard errors; raise "
            "--average-sharpness.num-samples"
        )
    if (np.argsort(sharpness, axis=0) != order[:, None]).any():
        messages.append("another sigma puts the points in another order: see the figure")
    return Result(
        data=data,
        summary={"flattest": names[0], "sharpest": names[-1], "order": names, "order_resolved": resolved},
        converged=resolved and all(result.converged for result in results),
        messages=tuple(messages),
    )


def _together(results: Sequence[Result]) -> xr.Dataset:
    """The data of all results along a new dimension ``point``."""
    ids = xr.Variable("point", [result.points[0] for result in results], {"long_name": "point of the landscape"})
    return xr.concat([result.data for result in results], dim="point", join="exact").assign_coords(point=ids)

"""At which inverse temperature a minimum is looked at."""

from __future__ import annotations

from math import log

from landscape.landscapes.protocol import LandscapeInfo

__all__ = ["inverse_temperature"]


def inverse_temperature(given: float | None, info: LandscapeInfo, option: str) -> tuple[float, str]:
    """β of the mean loss, and in words where it comes from.

    n / ln n for n samples is the temperature at which β⟨ΔL⟩ estimates the learning coefficient that the Bayesian
    information criterion of singular models asks for (Watanabe, J. Mach. Learn. Res. 14, 867 (2013)).

    Parameters
    ----------
    option
        The flag that gives another one.
    """
    if given is not None:
        return given, f"beta = {given:g}, as given"
    if info.samples is None:
        return 1.0, f"beta = 1, as there are no data: {option} sets it"
    if info.samples < 2:
        return 1.0, f"beta = 1, as n / ln n has no value for one sample: take more data, or give {option}"
    beta = info.samples / log(info.samples)
    return beta, f"beta = n / ln n = {beta:.4g} for {info.samples} samples"

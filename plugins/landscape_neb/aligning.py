"""The symmetry by which ends are aligned."""

from __future__ import annotations

import torch

from landscape.analysis import Context
from landscape.landscapes.protocol import Landscape
from landscape.symmetry.discovery import symmetry_of
from landscape.symmetry.groups import Symmetry
from landscape_neb.options import NebOptions

__all__ = ["found_symmetry"]


def found_symmetry(landscape: Landscape, options: NebOptions, context: Context) -> Symmetry:
    """The symmetry found in the network, or read from the user's file."""
    spec = None if options.symmetry is None else context.open_mapping(options.symmetry)
    return symmetry_of(landscape, spec, rng=torch.Generator().manual_seed(context.seed))

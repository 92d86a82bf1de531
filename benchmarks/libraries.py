"""All libraries that are compared."""

from __future__ import annotations

from ours import OURS, PLUGIN
from peers import PEERS

__all__ = ["LIBRARIES"]

LIBRARIES = (OURS, PLUGIN, *PEERS)

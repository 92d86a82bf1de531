"""How much memory numerics may take when nobody said."""

from __future__ import annotations

import os

import torch

__all__ = ["spare_bytes"]


def spare_bytes(device: torch.device) -> int:
    """Half of what a GPU has free, a quarter of what the machine has."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free) // 2
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4

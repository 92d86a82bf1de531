"""How much memory numerics may take when nobody said."""

from __future__ import annotations

import os

import torch

__all__ = ["spare_bytes"]


def spare_bytes(device: torch.device, host_bytes: int | None = None) -> int:
    """Half of what a GPU has free, torch's unused cache too; else ``host_bytes``, or a quarter of the machine's."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return (torch.cuda.mem_get_info(device)[0] + cached) // 2
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4 if host_bytes is None else host_bytes

"""Which process among how many a loader is in, as that is when a pass begins."""

from __future__ import annotations

import os

import torch.distributed
import torch.utils.data

from shardback.errors import OptionError

Ranks = tuple[int, int]
"""A process, from 0, and how many there are."""


def given(rank: int | None, world_size: int | None) -> Ranks | None:
    """What the loader was told, or none where torch.distributed is to say it."""
    if (rank is None) != (world_size is None):
        raise OptionError("rank: give it together with world_size, or neither")
    if rank is None or world_size is None:
        return None
    if not 0 <= rank < world_size:
        raise OptionError(f"rank: {rank} is not between 0 and {world_size - 1}")
    return rank, world_size


def current() -> Ranks:
    """What torch.distributed says now; 0 of 1 where it is not initialized and nobody has started several processes.

    Raises:
        OptionError: `WORLD_SIZE`, which launchers set, says something else: two processes would be given the same rows.
    """
    distributed = torch.distributed
    initialized = distributed.is_available() and distributed.is_initialized()
    rank, world_size = (distributed.get_rank(), distributed.get_world_size()) if initialized else (0, 1)
    said = os.environ.get("WORLD_SIZE", "").strip()
    if said and said != str(world_size):
        if initialized:
            problem, way = f"the process group has {world_size}", "give rank= and world_size="
        else:
            problem = "torch.distributed is not initialized"
            way = "call torch.distributed.init_process_group before the first pass, or give rank= and world_size="
        raise OptionError(f"rank: WORLD_SIZE says {said} processes, and {problem}: {way}")
    return rank, world_size


def refuse_workers() -> None:
    """Says no to worker processes of a DataLoader, of which each would go through all rows.

    Raises:
        OptionError: this is one.
    """
    if torch.utils.data.get_worker_info() is not None:
        raise OptionError(
            "num_workers: a Loader has threads of its own, and is not for the worker processes of a DataLoader: each of them would "
            "go through all rows; use the loader as it is, or in DataLoader(loader, batch_size=None, num_workers=0)"
        )

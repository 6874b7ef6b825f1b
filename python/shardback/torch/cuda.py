"""What a loader asks of a CUDA device through PyTorch: which one it is, what room it has, and copies to it."""

from __future__ import annotations

import functools
import os
from collections import deque

import torch

from shardback import _native
from shardback.days import Array


def resolved(device: str | torch.device) -> torch.device:
    """The device with its index: which one is current is another question in each thread, and may change between passes."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(device)
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def free(device: torch.device) -> int:
    """The bytes that can be had on a device: what the driver has, and what PyTorch's cache holds and nobody uses."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


@functools.cache
def kernel(index: int) -> _native.Device:
    """The device for the project's kernel, opened and tried once in a process, for all loaders.

    Raises:
        DeviceError: it cannot be used; it is tried again when it is asked for again.
    """
    return _native.Device(index)


def pinned(device: torch.device, size: int) -> Array:
    """Memory of the host that a device reads directly.

    Threads of Rust ask for it, whose current device is the first one: without saying which, each process would begin to
    use that one as well.
    """
    with torch.cuda.device(device):
        return torch.empty(size, dtype=torch.uint8, pin_memory=True).numpy()


class Copies:
    """Copies from pinned memory to a device that are under way, and the memory, which must not be written before they are done.

    Args:
        device: where they go.
        most: so many may be under way before the next one waits for the first: memory that is pinned has to end somewhere.
    """

    def __init__(self, device: torch.device, most: int) -> None:
        self._device = device
        self._most = most
        self._under_way: deque[tuple[torch.cuda.Event, torch.Tensor]] = deque()
        self._process = os.getpid()

    def begin(self, source: torch.Tensor) -> torch.Tensor:
        """Submits a copy to the current stream; the tensor on the device."""
        target = source.to(self._device, non_blocking=True)
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        self._under_way.append((event, source))
        while len(self._under_way) > self._most:
            self._wait()
        while self._under_way and self._under_way[0][0].query():  # type: ignore[no-untyped-call]
            self._under_way.popleft()
        return target

    def finish(self) -> None:
        """Waits for all of them; in a process that was forked from this one they are not there to be waited for."""
        while self._under_way and os.getpid() == self._process:
            self._wait()

    def _wait(self) -> None:
        event, _ = self._under_way[0]
        event.synchronize()
        self._under_way.popleft()

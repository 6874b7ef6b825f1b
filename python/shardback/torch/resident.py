"""Jagged days in a device's memory, and batches gathered there: by the project's kernel, or by PyTorch alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from shardback import _native
from shardback._native import ACTION_TYPES, ACTIONS, HISTORY_LENGTH, HISTORY_START, ITEM, REQUEST
from shardback.days import Array, Day, Shard
from shardback.errors import CorruptError, DeviceError, OptionError
from shardback.torch.batch import DTYPES, Layout

if TYPE_CHECKING:
    from collections.abc import Buffer


class Rows(Protocol):
    """The rows of a day on a device. Both kinds write the same bytes."""

    def gather(self, rows: Buffer, layout: Layout) -> torch.Tensor:
        """The rows of these numbers, [B] int64 on the host, as a block [layout.room] uint8 on the device."""

    def close(self) -> None:
        """Waits for the batches that are under way, and gives the memory back."""


class KernelRows:
    """Rows gathered by the project's kernel, on the current stream of PyTorch."""

    def __init__(self, day: Day, device: torch.device, native: _native.Device) -> None:
        self._device = device
        self._rows = _native.Resident(native, day.native)
        self._extra = _extra_rows(day, device)

    def gather(self, rows: Buffer, layout: Layout) -> torch.Tensor:
        block = torch.empty(layout.room, dtype=torch.uint8, device=self._device)
        stream = current_stream(self._device)
        self._rows.gather(rows, layout.width, layout.names, block.data_ptr(), stream)
        if self._extra is not None:
            self._extra.gather(_row_numbers(rows, self._device), layout, block)
        return block

    def close(self) -> None:
        self._rows.close()
        if self._extra is not None:
            # Batches read it on whatever stream was current, and it belongs to that of the upload.
            torch.cuda.synchronize(self._device)
            self._extra = None


def extra_bytes(day: Day) -> int:
    """The device memory of the columns that only some days have."""
    columns = day.native.extra_columns
    if not columns:
        return 0
    actions = sum(len(shard[ACTIONS]) for shard in day.shards)
    values = sum(DTYPES[dtype].itemsize * ((actions + 1) if is_wide else len(day)) for _, dtype, is_wide in columns)
    return values + len(day) * (8 + 4)


class ExtraRows:
    """The columns that only some days have, gathered by operations of PyTorch: few bytes beside the padded items and types."""

    def __init__(self, day: Day, device: torch.device) -> None:
        self._device = device
        self._columns: list[tuple[torch.Tensor, bool]] = []
        starts, lengths, at = [], [], 0
        for shard in day.shards:
            starts.append(shard[HISTORY_START][shard[REQUEST]] + at)
            lengths.append(shard[HISTORY_LENGTH][shard[REQUEST]])
            at += len(shard[ACTIONS])
        # Padding points at a zero behind the values.
        self._padding = at
        self._starts, self._lengths = _upload(starts, device), _upload(lengths, device)
        for name, _, is_wide in day.native.extra_columns:
            if is_wide:
                values = [shard[name] for shard in day.shards]
                self._columns.append((_upload([*values, np.zeros(1, values[0].dtype)], device), True))
            else:
                self._columns.append((_upload([day.column(name)], device), False))
        if device.type == "cuda":
            # Uploaded on a stream of its own; whoever gathers uses another one.
            torch.cuda.current_stream(device).synchronize()

    def gather(self, numbers: torch.Tensor, layout: Layout, block: torch.Tensor) -> None:
        """Fills the columns of a batch whose rows have these numbers."""
        lengths = self._lengths[numbers].clamp(max=layout.width)
        place = torch.arange(layout.width, device=self._device)
        index = torch.where(place < lengths[:, None], self._starts[numbers][:, None] + place, self._padding)
        targets = layout.tensors(block)[-len(self._columns) :]
        for (values, is_wide), target in zip(self._columns, targets, strict=True):
            target.copy_(values[index if is_wide else numbers])


def _extra_rows(day: Day, device: torch.device) -> ExtraRows | None:
    return ExtraRows(day, device) if day.native.extra_columns else None


class TorchRows:
    """Rows gathered by operations of PyTorch, on any device that it knows."""

    def __init__(self, day: Day, device: torch.device, index_dtype: torch.dtype | None) -> None:
        self._device = device
        # What is mapped and no longer there would end the process.
        day.native.check()
        actions, starts, lengths, at = [], [], [], 0
        for shard in day.shards:
            _check(day, shard)
            actions.append(shard[ACTIONS])
            starts.append(shard[HISTORY_START][shard[REQUEST]] + at)
            lengths.append(shard[HISTORY_LENGTH][shard[REQUEST]])
            at += len(shard[ACTIONS])
        if index_dtype == torch.int32:
            for values in [*actions, *(shard[ITEM] for shard in day.shards)]:
                _check_fits(values)
        zero = np.zeros(1, np.uint8)
        # Padding points at a zero behind the values.
        self._padding = at
        self._actions = _upload([*actions, zero.astype(actions[0].dtype)], device)
        self._types = _upload([*(shard[ACTION_TYPES] for shard in day.shards), zero], device)
        self._starts = _upload(starts, device)
        self._lengths = _upload(lengths, device)
        self._items = _upload([shard[ITEM] for shard in day.shards], device)
        label = day.native.label
        labels = [np.zeros(shard.rows, bool) if label is None else shard[label] for shard in day.shards]
        self._labels = _upload(labels, device)
        self._extra = _extra_rows(day, device)
        if device.type == "cuda":
            # Uploaded on a stream of its own; whoever gathers uses another one.
            torch.cuda.current_stream(device).synchronize()

    def gather(self, rows: Buffer, layout: Layout) -> torch.Tensor:
        block = torch.empty(layout.room, dtype=torch.uint8, device=self._device)
        impressions, actions, types, known_lengths, label, *_ = layout.tensors(block)
        numbers = _row_numbers(rows, self._device)
        lengths = self._lengths[numbers].clamp(max=layout.width)
        place = torch.arange(layout.width, device=self._device)
        index = torch.where(place < lengths[:, None], self._starts[numbers][:, None] + place, self._padding)
        actions.copy_(self._actions[index])
        types.copy_(self._types[index])
        impressions.copy_(self._items[numbers])
        known_lengths.copy_(lengths)
        label.copy_(self._labels[numbers])
        if self._extra is not None:
            self._extra.gather(numbers, layout, block)
        return block

    @staticmethod
    def temporary_bytes(rows: int, width: int) -> int:
        """The device memory that `gather` takes for itself: two numbers of 64 bits and a bool for each place, and the rows'."""
        return rows * width * (8 + 8 + 1) + rows * (8 + 8 + 4)

    def close(self) -> None:
        # Batches read on whatever stream was current, and the memory belongs to the stream of the upload: it may be given to
        # the next day only when nobody reads it any more.
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def uploader(device: torch.device, native: _native.Device | None, index_dtype: torch.dtype | None) -> Callable[[Day], Rows]:
    """What brings days to a device: for the project's kernel where there is a `native` device, else for PyTorch."""
    if native is not None:
        return lambda day: _with_room(lambda: KernelRows(day, device, native))
    if device.type != "cuda":
        return lambda day: TorchRows(day, device, index_dtype)
    # One for all days: what a day gives back to PyTorch's cache is for the stream that it was made on.
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def upload(day: Day) -> Rows:
        with torch.cuda.stream(stream):
            return TorchRows(day, device, index_dtype)

    return upload


def _with_room(bring: Callable[[], Rows]) -> Rows:
    """Brings a day; where there is no room, once more without what PyTorch's cache holds and nobody uses."""
    try:
        return bring()
    except DeviceError as error:
        if error.needed is None:
            raise
    torch.cuda.empty_cache()
    return bring()


class Residents:
    """The days that are on the device: one is asked for, the next one is uploaded behind it.

    Args:
        days: all days, in order.
        most: how many may be there at the same time.
        upload: brings a day to the device; called in a thread of its own.
    """

    def __init__(self, days: Sequence[Day], most: int, upload: Callable[[Day], Rows]) -> None:
        self._days = days
        self._most = most
        self._upload = upload
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="shardback-upload")
        # The threads, and the device, are of this process alone.
        self._process = os.getpid()
        self._there: dict[int, Future[Rows]] = {}

    @property
    def of_this_process(self) -> bool:
        """Whether they are this process's: one that is forked has none of the threads, and may not use the device."""
        return os.getpid() == self._process

    def get(self, place: int) -> Rows:
        """The rows of the day at a place; waits for its upload, and starts that of the next one where there is room."""
        following = (place + 1) % len(self._days)
        wanted = [place] if self._most == 1 else [place, following]
        if self._most < len(self._days):
            for other in [other for other in self._there if other not in wanted]:
                self._let_go(other)
        for other in wanted:
            if other not in self._there:
                self._there[other] = self._executor.submit(self._upload, self._days[other])
        try:
            return self._there[place].result()
        except BaseException:
            self._there.pop(place, None)
            raise

    def close(self) -> None:
        """Gives the memory of all days back; nothing can be asked for afterwards.

        A day that is on its way is given back when it is there. Nobody waits for that: it may be the thread that brings it in
        which the collector of garbage has found the loader.
        """
        if not self.of_this_process:
            return
        self._executor.shutdown(wait=False, cancel_futures=True)
        while self._there:
            self._there.popitem()[1].add_done_callback(_give_back)

    def _let_go(self, place: int) -> None:
        uploaded = self._there.pop(place)
        uploaded.exception()
        _give_back(uploaded)


def _give_back(uploaded: Future[Rows]) -> None:
    # One that failed, or that was never begun, has nothing to give.
    if not uploaded.cancelled() and uploaded.exception() is None:
        uploaded.result().close()


def _row_numbers(rows: Buffer, device: torch.device) -> torch.Tensor:
    """Row numbers on a device, [B] int64.

    They go through pinned memory: a copy from any other waits for all that the stream has before it, the steps of training too.
    PyTorch gives that memory to nobody else before the copy is done.
    """
    numbers = torch.frombuffer(rows, dtype=torch.int64)
    return numbers.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else numbers.to(device)


_STAGED = 16 << 20
"""Values that go to the device at a time, through memory of the process."""


def current_stream(device: torch.device) -> int:
    """PyTorch's current stream of a device, as the driver knows it."""
    return int(torch.cuda.current_stream(device).cuda_stream)


def _upload(parts: Sequence[Array], device: torch.device) -> torch.Tensor:
    """Arrays one after the other as one tensor. The arrays are read-only, so they go through memory that is not."""
    total = sum(len(part) for part in parts)
    staged = np.empty(min(total, _STAGED), parts[0].dtype)
    target = torch.empty(total, dtype=torch.from_numpy(staged).dtype, device=device)
    at = 0
    for part in parts:
        for start in range(0, len(part), _STAGED):
            piece = part[start : start + _STAGED]
            staged[: len(piece)] = piece
            target[at : at + len(piece)].copy_(torch.from_numpy(staged[: len(piece)]))
            at += len(piece)
    return target


def _check(day: Day, shard: Shard) -> None:
    """Windows stay inside the actions, and are no longer than K; rows are of requests that are there."""
    starts, lengths, requests = shard[HISTORY_START], shard[HISTORY_LENGTH], shard[REQUEST]
    actions = len(shard[ACTIONS])
    wrong = (starts < 0) | (lengths < 0) | (lengths > day.manifest.history) | (starts > actions - lengths)
    if wrong.any():
        raise CorruptError(f"`{day.path}`: request {int(wrong.argmax())} of a shard: its history is out of range")
    wrong = (requests < 0) | (requests >= len(starts))
    if wrong.any():
        raise CorruptError(f"`{day.path}`: row {int(wrong.argmax())} of a shard: it is of no request")


def _check_fits(items: Array) -> None:
    limits = np.iinfo(np.int32)
    if len(items) and (items.min() < limits.min or items.max() > limits.max):
        raise OptionError("index_dtype: some items do not fit 32 bits; ask for torch.int64")

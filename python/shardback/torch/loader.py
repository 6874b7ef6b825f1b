"""`Loader`: the batches of an epoch, shuffled, shared out among ranks, gathered ahead of the step."""

from __future__ import annotations

import functools
import os
import warnings
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.distributed

from shardback import _native
from shardback.days import Day, Days, open
from shardback.errors import DeviceError, OptionError
from shardback.torch import cuda
from shardback.torch.batch import NAMES, Batch, Layout, layout
from shardback.torch.plan import DayPlan, Plan, choose
from shardback.torch.resident import Residents, TorchRows, uploader

Source = str | os.PathLike[str] | Day | Days
"""Where days come from: a day's folder, the folder of a format, an output, or what `shardback.open` gave."""

STATE_VERSION = 1


@dataclass(frozen=True, slots=True)
class _Position:
    """Where a loader stands: the epoch, the place of the day, and the rows of it that all ranks have been given."""

    epoch: int
    day: int = 0
    rows: int = 0


class Loader:
    """Iterates over days in batches. Each pass is one epoch: all days in order, the rows of each in an order of its own.

    The order is a keyed bijection over the row numbers of the day (seed, day, epoch): every row exactly once, uniformly, and
    nothing is kept in memory for it. Rank r takes at step s of a day the positions (s·W + r)·B to (s·W + r)·B + B; the last
    rows, fewer than W·B, are split evenly, and fewer than W rows are taken twice so that all ranks make as many steps.

    Args:
        days: a day's folder, the folder of a format, an output (jagged days are preferred), or a list of those. Days are put
            in order; no day may be there twice.
        batch_size: B, the rows of a batch.
        device: where batches are: `cpu`, `cuda`, `cuda:1`, …; `auto` is CUDA where there is a device. Without a number it is
            the device that is current when the first pass begins, and stays that one.
        seed: seeds the order; the same on all ranks.
        shuffle: false for rows as they are stored.
        rank: this process among `world_size`; both are taken from torch.distributed where it is initialized, else 0 of 1.
        world_size: W, the number of processes.
        drop_last: leave the last rows of each day out, so that every batch has B rows.
        uneven: split the last rows without taking any twice; a rank may make one step fewer. For evaluation.
        index_dtype: torch.int32 or torch.int64 for items and action types; as stored if not given.
        trim: make each batch as wide as its longest history, and not K.
        gather: `auto`; `host` for the processor, `kernel` for the project's kernel, `torch` for operations of PyTorch.
        prefetch: how many batches are made ahead.
        threads: how many threads gather; one for each processor if not given.
        device_memory: the bytes of device memory that days and batches may take; half of what is free if not given.

    Raises:
        OptionError: an argument makes no sense, or the days do not fit together (another K or width of items).
        CorruptError: a day is not what its manifest says.
        DeviceError: the device is not there, or has no room for what was asked for.
    """

    def __init__(
        self,
        days: Source | Iterable[Source],
        *,
        batch_size: int,
        device: str | torch.device = "auto",
        seed: int = 0,
        shuffle: bool = True,
        rank: int | None = None,
        world_size: int | None = None,
        drop_last: bool = False,
        uneven: bool = False,
        index_dtype: torch.dtype | None = None,
        trim: bool = False,
        gather: Literal["auto", "host", "kernel", "torch"] = "auto",
        prefetch: int = 3,
        threads: int | None = None,
        device_memory: int | None = None,
    ) -> None:
        self.days = _days(days)
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.rank, self.world_size = _rank(rank, world_size)
        self.trim = trim
        self._last = _last(drop_last=drop_last, uneven=uneven)
        self._device = _device(device)
        self._history, items = _common(self.days)
        if index_dtype not in (None, torch.int32, torch.int64):
            raise OptionError(f"index_dtype: expected torch.int32 or torch.int64, found {index_dtype}")
        self._index_dtype = index_dtype
        self._items, self._types = index_dtype or items, index_dtype or torch.uint8
        if gather not in ("auto", "host", "kernel", "torch"):
            raise OptionError(f"gather: `{gather}` is none of auto, host, kernel, torch")
        self._gather = gather
        self._prefetch, self._threads = prefetch, len(os.sched_getaffinity(0)) if threads is None else threads
        if batch_size < 1 or prefetch < 1 or self._threads < 1 or not 0 <= seed < 1 << 64:
            raise OptionError("batch_size, prefetch and threads are 1 or more, and seed is a number of 64 bits")
        self._device_memory = device_memory
        self._steps = [self._day_steps(day, 0) for day in self.days]
        self._residents: Residents | None = None
        self._now = self._next = _Position(0)

    @property
    def device(self) -> torch.device:
        """Where batches are; the current device before the first pass, where the loader was told no number."""
        return cuda.resolved(self._device)

    @property
    def epoch(self) -> int:
        """The number of the epoch that is under way, or that is next."""
        return self._now.epoch

    def __len__(self) -> int:
        """The steps of a whole epoch on this rank."""
        return sum(self._steps)

    def set_epoch(self, epoch: int) -> None:
        """Makes `epoch` the next one. Where it is the one that `load_state_dict` goes on with, it stays where it is."""
        if epoch < 0:
            raise OptionError(f"epoch: {epoch} is below 0")
        if epoch != self._next.epoch:
            self._now = self._next = _Position(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands, after the batches that it has yielded, whatever has been made ahead.

        It holds the seed, the epoch, the day and the rows of it that all ranks together have been given: so save it at a
        step that all ranks have made, on any of them, and load it on as many ranks as there are then.
        """
        day = self.days[self._now.day]
        return {
            "version": STATE_VERSION,
            "seed": self.seed,
            "shuffle": self.shuffle,
            "epoch": self._now.epoch,
            "day": str(day.date),
            "day_rows": len(day),
            "rows": self._now.rows,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state_dict` was taken: the next `iter` yields the rest of that epoch.

        Raises:
            OptionError: the state is of other days, another seed or another version.
        """
        if state.get("version") != STATE_VERSION:
            raise OptionError(f"state: it is of version {state.get('version')}, this is version {STATE_VERSION}")
        if bool(state["shuffle"]) != self.shuffle:
            raise OptionError(f"state: it was taken with shuffle={state['shuffle']}")
        places = {str(day.date): place for place, day in enumerate(self.days)}
        place = places.get(state["day"])
        if place is None:
            raise OptionError(f"state: it stands at {state['day']}, which is none of the days {', '.join(places)}")
        if len(self.days[place]) != state["day_rows"]:
            rows = len(self.days[place])
            raise OptionError(f"state: {state['day']} had {state['day_rows']} rows, and has {rows} now: it was built anew")
        self.seed = int(state["seed"])
        self._now = self._next = _Position(int(state["epoch"]), place, int(state["rows"]))

    def plan(self, device_memory: int | None = None) -> Plan:
        """Where batches will be gathered, and how much device memory which days take; touches no device memory.

        Args:
            device_memory: the bytes that are to be had, for a device that is not at hand.
        """
        return self._plan(device_memory, by_torch=self._gather == "torch")

    def _plan(self, device_memory: int | None = None, *, by_torch: bool) -> Plan:
        jagged = all(day.format == "jagged" for day in self.days)
        days = tuple(
            DayPlan(day.date, len(day), _native.device_bytes(day.native) if day.format == "jagged" else 0)
            for day in self.days
        )
        rows = min(self.batch_size, max(len(day) for day in self.days))
        # The one at work, and the one before it that the step may still hold.
        batches = 2 * self._layout(rows, self._history).bytes
        if by_torch:
            batches += TorchRows.temporary_bytes(rows, self._history)
        given = self._device_memory if device_memory is None else device_memory
        if given is not None or self._device.type != "cuda":
            return choose(days, batches, given, jagged=jagged)
        free = cuda.free(self.device)
        return choose(days, batches, free // 2, jagged=jagged, free=free)

    def __iter__(self) -> Iterator[Batch]:
        # What it says no to is no epoch.
        self._device = cuda.resolved(self._device)
        residents = self._on_device()
        start = self._next
        self._now, self._next = start, _Position(start.epoch + 1)
        return self._host(start) if residents is None else self._resident(start, residents)

    def _host(self, start: _Position) -> Iterator[Batch]:
        """Batches that the processor has gathered, and copied to the device where that is another one."""
        # What is gathered ahead, what the step holds, and one more.
        copies = cuda.Copies(self._device, self._prefetch + 2) if self._device.type == "cuda" else None
        try:
            for memory, rows, width, place, delivered in self._batches(start, rows_only=False, pinned=copies is not None):
                block = torch.frombuffer(memory, dtype=torch.uint8)
                block = block.to(self._device) if copies is None else copies.begin(block)
                yield self._deliver(start.epoch, place, delivered, self._layout(rows, width).batch(block, self.days[place].date))
        finally:
            # Also where the pass is left early: the thread that gathers would write what a copy has yet to read.
            if copies is not None:
                copies.finish()
        self._end(start.epoch)

    def _resident(self, start: _Position, residents: Residents) -> Iterator[Batch]:
        """Batches that the device has gathered."""
        at, day = -1, None
        for memory, rows, width, place, delivered in self._batches(start, rows_only=True, pinned=False):
            if day is None or place != at:
                # The day before may go while the next one is on its way.
                day = None
                at, day = place, residents.get(place)
            shape = self._layout(rows, width)
            block = day.gather(memory, shape)
            yield self._deliver(start.epoch, place, delivered, shape.batch(block, self.days[place].date))
        self._end(start.epoch)

    def _batches(self, start: _Position, *, rows_only: bool, pinned: bool) -> _native.Batches:
        return _native.Batches(
            days=[day.native for day in self.days],
            seed=self.seed if self.shuffle else None,
            epoch=start.epoch,
            day=start.day,
            delivered=start.rows,
            rank=self.rank,
            world_size=self.world_size,
            batch_size=self.batch_size,
            last=self._last,
            dtypes=None if rows_only else (NAMES[self._items], NAMES[self._types]),
            trim=self.trim,
            depth=self._prefetch,
            threads=self._threads,
            allocate=functools.partial(cuda.pinned, self._device) if pinned else None,
        )

    def _deliver(self, epoch: int, place: int, delivered: int, batch: Batch) -> Batch:
        """Counts a batch as given."""
        if delivered < len(self.days[place]):
            self._now = _Position(epoch, place, delivered)
        elif place + 1 < len(self.days):
            self._now = _Position(epoch, place + 1)
        else:
            self._now = _Position(epoch + 1)
        return batch

    def _end(self, epoch: int) -> None:
        # Where the last day had nothing for this rank, or no day had.
        self._now = _Position(epoch + 1)

    def _layout(self, rows: int, width: int) -> Layout:
        return layout(rows, width, self._items, self._types)

    def _day_steps(self, day: Day, delivered: int) -> int:
        return _native.steps(
            rows=len(day),
            delivered=delivered,
            rank=self.rank,
            world_size=self.world_size,
            batch_size=self.batch_size,
            last=self._last,
        )

    def _on_device(self) -> Residents | None:
        """The days on the device, where that gathers."""
        if self._residents is not None or self._gather == "host":
            return self._residents
        if self._gather == "auto" and self._device.type != "cuda":
            return None
        if self._gather != "auto" and any(day.format != "jagged" for day in self.days):
            raise OptionError(f"gather: `{self._gather}` needs jagged days; build them with formats=\"jagged\"")
        plan = self.plan()
        native = self._kernel() if self._fits(plan) else None
        if native is None and self._gather == "auto":
            plan = self._plan(by_torch=True)
        if self._fits(plan):
            most = {"two": 2, "one": 1}.get(plan.strategy, len(self.days))
            self._residents = Residents(self.days, most, uploader(self._device, native, self._index_dtype))
            # A day on a device is large: it gives its memory back when the loader goes, not when somebody finds it.
            weakref.finalize(self, self._residents.close)
        elif self._gather != "auto":
            raise OptionError(f"gather: `{self._gather}` is not possible: {plan.reason}")
        return self._residents

    @staticmethod
    def _fits(plan: Plan) -> bool:
        # PyTorch gathers on the processor as well, where it is told to.
        return plan.available is None or plan.strategy != "host"

    def _kernel(self) -> _native.Device | None:
        """The device for the project's kernel, or none where PyTorch gathers."""
        if self._gather == "torch":
            return None
        if self._device.type != "cuda":
            raise OptionError(f"gather: `kernel` needs a CUDA device, not {self._device}")
        try:
            return cuda.kernel(self._device.index)
        except DeviceError as error:
            # What the kernel cannot do, PyTorch can, unless it was asked for by name.
            if self._gather == "kernel":
                raise
            warnings.warn(f"PyTorch gathers, which takes longer than the kernel: {error}", stacklevel=2)
            return None


def _days(source: Source | Iterable[Source]) -> Days:
    if isinstance(source, str | os.PathLike | Day | Days):
        source = [source]
    days: list[Day] = []
    for given in source:
        opened = given if isinstance(given, Day | Days) else open(given)
        days.extend([opened] if isinstance(opened, Day) else opened)
    if not days:
        raise OptionError("days: there are none")
    return Days(days)


def _common(days: Days) -> tuple[int, torch.dtype]:
    """K and the dtype of items, which all days share."""
    first = days[0].manifest
    for day in days:
        if day.manifest.history != first.history:
            raise OptionError(
                f"days: K is {first.history} on {first.date} and {day.manifest.history} on {day.date}; build them alike"
            )
        if day.manifest.item_dtype != first.item_dtype:
            raise OptionError(
                f"days: items are {first.item_dtype} on {first.date} and {day.manifest.item_dtype} on {day.date}; build them alike"
            )
    return first.history, torch.int64 if first.item_dtype == "i64" else torch.int32


def _rank(rank: int | None, world_size: int | None) -> tuple[int, int]:
    if (rank is None) != (world_size is None):
        raise OptionError("rank: give it together with world_size, or neither")
    if rank is None or world_size is None:
        distributed = torch.distributed
        if distributed.is_available() and distributed.is_initialized():
            return distributed.get_rank(), distributed.get_world_size()
        return 0, 1
    if not 0 <= rank < world_size:
        raise OptionError(f"rank: {rank} is not between 0 and {world_size - 1}")
    return rank, world_size


def _last(*, drop_last: bool, uneven: bool) -> str:
    if drop_last and uneven:
        raise OptionError("drop_last: it excludes uneven; give one of them")
    return "drop" if drop_last else "uneven" if uneven else "repeat"


def _device(device: str | torch.device) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


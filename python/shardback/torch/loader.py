"""`Loader`: the batches of an epoch, shuffled, shared out among ranks, gathered ahead of the step."""

from __future__ import annotations

import contextlib
import functools
import numbers
import operator
import os
import warnings
import weakref
from collections.abc import Generator, Iterable, Iterator
from typing import Any, Literal

import torch
from torch.utils.data import IterableDataset

from shardback import _native
from shardback.days import Day, Days, open
from shardback.manifest import Contents, Manifest
from shardback.errors import DeviceError, OptionError, ShardbackError
from shardback.torch import cuda, ranks, state
from shardback.torch.batch import NAMES, Batch, Columns, Layout, layout
from shardback.torch.plan import DayPlan, Plan, choose
from shardback.torch.ranks import Ranks
from shardback.torch.resident import Residents, TorchRows, extra_bytes, uploader
from shardback.torch.state import Position

Source = str | os.PathLike[str] | Day | Days
"""Where days come from: a day's folder, the folder of a format, an output, or what `shardback.open` gave."""

Made = Generator[tuple[Batch, int, int], None, None]
"""Batches, each with the place of its day, and the rows of that day which all ranks have been given with it."""


class Loader(IterableDataset[Batch]):
    """Iterates over days in batches. Each pass is one epoch: all days in order, the rows of each in an order of its own.

    The order is a keyed bijection over the row numbers of the day (seed, day, epoch): every row exactly once, uniformly, and
    nothing is kept in memory for it. Rank r takes at step s of a day the positions (s·W + r)·B to (s·W + r)·B + B; the last
    rows, fewer than W·B, are split evenly, and fewer than W rows are taken twice so that all ranks make as many steps.

    An epoch counts when its pass has given its last batch. A pass that is left before costs nothing: the next one begins where
    it began. One pass is under way at a time, the newest; an older one raises when it is asked for more.

    It can be pickled and copied: days by their paths, and the position. What it has on a device stays where it is.

    Args:
        days: a day's folder, the folder of a format, an output (jagged days are preferred), or a list of those. Days are put
            in order; no day may be there twice.
        batch_size: B, the rows of a batch.
        device: where batches are: `cpu`, `cuda`, `cuda:1`, …; `auto` is CUDA where there is a device. Without a number it is
            the device that is current when the first pass begins, and stays that one.
        seed: seeds the order; the same on all ranks.
        shuffle: false for rows as they are stored.
        rank: this process among `world_size`; if not given, both are asked of torch.distributed whenever a pass begins, and are
            0 of 1 where that is not initialized and WORLD_SIZE does not say more.
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
        OptionError: an argument makes no sense, or the days do not fit together (another K, width of items, types or columns).
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
        # Numbers of numpy are numbers, too, but what is saved of them has to be plain.
        self.batch_size = operator.index(batch_size)
        self.seed = operator.index(seed)
        self.shuffle = bool(shuffle)
        self._ranks = ranks.given(rank, world_size)
        self.trim = trim
        self._last = _last(drop_last=drop_last, uneven=uneven)
        self._asked = device if device == "auto" else torch.device(device)
        # Which one that is, from the first pass on.
        self._device: torch.device | None = None
        self._history, items = _common(self.days)
        self._columns = Columns.of(self.days[0])
        if index_dtype not in (None, torch.int32, torch.int64):
            raise OptionError(f"index_dtype: expected torch.int32 or torch.int64, found {index_dtype}")
        self._index_dtype = index_dtype
        self._items, self._types = index_dtype or items, index_dtype or torch.uint8
        if gather not in ("auto", "host", "kernel", "torch"):
            raise OptionError(f"gather: `{gather}` is none of auto, host, kernel, torch")
        self._gather = gather
        self._prefetch = prefetch
        self._threads = min(_native.processors(), _native.MAX_THREADS) if threads is None else threads
        if not 1 <= self.batch_size < 1 << 32:
            raise OptionError(f"batch_size: {batch_size} is not between 1 and {(1 << 32) - 1}")
        if prefetch < 1 or self._threads < 1 or not 0 <= seed < 1 << 64:
            raise OptionError("prefetch and threads are 1 or more, and seed is a number of 64 bits")
        if self._threads > _native.MAX_THREADS:
            raise OptionError(f"threads: {threads} is not between 1 and {_native.MAX_THREADS}; leave it out for one per processor")
        self._device_memory = device_memory
        self._residents: Residents | None = None
        # Where it stands, and where the next pass begins.
        self._now = self._next = Position(0)
        self._newest: object = None

    @property
    def device(self) -> torch.device:
        """Where batches are; before the first pass, where they would be if it began now."""
        return cuda.resolved(self._asked) if self._device is None else self._device

    @property
    def rank(self) -> int:
        """This process among `world_size`, as that is now."""
        return self._among()[0]

    @property
    def world_size(self) -> int:
        """The number of processes, as that is now."""
        return self._among()[1]

    @property
    def epoch(self) -> int:
        """The number of the epoch that is under way, or that is next."""
        return self._now.epoch

    def __len__(self) -> int:
        """The steps of a whole epoch on this rank, as that is now."""
        return self._steps(Position(0), self._among())

    def set_epoch(self, epoch: int) -> None:
        """Makes `epoch` the next one. Where it is the one that is next already, such as the rest of one that `load_state_dict`
        goes on with, nothing changes.
        """
        if not isinstance(epoch, numbers.Integral) or isinstance(epoch, bool):
            raise OptionError(f"epoch: expected a whole number, found {epoch!r}")
        if not 0 <= epoch < 1 << 64:
            raise OptionError(f"epoch: {epoch} is below 0, or above 64 bits")
        if epoch != self._next.epoch:
            self._move(Position(int(epoch)))

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands, after the batches that its newest pass has yielded, whatever has been made ahead.

        It holds the seed, the epoch, the day and the rows of it that all ranks together have been given: so save it at a
        step that all ranks have made, on any of them, and load it on as many ranks as there are then.
        """
        return state.write(self._now, self.days, seed=self.seed, shuffle=self.shuffle)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on where `state_dict` was taken: the next `iter` yields the rest of that epoch. Passes under way are over.

        Raises:
            OptionError: the state is none, or of other days, another order or another version; then nothing has changed.
        """
        position, self.seed = state.read(state_dict, self.days, shuffle=self.shuffle)
        self._move(position)

    def plan(self, device_memory: int | None = None) -> Plan:
        """Where batches will be gathered, and how much device memory which days take; touches no device memory.

        Args:
            device_memory: the bytes that are to be had, for a device that is not at hand.
        """
        return self._plan(device_memory, by_torch=self._gather == "torch")

    def _plan(self, device_memory: int | None = None, *, by_torch: bool) -> Plan:
        jagged = all(day.format == "jagged" for day in self.days)
        days = tuple(
            DayPlan(day.date, len(day), _native.device_bytes(day.native) + extra_bytes(day) if day.format == "jagged" else 0)
            for day in self.days
        )
        rows = min(self.batch_size, max(len(day) for day in self.days))
        # The one at work, and the one before it that the step may still hold.
        batches = 2 * self._layout(rows, self._history).bytes
        if by_torch:
            batches += TorchRows.temporary_bytes(rows, self._history)
        given = self._device_memory if device_memory is None else device_memory
        if given is not None or self.device.type != "cuda":
            return choose(days, batches, given, jagged=jagged)
        free = cuda.free(self.device)
        return choose(days, batches, free // 2, jagged=jagged, free=free)

    def __iter__(self) -> Iterator[Batch]:
        # What it says no to is no pass.
        ranks.refuse_workers()
        among = self._among()
        self._device = self.device
        residents = self._on_device()
        self._now, self._newest = self._next, object()
        return self._pass(self._next, among, residents, self._newest, os.getpid())

    def _pass(self, start: Position, among: Ranks, residents: Residents | None, newest: object, process: int) -> Iterator[Batch]:
        """The batches of an epoch from a position on, and where the loader stands with each of them."""
        left = self._steps(start, among)
        self._check(newest, process)
        with contextlib.closing(self._host(start, among) if residents is None else self._resident(start, among, residents)) as made:
            for batch, place, delivered in made:
                left -= 1
                self._now = start.after(self.days, place, delivered)
                if left == 0:
                    # Nobody has to ask for one more, in vain, for the epoch to be over.
                    self._next = Position(start.epoch + 1)
                yield batch
                self._check(newest, process)
        # Also where the last day had nothing for this rank, or no day had.
        self._now = self._next = Position(start.epoch + 1)

    def _check(self, newest: object, process: int) -> None:
        if os.getpid() != process:
            raise ShardbackError(
                "this pass was begun in another process, and a forked process has none of its threads: begin a new pass here, "
                "with iter(loader)"
            )
        if newest is not self._newest:
            raise ShardbackError(
                "this pass is over: another one was begun after it, or the loader was told another epoch or state; for two passes "
                "at a time make two loaders"
            )

    def _move(self, position: Position) -> None:
        """Stands somewhere else, which no pass under way knows of."""
        self._now = self._next = position
        self._newest = None

    def _among(self) -> Ranks:
        return ranks.current() if self._ranks is None else self._ranks

    def _steps(self, start: Position, among: Ranks) -> int:
        """The steps from a position to the end of its epoch."""
        rank, world_size = among
        return sum(
            _native.steps(
                rows=len(day),
                delivered=start.rows if place == start.day else 0,
                rank=rank,
                world_size=world_size,
                batch_size=self.batch_size,
                last=self._last,
            )
            for place, day in enumerate(self.days)
            if place >= start.day
        )

    def __getstate__(self) -> dict[str, Any]:
        # What is on a device is of this process; the copy finds out for itself which device is current.
        return {**self.__dict__, "_device": None, "_residents": None, "_newest": None}

    def _host(self, start: Position, among: Ranks) -> Made:
        """Batches that the processor has gathered, and copied to the device where that is another one."""
        device = self.device
        # What is gathered ahead, what the step holds, and one more.
        copies = cuda.Copies(device, self._prefetch + 2) if device.type == "cuda" else None
        try:
            for memory, rows, width, place, delivered in self._batches(start, among, rows_only=False, pinned=copies is not None):
                block = torch.frombuffer(memory, dtype=torch.uint8)
                block = block.to(device) if copies is None else copies.begin(block)
                yield self._layout(rows, width).batch(block, self.days[place].date), place, delivered
        finally:
            # Also where the pass is left early: the thread that gathers would write what a copy has yet to read.
            if copies is not None:
                copies.finish()

    def _resident(self, start: Position, among: Ranks, residents: Residents) -> Made:
        """Batches that the device has gathered."""
        at, day = -1, None
        for memory, rows, width, place, delivered in self._batches(start, among, rows_only=True, pinned=False):
            if day is None or place != at:
                # The day before may go while the next one is on its way.
                day = None
                at, day = place, residents.get(place)
            shape = self._layout(rows, width)
            yield shape.batch(day.gather(memory, shape), self.days[place].date), place, delivered

    def _batches(self, start: Position, among: Ranks, *, rows_only: bool, pinned: bool) -> _native.Batches:
        rank, world_size = among
        return _native.Batches(
            days=[day.native for day in self.days],
            seed=self.seed if self.shuffle else None,
            epoch=start.epoch,
            day=start.day,
            delivered=start.rows,
            rank=rank,
            world_size=world_size,
            batch_size=self.batch_size,
            last=self._last,
            dtypes=None if rows_only else (NAMES[self._items], NAMES[self._types]),
            trim=self.trim,
            depth=self._prefetch,
            threads=self._threads,
            allocate=functools.partial(cuda.pinned, self.device) if pinned else None,
        )

    def _layout(self, rows: int, width: int) -> Layout:
        return layout(rows, width, self._items, self._types, self._columns)

    def _on_device(self) -> Residents | None:
        """The days on the device, where that gathers."""
        if self._residents is not None and self._residents.of_this_process:
            return self._residents
        self._residents = None
        if self._gather == "host":
            return None
        if self._gather == "auto" and self.device.type != "cuda":
            return None
        if self._gather != "auto" and any(day.format != "jagged" for day in self.days):
            raise OptionError(f"gather: `{self._gather}` needs jagged days; build them with formats=\"jagged\"")
        plan = self.plan()
        native = self._kernel() if self._fits(plan) else None
        if native is None and self._gather == "auto":
            plan = self._plan(by_torch=True)
        if self._fits(plan):
            most = {"two": 2, "one": 1}.get(plan.strategy, len(self.days))
            self._residents = Residents(self.days, most, uploader(self.device, native, self._index_dtype))
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
        device = self.device
        if device.type != "cuda":
            raise OptionError(f"gather: `kernel` needs a CUDA device, not {device}")
        try:
            return cuda.kernel(device.index)
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
    """K and the dtype of items, which all days share, as they do types of actions and columns."""
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
        if day.manifest.types != first.types:
            raise OptionError(
                f"days: types of actions are {_types(first)} on {first.date} and {_types(day.manifest)} on {day.date}; build them alike"
            )
        if day.manifest.contents != first.contents:
            raise OptionError(
                f"days: columns are {_named(first.contents)} on {first.date} and {_named(day.manifest.contents)} on {day.date}; "
                "build them alike"
            )
    return first.history, torch.int64 if first.item_dtype == "i64" else torch.int32


def _types(manifest: Manifest) -> str:
    return ", ".join(f"{name} {number}" for name, number in manifest.types.items())


def _named(contents: Contents) -> str:
    columns = [f"{column.name} {column.dtype}" for column in (*contents.labels, *contents.kept, *contents.features)]
    columns += ["request_time"] if contents.request_time else []
    columns += ["request_id"] if contents.request else []
    columns += [f"times in {contents.times}"] if contents.times else []
    return ", ".join(columns) or "none"


def _last(*, drop_last: bool, uneven: bool) -> str:
    if drop_last and uneven:
        raise OptionError("drop_last: it excludes uneven; give one of them")
    return "drop" if drop_last else "uneven" if uneven else "repeat"

"""A batch, and how its tensors lie in one block of memory."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.utils.data._utils.collate import default_collate_fn_map

from shardback import _native
from shardback._native import ACTION_TIMES, FEATURE
from shardback.errors import OptionError

if TYPE_CHECKING:
    from shardback.days import Day

NAMES = {torch.uint8: "u8", torch.int32: "i32", torch.int64: "i64"}
"""The dtypes of numbers, as the extension module names them."""

DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I32": torch.int32,
    "I64": torch.int64,
    "F32": torch.float32,
    "F64": torch.float64,
}
"""The dtypes of columns, as safetensors names them."""


MICROS = {"s": 1_000_000, "ms": 1_000, "us": 1}
"""How many microseconds the units of times have."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns batches have beside those of every batch.

    Attributes:
        label: the name of the first label, where it is a bool.
        labels: the names of all labels, in order.
        extra: the other columns: their names, dtypes, and whether they are as wide as a history.
        times: the unit of the times of actions, where they are kept.
    """

    label: str | None
    labels: tuple[str, ...]
    extra: tuple[tuple[str, torch.dtype, bool], ...]
    times: str | None

    @classmethod
    def of(cls, day: Day) -> Columns:
        extra = tuple((name, DTYPES[dtype], wide) for name, dtype, wide in day.native.extra_columns)
        contents = day.manifest.contents
        return cls(day.native.label, tuple(column.name for column in contents.labels), extra, contents.times)


@dataclass(slots=True, eq=False)
class Batch:
    """B samples of one day; unpacks into impressions, actions, action_types, and the first label, where there is one.

    `batch["price"]` is a column by its name. Not frozen, and with `to`, because that is what tools that move batches to a device
    look for.

    Attributes:
        impressions: [B] int32, int64 where the day was built so, or the loader's `index_dtype`: the items shown.
        actions: [B, K], as `impressions`: the items of the customer's last actions, newest first, then zeros.
        action_types: [B, K] uint8, or `index_dtype`: the numbers of their types (`day.manifest.types`), 0 padding.
        labels: [B] each: the labels by name; `is_order` bool of the built-in tables: whether the item was ordered.
        columns: [B] each: the other columns of samples by name, also `request_time` and `request_id` where
            requests have them.
        action_features: [B, K] each: the features of actions by name, without the `action_` of files, then zeros.
        action_times: [B, K] int32 or int64: the times of actions, then zeros; none where they are not kept.
        action_times_unit: `s`, `ms` or `us`, where they are kept.
        lengths: [B] int32: how many actions of a row are no padding.
        date: the day.
    """

    impressions: torch.Tensor
    actions: torch.Tensor
    action_types: torch.Tensor
    labels: dict[str, torch.Tensor]
    columns: dict[str, torch.Tensor]
    action_features: dict[str, torch.Tensor]
    action_times: torch.Tensor | None
    action_times_unit: str | None
    lengths: torch.Tensor
    date: datetime.date

    def __iter__(self) -> Iterator[torch.Tensor]:
        return iter((self.impressions, self.actions, self.action_types, *list(self.labels.values())[:1]))

    def __getitem__(self, name: str) -> torch.Tensor:
        for known in (self.labels, self.columns):
            if name in known:
                return known[name]
        raise KeyError(f"`{name}` is none of {', '.join((*self.labels, *self.columns)) or 'no columns'}")

    @property
    def is_order(self) -> torch.Tensor:
        """[B] bool: the label of the built-in tables."""
        try:
            return self.labels["is_order"]
        except KeyError:
            raise AttributeError(f"no label `is_order`; there are {', '.join(self.labels) or 'none'}") from None

    @property
    def request_time(self) -> torch.Tensor:
        """[B] int64: the times of the requests, which are their cut-offs, in microseconds since the epoch, UTC."""
        try:
            return self.columns["request_time"]
        except KeyError:
            raise AttributeError("requests have no times: the cut-off of these days is the day") from None

    def ages(self) -> torch.Tensor:
        """[B, K] float32: how long before its request each action was, in seconds; 0 where there is padding.

        Actions have the time that is kept, which `times = "s"` rounds down: then an age is up to a second too long.

        Raises:
            OptionError: the times of actions are not kept, or the cut-off is the day.
        """
        if self.action_times is None or self.action_times_unit is None:
            raise OptionError('ages: the times of actions are not there; build with `times = "s"` in the description\'s [history]')
        if "request_time" not in self.columns:
            raise OptionError("ages: requests have no times, as the cut-off of these days is the day")
        # Whole numbers as long as they are large: float32 has 24 bits.
        passed = self.request_time.unsqueeze(1) - self.action_times.to(torch.int64) * MICROS[self.action_times_unit]
        # A tensor, since devices divide by a number of Python's by way of its inverse, which is the processor's result but for a bit.
        micros = torch.full((), 1_000_000, dtype=torch.float32, device=passed.device)
        return torch.where(self.pad_mask, 0.0, passed.to(torch.float32) / micros)

    def __len__(self) -> int:
        return len(self.impressions)

    @property
    def pad_mask(self) -> torch.Tensor:
        """[B, K] bool: true where there is padding, as `key_padding_mask` of PyTorch's attention wants it.

        The row of a customer without history is true throughout: attention over such a row is not a number, and neither is a
        mean over it. `safe_pad_mask` has no such row.
        """
        return self.action_types == 0

    @property
    def safe_pad_mask(self) -> torch.Tensor:
        """[B, K] bool: as `pad_mask`, but false in the first place of each row, so that there is something to attend to.

        That is a place of padding only where a history is empty: there attention finds what item 0 of type 0 is embedded to.
        """
        mask = self.action_types == 0
        mask[:, 0] = False
        return mask

    def to(self, device: torch.device | str | int, non_blocking: bool = False) -> Batch:
        """The batch on another device."""
        move = functools.partial(torch.Tensor.to, device=device, non_blocking=non_blocking)
        labels, columns, features = (
            {name: move(tensor) for name, tensor in group.items()} for group in (self.labels, self.columns, self.action_features)
        )
        return Batch(
            impressions=move(self.impressions),
            actions=move(self.actions),
            action_types=move(self.action_types),
            labels=labels,
            columns=columns,
            action_features=features,
            action_times=None if self.action_times is None else move(self.action_times),
            action_times_unit=self.action_times_unit,
            lengths=move(self.lengths),
            date=self.date,
        )


class Layout:
    """The shape and the dtypes of a batch, and where its tensors lie in a block of `bytes` bytes."""

    __slots__ = ("_columns", "_dtypes", "_places", "bytes", "names", "room", "width")

    def __init__(self, rows: int, width: int, items: torch.dtype, types: torch.dtype, columns: Columns) -> None:
        self._columns = columns
        self.width = width
        # The dtypes, as the extension module names them.
        self.names = NAMES[items], NAMES[types]
        shapes = [(dtype.itemsize, is_wide) for _, dtype, is_wide in columns.extra]
        (actions, action_types, impressions, lengths, label), starts, self.bytes = _native.layout(rows, width, self.names, shapes)
        # What to allocate on a device: widths vary with `trim`, and a cache of memory needs sizes that come again.
        step = max(64, 1 << max(0, self.bytes.bit_length() - 4))
        self.room = -(-self.bytes // step) * step
        # The whole block is looked at as each dtype, which all begin on multiples of 64 bytes; then tensors are places in it.
        one, wide = ((rows,), (1,)), ((rows, width), (width, 1))
        tensors = [
            (impressions, items, one),
            (actions, items, wide),
            (action_types, types, wide),
            (lengths, torch.int32, one),
            (label, torch.bool, one),
        ]
        tensors += [
            (start, dtype, wide if is_wide else one) for start, (_, dtype, is_wide) in zip(starts, columns.extra, strict=True)
        ]
        self._dtypes = list(dict.fromkeys(dtype for _, dtype, _ in tensors))
        self._places = [
            (self._dtypes.index(dtype), *shape_and_strides, start // dtype.itemsize) for start, dtype, shape_and_strides in tensors
        ]

    def batch(self, block: torch.Tensor, date: datetime.date) -> Batch:
        """The tensors of a block [bytes] uint8 that is not itself a part of another tensor, as views of it."""
        tensors = self.tensors(block)
        impressions, actions, action_types, lengths, label, *extra = tensors
        known = {} if self._columns.label is None else {self._columns.label: label}
        wide: dict[str, torch.Tensor] = {}
        for (name, _, is_wide), tensor in zip(self._columns.extra, extra, strict=True):
            (wide if is_wide else known)[name] = tensor
        labels = {name: known.pop(name) for name in self._columns.labels}
        times = wide.pop(ACTION_TIMES, None)
        features = {name.removeprefix(FEATURE): tensor for name, tensor in wide.items()}
        return Batch(impressions, actions, action_types, labels, known, features, times, self._columns.times, lengths, date)

    def tensors(self, block: torch.Tensor) -> list[torch.Tensor]:
        """Those of a block as they lie in it: impressions, actions, types, lengths, the first label, then the extra columns."""
        typed = [block.view(dtype) for dtype in self._dtypes]
        return [typed[which].as_strided(shape, strides, start) for which, shape, strides, start in self._places]


@functools.lru_cache(maxsize=4096)
def layout(rows: int, width: int, items: torch.dtype, types: torch.dtype, columns: Columns) -> Layout:
    """The layout of such a batch: most batches have the same one, and with `trim` one of as many as there are widths."""
    return Layout(rows, width, items, types, columns)


def _refuse_to_collate(batches: list[Batch], **_: object) -> Batch:
    raise OptionError(
        "batch_size: a Loader yields whole batches, and DataLoader would put batches of them together: use the loader as it is, or "
        "DataLoader(loader, batch_size=None)"
    )


default_collate_fn_map[Batch] = _refuse_to_collate

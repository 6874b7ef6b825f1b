"""A batch, and how its tensors lie in one block of memory."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.utils.data._utils.collate import default_collate_fn_map

from shardback import _native
from shardback.errors import OptionError

NAMES = {torch.uint8: "u8", torch.int32: "i32", torch.int64: "i64"}
"""The dtypes of numbers, as the extension module names them."""


@dataclass(slots=True, eq=False)
class Batch:
    """B samples of one day; unpacks into impressions, actions, action_types, is_order.

    Not frozen, and with `to`, because that is what tools that move batches to a device look for.

    Attributes:
        impressions: [B] int32, int64 where the day was built so, or the loader's `index_dtype`: the items shown.
        actions: [B, K], as `impressions`: the items of the customer's last actions, newest first, then zeros.
        action_types: [B, K] uint8, or `index_dtype`: 1 click, 2 add to cart, 3 order, 0 padding.
        is_order: [B] bool: whether the item was ordered.
        lengths: [B] int32: how many actions of a row are no padding.
        date: the day.
    """

    impressions: torch.Tensor
    actions: torch.Tensor
    action_types: torch.Tensor
    is_order: torch.Tensor
    lengths: torch.Tensor
    date: datetime.date

    def __iter__(self) -> Iterator[torch.Tensor]:
        return iter((self.impressions, self.actions, self.action_types, self.is_order))

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
        impressions, actions, action_types, is_order, lengths = (
            tensor.to(device, non_blocking=non_blocking) for tensor in (*self, self.lengths)
        )
        return Batch(impressions, actions, action_types, is_order, lengths, self.date)


class Layout:
    """The shape and the dtypes of a batch, and where its tensors lie in a block of `bytes` bytes."""

    __slots__ = ("_dtypes", "_places", "bytes", "names", "room", "width")

    def __init__(self, rows: int, width: int, items: torch.dtype, types: torch.dtype) -> None:
        self.width = width
        # The dtypes, as the extension module names them.
        self.names = NAMES[items], NAMES[types]
        actions, action_types, impressions, lengths, is_order, self.bytes = _native.layout(rows, width, self.names)
        # What to allocate on a device: widths vary with `trim`, and a cache of memory needs sizes that come again.
        step = max(64, 1 << max(0, self.bytes.bit_length() - 4))
        self.room = -(-self.bytes // step) * step
        # The whole block is looked at as each dtype, which all begin on multiples of 64 bytes; then tensors are places in it.
        one, wide = ((rows,), (1,)), ((rows, width), (width, 1))
        tensors = [
            (impressions, items, one),
            (actions, items, wide),
            (action_types, types, wide),
            (is_order, torch.bool, one),
            (lengths, torch.int32, one),
        ]
        self._dtypes = list(dict.fromkeys(dtype for _, dtype, _ in tensors))
        self._places = [
            (self._dtypes.index(dtype), *shape_and_strides, start // dtype.itemsize) for start, dtype, shape_and_strides in tensors
        ]

    def batch(self, block: torch.Tensor, date: datetime.date) -> Batch:
        """The tensors of a block [bytes] uint8 that is not itself a part of another tensor, as views of it."""
        typed = [block.view(dtype) for dtype in self._dtypes]
        impressions, actions, action_types, is_order, lengths = [
            typed[which].as_strided(shape, strides, start) for which, shape, strides, start in self._places
        ]
        return Batch(impressions, actions, action_types, is_order, lengths, date)


@functools.lru_cache(maxsize=4096)
def layout(rows: int, width: int, items: torch.dtype, types: torch.dtype) -> Layout:
    """The layout of such a batch: most batches have the same one, and with `trim` one of as many as there are widths."""
    return Layout(rows, width, items, types)


def _refuse_to_collate(batches: list[Batch], **_: object) -> Batch:
    raise OptionError(
        "batch_size: a Loader yields whole batches, and DataLoader would put batches of them together: use the loader as it is, or "
        "DataLoader(loader, batch_size=None)"
    )


default_collate_fn_map[Batch] = _refuse_to_collate

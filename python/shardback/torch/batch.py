"""A batch, and how its tensors lie in one block of memory."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from shardback import _native

NAMES = {torch.uint8: "u8", torch.int32: "i32", torch.int64: "i64"}
"""The dtypes of numbers, as the extension module names them."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """B samples of one day; unpacks into impressions, actions, action_types, is_order.

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
        """[B, K] bool: true where there is padding, as `key_padding_mask` of PyTorch's attention wants it."""
        return self.action_types == 0


@dataclass(frozen=True, slots=True)
class Layout:
    """The shape and the dtypes of a batch."""

    rows: int
    width: int
    items: torch.dtype
    types: torch.dtype

    @property
    def names(self) -> tuple[str, str]:
        """The dtypes, as the extension module names them."""
        return NAMES[self.items], NAMES[self.types]

    @property
    def bytes(self) -> int:
        """The size of the block."""
        return _native.layout(self.rows, self.width, self.names)[-1]

    def batch(self, block: torch.Tensor, date: datetime.date) -> Batch:
        """The tensors of a block [bytes] uint8, as views of it."""
        actions, types, impressions, lengths, is_order, _ = _native.layout(self.rows, self.width, self.names)

        def view(start: int, count: int, dtype: torch.dtype) -> torch.Tensor:
            return block[start : start + count * dtype.itemsize].view(dtype)

        wide, shape = self.rows * self.width, (self.rows, self.width)
        return Batch(
            impressions=view(impressions, self.rows, self.items),
            actions=view(actions, wide, self.items).view(shape),
            action_types=view(types, wide, self.types).view(shape),
            is_order=view(is_order, self.rows, torch.bool),
            lengths=view(lengths, self.rows, torch.int32),
            date=date,
        )

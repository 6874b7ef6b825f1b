"""What the tests of the loader share."""

from __future__ import annotations

import pathlib
from typing import Any

from conftest import ROWS
from shardback.torch import Loader

TOTAL = sum(ROWS.values())


def items(batches: Any) -> list[int]:
    """The rows that batches hold, by the items that name them."""
    return [item for batch in batches for item in batch.impressions.tolist()]


def loader(out: pathlib.Path, **options: Any) -> Loader:
    return Loader(out, **{"batch_size": 32, "device": "cpu", "threads": 2, **options})

"""`verify` and `inspect`: published days checked, and shown."""

from __future__ import annotations

import json
import numbers
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shardback import _native
from shardback.errors import OptionError
from shardback.options import StoreOptions, on_disk


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a published day: the file or folder, and what."""

    path: Path
    problem: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What a check found.

    Attributes:
        days: the days that were checked, each format for itself.
        rows: their samples.
        bytes: the bytes of their files.
        requests: where cut-offs are times: the requests.
        cutoffs_checked: of those how many were seen to have no action from the cut-off on; of the others the times of actions are not
            there.
        faults: everything that is wrong.
        notes: what a person may want to know, and is no fault.
    """

    days: int
    rows: int
    bytes: int
    requests: int
    cutoffs_checked: int
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


def verify(
    path: str | os.PathLike[str],
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    cache_limit: int | str | None = None,
    store_options: StoreOptions | None = None,
) -> Verified:
    """Checks days in full: hashes, structure, order, counts, and whether the formats of a day come from one build.

    Args:
        path: a day's folder, the folder of a format, or an output; or the address of one in an object store.
        cache_dir: where days that lie in an object store are kept on this machine; `shardback` in the user's cache if not given.
        cache_limit: the most bytes that the days of one output may take there, as a number or as `"100GiB"`; no limit if not given. All
            days that are asked for have to fit; others that were fetched before make room, those fetched longest ago first.
        store_options: settings of object stores, as {"aws_region": "eu-west-1"}, beside those of the environment.

    Returns:
        What was checked, and every fault. A fault is no exception.

    Raises:
        IoError: a folder cannot be read.
        CorruptError: the path is none of the three.
    """
    text, faults = _native.verify(on_disk(path, cache_dir, cache_limit, store_options))
    fields: dict[str, Any] = json.loads(text)
    fields["faults"] = tuple(Fault(place, problem) for place, problem in faults)
    fields["notes"] = tuple(fields["notes"])
    return Verified(**fields)


def inspect(
    path: str | os.PathLike[str],
    *,
    rows: int = 5,
    customer: int | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    cache_limit: int | str | None = None,
    store_options: StoreOptions | None = None,
) -> dict[str, Any]:
    """Shows what a path holds: figures, the first rows, one customer's samples and whole history.

    Args:
        path: a shard or part, a day's folder, the folder of a format, or an output; or the address of one but the first in an object store.
        rows: how many samples.
        customer: the customer to show.
        cache_dir, cache_limit, store_options: as of `verify`.

    Returns:
        What `shardback inspect --json` prints.

    Raises:
        OptionError: an argument is no number.
        IoError: something cannot be read.
        CorruptError: something is not what it should be.
    """
    if isinstance(rows, bool) or not isinstance(rows, numbers.Integral) or not 0 <= rows < 1 << 63:
        raise OptionError(f"rows: expected a whole number, found {rows!r}")
    if customer is not None and not (isinstance(customer, numbers.Integral) and -(1 << 63) <= customer < 1 << 63):
        raise OptionError(f"customer: expected a whole number of 64 bits, found {customer!r}")
    whole = None if customer is None else int(customer)
    shown: dict[str, Any] = json.loads(_native.inspect(on_disk(path, cache_dir, cache_limit, store_options), int(rows), whole))
    return shown

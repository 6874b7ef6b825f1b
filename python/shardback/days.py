"""Published days as read-only numpy arrays over the mapped files."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from shardback import _native
from shardback.errors import CorruptError, OptionError
from shardback.manifest import Manifest, Statistics
from shardback.options import StoreOptions, on_disk

Array = npt.NDArray[Any]
"""A numpy array; each function says its shape and dtype."""

_DTYPES: dict[str, np.dtype[Any]] = {
    "I64": np.dtype("<i8"),
    "F64": np.dtype("<f8"),
    "I32": np.dtype("<i4"),
    "F32": np.dtype("<f4"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("bool"),
}


class Shard(Mapping[str, Array]):
    """The tensors of one shard by name: read-only views of the mapped file, which copy nothing.

    N is the number of rows, R that of requests, A that of actions, K the length of a padded history. Jagged: `customer_id` int64 [R],
    `history_start` int64 [R], `history_length` int32 [R], `request` int32 [N], `item_id` int32 [N], `actions` int32 [A], `action_types` uint8
    [A], `is_order` bool [N]. Dense: `customer_id`, `item_id`, `is_order`, `actions` [N, K], `action_types` [N, K].
    Items are int64 where the day was built so.
    """

    def __init__(self, day: _native.Day, number: int) -> None:
        self.path = day.shard_paths[number]
        self.rows = day.shard_rows[number]
        self._tensors = {
            name: _view(day.tensor(number, name), dtype, shape) for name, dtype, shape in day.tensors(number)
        }

    def __getitem__(self, name: str) -> Array:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __repr__(self) -> str:
        return f"<Shard {self.path}: {self.rows} rows>"


def _view(memory: _native.Memory, dtype: str, shape: list[int]) -> Array:
    if len(memory) == 0:
        empty: Array = np.empty(shape, _DTYPES[dtype])
        empty.flags.writeable = False
        return empty
    return np.frombuffer(memory, _DTYPES[dtype]).reshape(shape)


def _bytes(array: Array) -> Array:
    return array.reshape(-1).view(np.uint8)


class Day:
    """One day, dense or jagged, whose shards are mapped. Rows are numbered through all shards in order.

    The folder may be replaced while it is open: the day keeps the files that it has opened.

    Args:
        path: the day's folder, `dt=2025-08-16`.
        verify: also read every byte: hashes, structure and the rules of the content.
        mmap: true to map its files, false to read them into memory; if not given, files on network file systems are read as
            far as memory goes, and others mapped.

    Raises:
        IoError: something cannot be read.
        CorruptError: it is not what its manifest says.
    """

    def __init__(self, path: str | os.PathLike[str], *, verify: bool = False, mmap: bool | None = None) -> None:
        self.path = Path(path).expanduser()
        # What another process opens, whichever folder is current there, or here by then.
        self._absolute = os.path.abspath(self.path)
        self._mmap = mmap
        self._day = _native.Day(self.path, mmap)
        self.manifest = Manifest.parse(self.path, self._day.manifest)
        self.shards = tuple(Shard(self._day, number) for number in range(len(self.manifest.shards)))
        self._rows = sum(shard.rows for shard in self.shards)
        if verify:
            _verify(self.path)

    @property
    def native(self) -> _native.Day:
        """The day as the extension module knows it; for the package's own use."""
        return self._day

    @property
    def date(self) -> datetime.date:
        """The day."""
        return self.manifest.date

    @property
    def format(self) -> str:
        """`dense` or `jagged`."""
        return self.manifest.format

    @property
    def statistics(self) -> Statistics:
        """The figures in its manifest."""
        return self.manifest.statistics

    def __len__(self) -> int:
        return self._rows

    def __reduce__(self) -> tuple[Callable[[str, str, bool | None], Day], tuple[str, str, bool | None]]:
        """By its path: whoever unpickles it opens it there, and finds the same files."""
        return _opened_again, (self._absolute, self.manifest.hash, self._mmap)

    def __copy__(self) -> Day:
        return self

    def __deepcopy__(self, memo: object) -> Day:
        # It is only read.
        return self

    def __repr__(self) -> str:
        return f"<Day {self.date}: {len(self)} rows, {self.format}, K = {self.manifest.history}>"

    def column(self, name: str) -> Array:
        """A column of all shards, copied into one array.

        Args:
            name: `customer_id` int64, `item_id` int32 or int64, `is_order` bool, or, of a jagged day, `history_length` int32.

        Returns:
            [N], one value per row.

        Raises:
            OptionError: the day has no such column.
        """
        known = self._day.columns
        if name not in known:
            raise OptionError(f"name: `{name}` is none of {', '.join(known)}; other tensors are in each of `shards`")
        if name in self._day.columns_of_requests:
            return np.concatenate([shard[name][shard[_native.REQUEST]] for shard in self.shards])
        return np.concatenate([shard[name] for shard in self.shards])

    def history(self, row: int) -> tuple[Array, Array]:
        """The actions that a row sees, newest first, without padding.

        Returns:
            Items [L] int32 or int64, and types [L] uint8 (1 click, 2 add to cart, 3 order): read-only views, no copies.

        Raises:
            IndexError: there is no such row.
            CorruptError: the file says a window that it does not have.
        """
        if not -len(self) <= row < len(self):
            raise IndexError(f"no row {row}: {self.date} has {len(self)} rows")
        number, start, stop = self._day.window(row % len(self))
        shard = self.shards[number]
        return shard[_native.ACTIONS].reshape(-1)[start:stop], shard[_native.ACTION_TYPES].reshape(-1)[start:stop]

    def dense(
        self, rows: npt.ArrayLike | slice, out: tuple[Array, Array] | None = None, *, threads: int | None = None
    ) -> tuple[Array, Array]:
        """The padded histories of some rows, gathered in Rust by several threads.

        Args:
            rows: their numbers [B], in any order and with repetitions, or a slice.
            out: the arrays to write, C-contiguous: items [B, K] in the day's dtype and types [B, K] uint8. They must not be
                used elsewhere meanwhile.
            threads: how many threads work; one for each processor if not given.

        Returns:
            Items [B, K] int32 or int64, and types [B, K] uint8, zeros behind the history: `out` where it was given.

        Raises:
            OptionError: there is no such row, or `out` is of another shape or dtype.
        """
        numbers = self._rows_of(rows, threads)
        shape = (len(numbers), self.manifest.history)
        dtype = np.dtype("<i8" if self.manifest.item_dtype == "i64" else "<i4")
        actions, types = (np.empty(shape, dtype), np.empty(shape, np.uint8)) if out is None else out
        for array, expected in ((actions, dtype), (types, np.dtype(np.uint8))):
            if array.shape != shape or array.dtype != expected or not array.flags.carray:
                raise OptionError(
                    f"out: expected {expected} {list(shape)}, contiguous and writable, found {array.dtype} {list(array.shape)}"
                )
        if numbers.size:
            self._day.dense(numbers.tolist(), _bytes(actions), _bytes(types), threads or 0)
        return actions, types

    def dense_column(self, name: str, rows: npt.ArrayLike | slice, *, threads: int | None = None) -> Array:
        """Another column of actions of some rows, padded as `dense` pads items and types.

        Args:
            name: `action_times`, or `action_` and the name of a feature.
            rows: their numbers [B], in any order and with repetitions, or a slice.
            threads: how many threads work; one for each processor if not given.

        Returns:
            [B, K] in the column's dtype, zeros behind the history.

        Raises:
            OptionError: there is no such row or column.
        """
        numbers = self._rows_of(rows, threads)
        dtypes = {known: dtype for known, dtype, is_wide in self._day.extra_columns if is_wide}
        if name not in dtypes:
            raise OptionError(f"name: `{name}` is none of {', '.join(dtypes) or 'no columns of actions'}")
        out = np.empty((len(numbers), self.manifest.history), _DTYPES[dtypes[name]])
        if out.size:
            self._day.dense_column(name, numbers.tolist(), _bytes(out), threads or 0)
        return out

    def _rows_of(self, rows: npt.ArrayLike | slice, threads: int | None) -> Array:
        """The numbers of rows, checked."""
        numbers = np.arange(len(self))[rows] if isinstance(rows, slice) else np.asarray(rows)
        if numbers.ndim != 1 or (numbers.size and not np.issubdtype(numbers.dtype, np.integer)):
            raise OptionError(f"rows: expected whole numbers [B], found {numbers.dtype} {list(numbers.shape)}")
        if numbers.size and (numbers.min() < 0 or numbers.max() >= len(self)):
            raise OptionError(f"rows: expected 0 to {len(self) - 1}, found {numbers.min()} to {numbers.max()}")
        if threads is not None and threads < 1:
            raise OptionError("threads: use 1 or more, or leave it out for one per processor")
        return numbers


class Days(Sequence[Day]):
    """Days of one format in order, such as those of an output: a sequence, also by date.

    `days["2025-08-16"]` is the day of that date, `days.between("2025-08-01", "2025-08-14")` a range of which every day has
    to be there.
    """

    def __init__(self, days: Sequence[Day]) -> None:
        self._days = sorted(days, key=lambda day: day.date)
        for day, following in zip(self._days, self._days[1:], strict=False):
            if day.date == following.date:
                raise OptionError(f"days: {day.date} is there twice: `{day.path}` and `{following.path}`")

    @overload
    def __getitem__(self, key: int | str | datetime.date) -> Day: ...
    @overload
    def __getitem__(self, key: slice) -> Days: ...
    def __getitem__(self, key: int | str | datetime.date | slice) -> Day | Days:
        if isinstance(key, slice):
            return Days(self._days[key])
        if isinstance(key, str | datetime.date):
            return self.between(key, key)._days[0]
        return self._days[key]

    def __len__(self) -> int:
        return len(self._days)

    def __repr__(self) -> str:
        return f"<Days {', '.join(str(day.date) for day in self)}>"

    def between(self, first: str | datetime.date, last: str | datetime.date) -> Days:
        """The days from `first` to `last`, both inclusive.

        Raises:
            OptionError: a day of the range is missing, of which the message names all, or something is no day.
        """
        start, end = _date(first), _date(last)
        wanted = [start + datetime.timedelta(day) for day in range((end - start).days + 1)]
        known = {day.date: day for day in self}
        missing = [str(date) for date in wanted if date not in known]
        if missing or not wanted:
            have = f"{self[0].date} to {self[-1].date}" if len(self) else "none"
            raise OptionError(f"days: no {', '.join(missing) or 'day'} between {start} and {end}; there are {have}; build what is missing")
        return Days([known[date] for date in wanted])


def open(
    path: str | os.PathLike[str],
    *,
    verify: bool = False,
    mmap: bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    cache_limit: int | str | None = None,
    store_options: StoreOptions | None = None,
) -> Day | Days:
    """Opens a day's folder as a `Day`; the folder of a format, or an output, as `Days`, jagged ones where there are any.

    Manifests are checked, and that files have the sizes and shards the rows that they say.

    Args:
        path: `out/jagged/dt=2025-08-16`, `out/jagged`, or `out`; or its address in an object store, as `s3://bucket/out`: its days are
            fetched first, all that are not kept from an earlier time.
        verify: also read every byte: hashes, structure and the rules of the content.
        mmap: true to map files, false to read them into memory; if not given, files on network file systems are read as far as
            memory goes, and others mapped.
        cache_dir: where days that lie in an object store are kept on this machine; `shardback` in the user's cache if not given.
        cache_limit: the most bytes that the days of one output may take there, as a number or as `"100GiB"`; no limit if not given. All
            days that are asked for have to fit; others that were fetched before make room, those fetched longest ago first.
        store_options: settings of object stores, as {"aws_region": "eu-west-1"}, beside those of the environment.

    Raises:
        IoError: something cannot be read.
        CorruptError: a day is not what its manifest says, or there is none.
        OptionError: the days take more than `cache_limit`.
    """
    is_day, folders = _native.find_days(on_disk(path, cache_dir, cache_limit, store_options))
    if is_day:
        return Day(folders[0], verify=verify, mmap=mmap)
    return Days([Day(folder, verify=verify, mmap=mmap) for folder in folders])


def _opened_again(path: str, hash: str, mmap: bool | None) -> Day:
    """A day that was pickled.

    Raises:
        IoError: it is not there, such as on another machine.
        CorruptError: something else is there.
    """
    day = Day(path, mmap=mmap)
    if day.manifest.hash != hash:
        raise CorruptError(f"`{path}`: it is not the day that was pickled: it was built anew")
    return day


def _date(day: str | datetime.date) -> datetime.date:
    try:
        return datetime.date.fromisoformat(str(day))
    except ValueError:
        raise OptionError(f"days: not a day: `{day}` (write it as YYYY-MM-DD)") from None


def _verify(path: Path) -> None:
    _, faults = _native.verify(path)
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise CorruptError(f"`{faults[0][0]}`: {faults[0][1]}{more}")

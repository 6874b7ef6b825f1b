"""`build`: days from tables."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from shardback import _native
from shardback.errors import OptionError
from shardback.options import Config, DateLike, StoreOptions, arguments, folder, manifests, named_tables
from shardback.progress import Bar
from shardback.sources import source
from shardback.summary import Built, Summary


class ArrowStream(Protocol):
    """Anything that yields Arrow record batches: a frame of Polars or pandas, a relation of DuckDB, a table of pyarrow."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The stream, as a capsule."""


Table = str | os.PathLike[str] | ArrowStream
"""A table: the path of a file or folder, or anything that yields Arrow."""

TABLES = ("impressions", "clicks", "add_to_carts", "previous_orders")

Progress = Callable[[str, int, int], object]
"""Called with the name of a stage, the units done and all of them; 0 of 0 where a stream does not say how much it has."""


def build(
    *,
    impressions: Table | None = None,
    clicks: Table | None = None,
    add_to_carts: Table | None = None,
    previous_orders: Table | None = None,
    config: Config | None = None,
    tables: Mapping[str, Table] | None = None,
    out: str | os.PathLike[str],
    date: DateLike | None = None,
    start: DateLike | None = None,
    end: DateLike | None = None,
    formats: str | Iterable[str] = ("parquet", "dense"),
    history: int | None = None,
    lookback_days: int | None = None,
    cutoff: str | None = None,
    lookback: str | None = None,
    delay: str | None = None,
    item_dtype: str | None = None,
    invalid: str = "fail",
    day_zone: str | None = None,
    csv_escape: str | None = None,
    store_options: StoreOptions | None = None,
    shard_rows: int | None = None,
    shards: int | None = None,
    skip_existing: bool = False,
    allow_empty_days: bool = False,
    require_fresh: bool = False,
    replace_non_atomic: bool = False,
    device: str = "auto",
    threads: int | None = None,
    memory: int | str | None = None,
    spill_dir: str | os.PathLike[str] | None = None,
    progress: bool | Progress = False,
) -> Built:
    """Builds a day, or a range of days in one pass, and publishes each of them whole under `out`/FORMAT/dt=DAY.

    The tables and rules are those of the command line. The work is done in Rust threads without the interpreter's lock;
    Ctrl-C stops it, and cleans up.

    Args:
        impressions: `dt`, `customer_id`, and `impressions` (a list of structs of `item_id` and `is_order`) or `item_id`
            and `is_order`.
        clicks: `dt`, `customer_id`, `item_id`, `click_time`.
        add_to_carts: `dt`, `customer_id`, `config_id`, `occurred_at`.
        previous_orders: `order_date`, `customer_id`, `config_id`.
        config: a description of other tables: a file in TOML or JSON, or a dict with what such a file says. Other arguments have
            the last word.
        tables: the tables of the description by name, `samples` among them; those that are not here lie where the description
            says.
        out: the folder for the results.
        date: the day to build; or else `start` and `end`.
        start: the first day to build.
        end: the last day to build, inclusive.
        formats: what to write: some of `parquet`, `dense`, `jagged`.
        history: K, how many actions a row has; 1000, or what the description says, if not given.
        lookback_days: how many days back a sample sees; all of them, or what the description says, if not given.
        cutoff: from when on nothing is seen: `day`, that of the sample, or `time`, its own; `day`, or what the description says, if not
            given.
        lookback: with `cutoff="time"` how far back a request sees, as "90d", "12h" or "30m".
        delay: with `cutoff="time"`: an action is seen only so long after its time, as "5m" or "30s".
        item_dtype: `i32` or `i64`, the width of item ids; `i32` if not given, or `i64` where a description hashes them or has
            them without sign.
        invalid: what to do with rows that break the contract: `fail`, or `skip` to leave them out and keep them aside.
        day_zone: the time zone in which the days of timestamps count, as "Europe/Berlin" or "UTC"; the one that the column
            says if not given.
        csv_escape: what comes before a quote within quotes of a CSV file, as the backslash of Spark; quotes are doubled if not
            given.
        store_options: settings of the object stores in which tables lie, as {"aws_region": "eu-west-1"}, beside those of the
            environment. Nothing records them.
        shard_rows: about how many samples a shard holds; 131,072 if neither this nor `shards` is given.
        shards: how many shards a day has.
        skip_existing: leave days alone that an earlier run with the same options has published.
        allow_empty_days: write days without impressions, with no rows, instead of failing.
        require_fresh: fail, before anything is published, where a table of actions has no row on the day before a built day but has
            some before that.
        replace_non_atomic: replace a day in two steps where the file system cannot do it in one.
        device: what pads histories: `auto`, `cpu` or `cuda`.
        threads: how many threads work; one for each processor if not given.
        memory: the most memory to use, in bytes or as "8GiB"; three quarters of what the machine has if not given.
        spill_dir: a folder for what memory has no room for; inside `out` if not given.
        progress: true for a bar on standard error, or what is to be called with a stage, the units done and their total.
            What it raises stops the build.

    Returns:
        A list of the manifest of each format of each day asked for, day by day, those left alone by `skip_existing` included; its
        `summary` says what the run did: days, tables, stages, memory.

    Raises:
        OptionError: an argument makes no sense.
        InputError: a table cannot be used, or has a bad row.
        IoError: the system refused something.
        DeviceError: `cuda` was asked for, and no device can be used.
        TypeError: a table is neither a path nor yields Arrow; the message names the call that makes it do so, where there is one.
        ShardbackError: anything else that stops the build; days published before stay, whole.
    """
    given = arguments(
        config=config,
        out=out,
        date=date,
        start=start,
        end=end,
        formats=formats,
        history=history,
        lookback_days=lookback_days,
        cutoff=cutoff,
        lookback=lookback,
        delay=delay,
        item_dtype=item_dtype,
        invalid=invalid,
        day_zone=day_zone,
        csv_escape=csv_escape,
        store_options=store_options,
        shard_rows=shard_rows,
        shards=shards,
        skip_existing=skip_existing,
        allow_empty_days=allow_empty_days,
        require_fresh=require_fresh,
        replace_non_atomic=replace_non_atomic,
        device=device,
        threads=threads,
        memory=memory,
        spill_dir=spill_dir,
    )
    built_in = dict(zip(TABLES, (impressions, clicks, add_to_carts, previous_orders), strict=True))
    named = named_tables(built_in, config, tables)
    refuse_one_as_two(named)
    sources = [(name, source(name, table)) for name, table in named.items()]
    if isinstance(progress, bool):
        with Bar(shown=progress) as bar:
            summary = _native.build(sources, given, folder(config), bar if progress else None)
    else:
        summary = _native.build(sources, given, folder(config), progress)
    return Built(manifests(given), Summary.parse(summary))


def refuse_one_as_two(tables: Mapping[str, Table]) -> None:
    """Refuses one source as two tables: a stream can be read once, and the second table would have no rows."""
    streams: dict[int, str] = {}
    for name, table in tables.items():
        if isinstance(table, (str, os.PathLike)):
            continue
        first = streams.setdefault(id(table), name)
        if first != name:
            raise OptionError(f"{name}: it is the same object as {first}; hand over a source of its own for each table")

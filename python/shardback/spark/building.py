"""`build`: days from Spark's tables, on Spark's executors."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from shardback import _native
from shardback.manifest import Manifest
from shardback.building import TABLES
from shardback.errors import OptionError
from shardback.options import Config, DateLike, arguments, manifests, named_tables
from shardback.spark.tasks import Job, Spans, count_rows, map_rows, reduce_rows

ROWS = "route int, kind int, records binary"
"""The columns of the shuffle."""
PART = 0
"""The kind of the row that every part has."""
BATCHES = {
    "spark.sql.execution.arrow.maxRecordsPerBatch": "10000",
    # None: Spark would otherwise ask after every row how many bytes there are, which takes as long as all else.
    "spark.sql.execution.arrow.maxBytesPerBatch": str(2**31 - 1),
}
"""How Spark cuts what it hands over to Python."""


def build(
    spark: SparkSession,
    *,
    impressions: DataFrame | None = None,
    clicks: DataFrame | None = None,
    add_to_carts: DataFrame | None = None,
    previous_orders: DataFrame | None = None,
    config: Config | None = None,
    tables: Mapping[str, DataFrame] | None = None,
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
    shard_rows: int | None = None,
    shards: int | None = None,
    skip_existing: bool = False,
    allow_empty_days: bool = False,
    require_fresh: bool = False,
    replace_non_atomic: bool = False,
    device: str = "auto",
    threads: int = 1,
    memory: int | str = "1GiB",
    spill_dir: str | os.PathLike[str] | None = None,
) -> list[Manifest]:
    """Builds a day, or a range of days in one pass, on the executors of a Spark session.

    The tables, options and rules are those of `shardback.build`, and so are the bytes: shards and manifests are those that
    one machine would write. `out` is on a file system that the driver and all executors see under the same path.

    Each table is read once, the impressions twice; actions are shuffled once. A partition is a shard, of all the days that have
    as many shards.

    Args:
        spark: the session.
        impressions: `dt`, `customer_id`, and `impressions` (a list of structs of `item_id` and `is_order`) or `item_id`
            and `is_order`.
        clicks: `dt`, `customer_id`, `item_id`, `click_time`.
        add_to_carts: `dt`, `customer_id`, `config_id`, `occurred_at`.
        previous_orders: `order_date`, `customer_id`, `config_id`.
        config: a description of other tables: a file in TOML or JSON, or a dict with what such a file says. Where it says that
            tables lie is not looked at.
        tables: all the tables of the description by name, `samples` among them.
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
            says if not given, which is the session's.
        shard_rows: about how many samples a shard holds; 131,072 if neither this nor `shards` is given.
        shards: how many shards a day has.
        skip_existing: leave days alone that an earlier run with the same options has published.
        allow_empty_days: write days without impressions, with no rows, instead of failing.
        require_fresh: fail, before anything is published, where a table of actions has no row on the day before a built day but has
            some before that.
        replace_non_atomic: replace a day in two steps where the file system cannot do it in one.
        device: what pads histories: `auto`, `cpu` or `cuda`.
        threads: how many threads a task uses; as many as `spark.task.cpus` says are its own.
        memory: the most memory that a task uses, in bytes or as "1GiB"; it is outside the heap of Java.
        spill_dir: a folder of the executor's machine for what memory has no room for; that for temporary files if not given.

    Returns:
        The manifest of each format of each day asked for, day by day, those left alone by `skip_existing` included.

    Raises:
        OptionError: an argument makes no sense.
        InputError: a table cannot be used, or has a bad row; the message names table, column and value.
        IoError: the system refused something.
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
    frames = named_tables(built_in, config, tables)
    samples, *actions = _native.tables(given)
    unknown = [name for name in frames if name not in (samples, *actions)]
    missing = [name for name in (samples, *actions) if name not in frames]
    if unknown:
        raise OptionError(f"tables: `{unknown[0]}` is not a table of the description; its tables are {', '.join((samples, *actions))}")
    if missing and (config is not None or samples in missing):
        raise OptionError(f"{'tables' if config is not None else samples}: `{missing[0]}` is missing")
    with _driver(given, [name for name in actions if name in frames]) as driver:
        if driver.days:
            with _settings(spark, BATCHES):
                _Run(spark, driver, given, samples, frames).build()
    return manifests(given)


@contextlib.contextmanager
def _driver(given: dict[str, object], tables: list[str]) -> Iterator[_native.Driver]:
    # Never the same name twice: tasks of a run that died may still be writing.
    driver = _native.Driver(given, tables, f"run-{uuid.uuid4().hex}")
    try:
        yield driver
    finally:
        driver.close()


@contextlib.contextmanager
def _settings(spark: SparkSession, settings: dict[str, str]) -> Iterator[None]:
    before = {name: spark.conf.get(name) for name in settings}
    # What is so already may be another build's, which puts it back.
    changed = {name: value for name, value in settings.items() if before[name] != value}
    try:
        for name, value in changed.items():
            spark.conf.set(name, value)
        yield
    finally:
        for name in changed:
            known = before[name]
            if known is None:
                spark.conf.unset(name)
            else:
                spark.conf.set(name, known)


class _Run:
    """The Spark jobs of a build."""

    def __init__(
        self,
        spark: SparkSession,
        driver: _native.Driver,
        given: dict[str, object],
        samples: str,
        frames: dict[str, DataFrame],
    ) -> None:
        self.spark = spark
        self.driver = driver
        self.given = given
        self.samples = samples
        days = {name: driver.visible for name in frames}
        days[samples] = driver.days[0], driver.days[-1]
        self.frames = {name: _project(given, name, frame, *days[name]) for name, frame in frames.items()}

    def build(self) -> None:
        shards, customers, spans = self._counted()
        self._publish(shards, [bytes(row.report) for row in self._reduced(shards, customers, spans).collect()])

    def _publish(self, shards: list[int], reports: list[bytes]) -> None:
        engine = json.dumps({"name": "spark", "version": self.spark.version})
        self.driver.publish(shards, reports, engine)

    def _job(self, shards: list[int] | None, routes: list[int]) -> Job:
        days = self.driver.days
        return {"arguments": self.given, "days": days, "shards": shards, "routes": routes, "customers": None, "spans": None}

    def _counted(self) -> tuple[list[int], bytes | None, Spans]:
        """How many shards each day has, which customers have impressions, and between which times each day's requests are."""
        job = self._job(None, [])
        rows = self._mapped(self.samples, self.frames[self.samples], job).repartition(1)
        counted = rows.mapInArrow(functools.partial(count_rows, job), ROWS).collect()
        return self.driver.counted([(row.kind, bytes(row.records)) for row in counted])

    def _mapped(self, table: str, frame: DataFrame, job: Job) -> DataFrame:
        return frame.mapInArrow(functools.partial(map_rows, job, table), ROWS)

    def _reduced(self, shards: list[int], customers: bytes | None, spans: Spans) -> DataFrame:
        parts = _native.parts(shards)
        routes = _routes(self.spark, parts)
        job = self._job(shards, routes)
        rows = self.spark.createDataFrame([(route, PART, b"") for route in routes], ROWS).coalesce(1)
        for table, frame in self.frames.items():
            rows = rows.union(self._mapped(table, frame, {**job, "customers": customers, "spans": spans}))
        sorted_rows = rows.repartition(parts, "route").sortWithinPartitions("route", "kind")
        return sorted_rows.mapInArrow(functools.partial(reduce_rows, job, str(self.driver.folder)), "report binary")


def _project(given: dict[str, object], table: str, frame: DataFrame, first: str | None, last: str | None) -> DataFrame:
    """The columns that are read of a table, and its rows but for those that surely are of days that nothing sees.

    It decides nothing: which days a sample sees is decided where rows are read. Rows whose day is none stay, to be rejected.
    """
    day, columns = _native.columns(given, table, frame.columns)
    # A name may have a point in it.
    frame = frame.select(*[f"`{column}`" for column in columns])
    if day is None:
        return frame
    kind = dict(frame.dtypes).get(day)
    if kind == "string":
        spelled = f.col(day).rlike(r"^(dt=)?(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}$")
        date = f.when(spelled, f.expr(f"try_cast(right(`{day}`, 10) AS date)"))
    elif kind == "date":
        date = f.col(day)
    else:
        return frame
    for bound, outside in ((first, date < f.lit(first).cast("date")), (last, date > f.lit(last).cast("date"))):
        if bound is not None:
            frame = frame.filter(~f.coalesce(outside, f.lit(False)))
    return frame


def _routes(spark: SparkSession, parts: int) -> list[int]:
    """For each part a number whose hash sends it to a partition of its own among as many."""
    found: dict[int, int] = {}
    # With so many numbers a partition is left without one in a case of 100 million; then there are more.
    step = parts * 32
    start = 0
    while len(found) < parts:
        numbers = spark.range(start, start + step, 1, 1).selectExpr("CAST(id AS int) AS route")
        for row in numbers.selectExpr("route", f"pmod(hash(route), {parts}) AS partition").collect():
            found.setdefault(row.partition, row.route)
        start += step
    return [found[part] for part in range(parts)]

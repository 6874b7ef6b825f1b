"""`build`: days from Spark's tables, on Spark's executors."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import uuid
from collections.abc import Iterable, Iterator

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from shardback import _native
from shardback.manifest import Manifest
from shardback.options import Day, arguments, manifests
from shardback.spark.tasks import Job, count_rows, map_rows, reduce_rows

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
    impressions: DataFrame,
    clicks: DataFrame | None = None,
    add_to_carts: DataFrame | None = None,
    previous_orders: DataFrame | None = None,
    out: str | os.PathLike[str],
    date: Day | None = None,
    start: Day | None = None,
    end: Day | None = None,
    formats: str | Iterable[str] = ("parquet", "dense"),
    history: int = 1000,
    lookback_days: int | None = None,
    item_dtype: str = "i32",
    invalid: str = "fail",
    day_zone: str | None = None,
    shard_rows: int | None = None,
    shards: int | None = None,
    skip_existing: bool = False,
    allow_empty_days: bool = False,
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
        out: the folder for the results.
        date: the day to build; or else `start` and `end`.
        start: the first day to build.
        end: the last day to build, inclusive.
        formats: what to write: some of `parquet`, `dense`, `jagged`.
        history: K, how many actions a row has.
        lookback_days: how many days back a sample sees; all of them if not given.
        item_dtype: `i32` or `i64`, the width of item ids.
        invalid: what to do with rows that break the contract: `fail`, or `skip` to leave them out and keep them aside.
        day_zone: the time zone in which the days of timestamps count, as "Europe/Berlin" or "UTC"; the one that the column
            says if not given, which is the session's.
        shard_rows: about how many samples a shard holds; 131,072 if neither this nor `shards` is given.
        shards: how many shards a day has.
        skip_existing: leave days alone that an earlier run with the same options has published.
        allow_empty_days: write days without impressions, with no rows, instead of failing.
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
        out=out,
        date=date,
        start=start,
        end=end,
        formats=formats,
        history=history,
        lookback_days=lookback_days,
        item_dtype=item_dtype,
        invalid=invalid,
        day_zone=day_zone,
        shard_rows=shard_rows,
        shards=shards,
        skip_existing=skip_existing,
        allow_empty_days=allow_empty_days,
        replace_non_atomic=replace_non_atomic,
        device=device,
        threads=threads,
        memory=memory,
        spill_dir=spill_dir,
    )
    actions = {"clicks": clicks, "add_to_carts": add_to_carts, "previous_orders": previous_orders}
    frames = {name: frame for name, frame in actions.items() if frame is not None}
    with _driver(given, list(frames)) as driver:
        if driver.days:
            with _settings(spark, BATCHES):
                _Run(spark, driver, given, impressions, frames).build()
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
        impressions: DataFrame,
        actions: dict[str, DataFrame],
    ) -> None:
        self.spark = spark
        self.driver = driver
        self.given = given
        days = driver.days
        self.impressions = _project("impressions", impressions, days[0], days[-1])
        self.actions = {name: _project(name, frame, *driver.visible) for name, frame in actions.items()}

    def build(self) -> None:
        shards, customers = self._counted()
        self._publish(shards, [bytes(row.report) for row in self._reduced(shards, customers).collect()])

    def _publish(self, shards: list[int], reports: list[bytes]) -> None:
        engine = json.dumps({"name": "spark", "version": self.spark.version})
        self.driver.publish(shards, reports, engine)

    def _job(self, shards: list[int] | None, routes: list[int]) -> Job:
        days = self.driver.days
        return {"arguments": self.given, "days": days, "shards": shards, "routes": routes, "customers": None}

    def _counted(self) -> tuple[list[int], bytes | None]:
        """How many shards each day has, and which customers have impressions."""
        job = self._job(None, [])
        rows = self._mapped("impressions", self.impressions, job).repartition(1)
        counted = rows.mapInArrow(functools.partial(count_rows, job), ROWS).collect()
        return self.driver.counted([(row.kind, bytes(row.records)) for row in counted])

    def _mapped(self, table: str, frame: DataFrame, job: Job) -> DataFrame:
        return frame.mapInArrow(functools.partial(map_rows, job, table), ROWS)

    def _reduced(self, shards: list[int], customers: bytes | None) -> DataFrame:
        parts = _native.parts(shards)
        routes = _routes(self.spark, parts)
        job = self._job(shards, routes)
        rows = self.spark.createDataFrame([(route, PART, b"") for route in routes], ROWS).coalesce(1)
        for table, frame in {"impressions": self.impressions, **self.actions}.items():
            rows = rows.union(self._mapped(table, frame, {**job, "customers": customers}))
        sorted_rows = rows.repartition(parts, "route").sortWithinPartitions("route", "kind")
        return sorted_rows.mapInArrow(functools.partial(reduce_rows, job, str(self.driver.folder)), "report binary")


def _project(table: str, frame: DataFrame, first: str | None, last: str | None) -> DataFrame:
    """The columns that are read of a table, and its rows but for those that surely are of days that nothing sees.

    It decides nothing: which days a sample sees is decided where rows are read. Rows whose day is none stay, to be rejected.
    """
    day, columns = _native.columns(table, frame.columns)
    frame = frame.select(*columns)
    kind = dict(frame.dtypes)[day]
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

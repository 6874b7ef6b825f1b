"""`python -m shardback.spark`, also for `spark-submit`: a build on Spark with the arguments of the command line.

It prints a line for each format of each day. Exit codes: 0 done, 1 the build failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from pyspark.errors import PySparkException, PySparkRuntimeError
from pyspark.sql import DataFrame, SparkSession

from shardback import _native
from shardback.building import TABLES
from shardback.errors import InputError, OptionError, ShardbackError
from shardback.manifest import Manifest
from shardback.options import arguments, named_tables
from shardback.spark.building import build

NO_JAVA = "Spark does not start: it needs a JDK 17 or later; install one, or let JAVA_HOME name it"


def main(words: Sequence[str] | None = None) -> int:
    """Builds what the arguments say; gives the exit code."""
    given = vars(parser().parse_args(words))
    form = given.pop("table_format")
    places = {name: given.pop(name) for name in TABLES}
    named = dict(given.pop("table"))
    try:
        # Before anything is started.
        described = given["config"] is not None
        _native.tables(arguments(**given))
        named_tables(places, given["config"], named if described or named else None)
        if not described and places["impressions"] is None:
            raise OptionError("impressions: name the table")
    except (OptionError, InputError) as error:
        return failed(str(error), code=2)
    try:
        spark = SparkSession.builder.appName("shardback").getOrCreate()
    except PySparkRuntimeError as error:
        return failed(NO_JAVA if "JAVA_GATEWAY" in str(error) else str(error))
    try:
        tables: dict[str, Any] = {name: read(spark, form, place) for name, place in (named if described else places).items()}
        for manifest in build(spark, tables=tables, **given) if described else build(spark, **tables, **given):
            print(line(manifest))
    except OptionError as error:
        return failed(str(error), code=2)
    except (ShardbackError, PySparkException) as error:
        return failed(str(error))
    except KeyboardInterrupt:
        return failed("interrupted", code=130)
    finally:
        spark.stop()
    return 0


def read(spark: SparkSession, form: str, place: str | None) -> DataFrame | None:
    """A table by its path, or by its name in the catalog."""
    if place is None:
        return None
    return spark.table(place) if form == "table" else spark.read.format(form).load(place)


def named(text: str) -> tuple[str, str]:
    """A table of a description and where it lies."""
    name, equals, place = text.partition("=")
    if not name or not equals or not place:
        raise argparse.ArgumentTypeError("write it as NAME=PATH, with the name of a table of the description")
    return name, place


def line(manifest: Manifest) -> str:
    """What was written, in the words of the command line."""
    files = "1 shard" if len(manifest.shards) == 1 else f"{len(manifest.shards):,} shards"
    size = sum(shard.bytes for shard in manifest.shards)
    return f"wrote  {manifest.path}  {manifest.statistics.samples:,} rows, {files}, {size:,} bytes"


def failed(message: str, code: int = 1) -> int:
    """Says why, and gives the exit code."""
    print(f"error: {message}", file=sys.stderr)
    return code


def parser() -> argparse.ArgumentParser:
    """The arguments: names and defaults are those of `shardback build`, but for what is Spark's."""
    parser = argparse.ArgumentParser(prog="shardback.spark", description="Builds days on Spark.", allow_abbrev=False)
    parser.add_argument("--impressions", metavar="PATH", help="what was shown")
    for name in TABLES[1:]:
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="PATH", help=f"the table {name}")
    parser.add_argument("--config", metavar="FILE", help="a description of other tables, in TOML or JSON")
    parser.add_argument(
        "--table",
        type=named,
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="where a table of the description lies; all of them have to be given",
    )
    parser.add_argument(
        "--table-format",
        default="parquet",
        metavar="FORMAT",
        help="the format of the tables, any that Spark reads (delta, iceberg, orc, …), or `table` for names in the catalog",
    )
    parser.add_argument("--out", metavar="DIR", required=True, help="the folder for the results, the same on all machines")
    parser.add_argument("--date", "--process-date", metavar="DAY", help="the day to build")
    parser.add_argument("--start", "--from", metavar="DAY", help="the first day to build")
    parser.add_argument("--end", "--to", metavar="DAY", help="the last day to build, inclusive")
    parser.add_argument(
        "--formats",
        "--format",
        type=lambda text: text.split(","),
        default="parquet,dense",
        metavar="FORMATS",
        help="what to write: some of parquet, dense, jagged",
    )
    parser.add_argument("--history", type=int, metavar="K", help="how many actions a row has [1000, or what the description says]")
    parser.add_argument("--lookback-days", type=int, metavar="N", help="how many days back a sample sees")
    parser.add_argument("--cutoff", choices=["day", "time"], help="from when on nothing is seen: the day of the sample, or its own time")
    parser.add_argument("--lookback", metavar="TIME", help="with --cutoff time: how far back a request sees, as 90d, 12h or 30m")
    parser.add_argument("--delay", metavar="TIME", help="with --cutoff time: an action is seen only so long after its time, as 5m")
    parser.add_argument("--item-dtype", choices=["i32", "i64"], help="the width of item ids [i32, or what the description asks for]")
    parser.add_argument("--invalid", choices=["fail", "skip"], default="fail", help="what to do with bad rows")
    parser.add_argument("--day-zone", metavar="ZONE", help="the time zone in which the days of timestamps count [the session's]")
    parser.add_argument("--shard-rows", type=int, metavar="N", help="about how many samples a shard holds [131,072]")
    parser.add_argument("--shards", type=int, metavar="N", help="how many shards a day has")
    parser.add_argument("--skip-existing", action="store_true", help="leave days alone that are there already")
    parser.add_argument("--allow-empty-days", action="store_true", help="write days without impressions, with no rows")
    parser.add_argument(
        "--require-fresh",
        action="store_true",
        help="fail if a table of actions has no row on the day before a built day but has some before that",
    )
    parser.add_argument("--replace-non-atomic", action="store_true", help="replace a day in two steps where one cannot do")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="what pads histories")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="for a task; spark.task.cpus says it to Spark")
    parser.add_argument("--memory", default="1GiB", metavar="SIZE", help="for a task, outside the heap of Java")
    parser.add_argument("--spill-dir", metavar="DIR", help="on the executors, for what memory has no room for")
    return parser


if __name__ == "__main__":
    sys.exit(main())

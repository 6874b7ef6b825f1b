"""`shardback.spark`: executors in processes of their own write the bytes of a single machine, whatever becomes of their tasks."""

from __future__ import annotations

import datetime
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow
import pyspark
import pytest
from pyspark import cloudpickle
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

import shardback
import shardback.spark
import spark_cluster
import test_config
from random_tables import DAYS, Tables, write
from shardback.building import TABLES
from shardback.options import arguments
from shardback.spark import building, tasks
from shardback.spark.__main__ import parser
from spark_cluster import OPTIONS, assert_same, frames

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    # Executors find the faults of these tests in what they are sent.
    cloudpickle.register_pickle_by_value(spark_cluster)
    session = spark_cluster.session()
    yield session
    session.stop()


def assert_spark_same(spark: SparkSession, tables: Tables, folder: pathlib.Path, **options: object) -> None:
    def build(out: pathlib.Path) -> None:
        shardback.spark.build(spark, **frames(spark, tables), out=out, **{**OPTIONS, **options})  # type: ignore[arg-type]

    assert_same(tables, folder, build, **options)


def test_a_description_is_built_as_on_one_machine(spark: SparkSession, tmp_path: pathlib.Path) -> None:
    """Nested columns, requests, labels and features go through the shuffle."""
    schemas = {
        "samples": "user long, day string, ranking long, slate array<struct<sku: long, bought: boolean, stars: double>>",
        "events": "user long, what string, sku long, ts long, price double",
    }
    rows = {"samples": test_config.SHOWN, "events": test_config.EVENTS}
    frames = {name: spark.createDataFrame(rows[name].to_pylist(), schema) for name, schema in schemas.items()}
    given = {"date": test_config.DAY, "shards": 3, "formats": ["parquet", "dense", "jagged"]}
    config = test_config.CONFIG
    shardback.spark.build(spark, config=config, tables=frames, out=tmp_path / "spark", **given)  # type: ignore[arg-type]
    shardback.build(config=config, tables=rows, out=tmp_path / "one", **given)  # type: ignore[arg-type]
    assert spark_cluster.content(tmp_path / "spark") == spark_cluster.content(tmp_path / "one") != {}
    for tables, message in [({"samples": frames["samples"]}, "`events` is missing"), ({**frames, "more": frames["events"]}, "`more`")]:
        with pytest.raises(shardback.OptionError, match=message):
            shardback.spark.build(spark, config=config, tables=tables, out=tmp_path / "none", **given)  # type: ignore[arg-type]
    hashed = {**config, "ids": {"item": "hash"}}
    with pytest.raises(shardback.OptionError, match="^item_dtype: i32 has no room for the items"):
        shardback.spark.build(spark, config=hashed, tables=frames, out=tmp_path / "none", item_dtype="i32", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{}, {"delay": "2h", "lookback": "3d"}], ids=["all", "lookback"])
def test_a_cutoff_at_the_time_is_as_on_one_machine(spark: SparkSession, tmp_path: pathlib.Path, options: dict[str, str]) -> None:
    """Map tasks know between which times requests are, and keep what those can see; some actions arrive late."""
    random = np.random.default_rng(9)
    midnight, day = 1_755_302_400, 86_400
    sample_times = midnight + random.integers(0, 3 * day, 300)
    times = midnight + random.integers(-9 * day, 3 * day, 4000)
    known = times // day + random.choice([0, 1, 3], 4000, p=[0.8, 0.1, 0.1])
    rows = {
        "samples": {"c": random.integers(0, 25, 300), "i": random.integers(1, 90, 300), "t": sample_times},
        "views": {"c": random.integers(0, 30, 4000), "i": random.integers(1, 90, 4000), "t": times, "d": known.astype("M8[D]").astype(str)},
    }
    tables = {name: pyarrow.table(columns) for name, columns in rows.items()}
    frames = {name: spark.createDataFrame(table.to_pandas()).repartition(3) for name, table in tables.items()}
    of_table = {"customer": "c", "item": "i", "time": {"column": "t", "unit": "s"}}
    config = {
        "version": 1,
        "types": {"view": 1},
        "samples": of_table,
        "actions": {"views": {**of_table, "type": "view", "day": "d"}},
        "history": {"length": 12, "cutoff": "time", "times": "us"},
    }
    given = {"config": config, "start": "2025-08-16", "end": "2025-08-18", "shards": 2, "formats": ["dense", "jagged"], **options}
    shardback.spark.build(spark, tables=frames, out=tmp_path / "spark", **given)  # type: ignore[arg-type]
    manifests = shardback.build(tables=tables, out=tmp_path / "one", **given)  # type: ignore[arg-type]
    assert spark_cluster.content(tmp_path / "spark") == spark_cluster.content(tmp_path / "one") != {}
    assert all(manifest.statistics.requests > 90 for manifest in manifests)


@pytest.mark.parametrize(
    "options",
    [
        {"shards": 1},
        {"shards": 3, "lookback_days": 3},
        {"shards": 8, "item_dtype": "i64", "history": 1000},
        # Days of different size have different numbers of shards then.
        {"shards": None, "shard_rows": 90, "history": 1},
        {"start": DAYS[0] - datetime.timedelta(1), "allow_empty_days": True},
    ],
    ids=["one", "lookback", "wide", "rows", "empty-day"],
)
def test_random_tables_give_the_bytes_of_one_machine(
    spark: SparkSession, tmp_path: pathlib.Path, options: dict[str, object]
) -> None:
    assert_spark_same(spark, write(tmp_path / "tables", seed=len(str(options))), tmp_path, **options)


def test_bad_rows_are_left_out_counted_and_kept(spark: SparkSession, tmp_path: pathlib.Path) -> None:
    tables = write(tmp_path / "tables", seed=1, bad=True)
    assert_spark_same(spark, tables, tmp_path, invalid="skip")
    kept = (tmp_path / "spark" / "jagged" / f"dt={DAYS[-1]}" / "_rejected.jsonl").read_text()
    for reason in ("null_day", "unparsable_day", "null_customer", "null_item", "item_out_of_range", "null_label"):
        assert f'"{reason}"' in kept, reason
    # Days that no calendar has are not mistaken for days that nobody sees.
    assert "2025-02-31" in kept and "0000-01-01" in kept


def test_partitions_and_dates_give_days(spark: SparkSession, tmp_path: pathlib.Path) -> None:
    tables = write(tmp_path / "tables", seed=2)
    expected = shardback.build(**tables, out=tmp_path / "one", **OPTIONS)  # type: ignore[arg-type]
    text = frames(spark, tables)
    for name, day in (("impressions", "dt"), ("clicks", "dt"), ("add_to_carts", "dt"), ("previous_orders", "order_date")):
        dated = text[name].withColumn(day, f.right(f.col(day).cast("string"), f.lit(10)).cast("date"))
        dated.write.partitionBy(day).parquet(str(tmp_path / "partitions" / name))
    parts = {name: spark.read.parquet(str(tmp_path / "partitions" / name)) for name in tables}
    assert dict(parts["clicks"].dtypes)["dt"] == "date"
    found = shardback.spark.build(spark, **parts, out=tmp_path / "spark", **OPTIONS)  # type: ignore[arg-type]
    assert [manifest.hash for manifest in found] == [manifest.hash for manifest in expected]
    # Folders of days that nobody sees are not listed, let alone read.
    words = vars(parser().parse_args(["--out", str(tmp_path), "--date", str(DAYS[0])]))
    given = arguments(**{name: value for name, value in words.items() if name not in ("table", "table_format", *TABLES)})
    clicks = building._project(given, "clicks", parts["clicks"], None, str(DAYS[0]))
    plan = clicks._jdf.queryExecution().toString()  # type: ignore[operator]
    assert re.search(r"PartitionFilters: \[[^\]]*dt", plan), plan


def test_a_bad_row_is_named_once(spark: SparkSession, tmp_path: pathlib.Path) -> None:
    tables = write(tmp_path / "tables", seed=3)
    clicks = spark.read.parquet(str(tables["clicks"]))
    given = {**frames(spark, tables), "clicks": clicks.withColumn("item_id", f.lit(1 << 31))}
    context = spark.sparkContext
    context.setJobGroup("bad row", "")
    with pytest.raises(shardback.InputError) as error:
        shardback.spark.build(spark, **given, out=tmp_path / "out", **OPTIONS)  # type: ignore[arg-type]
    assert str(error.value) == (
        "clicks: the source, column `item_id`: the item id does not fit the item dtype: `2147483648`; "
        "build with `item_dtype=\"i64\"`, or leave such rows out with `invalid=\"skip\"`"
    )
    assert list((tmp_path / "out").iterdir()) == []
    tracker = context.statusTracker()
    jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup("bad row")]
    stages = [tracker.getStageInfo(stage) for job in jobs if job for stage in job.stageIds]
    assert stages and sum(stage.numFailedTasks for stage in stages if stage) == 0, "it was tried again"


def test_missing_columns_and_tables_are_named(spark: SparkSession, tmp_path: pathlib.Path) -> None:
    tables = write(tmp_path / "tables", seed=3)
    given = frames(spark, tables)
    with pytest.raises(shardback.InputError, match="clicks: no column `item_id` in the source; its columns: order_date"):
        shardback.spark.build(spark, **{**given, "clicks": given["previous_orders"]}, out=tmp_path / "out", **OPTIONS)  # type: ignore[arg-type]
    with pytest.raises(shardback.OptionError, match="name at least one of clicks, add_to_carts"):
        shardback.spark.build(spark, impressions=given["impressions"], out=tmp_path / "out", **OPTIONS)  # type: ignore[arg-type]
    with pytest.raises(shardback.ShardbackError, match="no impressions on 2025-08-20"):
        shardback.spark.build(spark, **given, out=tmp_path / "out", date="2025-08-20")


@pytest.mark.parametrize("fault", [spark_cluster.fail, spark_cluster.kill_executor], ids=["fails", "dies"])
@pytest.mark.parametrize("side", ["map", "reduce"])
def test_tasks_that_go_wrong_leave_no_trace(
    spark: SparkSession,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    side: str,
    fault: Callable[[], None],
) -> None:
    tables = write(tmp_path / "tables", seed=4)
    once = spark_cluster.Once(tmp_path)
    given = frames(spark, tables)
    if side == "map":
        given["clicks"] = spark_cluster.disturbed(given["clicks"], once, fault)
    else:
        monkeypatch.setattr(building, "reduce_rows", spark_cluster.disturbed_after(tasks.reduce_rows, once, fault))
    assert_same(
        tables,
        tmp_path,
        lambda out: shardback.spark.build(spark, **given, out=out, **OPTIONS),  # type: ignore[arg-type]
    )
    assert once.happened()


def test_a_customer_with_a_tenth_of_all_actions(spark: SparkSession, tmp_path: pathlib.Path) -> None:
    tables = write(tmp_path / "tables", seed=6, actions=60_000, giant=0.1)
    given = frames(spark, tables)
    # As little as a task can do with.
    assert_same(
        tables,
        tmp_path,
        lambda out: shardback.spark.build(spark, **given, out=out, memory="180MiB", **OPTIONS),  # type: ignore[arg-type]
    )


def test_days_that_are_there_stay(spark: SparkSession, tmp_path: pathlib.Path) -> None:
    tables = write(tmp_path / "tables", seed=7)
    alone = {**OPTIONS, "start": DAYS[1], "end": DAYS[1]}
    shardback.spark.build(spark, **frames(spark, tables), out=tmp_path / "spark", **alone)  # type: ignore[arg-type]
    before = (tmp_path / "spark" / "dense" / f"dt={DAYS[1]}" / "_run.json").read_bytes()
    assert_spark_same(spark, tables, tmp_path, skip_existing=True)
    assert (tmp_path / "spark" / "dense" / f"dt={DAYS[1]}" / "_run.json").read_bytes() == before
    # All of them are there: Spark has nothing to do.
    again = {**OPTIONS, "skip_existing": True}
    manifests = shardback.spark.build(None, **frames(spark, tables), out=tmp_path / "spark", **again)  # type: ignore[arg-type]
    assert len(manifests) == 9


def test_settings_of_the_session_come_back(spark: SparkSession, tmp_path: pathlib.Path) -> None:
    tables = write(tmp_path / "tables", seed=7, bad=True)
    names = list(building.BATCHES)
    before = [spark.conf.get(name) for name in names]
    with pytest.raises(shardback.InputError):
        shardback.spark.build(spark, **frames(spark, tables), out=tmp_path / "spark", **OPTIONS)  # type: ignore[arg-type]
    assert [spark.conf.get(name) for name in names] == before
    assert before != list(building.BATCHES.values())


DYING_DRIVER = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import shardback.spark
from pyspark.sql import SparkSession
from shardback.spark import building
spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
building._Run._publish = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
frames = {{name: spark.read.parquet(path) for name, path in {tables!r}.items()}}
shardback.spark.build(spark, **frames, out={out!r}, date="2025-08-14", formats="jagged", shards=3)
"""


def test_what_a_dead_driver_leaves_is_cleaned_up(spark: SparkSession, tmp_path: pathlib.Path) -> None:
    tables = write(tmp_path / "tables", seed=8)
    paths = {name: str(path) for name, path in tables.items()}
    script = DYING_DRIVER.format(tests=str(pathlib.Path(__file__).parent), tables=paths, out=str(tmp_path / "spark"))
    died = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert died.returncode == -9, died.stderr[-2000:]
    assert list((tmp_path / "spark" / ".staging").rglob("*.safetensors")) and not (tmp_path / "spark" / "jagged").exists()
    assert_spark_same(spark, tables, tmp_path)


def test_the_script_takes_the_arguments_of_the_command_line() -> None:
    source = "".join((REPOSITORY / "src" / "cli" / name).read_text() for name in ("build.rs", "tables.rs"))
    arguments = re.findall(r"#\[arg\(\s*long(.*?)\)\]\n\s+(?:pub\(super\) )?(\w+): ", source, re.DOTALL)
    expected = {name.replace("_", "-"): re.search(r'default_value(?:_t)? = "?([\w,]+)', how) for how, name in arguments}
    assert len(expected) > 20
    found = {action.option_strings[0].removeprefix("--"): action for action in parser()._actions}
    # Spark reads the files there.
    assert set(expected) - set(found) == {"quiet", "json", "csv-escape", "store-option"} and set(found) - set(expected) == {"-h", "table-format"}
    for name, default in expected.items():
        if default and name in found and name != "shard-rows":
            assert str(found[name].default) == default.group(1), name
    assert "--process-date" in found["date"].option_strings


def run_script(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    spark_home = pathlib.Path(pyspark.__file__).parent
    script = pathlib.Path(building.__file__).with_name("__main__.py")
    submit = [spark_home / "bin" / "spark-submit", "--master", "local[2]", "--conf", "spark.ui.enabled=false", script]
    variables = {"PATH": f"{pathlib.Path(sys.executable).parent}:/usr/bin:/bin", "PYSPARK_PYTHON": sys.executable, **environment}
    return subprocess.run([*submit, *words], capture_output=True, text=True, check=False, env=variables)


def test_the_script_builds_a_day(tmp_path: pathlib.Path) -> None:
    tables = write(tmp_path / "tables", seed=9)
    words = [word for name, path in tables.items() for word in (f"--{name.replace('_', '-')}", str(path))]

    def build(out: pathlib.Path) -> None:
        options = ["--process-date", str(DAYS[0]), "--out", str(out), "--formats", "parquet,jagged", "--shards", "3", "--history", "12"]
        done = run_script(*words, *options)
        assert done.returncode == 0, done.stderr[-2000:]
        assert f"wrote  {out}/jagged/dt={DAYS[0]}  " in done.stdout and ", 3 shards, " in done.stdout

    assert_same(tables, tmp_path, build, end=DAYS[0], formats=["parquet", "jagged"])


@pytest.mark.parametrize(
    ("words", "environment", "code", "message"),
    [
        (["--impressions", "i", "--clicks", "c", "--out", "o"], {}, 2, "error: date: name the day to build"),
        (["--impressions", "i", "--clicks", "c", "--out", "o", "--date", "soon"], {}, 2, "error: not a day: `soon`"),
        (["--impressions", "i", "--clicks", "c", "--out", "o", "--date", "2025-08-14"], {}, 1, "error: [PATH_NOT_FOUND]"),
    ],
    ids=["no day", "no calendar's day", "no table"],
)
def test_the_script_says_what_is_wrong(
    tmp_path: pathlib.Path, words: list[str], environment: dict[str, str], code: int, message: str
) -> None:
    said = run_script(*words, **environment)
    # spark-submit hands on as output what a script says on either stream.
    output = said.stdout + said.stderr
    assert (said.returncode, message in output, "Traceback" in output) == (code, True, False), output[-2000:]


def test_without_java_it_says_what_to_install(tmp_path: pathlib.Path) -> None:
    words = ["--impressions", "i", "--clicks", "c", "--out", str(tmp_path), "--date", "2025-08-14"]
    command = [sys.executable, "-m", "shardback.spark", *words]
    said = subprocess.run(command, capture_output=True, text=True, check=False, env={"JAVA_HOME": "/nowhere", "PATH": "/usr/bin:/bin"})
    assert said.returncode == 1
    assert "error: Spark does not start: it needs a JDK 17 or later" in said.stderr and "Traceback" not in said.stderr

"""A Spark cluster on this machine, with executors in processes of their own, and tasks that go wrong on purpose."""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator

import pyspark
import pytest
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession

import random_tables
import shardback
from shardback import _native

if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
    pytest.fail("the tests on Spark need a JDK 17 or later: apt-get install openjdk-17-jre-headless", pytrace=False)


OPTIONS = {"start": random_tables.DAYS[0], "end": random_tables.DAYS[-1], "formats": ["parquet", "dense", "jagged"], "history": 12, "shards": 3}


def session(master: str = "local-cluster[2,1,1024]", **settings: str) -> SparkSession:
    """Two executors with a core each."""
    # The scripts that start executors are where pip has put them.
    os.environ["SPARK_HOME"] = os.path.dirname(pyspark.__file__)
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master(master)
    chosen = {
        "spark.executor.memory": "1g",
        "spark.driver.memory": "1g",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "OFF",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        # Small tables: a task for each is enough, but for those that are to have more.
        "spark.sql.files.openCostInBytes": "0",
        **settings,
    }
    for name, value in chosen.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def frames(spark: SparkSession, tables: random_tables.Tables) -> dict[str, DataFrame]:
    """Each table as Spark reads it."""
    return {name: spark.read.parquet(str(path)) for name, path in tables.items()}


def content(out: pathlib.Path) -> dict[str, bytes]:
    """Every file that is published, but those that tell how."""
    files = [path for path in out.rglob("*") if path.is_file() and path.name != "_run.json"]
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def assert_same(tables: random_tables.Tables, folder: pathlib.Path, build: Callable[[pathlib.Path], object], **options: object) -> None:
    """What one machine makes of the tables is what `build` makes."""
    shardback.build(**tables, out=folder / "one", **{**OPTIONS, **options})  # type: ignore[arg-type]
    build(folder / "spark")
    expected = content(folder / "one")
    assert expected and content(folder / "spark") == expected
    assert not (folder / "spark" / ".staging").exists()
    assert _native.verify(folder / "spark")[1] == []


class Once:
    """Something that happens to one task of all, the first that comes along; the others see that it has happened."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.flag = str(folder / "happened")

    def here(self) -> bool:
        try:
            os.close(os.open(self.flag, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    def happened(self) -> bool:
        return os.path.exists(self.flag)


def kill_executor() -> None:
    """Kills the executor that runs this task: the Java process above the one that forks Python's workers."""
    process = os.getpid()
    while b"CoarseGrainedExecutorBackend" not in pathlib.Path(f"/proc/{process}/cmdline").read_bytes():
        process = int(pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(process, signal.SIGKILL)
    time.sleep(60)


def fail() -> None:
    """Fails the task."""
    raise RuntimeError("on purpose")


def straggle() -> None:
    """Takes so long that another attempt at the task is started, if this is the first."""
    task = TaskContext.get()
    assert task is not None
    if task.attemptNumber() == 0:
        time.sleep(120)


def disturbed(frame: DataFrame, once: Once, fault: Callable[[], None]) -> DataFrame:
    """A table whose first task runs into a fault in the middle."""

    def rows(batches: Iterable[object]) -> Iterator[object]:
        for batch in batches:
            yield batch
            if once.here():
                fault()

    return frame.mapInArrow(rows, frame.schema)  # type: ignore[arg-type]


def disturbed_after(work: Callable[..., Iterator[object]], once: Once, fault: Callable[[], None]) -> Callable[..., Iterator[object]]:
    """A task that runs into a fault when its work is done, but before anybody knows."""

    def task(*arguments: object) -> Iterator[object]:
        done = list(work(*arguments))
        if once.here():
            fault()
        yield from done

    return task

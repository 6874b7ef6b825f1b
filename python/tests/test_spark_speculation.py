"""Speculation: of two attempts at a task that both write, one is published.

Spark starts a second attempt only on another host, so this cluster has workers on two addresses of the machine's own.
"""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator

import pyspark
import pytest
from pyspark import cloudpickle
from pyspark.sql import SparkSession

import shardback.spark
import spark_cluster
from random_tables import write
from shardback.spark import building, tasks
from spark_cluster import OPTIONS, assert_same, frames


@pytest.fixture
def master(tmp_path: pathlib.Path) -> Iterator[str]:
    """The address of a cluster of two workers."""
    home = pathlib.Path(pyspark.__file__).parent
    started = []

    def start(kind: str, *words: str) -> pathlib.Path:
        log = tmp_path / f"{len(started)}.log"
        command = [home / "bin" / "spark-class", f"org.apache.spark.deploy.{kind}", *words]
        with log.open("wb") as output:
            variables = {**os.environ, "SPARK_HOME": str(home), "PYSPARK_PYTHON": sys.executable}
            started.append(subprocess.Popen(command, stdout=output, stderr=output, env=variables))
        return log

    log = start("master.Master", "--host", "127.0.0.1", "--port", "0", "--webui-port", "0")
    address = ""
    for _ in range(600):
        if found := re.search(r"Starting Spark master at (spark://\S+)", log.read_text()):
            address = found.group(1)
            break
        time.sleep(0.1)
    assert address, log.read_text()
    for host in ("127.0.0.2", "127.0.0.3"):
        work = str(tmp_path / host)
        start("worker.Worker", "--host", host, "--webui-port", "0", "-c", "1", "-m", "1g", "-d", work, address)
    yield address
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def spark(master: str) -> Iterator[SparkSession]:
    cloudpickle.register_pickle_by_value(spark_cluster)
    session = spark_cluster.session(master, **{
        "spark.driver.host": "127.0.0.1",
        "spark.speculation": "true",
        "spark.speculation.interval": "100ms",
        "spark.speculation.minTaskRuntime": "1s",
        "spark.speculation.quantile": "0.3",
    })
    yield session
    session.stop()


def test_of_two_attempts_one_is_published(
    spark: SparkSession, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = write(tmp_path / "tables", seed=5)
    once = spark_cluster.Once(tmp_path)
    both = spark_cluster.disturbed_after(tasks.reduce_rows, once, spark_cluster.straggle)
    monkeypatch.setattr(building, "reduce_rows", both)
    attempts: list[int] = []
    publish = building._Run._publish

    def counted(run: building._Run, shards: list[int], reports: list[bytes]) -> None:
        attempts.append(len(list(run.driver.folder.iterdir())))
        publish(run, shards, reports)

    monkeypatch.setattr(building._Run, "_publish", counted)
    assert_same(
        tables,
        tmp_path,
        lambda out: shardback.spark.build(spark, **frames(spark, tables), out=out, **OPTIONS),  # type: ignore[arg-type]
    )
    assert once.happened() and attempts[0] == 4, "the straggler has been overtaken by another attempt"

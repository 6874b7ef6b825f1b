"""`shardback.build`: the command line's build, over paths and over anything that yields Arrow."""

from __future__ import annotations

import fcntl
import os
import pathlib
import re
import shutil
import subprocess
import sys
import textwrap

import duckdb
import pandas
import polars
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pytest

import shardback
from conftest import DAYS, HISTORY, ROWS, build
from shardback import options

Tables = dict[str, pathlib.Path]


def hashes(manifests: list[shardback.Manifest]) -> list[str]:
    return [manifest.hash for manifest in manifests]


def test_manifests_are_typed(out: pathlib.Path, tables: Tables) -> None:
    manifests = build(tables, out, skip_existing=True)
    assert [(manifest.date, manifest.format) for manifest in manifests] == [
        (day, name) for day in DAYS for name in ("dense", "jagged")
    ]
    first = manifests[0]
    assert (first.history, first.item_dtype, first.path) == (HISTORY, "i32", out / "dense" / "dt=2025-08-14")
    assert first.statistics.samples == sum(shard.rows for shard in first.shards) == ROWS[DAYS[0]]
    assert first.tables["impressions"].rows == ROWS[DAYS[0]]
    assert sum(entry.customers for entry in first.statistics.history_lengths) == first.statistics.customers
    assert first.rejected is None


def arrow(path: pathlib.Path) -> pa.Table:
    return pyarrow.csv.read_csv(path)


@pytest.mark.parametrize(
    "read",
    [
        arrow,
        lambda path: arrow(path).to_reader(max_chunksize=7),
        polars.read_csv,
        lambda path: polars.read_csv(path, try_parse_dates=True),
        pandas.read_csv,
        lambda path: duckdb.connect().sql(f"SELECT * FROM '{path}'"),
    ],
    ids=["pyarrow", "batches", "polars", "polars-dates", "pandas", "duckdb"],
)
def test_streams_give_the_bytes_of_files(read, out: pathlib.Path, tables: Tables, tmp_path: pathlib.Path) -> None:
    expected = hashes(build(tables, out, skip_existing=True))
    streams = {name: read(path) for name, path in tables.items()}
    assert hashes(build(streams, tmp_path / "out")) == expected


@pytest.mark.parametrize("names", [["impressions", "clicks"], ["clicks", "add_to_carts", "previous_orders"], None])
def test_relations_of_one_connection_are_tables(names: list[str] | None, out: pathlib.Path, tables: Tables, tmp_path: pathlib.Path) -> None:
    """A connection of DuckDB executes one at a time: each is read to its end before the next one is."""
    connection = duckdb.connect()
    relations = {name: connection.sql(f"SELECT * FROM '{tables[name]}'") for name in names or tables}
    expected = hashes(build(tables, out, skip_existing=True))
    for threads in (1, 4):
        assert hashes(build({**tables, **relations}, tmp_path / f"out-{threads}", threads=threads)) == expected
    with pytest.raises(shardback.InputError, match="clicks: no column `item_id`"):
        build({**tables, "clicks": connection.sql(f"SELECT * EXCLUDE item_id FROM '{tables['clicks']}'")}, tmp_path / "bad")
    broken = connection.sql(f"SELECT * REPLACE (error('it went wrong')::BIGINT AS item_id) FROM '{tables['clicks']}'")
    with pytest.raises(shardback.InputError, match="clicks: the source failed: .*it went wrong"):
        build({**tables, "clicks": broken, "add_to_carts": relations.get("add_to_carts", tables["add_to_carts"])}, tmp_path / "bad")
    # It is free again.
    assert connection.sql("SELECT 1").fetchall() == [(1,)]


def test_what_is_one_call_away_is_said(tables: Tables, tmp_path: pathlib.Path) -> None:
    """The message names the call, and with it the source is a table."""
    table = arrow(tables["clicks"])
    data = pyarrow.dataset.dataset(table)

    class LazyFrame(polars.LazyFrame):
        """What is derived from one."""

    def like(package: str, name: str) -> object:
        return type(name, (), {"__module__": f"{package}.somewhere"})()

    for source, way in [
        (data, ".scanner().to_reader()"),
        (data.scanner(), ".to_reader()"),
        (polars.scan_csv(tables["clicks"]), ".collect()"),
        (LazyFrame({"a": [1]}), ".collect()"),
        (like("datasets", "Dataset"), '.with_format("arrow")[:]'),
        (like("deltalake", "DeltaTable"), ".to_pyarrow_dataset().scanner().to_reader()"),
        (like("pyiceberg", "Table"), ".scan().to_arrow_batch_reader()"),
        ([tables["clicks"]], "give the folder that holds the files, or pyarrow.dataset.dataset(files).scanner().to_reader()"),
        (like("pyspark", "DataFrame"), "shardback.spark.build takes tables of Spark"),
    ]:
        with pytest.raises(TypeError, match=re.escape(way)) as error:
            build({**tables, "clicks": source}, tmp_path / "out")
        assert str(error.value).startswith("clicks: a table is a path or has `__arrow_c_stream__`, not ")
    for number, stream in enumerate([data.scanner().to_reader(), polars.scan_csv(tables["clicks"]).collect()]):
        assert build({**tables, "clicks": stream}, tmp_path / str(number))


def test_the_home_folder_is_meant(tables: Tables, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell would have put it in the place of `~`; without one, a folder of that name would be made."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    shutil.copy(tables["clicks"], tmp_path / "clicks.csv")
    (tmp_path / "spill").mkdir()
    manifests = build({**tables, "clicks": pathlib.Path("~/clicks.csv")}, "~/out", spill_dir="~/spill")  # type: ignore[arg-type]
    assert manifests[0].path == tmp_path / "out" / "dense" / "dt=2025-08-14" and not (tmp_path / "~").exists()
    given = options.arguments(
        out="~/out", date=DAYS[0], start=None, end=None, formats="jagged", shard_rows=None, shards=None, memory=None,
        spill_dir="~/spill", history=5, lookback_days=None, threads=None,
    )
    assert (given["out"], given["spill_dir"]) == (str(tmp_path / "out"), str(tmp_path / "spill"))
    opened = shardback.open("~/out")
    assert isinstance(opened, shardback.Days) and len(opened) == len(DAYS)
    # Paths of bytes are paths, and a day may be spelled as a folder's name.
    again = build({**tables, "clicks": b"clicks.csv"}, tmp_path / "again", start="dt=2025-08-14")  # type: ignore[dict-item]
    assert [manifest.build for manifest in again] == [manifest.build for manifest in manifests]
    assert shardback.Day("~/out/jagged/dt=2025-08-14").path == tmp_path / "out" / "jagged" / "dt=2025-08-14"


def test_faults_are_exceptions_of_one_base(tables: Tables, tmp_path: pathlib.Path) -> None:
    out = tmp_path / "out"
    for options, message in [
        ({"history": 0}, "history: 0 is not between"),
        ({"shards": 2, "shard_rows": 5}, "shards: it excludes shard_rows"),
        ({"formats": ["csv"]}, "formats: `csv` is none of parquet, dense, jagged"),
        ({"item_dtype": "u8"}, "item_dtype: `u8` is none of i32, i64"),
        ({"start": "2025-08-16", "end": "2025-08-14"}, "end: 2025-08-14 is before start 2025-08-16"),
        ({"date": "2025-08-14"}, "date: name the day to build, or the first and the last"),
        ({"start": "soon"}, "not a day: `soon`"),
        ({"memory": "much"}, "memory: write a size as 8GiB"),
        ({"threads": -1}, "threads: expected a whole number, found -1"),
        ({"history": "many"}, "history: expected a whole number, found 'many'"),
    ]:
        with pytest.raises(shardback.OptionError) as error:
            build(tables, out, **options)
        assert message in str(error.value)
        assert isinstance(error.value, shardback.ShardbackError) and isinstance(error.value, ValueError)
    with pytest.raises(shardback.IoError, match="cannot read"):
        build({**tables, "clicks": tmp_path / "nowhere"}, out)
    # What looks like an option of the command line stays as it is in a path.
    with pytest.raises(shardback.IoError, match="cannot read `no--where`"):
        build({**tables, "clicks": pathlib.Path("no--where")}, out)
    with pytest.raises(shardback.InputError, match="clicks: no column `item_id`"):
        build({**tables, "clicks": arrow(tables["previous_orders"])}, out)
    with pytest.raises(TypeError, match="clicks: a table is a path or has `__arrow_c_stream__`"):
        build({**tables, "clicks": 5}, out)
    bad = arrow(tables["clicks"]).set_column(1, "customer_id", pa.nulls(2500, pa.int64()))
    with pytest.raises(shardback.InputError, match="the source, row 1, column `customer_id`: the customer is null.* `invalid=\"skip\"`"):
        build({**tables, "clicks": bad}, out)
    manifest = build({**tables, "clicks": bad}, out, invalid="skip")[0]
    assert manifest.tables["clicks"].rejected["null_customer"] > 0
    assert manifest.rejected is not None


def test_one_build_at_a_time(tables: Tables, tmp_path: pathlib.Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    folder = os.open(out, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    with pytest.raises(shardback.ShardbackError, match="another run is writing to .* choose another `out`") as error:
        build(tables, out)
    assert type(error.value) is shardback.ShardbackError
    os.close(folder)
    build(tables, out)


def test_a_table_among_the_results_is_refused(tables: Tables, tmp_path: pathlib.Path) -> None:
    with pytest.raises(shardback.OptionError, match="out: .* is in the table clicks"):
        build({**tables, "clicks": tmp_path}, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_broken_stream_stops_the_build(tables: Tables, tmp_path: pathlib.Path) -> None:
    table = arrow(tables["clicks"])

    def batches():
        yield table.to_batches()[0].slice(0, 5)
        raise RuntimeError("the line went dead")

    reader = pa.RecordBatchReader.from_batches(table.schema, batches())
    with pytest.raises(shardback.InputError, match="clicks: the source failed: .*the line went dead"):
        build({**tables, "clicks": reader}, tmp_path / "out")


def test_progress_is_told(tables: Tables, tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    calls: list[tuple[str, int, int]] = []
    build(tables, tmp_path / "out", progress=lambda *call: calls.append(call))
    stages = list(dict.fromkeys(stage for stage, _, _ in calls))
    assert stages == ["read impressions", "read actions", "sort histories", *(f"write {day}" for day in DAYS)]
    assert all(0 <= done <= total for _, done, total in calls)
    assert capfd.readouterr().err == ""
    build(tables, tmp_path / "bar", progress=True)
    assert "write 2025-08-16   100% |██████████████████████████████|" in capfd.readouterr().err


def test_what_progress_raises_stops_the_build(tables: Tables, tmp_path: pathlib.Path) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        build(tables, tmp_path / "out", progress=stop)


def test_ctrl_c_stops_a_build_and_leaves_nothing(tables: Tables, tmp_path: pathlib.Path) -> None:
    """A stream that has no end is read until the interrupt."""
    script = f"""
        import os, signal, pathlib, threading, pyarrow as pa, pyarrow.csv
        import shardback
        table = pyarrow.csv.read_csv({str(tables["clicks"])!r})
        def endless():
            threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
            while True:
                yield from table.to_batches()
        clicks = pa.RecordBatchReader.from_batches(table.schema, endless())
        try:
            shardback.build(impressions={str(tables["impressions"])!r}, clicks=clicks, out={str(tmp_path / "out")!r}, date="2025-08-14")
        except KeyboardInterrupt:
            print("interrupted")
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60)
    assert run.stdout == "interrupted\n", run.stderr
    assert not list((tmp_path / "out").iterdir())


def test_the_package_needs_no_torch() -> None:
    script = "import sys, shardback; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"

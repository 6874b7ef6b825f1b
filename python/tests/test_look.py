"""What a build says of itself, and `verify`, `inspect` and `generate` from Python."""

import datetime
import pickle
import shutil
import subprocess
import sys
import textwrap

import pytest

import shardback
from conftest import DAYS, build


def test_a_build_says_what_it_did(tables, tmp_path):
    built = build(tables, tmp_path / "out", shards=2)
    # Still the list of manifests that it was.
    assert isinstance(built, list) and len(built) == 6 and built[0].format == "dense"
    summary = built.summary
    assert [day.date for day in summary.days] == [manifest.date for manifest in built[::2]] and summary.skipped == ()
    for day, dense, jagged in zip(summary.days, built[::2], built[1::2], strict=True):
        assert (day.samples, day.customers) == (dense.statistics.samples, dense.statistics.customers)
        assert [entry.format for entry in day.formats] == ["dense", "jagged"]
        assert [entry.path for entry in day.formats] == [dense.path, jagged.path]
        assert all(entry.shards == 2 for entry in day.formats)
        assert day.formats[1].bytes == sum(shard.bytes for shard in jagged.shards)
    read = {table.table: table for table in summary.tables}
    assert list(read) == ["impressions", "clicks", "add_to_carts", "previous_orders"]
    assert read["clicks"].files == (tables["clicks"],) and read["clicks"].rows > 0 and read["clicks"].rejected == 0
    names = [stage.stage for stage in summary.stages]
    assert names[:3] == ["read impressions", "read actions", "sort histories"] and names[3] == f"write {DAYS[0]}"
    assert summary.seconds > 0 and summary.threads > 0 and summary.device == "cpu" and summary.peak_memory_bytes > 0
    again = pickle.loads(pickle.dumps(built))
    assert again == built and again.summary == summary


def test_days_that_are_there_are_skipped(tables, tmp_path):
    build(tables, tmp_path / "out")
    again = build(tables, tmp_path / "out", skip_existing=True)
    assert len(again) == 6
    assert again.summary.days == () and [str(day) for day in again.summary.skipped] == [str(day) for day in DAYS]


def test_late_tables_are_named_and_refused_on_request(tables, tmp_path):
    lines = tables["clicks"].read_text().splitlines()
    days = sorted({line.split(",")[0] for line in lines[1:]})
    last = datetime.date.fromisoformat(days[-1])
    # Three days behind the last clicks.
    day = last + datetime.timedelta(3)
    shown = tmp_path / "impressions.csv"
    shown.write_text(f"dt,customer_id,item_id,is_order\n{day},1,2,true\n")
    options = {"impressions": shown, "clicks": tables["clicks"], "date": day, "formats": "jagged", "out": tmp_path / "out"}
    with pytest.raises(shardback.InputError, match=rf"^clicks: no row on the day before {day}.* without `require_fresh`$"):
        shardback.build(**options, require_fresh=True)
    assert not (tmp_path / "out" / "jagged").exists()
    (manifest,) = built = shardback.build(**options)
    assert manifest.tables["clicks"].late_since == last and manifest.tables["impressions"].late_since is None
    assert [(late.table, late.last) for late in built.summary.days[0].late] == [("clicks", last)]


def test_verify_says_every_fault_and_raises_none(out, tmp_path):
    sound = shardback.verify(out)
    assert sound.is_sound and sound.faults == () and sound.days == 6 and sound.rows > 0 and sound.bytes > 0
    broken = tmp_path / "out"
    shutil.copytree(out, broken)
    shards = sorted(broken.glob("jagged/dt=*/*.safetensors"))[:2]
    for shard in shards:
        data = bytearray(shard.read_bytes())
        data[-1] ^= 1
        shard.write_bytes(data)
    found = shardback.verify(str(broken))
    assert not found.is_sound and {fault.path for fault in found.faults} >= set(shards)
    with pytest.raises(shardback.IoError):
        shardback.verify(tmp_path / "nowhere")


def test_inspect_shows_what_the_command_shows(out):
    shown = shardback.inspect(out, rows=3)
    assert len(shown["days"]) == 6 and len(shown["rows"]) == 3 and shown["customer"] is None
    customer = shown["rows"][0]["customer_id"]
    found = shardback.inspect(out / "jagged" / f"dt={DAYS[-1]}", rows=0, customer=customer)
    assert found["customer"]["customer_id"] == customer and len(found["customer"]["samples"]) > 0
    for wrong in ({"rows": -1}, {"rows": 1.5}, {"rows": True}, {"customer": "7"}, {"customer": 1 << 63}):
        with pytest.raises(shardback.OptionError):
            shardback.inspect(out, **wrong)


def test_generated_tables_can_be_built(tmp_path):
    made = shardback.generate(tmp_path / "tables", customers=50, rows_per_day=20, days=5, impression_days=2, last_day="2025-08-16")
    assert made.actions > 0 and made.impression_rows == 40 and made.files > 0 and made.bytes > 0
    built = shardback.build(
        impressions=tmp_path / "tables/impressions", clicks=tmp_path / "tables/clicks", date="2025-08-16", out=tmp_path / "out"
    )
    assert built.summary.days[0].samples > 0
    described = shardback.generate(tmp_path / "described", customers=50, rows_per_day=20, days=5, impression_days=2, format="json", described=True)
    assert described.files > 0 and (tmp_path / "described/shop.toml").is_file()
    for wrong in ({"customers": -1}, {"days": 1.5}, {"format": "csv"}, {"last_day": "never"}):
        with pytest.raises(shardback.ShardbackError):
            shardback.generate(tmp_path / "wrong", **wrong)
    with pytest.raises(shardback.OptionError, match="empty"):
        shardback.generate(tmp_path / "tables")


def test_ctrl_c_stops_what_makes_tables(tmp_path):
    """Nothing goes on behind the exception."""
    script = f"""
        import os, pathlib, signal, threading, time
        import shardback
        out = pathlib.Path({str(tmp_path / "tables")!r})
        size = lambda: sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
        def interrupt():
            while not size():
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=interrupt, daemon=True).start()
        try:
            shardback.generate(out, customers=1_000_000, rows_per_day=1_000_000)
        except KeyboardInterrupt:
            time.sleep(1)
            before = size()
            time.sleep(1)
            print("interrupted", before > 0, size() == before)
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60)
    assert run.stdout == "interrupted True True\n", run.stdout + run.stderr


def test_the_version_is_one():
    assert shardback.__version__ == __import__("importlib.metadata").metadata.version("shardback")

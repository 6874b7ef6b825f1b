"""Sources that are easily misread: Arrow that breaks its own rules, days that are instants, and one stream as two tables."""

from __future__ import annotations

import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

import shardback

DAY = "2025-08-16"


def impressions() -> pa.Table:
    return pa.table({"dt": [DAY], "customer_id": [1], "item_id": [5], "is_order": [True]})


def clicks(**columns: pa.Array) -> pa.Table:
    """Three clicks of the customer, on the 14th, 15th and 16th, of which some columns are others."""
    days = [f"2025-08-{day}" for day in (14, 15, 16)]
    times = pa.array([datetime.datetime(2025, 8, day, 9) for day in (14, 15, 16)], pa.timestamp("us"))
    given = {"dt": pa.array(days), "customer_id": pa.array([1, 1, 1]), "item_id": pa.array([14, 15, 16]), "click_time": times}
    return pa.table({**given, **columns})


def history(out: Path, **tables: object) -> list[int]:
    """The history of the customer on the 16th, newest first."""
    [manifest] = shardback.build(date=DAY, formats="jagged", history=9, out=out, **tables)  # type: ignore[arg-type]
    day = shardback.open(manifest.path)
    assert isinstance(day, shardback.Day)
    items, _ = day.history(0)
    return [int(item) for item in items]


def text(values: list[bytes]) -> pa.Array:
    """Bytes as text, whatever they are: neither pyarrow nor Spark checks what it reads from a file."""
    return pa.array(values, pa.binary()).view(pa.string())


def test_text_that_is_no_utf8_is_an_error(tmp_path: Path) -> None:
    times = text([b"2025-08-14T09:00:00Z", b"10. M\xff\xfe", b"2025-08-16T09:00:00Z"])
    for invalid in ("fail", "skip"):
        with pytest.raises(shardback.InputError, match="column `click_time` is not valid Arrow: .*UTF8") as caught:
            history(tmp_path / "out", impressions=impressions(), clicks=clicks(click_time=times), invalid=invalid)
        assert "\0" not in str(caught.value)
    assert not (tmp_path / "out" / ".staging").exists()


def test_arrays_that_lead_out_of_themselves_are_errors(tmp_path: Path) -> None:
    keys, days = pa.array([0, 99, 0], pa.int8()), pa.array([DAY])
    offsets = pa.py_buffer(np.array([0, 10, 5, 30], np.int32))
    for broken in (
        pa.DictionaryArray.from_arrays(keys, days, safe=False),
        pa.DictionaryArray.from_arrays(pa.array([0, -1, 0], pa.int8()), days, safe=False),
        pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"2025-08-14" * 3)]),
    ):
        with pytest.raises(shardback.InputError, match="column `dt` is not valid Arrow"):
            history(tmp_path / "out", impressions=impressions(), clicks=clicks(dt=broken))


def test_a_stream_of_no_batches_must_have_the_columns(tmp_path: Path) -> None:
    none = pa.RecordBatchReader.from_batches(pa.schema([("x", pa.int64())]), [])
    with pytest.raises(shardback.InputError, match="clicks: no column `customer_id` in the source; its columns: x"):
        history(tmp_path / "out", impressions=impressions(), clicks=none)
    empty = pa.RecordBatchReader.from_batches(clicks().schema, [])
    assert history(tmp_path / "out", impressions=impressions(), clicks=empty) == []


def test_one_source_is_not_two_tables(tmp_path: Path) -> None:
    reader = clicks().to_reader()
    with pytest.raises(shardback.OptionError, match="add_to_carts: it is the same object as clicks"):
        history(tmp_path / "out", impressions=impressions(), clicks=reader, add_to_carts=reader)


def test_days_that_are_instants(tmp_path: Path) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    midnights = [datetime.datetime(2025, 8, day, tzinfo=berlin) for day in (14, 15, 16)]
    said = pa.array(midnights, pa.timestamp("us", tz="Europe/Berlin"))
    assert history(tmp_path / "said", impressions=impressions(), clicks=clicks(dt=said)) == [15, 14]
    unsaid = said.cast(pa.timestamp("us"))
    with pytest.raises(shardback.InputError, match="the column says no time zone; name the zone .* with `day_zone`"):
        history(tmp_path / "unsaid", impressions=impressions(), clicks=clicks(dt=unsaid))
    tables: dict[str, object] = {"impressions": impressions(), "clicks": clicks(dt=unsaid)}
    assert history(tmp_path / "asked", day_zone="Europe/Berlin", **tables) == [15, 14]
    with pytest.raises(shardback.OptionError, match="day_zone: `Berlin` is not a time zone"):
        history(tmp_path / "asked", day_zone="Berlin", **tables)


def test_quotes_that_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / "clicks.csv"
    rows = [f'2025-08-15,1,{item},2025-08-15T09:00:{item}Z,"tv \\"{item}\\""\n' for item in (10, 11)]
    path.write_text("dt,customer_id,item_id,click_time,query\n" + "".join(rows))
    with pytest.raises(shardback.InputError, match="closing quote"):
        history(tmp_path / "out", impressions=impressions(), clicks=path)
    assert history(tmp_path / "out", impressions=impressions(), clicks=path, csv_escape="\\") == [11, 10]
    with pytest.raises(shardback.OptionError, match="csv_escape: one character is expected"):
        history(tmp_path / "out", impressions=impressions(), clicks=path, csv_escape="\\\\")

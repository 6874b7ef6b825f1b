"""Builds from a description: a dict, a file, frames; and what the loader makes of the days."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import textwrap
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shardback
import torch
from shardback.torch import Loader

DAY = "2025-08-16"

CONFIG: dict[str, Any] = {
    "version": 1,
    "types": {"view": 1, "wish": 4},
    "samples": {
        "customer": "user",
        "item": "slate.sku",
        "day": "day",
        "request": "ranking",
        "labels": {"bought": "slate.bought", "stars": {"column": "slate.stars", "dtype": "f32"}},
        "keep": {"position": "#"},
    },
    "actions": {
        "events": {
            "type": {"column": "what", "values": {"v": "view", "w": "wish"}, "other": "ignore"},
            "customer": "user",
            "item": "sku",
            "time": {"column": "ts", "unit": "s"},
            "features": {"price": {"column": "price", "dtype": "f64", "null": 0.0}},
        }
    },
    "history": {"length": 3, "times": "s"},
}

SHOWN = pa.table(
    {
        "user": [1, 1, 2],
        "day": [DAY, DAY, DAY],
        "ranking": [20, 10, 30],
        "slate": [
            [{"sku": 5, "bought": True, "stars": 4.5}, {"sku": 4, "bought": False, "stars": 1.0}],
            [{"sku": 9, "bought": False, "stars": 0.0}],
            [{"sku": 7, "bought": True, "stars": 2.0}],
        ],
    }
)
NOON = 1_755_259_200
"""Of the day before, in seconds."""
EVENTS = pa.table(
    {
        "user": [1, 1, 1, 3, 1],
        "what": ["v", "w", "x", "v", "v"],
        "sku": [11, 12, 13, 14, 15],
        "ts": [NOON, NOON + 60, NOON + 120, NOON, NOON - 60],
        "price": [1.5, None, 3.0, 4.0, 2.5],
    }
)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("described") / "out"
    tables = {"samples": SHOWN, "events": EVENTS}
    formats = ["parquet", "dense", "jagged"]
    manifests = shardback.build(config=CONFIG, tables=tables, out=folder, date=DAY, formats=formats, shards=1)
    assert [manifest.types for manifest in manifests] == [{"view": 1, "wish": 4}] * 3
    return folder


def rows(day: shardback.Day) -> list[tuple[Any, ...]]:
    names = ("customer_id", "request_id", "item_id", "bought", "stars", "position")
    return list(zip(*(day.column(name).tolist() for name in names), strict=True))


EXPECTED = [(1, 10, 9, False, 0.0, 0), (1, 20, 5, True, 4.5, 0), (1, 20, 4, False, 1.0, 1), (2, 30, 7, True, 2.0, 0)]
"""Requests of a customer by their ids, and the items of one by their places."""


@pytest.mark.parametrize("form", ["dense", "jagged"])
def test_days_have_what_the_description_says(out: pathlib.Path, form: str) -> None:
    day = shardback.open(out / form)[0]
    assert sorted(rows(day), key=lambda row: row[:2]) == EXPECTED
    assert shardback.Day(out / form / f"dt={DAY}").manifest.statistics.labels["bought"].positives == 2
    # The order of customers is that of a hash: here 1 comes after 2, or before.
    assert [row for row in rows(day) if row[0] == 1] == EXPECTED[:3]
    first = day.column("customer_id").tolist().index(1)
    assert [values.tolist() for values in day.history(first)] == [[12, 11, 15], [4, 1, 1]]


@pytest.mark.parametrize(("form", "gather"), [("dense", "host"), ("jagged", "host"), ("jagged", "torch")])
def test_batches_have_columns_by_name(out: pathlib.Path, form: str, gather: str) -> None:
    (batch,) = Loader(out / form, batch_size=4, device="cpu", gather=gather, shuffle=False)  # type: ignore[arg-type]
    impressions, actions, types, bought = batch
    assert torch.equal(bought, batch.labels["bought"]) and torch.equal(bought, batch["bought"])
    day = shardback.open(out / form)[0]
    found = zip(
        batch["request_id"].tolist(), impressions.tolist(), bought.tolist(), batch["stars"].tolist(), batch["position"].tolist(), strict=True
    )
    assert [(customer, *row) for customer, row in zip(day.column("customer_id").tolist(), found, strict=True)] == rows(day)
    assert batch.action_times is not None and batch.action_times.dtype == torch.int32
    row = day.column("customer_id").tolist().index(1)
    assert actions[row].tolist() == [12, 11, 15] and types[row].tolist() == [4, 1, 1]
    assert batch.action_features["price"][row].tolist() == [0.0, 1.5, 2.5]
    assert batch.action_times[row].tolist() == [NOON + 60, NOON, NOON - 60]
    other = day.column("customer_id").tolist().index(2)
    assert not batch.action_features["price"][other].any() and not batch.action_times[other].any()
    moved = batch.to("cpu")
    assert torch.equal(moved["stars"], batch["stars"]) and moved.action_features.keys() == {"price"}
    with pytest.raises(KeyError, match="`colour` is none of bought, stars, request_id, position"):
        batch["colour"]
    with pytest.raises(AttributeError, match="no label `is_order`"):
        batch.is_order


def test_a_file_says_the_same(out: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Tables lie from the file's folder on, and the bytes are those of frames."""
    config = json.loads(json.dumps(CONFIG))
    config["samples"]["path"], config["actions"]["events"]["path"] = "shown.json", "events.json"
    (tmp_path / "shop.json").write_text(json.dumps(config))
    for name, table in (("shown", SHOWN), ("events", EVENTS)):
        (tmp_path / f"{name}.json").write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    shardback.build(config=tmp_path / "shop.json", out=tmp_path / "out", date=DAY, formats="jagged", shards=1)
    one, other = (folder / "jagged" / f"dt={DAY}" / "shard-00000.safetensors" for folder in (out, tmp_path / "out"))
    assert one.read_bytes() == other.read_bytes()


def test_days_of_other_columns_are_no_epoch(out: pathlib.Path, tmp_path: pathlib.Path) -> None:
    config = json.loads(json.dumps(CONFIG))
    config["samples"]["labels"].pop("stars")
    shown = SHOWN.set_column(1, "day", pa.array(["2025-08-17"] * 3))
    shardback.build(
        config=config, tables={"samples": shown, "events": EVENTS}, out=tmp_path, date="2025-08-17", formats="jagged"
    )
    with pytest.raises(shardback.OptionError, match=r"columns are bought BOOL, stars F32.* on 2025-08-16 and bought BOOL, position I32"):
        Loader([out / "jagged", tmp_path / "jagged"], batch_size=2)


def test_wrong_descriptions_say_where(tmp_path: pathlib.Path) -> None:
    given: dict[str, Any] = {"out": tmp_path, "date": DAY}
    tables = {"samples": SHOWN, "events": EVENTS}
    wrong = json.loads(json.dumps(CONFIG))
    wrong["samples"]["lables"] = wrong["samples"].pop("labels")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"config": wrong, "tables": tables}, "samples.lables"),
        ({"config": {}, "tables": tables}, "config: it is empty"),
        ({"config": {"version": {1, 2}}}, "config: .*set"),
        ({"config": tmp_path / "none.toml"}, "config: cannot read"),
        ({"tables": tables}, "give `config` too"),
        ({"config": CONFIG, "impressions": SHOWN}, "impressions: it is a built-in table"),
        ({"config": CONFIG, "tables": {"samples": SHOWN}}, '`events`|"events": PATH'),
        ({"config": CONFIG, "tables": {**tables, "clicks": SHOWN.slice(0)}}, "`clicks` is not a table of the description"),
        ({}, "impressions: name the table"),
    ]
    for arguments, message in cases:
        with pytest.raises(shardback.ShardbackError, match=message):
            shardback.build(**arguments, **given)
    assert not np.any([path.name for path in tmp_path.iterdir() if path.name in ("parquet", "dense", "jagged")])


def test_hashed_items_have_64_bits(tmp_path: pathlib.Path) -> None:
    """Nobody can ask for less, and nobody has to ask for it."""
    config = json.loads(json.dumps(CONFIG))
    config["ids"] = {"item": "hash"}
    given: dict[str, Any] = {"config": config, "tables": {"samples": SHOWN, "events": EVENTS}, "date": DAY, "formats": "jagged"}
    with pytest.raises(shardback.OptionError, match="^item_dtype: i32 has no room for the items, whose ids take 64 bits"):
        shardback.build(**given, out=tmp_path, item_dtype="i32")
    for asked in (None, "i64"):
        (manifest,) = shardback.build(**given, out=tmp_path, item_dtype=asked)
        assert manifest.item_dtype == "i64"


def test_an_interrupt_ends_a_check() -> None:
    """A stream without an end, of which all is asked for."""
    script = """
        import os, signal, threading, pyarrow as pa
        import shardback
        shown = pa.table({"dt": ["2025-08-16"], "customer_id": [1], "item_id": [2], "is_order": [True]})
        def endless():
            threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
            while True:
                yield from shown.to_batches()
        try:
            shardback.check(impressions=pa.RecordBatchReader.from_batches(shown.schema, endless()), rows=1 << 40)
        except KeyboardInterrupt:
            print("interrupted")
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60)
    assert run.stdout == "interrupted\n", run.stderr


def test_a_check_says_what_is_understood(tmp_path: pathlib.Path) -> None:
    """The report is that of the command line, of frames and of files alike, and nothing is built."""
    tables = {"samples": SHOWN, "events": EVENTS}
    report = shardback.check(config=CONFIG, tables=tables)
    samples, events = report["tables"]
    assert (samples["table"], samples["rows"], samples["made"], samples["paths"]) == ("samples", 3, 4, [])
    first = samples["first_rows"][0]
    assert (first["customer"], first["item"], first["request"], first["day"]) == (1, 5, 20, DAY)
    assert first["values"] == {"bought": True, "stars": 4.5, "position": 0}
    assert [kind["type"] for kind in events["types"]] == ["view", "wish"] and events["first_rows"][0]["type"] == "view"
    assert events["passed_over"] == [{"by": "other", "column": "what", "of_elements": False, "rows": 1, "left": 4}]
    assert report["customers"] == {"of_samples": 2, "of_actions": 2, "of_both": 1} and report["warnings"] == []

    few = shardback.check(config=CONFIG, tables=tables, rows=2)["tables"]
    assert [(table["rows"], table["is_whole"]) for table in few] == [(2, False), (2, False)]
    late = EVENTS.set_column(3, "ts", pa.array([NOON * 1000] * 5))
    warnings = shardback.check(config=CONFIG, tables={"samples": SHOWN, "events": late})["warnings"]
    assert ("odd_times", "events") in [(warning["kind"], warning["table"]) for warning in warnings]
    assert 'say `unit = "ms"` in `actions.events.time`' in warnings[0]["problem"]

    config = json.loads(json.dumps(CONFIG))
    config["samples"]["path"], config["actions"]["events"]["path"] = "shown.json", "events.json"
    (tmp_path / "shop.json").write_text(json.dumps(config))
    for name, table in (("shown", SHOWN), ("events", EVENTS)):
        (tmp_path / f"{name}.json").write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    before = sorted(tmp_path.iterdir())
    files = shardback.check(config=tmp_path / "shop.json")
    assert sorted(tmp_path.iterdir()) == before
    assert [table["formats"] for table in files["tables"]] == [["json"], ["json"]]
    of_frames = [[row["values"] for row in table["first_rows"]] for table in report["tables"]]
    assert [[row["values"] for row in table["first_rows"]] for table in files["tables"]] == of_frames

    cases: list[tuple[dict[str, Any], str]] = [
        ({"config": CONFIG, "tables": {"samples": SHOWN}}, '"events": PATH'),
        ({"config": CONFIG, "tables": tables, "rows": 0}, "rows: use 1 or more"),
        ({"config": CONFIG, "tables": tables, "rows": 1.5}, "rows: expected a whole number"),
        ({"config": {}, "tables": tables}, "config: it is empty"),
        ({"config": CONFIG, "tables": {"samples": SHOWN, "events": SHOWN.slice(0)}}, "events: no column"),
        ({}, "impressions: name the table"),
    ]
    for arguments, message in cases:
        with pytest.raises(shardback.ShardbackError, match=message):
            shardback.check(**arguments)

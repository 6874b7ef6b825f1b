"""A cut-off at the time of each request, from a description to the batches of a loader."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pyarrow
import pytest
import torch

import shardback
from shardback.torch import Loader

DAY = "2025-08-16"
NOON = 1_755_345_600
"""2025-08-16 12:00:00 UTC, in seconds."""

CONFIG = {
    "version": 1,
    "types": {"view": 1, "buy": 2},
    "samples": {
        "customer": "who",
        "item": "shown",
        "time": {"column": "at", "unit": "s"},
        "labels": {"bought": "bought"},
    },
    "actions": {
        "events": {
            "type": {"column": "kind", "values": {"v": "view", "b": "buy"}},
            "customer": "who",
            "item": "what",
            "time": {"column": "ts", "unit": "s"},
            "features": {"price": {"column": "price", "dtype": "f32", "null": 0.0}},
        }
    },
    "history": {"length": 3, "cutoff": "time", "times": "s"},
}

SHOWN = pyarrow.table(
    {
        "who": [1, 1, 1, 2],
        "shown": [50, 51, 52, 60],
        "at": [NOON, NOON, NOON + 100, NOON],
        "bought": [False, True, False, False],
    }
)
EVENTS = pyarrow.table(
    {
        "who": [1, 1, 1, 1, 1, 3],
        "what": [10, 11, 12, 13, 14, 15],
        "kind": ["v", "v", "b", "v", "b", "v"],
        "ts": [NOON - 7200, NOON - 60, NOON - 1, NOON, NOON + 99, NOON],
        "price": [1.0, None, 3.0, 4.0, 5.5, 9.0],
    }
)

EXPECTED = {
    NOON: ([12, 11, 10], [2, 1, 1], [1.0, 60.0, 7200.0], [3.0, 0.0, 1.0]),
    NOON + 100: ([14, 13, 12], [2, 1, 2], [1.0, 100.0, 101.0], [5.5, 4.0, 3.0]),
}
"""Of customer 1 by the time of the request: items, types, ages and prices. What was at noon itself is not seen at noon."""


def build(folder: pathlib.Path, **options: object) -> list[shardback.Manifest]:
    tables = {"samples": SHOWN, "events": EVENTS}
    return shardback.build(config=CONFIG, tables=tables, out=folder, date=DAY, shards=1, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("cutoff") / "out"
    manifests = build(folder, formats=["parquet", "dense", "jagged"])
    for manifest in manifests:
        assert manifest.time_cutoff is not None and manifest.time_cutoff.lookback_micros is None
        assert (manifest.statistics.requests, manifest.statistics.at_cutoff) == (3, 1)
        assert manifest.statistics.smallest_gap_micros == 1_000_000
    return folder


@pytest.mark.parametrize("form", ["dense", "jagged"])
def test_each_request_has_its_own_history(out: pathlib.Path, form: str) -> None:
    day = shardback.open(out / form)[0]
    customers, times = day.column("customer_id").tolist(), day.column("request_time").tolist()
    prices, at = day.dense_column("action_price", slice(None)), day.dense_column("action_times", slice(None))
    for row, (customer, time) in enumerate(zip(customers, times, strict=True)):
        items, types = (values.tolist() for values in day.history(row))
        if customer == 2:
            assert (items, types, prices[row].tolist(), at[row].tolist()) == ([], [], [0.0] * 3, [0] * 3)
            continue
        expected = EXPECTED[time // 1_000_000]
        assert (items, types, prices[row].tolist()) == (expected[0], expected[1], expected[3])
        assert [time // 1_000_000 - value for value in at[row].tolist()] == expected[2]
    # The actions of both requests are there once.
    assert form == "dense" or len(day.shards[0]["actions"]) == 5
    with pytest.raises(shardback.OptionError, match="`price` is none of action_times, action_price"):
        day.dense_column("price", [0])


@pytest.mark.parametrize(("form", "gather"), [("dense", "host"), ("jagged", "host"), ("jagged", "torch")])
def test_batches_have_times_and_ages(out: pathlib.Path, form: str, gather: str) -> None:
    (batch,) = Loader(out / form, batch_size=4, device="cpu", gather=gather, shuffle=False)  # type: ignore[arg-type]
    assert batch.request_time.dtype == torch.int64 and torch.equal(batch.request_time, batch["request_time"])
    ages = batch.ages()
    assert ages.dtype == torch.float32
    rows = zip(batch.request_time.tolist(), batch.lengths.tolist(), ages.tolist(), batch.action_features["price"].tolist(), strict=True)
    for time, length, age, price in rows:
        expected = EXPECTED[time // 1_000_000][2:] if length else ([0.0] * 3, [0.0] * 3)
        assert (age, price) == expected
    assert torch.equal(batch.to("cpu").ages(), ages)


def test_what_is_not_there_is_said(tmp_path: pathlib.Path) -> None:
    build(tmp_path / "day", cutoff="day", formats="jagged")
    (batch,) = Loader(tmp_path / "day", batch_size=4, device="cpu")
    with pytest.raises(shardback.OptionError, match="requests have no times, as the cut-off of these days is the day"):
        batch.ages()
    with pytest.raises(AttributeError, match="requests have no times"):
        batch.request_time
    assert not torch.any(batch.actions), "with a cut-off at the day nothing of the day itself is seen"
    config = json.loads(json.dumps(CONFIG))
    del config["history"]["times"]
    tables = {"samples": SHOWN, "events": EVENTS}
    shardback.build(config=config, tables=tables, out=tmp_path / "bare", date=DAY, formats="jagged", shards=1)
    (batch,) = Loader(tmp_path / "bare", batch_size=4, device="cpu")
    assert np.all(batch.request_time.numpy() > 0)
    with pytest.raises(shardback.OptionError, match="ages: the times of actions are not there"):
        batch.ages()


def test_options_go_over_the_description(tmp_path: pathlib.Path) -> None:
    (manifest,) = build(tmp_path / "late", delay="1m", lookback="1h", formats="jagged")
    assert manifest.time_cutoff is not None
    assert (manifest.time_cutoff.delay_micros, manifest.time_cutoff.lookback_micros) == (60_000_000, 3_600_000_000)
    day = shardback.open(tmp_path / "late")[0]
    last = int(np.argmax(day.column("request_time")))
    # A minute late, and an hour back: at 12:01:40 what was before 12:00:40.
    assert day.history(last)[0].tolist() == [13, 12, 11]
    # Exactly a minute before noon is not yet seen at noon.
    first = day.column("request_time").tolist().index(NOON * 1_000_000)
    assert day.history(first)[0].tolist() == [] and day.statistics.at_cutoff == 1
    with pytest.raises(shardback.OptionError, match="delay: `5x` is not a length of time; write it as 90d"):
        build(tmp_path / "no", delay="5x", formats="jagged")
    with pytest.raises(shardback.OptionError, match="belongs to a cut-off at the time"):
        build(tmp_path / "no", cutoff="day", delay="5m", formats="jagged")
    with pytest.raises(shardback.OptionError, match="none is known of the table impressions; give `time`"):
        shardback.build(impressions=SHOWN, clicks=EVENTS, out=tmp_path / "no", date=DAY, cutoff="time")

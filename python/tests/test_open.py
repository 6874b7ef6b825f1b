"""`shardback.open`: read-only views of the files, and histories padded in Rust."""

from __future__ import annotations

import os
import pathlib
import pickle
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file

import shardback
from conftest import DAYS, HISTORY, ROWS, build
from shardback.torch import Loader


def days(out: pathlib.Path, format: str) -> shardback.Days:
    opened = shardback.open(out / format)
    assert isinstance(opened, shardback.Days)
    return opened


@pytest.mark.parametrize("format", ["dense", "jagged"])
def test_views_are_the_files(out: pathlib.Path, format: str) -> None:
    for day in days(out, format):
        assert len(day.shards) == 3 and len(day) == ROWS[day.date]
        for shard in day.shards:
            stock = load_file(shard.path)
            assert set(shard) == set(stock)
            for name, view in shard.items():
                assert view.dtype == stock[name].dtype and view.shape == stock[name].shape
                assert np.array_equal(view, stock[name])
                assert not view.flags.writeable and not view.flags.owndata


def test_views_outlive_the_day_and_its_files(out: pathlib.Path, tmp_path: pathlib.Path) -> None:
    copy = tmp_path / "dt=2025-08-14"
    shutil.copytree(out / "jagged" / copy.name, copy)
    day = shardback.Day(copy)
    view, expected = day.shards[0]["actions"], day.shards[0]["actions"].copy()
    del day
    shutil.rmtree(copy)
    assert len(view) and np.array_equal(view, expected)


def test_columns_and_histories(out: pathlib.Path) -> None:
    for dense, jagged in zip(days(out, "dense"), days(out, "jagged"), strict=True):
        for name, dtype in [("customer_id", np.int64), ("item_id", np.int32), ("is_order", np.bool_)]:
            column = jagged.column(name)
            assert column.dtype == dtype and np.array_equal(column, dense.column(name))
        lengths = jagged.column("history_length")
        for row in [*range(len(jagged)), -1]:
            items, types = jagged.history(row)
            assert len(items) == len(types) == lengths[row]
            assert not items.flags.owndata and not items.flags.writeable
            for found, expected in zip(dense.history(row), (items, types), strict=True):
                assert np.array_equal(found, expected)
        assert len(set(lengths)) > 10 and lengths.min() == 0 and lengths.max() == HISTORY
        with pytest.raises(IndexError, match="no row"):
            jagged.history(len(jagged))
        with pytest.raises(shardback.OptionError, match="`actions` is none of customer_id, history_length, item_id, is_order"):
            jagged.column("actions")
        with pytest.raises(shardback.OptionError, match="none of customer_id, item_id, is_order;"):
            dense.column("history_length")


@pytest.mark.parametrize("format", ["dense", "jagged"])
def test_dense_gathers_and_pads(out: pathlib.Path, format: str) -> None:
    day, stored = days(out, format)[0], days(out, "dense")[0]
    whole = [np.concatenate([shard[name] for shard in stored.shards]) for name in ("actions", "action_types")]
    rows = np.random.default_rng(1).integers(0, len(day), 1000)
    into = (np.full((1000, HISTORY), -1, np.int32), np.full((1000, HISTORY), 9, np.uint8))
    for wanted, given in [(rows, None), (rows.tolist(), into), (slice(None), None), (slice(-7, None, 3), None), ([], None)]:
        found = day.dense(wanted, given, threads=2)
        assert given is None or found[0] is into[0]
        for array, expected in zip(found, whole, strict=True):
            places = np.asarray(wanted, np.int64) if isinstance(wanted, list) else wanted
            assert array.dtype == expected.dtype and np.array_equal(array, expected[places])


def test_dense_says_what_is_wrong(out: pathlib.Path) -> None:
    day = days(out, "jagged")[0]
    for rows, message in [([403], "rows: expected 0 to 402"), ([-1], "rows: expected"), ([0.5], "whole numbers"), ([[1]], r"\[1, 1\]")]:
        with pytest.raises(shardback.OptionError, match=message):
            day.dense(rows)
    with pytest.raises(shardback.OptionError, match="threads: use 1 or more"):
        day.dense([0], threads=0)
    good = (np.zeros((2, HISTORY), np.int32), np.zeros((2, HISTORY), np.uint8))
    for bad in [(good[0][:1], good[1]), (good[0].astype(np.int64), good[1]), (good[0], np.zeros((2, 2 * HISTORY), np.uint8)[:, ::2])]:
        with pytest.raises(shardback.OptionError, match="out: expected"):
            day.dense([0, 1], bad)


def test_dense_writes_into_arrays_that_share_nothing(out: pathlib.Path) -> None:
    """Threads write both arrays at the same time, as slices of whole items."""
    day, rows = days(out, "jagged")[0], [5, 3, 17]
    wide = len(rows) * HISTORY
    memory = np.zeros(6 * wide, np.uint8)

    def arrays(items: int, types: int) -> tuple[np.ndarray, np.ndarray]:
        shape = (len(rows), HISTORY)
        return memory[items : items + 4 * wide].view(np.int32).reshape(shape), memory[types : types + wide].reshape(shape)

    for items, types in [(0, 4 * wide - 1), (0, 8), (0, 0), (wide, wide // 2 * 2 - 4), (4, 0)]:
        with pytest.raises(shardback.OptionError, match="out: the two arrays share memory"):
            day.dense(rows, arrays(items, types))
        assert not memory.any()
    expected = day.dense(rows)
    for items, types in [(0, 4 * wide), (wide, 0)]:
        assert all(np.array_equal(*pair) for pair in zip(day.dense(rows, arrays(items, types)), expected, strict=True))
    with pytest.raises(shardback.OptionError, match="out: the array of items does not begin where an item may"):
        day.native.dense(rows, memory[1 : 1 + 4 * wide], memory[5 * wide :], 1)
    day.native.dense([], memory[:0], memory[:0], 1)


def test_wide_items(wide: pathlib.Path, out: pathlib.Path) -> None:
    narrow, day = days(out, "jagged")[1], days(wide, "jagged")[1]
    assert day.column("item_id").dtype == np.int64
    rows = list(range(len(day)))
    actions, types = day.dense(rows)
    assert actions.dtype == np.int64
    assert all(np.array_equal(*pair) for pair in zip((actions, types), narrow.dense(rows), strict=True))


def test_roots_and_ranges(out: pathlib.Path, tmp_path: pathlib.Path) -> None:
    opened = shardback.open(out)
    assert isinstance(opened, shardback.Days)
    assert [(day.date, day.format) for day in opened] == [(day, "jagged") for day in DAYS]
    assert isinstance(shardback.open(out / "dense" / "dt=2025-08-14"), shardback.Day)
    assert opened["2025-08-15"] is opened[1] is opened[np.int64(1)] and [day.date for day in opened[1:]] == DAYS[1:]
    assert [day.date for day in opened.between(DAYS[0], "2025-08-15")] == DAYS[:2]
    with pytest.raises(shardback.OptionError, match="no 2025-08-17, 2025-08-18 between 2025-08-16 and 2025-08-18; there are 2025-08-14 to"):
        opened.between("2025-08-16", "2025-08-18")
    with pytest.raises(shardback.OptionError, match="days: not a day: `soon`"):
        opened["soon"]
    with pytest.raises(shardback.OptionError, match="2025-08-14 is there twice"):
        shardback.Days([opened[0], opened[0]])
    with pytest.raises(shardback.IoError):
        shardback.open(tmp_path / "nowhere")
    with pytest.raises(shardback.CorruptError, match="no days here"):
        shardback.open(tmp_path)


def test_parquet_alone_is_not_opened(tables: dict[str, pathlib.Path], tmp_path: pathlib.Path) -> None:
    build(tables, tmp_path / "out", formats="parquet")
    with pytest.raises(shardback.CorruptError, match="no jagged and no dense days"):
        shardback.open(tmp_path / "out")


@pytest.mark.parametrize("mmap", [None, True, False])
def test_days_are_mapped_or_read(out: pathlib.Path, tmp_path: pathlib.Path, mmap: bool | None) -> None:
    """The same days; what was read does not mind what becomes of the files, what is mapped says that they changed."""
    copy = tmp_path / "out"
    shutil.copytree(out / "jagged", copy / "jagged")
    opened = shardback.open(copy, mmap=mmap)
    day, expected = shardback.Day(copy / "jagged" / "dt=2025-08-14", mmap=mmap), days(out, "jagged")[0]
    assert pickle.loads(pickle.dumps(day))._mmap is mmap and opened[0].manifest.hash == day.manifest.hash
    for shard in copy.rglob("*.safetensors"):
        os.truncate(shard, 4096)
    for found in (opened[0], day):
        if mmap is False:
            assert all(np.array_equal(*pair) for pair in zip(found.dense(slice(None)), expected.dense(slice(None)), strict=True))
        else:
            with pytest.raises(shardback.ShardbackError, match="shard-00000.safetensors"):
                found.dense([0])


def test_damage_is_found(out: pathlib.Path, tmp_path: pathlib.Path) -> None:
    copy = tmp_path / "dt=2025-08-14"
    shutil.copytree(out / "jagged" / copy.name, copy)
    shard = copy / "shard-00001.safetensors"
    damaged = bytearray(shard.read_bytes())
    damaged[-1] ^= 1
    shard.write_bytes(damaged)
    shardback.open(copy)
    with pytest.raises(shardback.CorruptError, match="shard-00001.safetensors`: its hash is"):
        shardback.open(copy, verify=True)
    shard.write_bytes(damaged[:-1])
    with pytest.raises(shardback.CorruptError, match="the manifest says"):
        shardback.open(copy)


FORMAT_1 = pathlib.Path(__file__).parents[2] / "tests" / "data" / "format-1"
"""Days as version 1 of the format has them."""


@pytest.mark.parametrize("format", ["dense", "jagged"])
def test_days_of_an_older_version_are_to_be_built_again(format: str) -> None:
    folder = FORMAT_1 / format / "dt=2025-08-16"
    message = f"`{folder}/_manifest.json`: format version 1, this program reads version 2: build the day again"
    for opened in (
        lambda: shardback.open(FORMAT_1 / format),
        lambda: shardback.Day(folder),
        lambda: Loader(FORMAT_1 / format, batch_size=2, device="cpu"),
    ):
        with pytest.raises(shardback.CorruptError) as error:
            opened()
        assert str(error.value) == message

"""`shardback.torch.Loader` in one process: every row once, the same tensors on every path, and what is refused."""

from __future__ import annotations

import collections
import itertools
import os
import pathlib
import shutil

import numpy as np
import pytest
import torch

import shardback
from conftest import DAYS, HISTORY, ROWS, build, write
from loading import TOTAL, items, loader
from shardback.torch import Batch, Loader
from shardback.torch.resident import Residents


@pytest.fixture(scope="module")
def rows(out: pathlib.Path) -> dict[int, tuple[bool, np.ndarray, np.ndarray]]:
    """What each row holds, by its item, from the dense files."""
    found = {}
    opened = shardback.open(out / "dense")
    assert isinstance(opened, shardback.Days)
    for day in opened:
        for shard in day.shards:
            columns = [shard[name] for name in ("item_id", "is_order", "actions", "action_types")]
            found.update({int(item): (bool(label), *wide) for item, label, *wide in zip(*columns, strict=True)})
    assert len(found) == TOTAL
    return found


def check(batch: Batch, rows: dict[int, tuple[bool, np.ndarray, np.ndarray]]) -> None:
    impressions, actions, action_types, is_order = batch
    count, width = actions.shape
    assert impressions.shape == is_order.shape == batch.lengths.shape == (count,) == (len(batch),)
    assert action_types.shape == batch.pad_mask.shape == (count, width)
    assert is_order.dtype == torch.bool and batch.lengths.dtype == torch.int32
    for place, item in enumerate(impressions.tolist()):
        label, expected, kinds = rows[item]
        length = int(np.count_nonzero(kinds))
        assert bool(is_order[place]) == label and int(batch.lengths[place]) == length <= width
        assert actions[place].tolist() == expected[:width].tolist()
        assert action_types[place].tolist() == kinds[:width].tolist()
        assert batch.pad_mask[place].tolist() == [column >= length for column in range(width)]


@pytest.mark.parametrize("format", ["dense", "jagged"])
@pytest.mark.parametrize("trim", [False, True])
@pytest.mark.parametrize("index_dtype", [None, torch.int32, torch.int64])
def test_an_epoch_holds_every_row_once(out, rows, format, trim, index_dtype) -> None:
    batches = list(loader(out / format, trim=trim, index_dtype=index_dtype))
    for batch in batches:
        check(batch, rows)
        assert batch.actions.dtype == batch.impressions.dtype == (index_dtype or torch.int32)
        assert batch.action_types.dtype == (index_dtype or torch.uint8)
        assert batch.actions.shape[1] == (max(1, int(batch.lengths.max())) if trim else HISTORY)
    assert sorted(items(batches)) == sorted(rows)
    assert [len(batch) for batch in batches] == [
        size for day in DAYS for size in [32] * (ROWS[day] // 32) + [ROWS[day] % 32] if size
    ]
    assert [batch.date for batch in batches] == sorted(batch.date for batch in batches)
    assert len(batches) == len(loader(out / format))


def equal(one: Batch, other: Batch) -> bool:
    pairs = list(zip((*one, one.lengths), (*other, other.lengths), strict=True))
    return all(left.dtype == right.dtype and torch.equal(left, right) for left, right in pairs)


@pytest.mark.parametrize("index_dtype", [None, torch.int32, torch.int64])
@pytest.mark.parametrize("trim", [False, True])
def test_every_path_gives_equal_batches(out, wide, trim, index_dtype) -> None:
    """Jagged and dense files, the processor's gather and PyTorch's, narrow and wide items."""
    options = {"trim": trim, "index_dtype": index_dtype, "seed": 3}
    first = list(loader(out / "jagged", **options))
    assert len(first) == 32
    for other in [loader(out / "dense", **options), loader(out, gather="torch", **options), loader(out, gather="host", **options)]:
        assert all(equal(*pair) for pair in zip(first, other, strict=True))
    if index_dtype is not None:
        for gather in ("host", "torch"):
            assert all(equal(*pair) for pair in zip(first, loader(wide, gather=gather, **options), strict=True))


def test_epochs_seeds_and_order(out) -> None:
    once = loader(out)
    epochs = [items(once) for _ in range(3)]
    assert once.epoch == 3
    for place, epoch in enumerate(epochs):
        assert sorted(epoch) == sorted(epochs[0])
        assert epoch not in epochs[:place]
        again = loader(out)
        again.set_epoch(place)
        assert items(again) == epoch
    assert items(loader(out, seed=1)) not in epochs
    stored = items(loader(out, shuffle=False))
    assert stored == [item for day in shardback.open(out) for item in day.column("item_id").tolist()]
    # However many threads and batches ahead, the order is the same.
    assert items(loader(out, threads=1, prefetch=9)) == epochs[0]


def test_batches_may_be_kept(out) -> None:
    """Memory is used again only when nobody holds it."""
    kept = list(loader(out, batch_size=5, prefetch=1))
    fresh = loader(out, batch_size=5, prefetch=1)
    for one, other in zip(kept, fresh, strict=True):
        assert equal(one, other)
    views = [batch.actions for batch in loader(out, batch_size=5)]
    assert all(torch.equal(view, batch.actions) for view, batch in zip(views, kept, strict=True))


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("rule", [{}, {"drop_last": True}, {"uneven": True}])
def test_ranks_share_the_rows(out, world, rule) -> None:
    ranks = [loader(out, batch_size=17, rank=rank, world_size=world, **rule) for rank in range(world)]
    taken = [list(rank) for rank in ranks]
    counts = collections.Counter(items(batch for batches in taken for batch in batches))
    assert [len(batches) for batches in taken] == [len(rank) for rank in ranks]
    if "uneven" in rule:
        assert len(counts) == TOTAL and set(counts.values()) == {1}
    elif "drop_last" in rule:
        assert counts.total() == sum(rows // (17 * world) * 17 * world for rows in ROWS.values())
        assert set(counts.values()) == {1} and all(len(batch) == 17 for batches in taken for batch in batches)
    else:
        assert len(counts) == TOTAL and counts.total() - TOTAL < world * len(DAYS)
        assert len({len(batches) for batches in taken}) == 1
        assert all(len({len(batch) for batch in step}) == 1 for step in zip(*taken, strict=True))


def test_days_from_everywhere(out) -> None:
    opened = shardback.open(out)
    folder = out / "jagged"
    for source in [
        folder,
        str(folder),
        opened,
        [opened[2], opened[0], opened[1]],
        [folder / "dt=2025-08-15", opened.between("2025-08-14", "2025-08-14"), out / "dense" / "dt=2025-08-16"],
    ]:
        assert items(loader(source)) == items(loader(out))
    assert [batch.date for batch in loader(folder / "dt=2025-08-15", batch_size=1000)] == [DAYS[1]]


def test_what_does_not_fit_is_said(out, wide, tables, tmp_path) -> None:
    build(tables, tmp_path / "short", history=10, date="2025-08-15", start=None, end=None, formats="jagged")
    for source, options, message in [
        ([out / "jagged" / "dt=2025-08-14", tmp_path / "short"], {}, "K is 20 on 2025-08-14 and 10 on 2025-08-15"),
        ([out / "jagged" / "dt=2025-08-14", wide / "jagged" / "dt=2025-08-15"], {}, "items are i32 on 2025-08-14 and i64"),
        ([out, out], {}, "is there twice"),
        ([], {}, "days: there are none"),
        (out, {"batch_size": 0}, "batch_size: 0 is not between 1 and 4294967295"),
        (out, {"batch_size": 1 << 32}, "batch_size: 4294967296 is not between 1 and 4294967295"),
        (out, {"threads": 0}, "prefetch and threads are 1 or more"),
        (out, {"threads": 16384}, "threads: 16384 is not between 1 and 1024"),
        (out, {"rank": 1}, "together with world_size"),
        (out, {"rank": 2, "world_size": 2}, "rank: 2 is not between 0 and 1"),
        (out, {"drop_last": True, "uneven": True}, "excludes uneven"),
        (out, {"index_dtype": torch.int16}, "expected torch.int32 or torch.int64"),
        (out, {"gather": "magic"}, "`magic` is none of"),
    ]:
        with pytest.raises(shardback.OptionError, match=message):
            loader(source, **options)
    with pytest.raises(shardback.IoError):
        loader(tmp_path / "nowhere")
    with pytest.raises(shardback.OptionError, match="needs a CUDA device, not cpu"):
        next(iter(loader(out, gather="kernel")))
    for gather in ("kernel", "torch"):
        with pytest.raises(shardback.OptionError, match=f"gather: `{gather}` needs jagged days"):
            iter(loader(out / "dense", gather=gather))
    with pytest.raises(shardback.OptionError, match="epoch: -1 is below 0"):
        loader(out).set_epoch(-1)
    for epoch in ("5", 1.7, True):
        with pytest.raises(shardback.OptionError, match="epoch: expected a whole number"):
            loader(out).set_epoch(epoch)


def test_what_cannot_begin_is_no_epoch(out) -> None:
    some = loader(out, gather="torch", device_memory=1000)
    with pytest.raises(shardback.OptionError, match="is not possible"):
        iter(some)
    some._device_memory = None
    assert some.epoch == 0 and items(some) == items(loader(out))


def test_without_the_kernel_it_is_said(out, monkeypatch) -> None:
    def refuse(ordinal: int) -> None:
        raise shardback.DeviceError("no CUDA device can be used: the driver is for CUDA 11.0, 12.0 is needed")

    monkeypatch.setattr("shardback._native.Device", refuse)
    some = loader(out, device="cuda:0")
    with pytest.warns(UserWarning, match="PyTorch gathers, which takes longer than the kernel: .* 12.0 is needed"):
        assert some._kernel() is None
    with pytest.raises(shardback.DeviceError):
        loader(out, device="cuda:0", gather="kernel")._kernel()


@pytest.mark.parametrize("gather", ["host", "torch"])
@pytest.mark.parametrize("rule", [{}, {"drop_last": True}, {"uneven": True}])
def test_days_with_less_than_a_row_for_each_rank(tmp_path, gather, rule) -> None:
    """Five ranks, and days of 3, 0, 1, 12 and 0 rows, gone through twice, and gone on with after each step."""
    sizes, world, size = [3, 0, 1, 12, 0], 5, 2
    days = [f"2025-08-{10 + place}" for place in range(len(sizes))]
    samples = [(day, row % 2, 100 * place + row, False) for place, day in enumerate(days) for row in range(sizes[place])]
    write(tmp_path / "shown.csv", ["dt", "customer_id", "item_id", "is_order"], samples)
    write(tmp_path / "clicks.csv", ["dt", "customer_id", "item_id", "click_time"], [("2025-08-01", 1, 7, "2025-08-01T00:00:00Z")])
    tables = {"impressions": tmp_path / "shown.csv", "clicks": tmp_path / "clicks.csv"}
    build(tables, tmp_path / "out", start=days[0], end=days[-1], allow_empty_days=True, formats="jagged", shards=1)

    def rank(number: int) -> Loader:
        return loader(tmp_path / "out", batch_size=size, rank=number, world_size=world, gather=gather, **rule)

    ranks = [rank(number) for number in range(world)]
    for epoch in range(2):
        taken = [list(some) for some in ranks]
        assert [len(batches) for batches in taken] == [len(some) for some in ranks]
        assert all(some.epoch == epoch + 1 for some in ranks)
        counts = collections.Counter(items(batch for batches in taken for batch in batches))
        if "uneven" in rule:
            assert len(counts) == counts.total() == sum(sizes)
        elif "drop_last" in rule:
            assert len(counts) == counts.total() == 10
        else:
            # 2 come twice on the first day, 4 on the third, 3 on the fourth.
            assert len(counts) == sum(sizes) and counts.total() - len(counts) == 2 + 4 + 3
            assert len({len(batches) for batches in taken}) == 1
    # Where all ranks make the same steps, one alone goes on after each of them.
    for stop in range(0 if "uneven" in rule else len(ranks[0])):
        ranks = [rank(number) for number in range(world)]
        before = {item for some in ranks for item in items(itertools.islice(some, stop + 1))}
        alone = loader(tmp_path / "out", batch_size=1, gather=gather, **rule)
        alone.load_state_dict(ranks[stop % world].state_dict())
        after = set() if alone.epoch == 1 else set(items(alone))
        assert not before & after
        assert rule or before | after == {item for _, _, item, _ in samples}


def test_a_day_that_could_not_be_brought_is_let_go(out) -> None:
    """The next day is brought along, and fails; that is said when its turn comes, and the day before it is none the worse."""

    class Brought:
        def close(self) -> None:
            closed.append(self)

    closed: list[Brought] = []
    days = list(shardback.open(out)) * 2

    def bring(day: shardback.Day) -> Brought:
        if day is days[1]:
            raise shardback.DeviceError("no room")
        return Brought()

    residents = Residents(days, 2, bring)
    residents.get(0)
    with pytest.raises(shardback.DeviceError, match="no room"):
        residents.get(1)
    residents.get(0)
    residents.get(3)
    assert len(closed) == 3


@pytest.mark.parametrize("gather", ["host", "torch"])
def test_items_that_do_not_fit_are_refused(tables, tmp_path, gather) -> None:
    text = tables["clicks"].read_text()
    (tmp_path / "clicks.csv").write_text(text + "2025-08-13,1,3000000000,2025-08-13T23:59:59Z\n")
    build({**tables, "clicks": tmp_path / "clicks.csv"}, tmp_path / "out", item_dtype="i64", formats="jagged")
    with pytest.raises(shardback.OptionError, match="do(es)? not fit 32 bits"):
        list(loader(tmp_path / "out", index_dtype=torch.int32, gather=gather))
    assert len(items(loader(tmp_path / "out", gather=gather))) == TOTAL


@pytest.mark.parametrize("damage", [lambda starts: starts + 10**6, lambda starts: starts * 0 + (2**63 - 1)])
def test_a_damaged_history_ends_the_epoch(out, tmp_path, damage) -> None:
    """Also where start and length add up to more than 64 bits hold."""
    copy = tmp_path / "dt=2025-08-14"
    shutil.copytree(out / "jagged" / copy.name, copy)
    shard = copy / "shard-00000.safetensors"
    starts = shardback.Day(copy).shards[0]["history_start"].copy()
    damaged = shard.read_bytes().replace(starts.tobytes(), damage(starts).tobytes())
    shard.write_bytes(damaged)
    for gather, message in [("host", "is out of range"), ("torch", "its history is out of range")]:
        with pytest.raises(shardback.CorruptError, match=message):
            list(loader(copy, gather=gather))


@pytest.mark.parametrize("gather", ["host", "torch"])
def test_a_shard_that_is_cut_off_ends_the_epoch(out, tmp_path, gather) -> None:
    """A file that is mapped and gets shorter, as a copy over it makes it, would end the process."""
    copy = tmp_path / "dt=2025-08-14"
    shutil.copytree(out / "jagged" / copy.name, copy)
    some = loader(shardback.Day(copy, mmap=True), gather=gather)
    os.truncate(copy / "shard-00001.safetensors", 4096)
    with pytest.raises(shardback.ShardbackError, match="shard-00001.safetensors"):
        list(some)


def test_the_plan(out) -> None:
    planned = loader(out).plan()
    assert planned.strategy == "host" and planned.available is None
    assert [(day.date, day.rows) for day in planned.days] == [(day, ROWS[day]) for day in DAYS]
    one = planned.one_bytes
    day = shardback.open(out)[0]
    arrays = sum(array.nbytes for shard in day.shards for name, array in shard.items() if name != "customer_id")
    assert arrays <= one <= arrays + 4096
    assert one < planned.two_bytes < planned.all_bytes == sum(day.device_bytes for day in planned.days)
    batches = planned.batch_bytes
    assert batches == 2 * loader(out)._layout(32, HISTORY).bytes
    assert loader(out, batch_size=1_000_000).plan().batch_bytes == 2 * loader(out)._layout(max(ROWS.values()), HISTORY).bytes
    for memory, strategy in [
        (planned.all_bytes + batches, "all"),
        (planned.all_bytes + batches - 1, "two"),
        (planned.two_bytes + batches - 1, "one"),
        (one + batches - 1, "host"),
    ]:
        found = loader(out).plan(memory)
        assert found.strategy == strategy
        assert found.device_bytes <= memory
        assert f"{strategy}: " in str(found)
    assert loader(out / "dense").plan(1 << 40).strategy == "host"


@pytest.mark.parametrize("strategy", ["all", "two", "one"])
def test_days_come_and_go_as_planned(out, strategy) -> None:
    planned = loader(out, gather="torch").plan()
    room = {"all": planned.all_bytes, "two": planned.two_bytes, "one": planned.one_bytes}[strategy]
    some = loader(out, gather="torch", device_memory=room + planned.batch_bytes)
    assert some.plan().strategy == strategy
    for _ in range(2):
        expected = loader(out)
        expected.set_epoch(some.epoch)
        there = []
        for one, other in zip(some, expected, strict=True):
            assert equal(one, other)
            there.append(len(some._residents._there))
        assert max(there) == {"all": 3, "two": 2, "one": 1}[strategy]
    with pytest.raises(shardback.OptionError, match="`torch` is not possible: the largest day takes"):
        next(iter(loader(out, gather="torch", device_memory=1000)))


def test_customers_without_history_are_numbers(out) -> None:
    """Attention over a row that is masked throughout, and a mean over none, are not a number; the safe forms are."""
    batch = next(iter(loader(out, batch_size=TOTAL)))
    empty = batch.lengths == 0
    assert 0 < int(empty.sum()) < len(batch)
    embedding = torch.nn.Embedding(1 << 10, 8)
    values = embedding(batch.actions % (1 << 10))
    attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)

    def attended(mask: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = attention(values, values, values, key_padding_mask=mask, need_weights=True)[0]
        return found.isnan().any(-1).any(-1)

    # Where this is a number one day, the paragraph in docs/training.md goes.
    assert torch.equal(attended(batch.pad_mask), empty)
    assert not attended(batch.safe_pad_mask).any()
    # Where there is a history, nothing is different.
    assert torch.equal(batch.safe_pad_mask[~empty], batch.pad_mask[~empty])
    assert batch.safe_pad_mask[empty].sum(1).tolist() == [batch.actions.shape[1] - 1] * int(empty.sum())

    seen = ~batch.pad_mask[:, :, None]
    assert torch.equal(((values * seen).sum(1) / seen.sum(1)).isnan().any(-1), empty)
    mean = (values * seen).sum(1) / batch.lengths.clamp(min=1)[:, None]
    assert not mean.isnan().any() and not mean[empty].any()
    assert torch.allclose(mean[~empty], ((values * seen).sum(1) / seen.sum(1))[~empty])

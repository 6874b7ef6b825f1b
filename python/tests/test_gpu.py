"""The loader on a CUDA device: the processor's batches on every path, whatever the device, the host and the streams do.

Needs a device that PyTorch sees, and is skipped as a whole without one. What can be seen without one is in test_device.py and
test_kernel.py.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import pathlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

import shardback
from conftest import ROWS
from shardback.torch import Batch, Loader, cuda
from shardback.torch.batch import Columns, layout
from shardback.torch.resident import KernelRows

if not torch.cuda.is_available():
    pytest.skip("no CUDA device: torch.cuda.is_available() is false", allow_module_level=True)

DEVICE = torch.device("cuda", 0)
GATHERS = ["kernel", "torch", "host"]
ON_DEVICE = ["kernel", "torch"]
# Of the clock of the device: some ten milliseconds, much longer than a batch takes, and than all that a test prepares.
BUSY, BUSY_FOR_LONG = 30_000_000, 400_000_000


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A jagged day of 200,000 rows, K = 1000, histories of 0 to about 1,400 actions."""
    chance = np.random.default_rng(9)
    rows, customers = 200_000, 2_000
    lengths = chance.integers(0, 1_400, customers)
    day = np.datetime64("2025-08-16")
    shown = pa.table(
        {
            "dt": pa.array(np.full(rows, day)),
            "customer_id": chance.integers(0, customers, rows),
            "item_id": chance.integers(1, 1 << 30, rows).astype(np.int32),
            "is_order": chance.random(rows) < 0.2,
        }
    )
    count = int(lengths.sum())
    clicks = pa.table(
        {
            "dt": pa.array(np.full(count, day - 1)),
            "customer_id": np.repeat(np.arange(customers), lengths),
            "item_id": chance.integers(1, 1 << 30, count).astype(np.int32),
            "click_time": pa.array((day - 1).astype("datetime64[us]") + chance.integers(0, 86_400_000_000, count)),
        }
    )
    out = tmp_path_factory.mktemp("large") / "out"
    shardback.build(impressions=shown, clicks=clicks, date="2025-08-16", formats="jagged", history=1000, out=out)
    return out


DESCRIPTION = {
    "version": 1,
    "types": {"view": 1, "buy": 2},
    "samples": {
        "customer": "who",
        "item": "shown",
        "time": {"column": "at", "unit": "us"},
        "labels": {"bought": {"column": "bought", "dtype": "bool"}, "stars": {"column": "stars", "dtype": "f32"}},
        "keep": {"position": {"column": "position", "dtype": "i64"}},
    },
    "actions": {
        "events": {
            "type": {"column": "kind", "values": {"v": "view", "b": "buy"}},
            "customer": "who",
            "item": "what",
            "time": {"column": "ts", "unit": "us"},
            "features": {
                "price": {"column": "price", "dtype": "f64", "null": 0.0},
                "shelf": {"column": "shelf", "dtype": "u8", "null": 0},
            },
        }
    },
    "history": {"length": 100, "cutoff": "time", "times": "s"},
}
"""Labels, a column of samples, features, times: all that only some days have."""


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A jagged day of 20,000 rows with a cut-off at the time of each request."""
    chance = np.random.default_rng(11)
    midnight = 1_755_302_400_000_000
    shown, events = 20_000, 60_000
    samples = pa.table(
        {
            "who": chance.integers(0, 900, shown),
            "shown": chance.integers(1, 1 << 30, shown).astype(np.int32),
            "at": midnight + chance.integers(0, 86_400_000_000, shown),
            "bought": chance.random(shown) < 0.2,
            "stars": chance.random(shown, np.float32),
            "position": chance.integers(-5, 1 << 40, shown),
        }
    )
    actions = pa.table(
        {
            "who": chance.integers(0, 1_000, events),
            "what": chance.integers(1, 1 << 30, events).astype(np.int32),
            "kind": chance.choice(["v", "b"], events),
            "ts": midnight + chance.integers(-86_400_000_000, 86_400_000_000, events),
            "price": chance.random(events),
            "shelf": chance.integers(0, 256, events),
        }
    )
    out = tmp_path_factory.mktemp("described") / "out"
    tables = {"samples": samples, "events": actions}
    shardback.build(config=DESCRIPTION, tables=tables, date="2025-08-16", formats="jagged", shards=3, out=out)
    return out


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """Each test begins with an idle device and an empty cache."""
    gc.collect()
    torch.cuda.synchronize(DEVICE)
    torch.cuda.empty_cache()
    yield


def loader(out: pathlib.Path, gather: str, device: str | torch.device = DEVICE, **options: Any) -> Loader:
    return Loader(out, gather=gather, device=device, **{"batch_size": 1000, "seed": 3, **options})


def by_processor(out: pathlib.Path, **options: Any) -> Loader:
    return loader(out, "host", "cpu", **options)


def same(batches: Iterable[Batch], expected: Iterable[Batch]) -> int:
    """Holds batches against those of the processor; how many there were."""
    count = 0
    for one, other in zip(batches, expected, strict=True):
        assert one.date == other.date
        for found, wanted in zip((*one, one.lengths), (*other, other.lengths), strict=True):
            assert found.device == DEVICE and found.dtype == wanted.dtype
            assert torch.equal(found.cpu(), wanted)
        count += 1
    return count


@contextlib.contextmanager
def stream(side: bool) -> Iterator[None]:
    """The work of a test on PyTorch's default stream, or on another one."""
    with torch.cuda.stream(torch.cuda.Stream(DEVICE) if side else torch.cuda.default_stream(DEVICE)):
        yield


@pytest.mark.parametrize("gather", GATHERS)
@pytest.mark.parametrize("trim", [False, True])
@pytest.mark.parametrize("index_dtype", [None, torch.int32, torch.int64])
@pytest.mark.parametrize("size", [1, 50, 333])
def test_small_batches_are_the_processors(out, wide, gather, trim, index_dtype, size) -> None:
    for source in (out, wide):
        options = {"batch_size": size, "index_dtype": index_dtype, "trim": trim}
        some = loader(source, gather, **options)
        assert same(some, by_processor(source, **options)) == len(some)
        if gather != "host":
            assert some._residents is not None
            assert (type(some._residents.get(0)) is KernelRows) == (gather == "kernel")


@pytest.mark.parametrize("gather", GATHERS)
@pytest.mark.parametrize("trim", [False, True])
@pytest.mark.parametrize("size", [333, 8192, 70_001, 200_000])
def test_large_batches_are_the_processors(large, gather, trim, size) -> None:
    options = {"batch_size": size, "trim": trim}
    pairs = zip(loader(large, gather, **options), by_processor(large, **options), strict=True)
    for one, other in itertools.islice(pairs, 6):
        same([one], [other])


@pytest.mark.parametrize("gather", GATHERS)
@pytest.mark.parametrize("trim", [False, True])
@pytest.mark.parametrize("size", [7, 512, 6000])
def test_what_only_some_days_have_is_the_processors(described, gather, trim, size) -> None:
    kept = []
    for batch in itertools.islice(loader(described, gather, batch_size=size, trim=trim), 12):
        torch.cuda._sleep(BUSY // 10)
        kept.append(batch)
    expected = list(itertools.islice(by_processor(described, batch_size=size, trim=trim), 12))
    same(kept, expected)
    for one, other in zip(kept, expected, strict=True):
        assert one.action_times is not None and other.action_times is not None
        pairs = [(one.action_times, other.action_times), (one.ages(), other.ages())]
        for name in ("labels", "columns", "action_features"):
            found, wanted = getattr(one, name), getattr(other, name)
            assert found.keys() == wanted.keys()
            pairs += [(found[column], wanted[column]) for column in wanted]
        assert len(pairs) == 2 + 2 + 2 + 2
        for found, wanted in pairs:
            assert found.device == DEVICE and found.dtype == wanted.dtype
            assert torch.equal(found.cpu(), wanted)


def test_auto_takes_the_kernel(out) -> None:
    some = Loader(out, batch_size=32, device="auto")
    assert same(some, by_processor(out, batch_size=32, seed=0)) == len(some)
    assert some.device == DEVICE and some._residents is not None
    assert type(some._residents.get(0)) is KernelRows
    assert cuda.kernel(0) is cuda.kernel(0)


@pytest.mark.parametrize("gather", GATHERS)
@pytest.mark.parametrize("side", [False, True])
def test_the_host_may_run_ahead_of_a_busy_device(large, gather, side) -> None:
    """What the host gives away or uses again too early would be seen in a batch."""
    kept = []
    with stream(side):
        for batch in itertools.islice(loader(large, gather, batch_size=8192, prefetch=1), 12):
            torch.cuda._sleep(BUSY)
            kept.append(batch)
            # Whatever is free by now is written.
            torch.empty(1 << 22, device=DEVICE).random_()
        torch.cuda._sleep(BUSY)
        torch.cuda.synchronize(DEVICE)
    del batch
    same(kept, itertools.islice(by_processor(large, batch_size=8192), 12))


@pytest.mark.parametrize("gather", GATHERS)
def test_the_stream_may_change_between_steps(large, gather) -> None:
    streams = [torch.cuda.Stream(DEVICE) for _ in range(3)]
    steps = iter(loader(large, gather, batch_size=5000, prefetch=1))
    kept = []
    for number in range(9):
        with torch.cuda.stream(streams[number % 3]):
            torch.cuda._sleep(BUSY)
            kept.append(next(steps))
    torch.cuda.synchronize(DEVICE)
    same(kept, itertools.islice(by_processor(large, batch_size=5000), 9))


@pytest.mark.parametrize("gather", GATHERS)
def test_a_pass_may_be_left_while_its_batches_are_under_way(large, gather) -> None:
    """Pinned memory goes back to the thread that gathers, and a day's rows are freed, when the device is done with them."""
    for seed in range(10):
        some = loader(large, gather, batch_size=8192, prefetch=1, threads=1, seed=seed)
        steps = iter(some)
        kept = [next(steps)]
        torch.cuda._sleep(BUSY_FOR_LONG)
        # Three at once, so that the thread that gathers is in the middle of one.
        kept += [next(steps) for _ in range(3)]
        if seed % 2:
            steps.close()  # type: ignore[attr-defined]
        else:
            # The days, too.
            del some
        del steps
        torch.empty(1 << 28, dtype=torch.uint8, device=DEVICE).random_()
        torch.cuda.synchronize(DEVICE)
        same(kept, itertools.islice(by_processor(large, batch_size=8192, seed=seed), 4))


@pytest.mark.parametrize("gather", ON_DEVICE)
@pytest.mark.parametrize("strategy", ["all", "two", "one"])
def test_days_come_and_go(out, gather, strategy) -> None:
    planned = loader(out, gather, batch_size=99).plan()
    room = {"all": planned.all_bytes, "two": planned.two_bytes, "one": planned.one_bytes}[strategy]
    some = loader(out, gather, batch_size=99, device_memory=room + planned.batch_bytes)
    assert some.plan().strategy == strategy
    expected = by_processor(out, batch_size=99)
    for _ in range(2):
        kept = []
        for batch in some:
            torch.cuda._sleep(BUSY // 10)
            kept.append(batch)
        torch.cuda.synchronize(DEVICE)
        assert same(kept, expected) == len(some)


@pytest.mark.parametrize("gather", GATHERS)
def test_a_state_goes_from_device_to_processor(out, gather) -> None:
    some = loader(out, gather, batch_size=77)
    steps = iter(some)
    head = [next(steps) for _ in range(4)]
    again = by_processor(out, batch_size=77)
    again.load_state_dict(some.state_dict())
    tail = list(again)
    assert same(head, itertools.islice(by_processor(out, batch_size=77), 4)) == 4
    rows = [row for batch in [*head, *tail] for row in batch.impressions.tolist()]
    assert len(rows) == len(set(rows)) == sum(ROWS.values())
    shares = [loader(out, gather, batch_size=20, rank=rank, world_size=2, uneven=True) for rank in range(2)]
    for share in shares:
        share.load_state_dict(some.state_dict())
    left = sorted(row for share in shares for batch in share for row in batch.impressions.tolist())
    assert left == sorted(row for batch in tail for row in batch.impressions.tolist())


def test_more_than_2_to_the_31_elements(large) -> None:
    """Rows in number above the warps of a grid, and places above what 32 bits count."""
    rows, history = 2_200_000, 1000
    day = shardback.open(large)[0]
    shape = layout(rows, history, torch.int32, torch.uint8, Columns.of(day))
    assert rows * history > 1 << 31
    free, wanted = cuda.free(DEVICE), shape.room + (2 << 30)
    if free < wanted:
        pytest.skip(f"{wanted >> 30} GiB are needed, and {free >> 30} GiB are free")
    held = KernelRows(day, DEVICE, cuda.kernel(0))
    numbers = np.random.default_rng(1).integers(0, len(day), rows)
    batch = shape.batch(held.gather(numbers.view(np.uint8), shape), day.date)
    for start in (0, 131_072, 1_100_000, rows - 500):
        some = slice(start, start + 500)
        actions, types = day.dense(numbers[some])
        assert np.array_equal(batch.actions[some].cpu().numpy(), actions)
        assert np.array_equal(batch.action_types[some].cpu().numpy(), types)
    held.close()


def test_a_day_may_be_uploaded_during_a_capture(large) -> None:
    """The next day begins its upload with the first batch, which is when a step is captured as a CUDA graph."""
    day, device = shardback.open(large)[0], cuda.kernel(0)
    given = torch.arange(1000, device=DEVICE, dtype=torch.float32)
    graph = torch.cuda.CUDAGraph()
    (given * 2).sum()
    with ThreadPoolExecutor(1) as thread, torch.cuda.graph(graph):
        held = thread.submit(KernelRows, day, DEVICE, device).result()
        result = (given * 2).sum()
    graph.replay()
    torch.cuda.synchronize(DEVICE)
    assert result.item() == 999_000
    numbers = np.arange(500)
    shape = layout(len(numbers), 1000, torch.int32, torch.uint8, Columns.of(day))
    actions, _ = day.dense(numbers)
    found = shape.batch(held.gather(numbers.view(np.uint8), shape), day.date)
    assert np.array_equal(found.actions.cpu().numpy(), actions)
    held.close()


def test_a_captured_step_takes_batches(large) -> None:
    """Batches are copied into what the graph reads, while the loader goes on beside it."""
    steps = zip(loader(large, "kernel", batch_size=512), by_processor(large, batch_size=512), strict=True)
    actions = torch.zeros((512, 1000), dtype=torch.int32, device=DEVICE)
    graph = torch.cuda.CUDAGraph()
    actions.long().sum()
    with torch.cuda.graph(graph):
        total = actions.long().sum()
    for batch, expected in itertools.islice(steps, 20):
        actions.copy_(batch.actions)
        graph.replay()
        assert total.item() == expected.actions.long().sum().item()


@pytest.mark.parametrize("gather", ON_DEVICE)
def test_memory_goes_back_with_the_loader(large, gather) -> None:
    before, _ = torch.cuda.mem_get_info(DEVICE)
    some = loader(large, gather, batch_size=1024)
    days = some.plan().all_bytes
    next(iter(some))
    gc.collect()
    assert before - torch.cuda.mem_get_info(DEVICE)[0] >= days
    del some
    gc.collect()
    torch.cuda.empty_cache()
    # The driver keeps some for itself: for streams, and for a kernel that was loaded.
    assert before - torch.cuda.mem_get_info(DEVICE)[0] < days // 2 + (64 << 20)


def fill() -> list[torch.Tensor]:
    """Takes what the device has free, but for a few MiB."""
    kept = []
    for size in (1 << 30, 1 << 26, 1 << 22):
        with contextlib.suppress(torch.cuda.OutOfMemoryError):
            while True:
                kept.append(torch.empty(size, dtype=torch.uint8, device=DEVICE))
    return kept


@pytest.mark.parametrize("gather", ON_DEVICE)
def test_what_the_cache_holds_is_room(large, gather) -> None:
    """Freed tensors fill the device; the days find room all the same."""
    # It has been opened by then, as in a job that trains.
    cuda.kernel(0)
    before = cuda.free(DEVICE)
    some = loader(large, gather, batch_size=50)
    needed = some.plan().all_bytes
    kept = fill()
    del kept
    assert torch.cuda.mem_get_info(DEVICE)[0] < needed
    assert some.plan().available > before // 4
    assert same(itertools.islice(some, 5), itertools.islice(by_processor(large, batch_size=50), 5)) == 5


def test_without_room_it_is_said(large) -> None:
    day = shardback.open(large)[0]
    needed, device = loader(large, "kernel").plan().all_bytes, cuda.kernel(0)
    kept = fill()
    with pytest.raises(shardback.DeviceError, match="the device has .* free, and .* are needed") as error:
        KernelRows(day, DEVICE, device)
    assert error.value.needed == needed > error.value.free
    # It is nothing that stays.
    del kept
    torch.cuda.empty_cache()
    KernelRows(day, DEVICE, device).close()


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two devices")
@pytest.mark.parametrize("gather", GATHERS)
def test_everything_is_on_the_device_that_was_current(out, gather) -> None:
    second = torch.device("cuda", 1)
    used = torch.cuda.memory_reserved(DEVICE)
    with torch.cuda.device(second):
        some = Loader(out, batch_size=50, device="cuda", gather=gather)
        kept = list(itertools.islice(some, 5))
    kept += list(itertools.islice(some, 5))
    assert some.device == second and all(batch.actions.device == second for batch in kept)
    assert torch.cuda.memory_reserved(DEVICE) == used

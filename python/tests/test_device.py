"""What a loader does with a CUDA device, as far as that can be seen without one: PyTorch's CUDA is played by the test."""

from __future__ import annotations

import contextlib
import gc
import pathlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

import shardback
from conftest import DAYS, HISTORY
from shardback import _native
from shardback.torch import Loader, cuda, resident
from shardback.torch.batch import Columns, Layout, layout

SECOND = torch.device("cuda", 1)


class Card:
    """A device that copies when it is waited for and not before, as one that is busy does."""

    def __init__(self) -> None:
        self.current = 1
        self.under_way: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.most_under_way = 0
        self.pinned_on: list[int] = []

    def copy(self, source: torch.Tensor) -> torch.Tensor:
        target = torch.full_like(source, 0xEE)
        self.under_way.append((source, target))
        self.most_under_way = max(self.most_under_way, len(self.under_way))
        return target

    def work(self, copies: int) -> None:
        for source, target in self.under_way[:copies]:
            target.copy_(source)
        del self.under_way[:copies]


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    """PyTorch with two devices, of which the second is current in this thread and the first in every other one."""
    played = Card()
    main = threading.get_ident()

    class Event:
        def record(self, stream: object) -> None:
            self.last = played.under_way[-1] if played.under_way else None

        def query(self) -> bool:
            return not any(copy is self.last for copy in played.under_way)

        def synchronize(self) -> None:
            place = [copy is self.last for copy in played.under_way]
            played.work(place.index(True) + 1 if True in place else 0)

    entered = threading.local()

    @contextlib.contextmanager
    def device(which: torch.device) -> Iterator[None]:
        before = current_device()
        entered.index = which.index
        yield
        entered.index = before

    def current_device() -> int:
        return getattr(entered, "index", played.current if threading.get_ident() == main else 0)

    plain_to, plain_empty = torch.Tensor.to, torch.empty

    def to(tensor: torch.Tensor, *where: Any, **how: Any) -> torch.Tensor:
        if where and isinstance(where[0], torch.device) and where[0].type == "cuda":
            assert where[0].index is not None, "which device is another question in each thread"
            return played.copy(tensor)
        return plain_to(tensor, *where, **how)

    def empty(*shape: Any, pin_memory: bool = False, **how: Any) -> torch.Tensor:
        if pin_memory:
            played.pinned_on.append(current_device())
        return plain_empty(*shape, **how)

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "device", device)
    monkeypatch.setattr(torch.cuda, "current_device", current_device)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    monkeypatch.setattr(torch.Tensor, "to", to)
    monkeypatch.setattr(torch, "empty", empty)
    return played


def host(out: pathlib.Path, **options: Any) -> Loader:
    return Loader(out, **{"batch_size": 32, "device": "cuda", "gather": "host", "threads": 1, **options})


def stop(steps: Iterator[Any]) -> None:
    steps.close()  # type: ignore[attr-defined]


def forget(steps: Iterator[Any]) -> None:
    """The caller has let go of it as well."""


def test_pinned_memory_that_is_not_given_is_the_devices_error(out: pathlib.Path, card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    """No argument is wrong where the driver has no more memory to pin."""
    given = torch.empty

    def empty(*shape: Any, pin_memory: bool = False, **how: Any) -> torch.Tensor:
        if pin_memory:
            raise RuntimeError("CUDA error: out of memory")
        return given(*shape, **how)

    monkeypatch.setattr(torch, "empty", empty)
    said = "no memory for batches that the device reads directly: RuntimeError: CUDA error: out of memory"
    with pytest.raises(shardback.DeviceError, match=said):
        next(iter(host(out)))


@pytest.mark.parametrize("leave", [stop, forget])
def test_a_pass_left_early_waits_for_its_copies(out: pathlib.Path, card: Card, leave: Callable[[Iterator[Any]], None]) -> None:
    """A block of pinned memory goes back to the thread that gathers when its copy has been made, and not before."""
    some = host(out)
    steps = iter(some)
    kept = [next(steps) for _ in range(3)]
    assert len(card.under_way) == 3
    leave(steps)
    del steps
    gc.collect()
    assert not card.under_way
    expected = Loader(out, batch_size=32, device="cpu")
    for one, other in zip(kept, expected, strict=False):
        assert torch.equal(one.actions, other.actions) and torch.equal(one.impressions, other.impressions)


def test_a_step_that_fails_waits_for_the_copies(out: pathlib.Path, card: Card) -> None:
    with pytest.raises(ValueError, match="the step"):
        for _ in host(out):
            raise ValueError("the step")
    assert not card.under_way


def test_so_many_copies_are_under_way_and_no_more(out: pathlib.Path, card: Card) -> None:
    """The host runs ahead of the device without end, and each batch would take pinned memory of its own."""
    assert len(list(host(out, prefetch=2))) == 32
    assert card.most_under_way == 2 + 2 + 1
    # As many blocks as are under way, wait, and are being made; not one for each of 32 batches.
    assert len(card.pinned_on) <= 5 + 2 + 2


def test_the_device_is_one_for_all_threads_and_passes(out: pathlib.Path, card: Card) -> None:
    """`cuda` is the device that is current when the first pass begins, also in threads, which begin with the first one."""
    some = host(out)
    card.current = 0
    assert some.device == torch.device("cuda", 0)
    card.current = 1
    steps = iter(some)
    next(steps)
    card.current = 0
    assert some.device == some._device == SECOND
    list(some)
    assert some.device == SECOND
    # Memory is pinned by threads of Rust.
    assert set(card.pinned_on) == {1}


def test_what_the_cache_holds_unused_is_free(out: pathlib.Path, card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    for name, value in [("mem_get_info", (1000 << 20, 4000 << 20)), ("memory_reserved", 700 << 20), ("memory_allocated", 300 << 20)]:
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: (asked.append(device), value)[1])
    planned = Loader(out, batch_size=32, device="cuda").plan()
    assert (planned.free, planned.available, planned.strategy) == (1400 << 20, 700 << 20, "all")
    assert asked == [SECOND] * 3
    assert "700.0 MiB available (half of the 1.37 GiB that are free; device_memory= says another number)" in str(planned)
    said = Loader(out, batch_size=32, device="cuda", device_memory=50 << 20).plan()
    assert (said.free, said.available) == (None, 50 << 20) and "50.0 MiB available\n" in str(said)


def test_what_pytorch_takes_to_gather_is_in_the_plan(out: pathlib.Path) -> None:
    by_torch, by_kernel = (Loader(out, batch_size=32, device="cpu", gather=gather).plan(1 << 30) for gather in ("torch", "kernel"))
    # Index and place of 64 bits, and a bool, for each of B × K.
    assert 17 * 32 * HISTORY <= by_torch.batch_bytes - by_kernel.batch_bytes <= 17 * 32 * HISTORY + 32 * 20


def test_a_day_without_room_is_brought_again_without_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    problems: list[shardback.DeviceError] = []

    class Brought:
        def __init__(self, *_: object) -> None:
            calls.append("upload")
            if problems:
                raise problems.pop()

    def no_room() -> shardback.DeviceError:
        error = shardback.DeviceError("the device has 1 MiB free, and 2 MiB are needed")
        error.needed, error.free = 2 << 20, 1 << 20
        return error

    monkeypatch.setattr(resident, "KernelRows", Brought)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append("empty_cache"))
    bring = resident.uploader(SECOND, object(), None)  # type: ignore[arg-type]
    problems = [no_room()]
    bring(None)  # type: ignore[arg-type]
    assert calls == ["upload", "empty_cache", "upload"]
    problems = [no_room(), no_room()]
    with pytest.raises(shardback.DeviceError, match="are needed"):
        bring(None)  # type: ignore[arg-type]
    del calls[:]
    problems = [shardback.DeviceError("the device is lost")]
    with pytest.raises(shardback.DeviceError, match="lost"):
        bring(None)  # type: ignore[arg-type]
    assert calls == ["upload"]


def test_days_are_uploaded_on_one_stream(out: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's cache gives memory to the stream that it was made on: with a stream for each day it would only grow."""
    made: list[object] = []
    current: list[object] = []
    used: list[object] = []

    @contextlib.contextmanager
    def stream(which: object) -> Iterator[None]:
        current.append(which)
        yield
        current.pop()

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: made.append(device) or device)
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(resident, "TorchRows", lambda *_: used.append(current[-1]))
    bring = resident.uploader(SECOND, None, None)
    for day in shardback.open(out):
        bring(day)
    assert made == [SECOND] and used == [SECOND] * len(DAYS)


def test_the_device_is_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []

    class Device:
        def __init__(self, index: int) -> None:
            opened.append(index)
            if opened == [7]:
                raise shardback.DeviceError("not yet")

    monkeypatch.setattr(_native, "Device", Device)
    cuda.kernel.cache_clear()
    with pytest.raises(shardback.DeviceError, match="not yet"):
        cuda.kernel(7)
    assert cuda.kernel(7) is cuda.kernel(7) is not cuda.kernel(8)
    assert opened == [7, 7, 8]
    cuda.kernel.cache_clear()


def test_days_on_the_device_go_with_the_loader(out: pathlib.Path) -> None:
    some = Loader(out, batch_size=32, device="cpu", gather="torch")
    list(some)
    assert some._residents is not None
    closed: list[object] = []
    there = some._residents._there
    for uploaded in there.values():
        uploaded.result().close = lambda: closed.append(1)  # type: ignore[method-assign]
    residents = some._residents
    del some
    gc.collect()
    assert len(closed) == len(DAYS) and not there
    with pytest.raises(RuntimeError, match="after shutdown"):
        residents.get(0)


def test_a_day_on_its_way_is_given_back_when_it_is_there() -> None:
    """Whoever closes does not wait for it: it may be in the thread that brings it that the loader is found unused."""
    begun, go_on, closed = threading.Event(), threading.Event(), threading.Event()

    class Brought:
        def close(self) -> None:
            closed.set()

    def bring(day: object) -> Brought:
        begun.set()
        go_on.wait(20)
        return Brought()

    residents = resident.Residents([None, None], 1, bring)  # type: ignore[list-item, arg-type]
    waiting = threading.Thread(target=lambda: residents.get(0))
    waiting.start()
    assert begun.wait(20)
    residents.close()
    assert not closed.is_set()
    go_on.set()
    assert closed.wait(20)
    waiting.join()


COLUMNS = Columns("is_order", ("is_order",), (("price", torch.float64, False), ("action_dwell", torch.float32, True)), None)
"""The columns of a day whose samples have a price, and whose actions a time spent."""


@pytest.mark.parametrize("dtypes", [(torch.int32, torch.uint8), (torch.int64, torch.uint8), (torch.int32, torch.int32)])
def test_tensors_lie_where_the_layout_says(dtypes: tuple[torch.dtype, torch.dtype]) -> None:
    for rows, width in [(1, 1), (3, 7), (50, 20), (257, 1000)]:
        made = layout(rows, width, *dtypes, COLUMNS)
        assert made is layout(rows, width, *dtypes, COLUMNS)
        fresh = Layout(rows, width, *dtypes, COLUMNS)
        assert fresh.bytes <= fresh.room <= fresh.bytes * 9 // 8 + 64
        block = torch.randint(0, 2, (fresh.room,), dtype=torch.uint8)
        batch = made.batch(block, DAYS[0])
        offsets, others, end = _native.layout(rows, width, fresh.names, [(8, False), (4, True)])
        assert end == fresh.bytes
        tensors = [batch.actions, batch.action_types, batch.impressions, batch.lengths, batch.is_order]
        tensors += [batch["price"], batch.action_features["dwell"]]
        for start, tensor in zip([*offsets, *others], tensors, strict=True):
            assert tensor.is_contiguous() and tensor.data_ptr() == block.data_ptr() + start
        shapes = [(rows, width)] * 2 + [(rows,)] * 4 + [(rows, width)]
        assert [tuple(tensor.shape) for tensor in tensors] == shapes
        known = [*dtypes, dtypes[0], torch.int32, torch.bool, torch.float64, torch.float32]
        assert [tensor.dtype for tensor in tensors] == known

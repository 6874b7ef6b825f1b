"""Whatever takes its time releases the interpreter's lock: other threads run meanwhile."""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import shardback
from conftest import DAYS, HISTORY, ROWS, build
from shardback import _native

Tables = dict[str, pathlib.Path]


BATCHES = {
    "seed": 0, "epoch": 0, "day": 0, "delivered": 0, "rank": 0, "world_size": 1, "batch_size": 400, "last": "repeat",
    "dtypes": ("i64", "i64"), "trim": False, "depth": 1, "threads": 1, "allocate": None,
}  # fmt: skip


@pytest.fixture
def calls(out: pathlib.Path, tables: Tables, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], object]]:
    """What the package calls of the extension module, without the Python around it."""
    folder = out / "jagged" / f"dt={DAYS[0]}"
    day = _native.Day(folder)
    rows = list(range(ROWS[DAYS[0]])) * 20
    into = [np.empty(len(rows) * HISTORY * size, np.uint8) for size in (4, 1)]
    arguments: list[object] = []
    native_build = _native.build
    with monkeypatch.context() as patch:
        patch.setattr(_native, "build", lambda *given: (arguments.extend(given), native_build(*given))[1])
        build(tables, tmp_path / "out")
    return {
        "dense": lambda: day.dense(rows, *into, 1),
        "batch": lambda: next(_native.Batches(days=[day], **BATCHES)),
        "build": lambda: native_build(*arguments),
        "open": lambda: _native.Day(folder),
        "find": lambda: _native.find_days(out),
        "manifest": lambda: _native.manifest(folder),
        "verify": lambda: _native.verify(out),
    }


@contextlib.contextmanager
def ticking() -> Iterator[list[int]]:
    """Counts in another thread, which Python lets run only when a lock is released: its own interval is longer than a test."""
    ticks, over, interval = [0], threading.Event(), sys.getswitchinterval()

    def tick() -> None:
        while not over.is_set():
            ticks[0] += 1
            time.sleep(0.0002)

    thread = threading.Thread(target=tick)
    sys.setswitchinterval(3600)
    try:
        thread.start()
        yield ticks
    finally:
        over.set()
        thread.join()
        sys.setswitchinterval(interval)


def runs_meanwhile(call: Callable[[], object]) -> bool:
    """Whether another thread has run between the beginning and the end of a call, of which there may be many."""
    with ticking() as ticks:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            before = ticks[0]
            call()
            if ticks[0] != before:
                return True
    return False


def test_the_other_thread_waits_for_the_lock() -> None:
    """The measure itself: what holds the lock, however long, lets nobody run."""
    with ticking() as ticks:
        before = ticks[0]
        sum(range(3_000_000))
        assert ticks[0] == before


@pytest.mark.parametrize("what", ["dense", "batch", "build", "open", "find", "manifest", "verify"])
def test_other_threads_run_while(what: str, calls: dict[str, Callable[[], object]]) -> None:
    assert runs_meanwhile(calls[what])


def test_threads_gather_at_the_same_time(out: pathlib.Path) -> None:
    day = shardback.Day(out / "jagged" / f"dt={DAYS[0]}")
    expected = day.dense(slice(None))
    wrong: list[int] = []

    def gather() -> None:
        for _ in range(20):
            if not all(np.array_equal(*pair) for pair in zip(day.dense(slice(None), threads=1), expected, strict=True)):
                wrong.append(1)

    threads = [threading.Thread(target=gather) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_ctrl_c_ends_the_wait_for_a_batch(out: pathlib.Path) -> None:
    """The memory of the first batch never comes, so neither does the batch."""
    script = f"""
        import os, signal, threading
        from shardback import _native
        def allocate(size):
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
            threading.Event().wait()
        options = {BATCHES!r} | {{"allocate": allocate}}
        day = _native.Day({str(out / "jagged" / f"dt={DAYS[0]}")!r})
        try:
            next(_native.Batches(days=[day], **options))
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60)
    assert (run.stdout, run.returncode) == ("interrupted\n", 0), run.stderr

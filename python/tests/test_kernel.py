"""The CUDA path as far as it goes without a device: on a driver that works in the memory of the process."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

import shardback
import shardback.torch
from conftest import REPOSITORY

# PyTorch knows no device here, so batches lie in its memory of the process, which is this driver's memory as well.
SCRIPT = """
import sys
import torch
from shardback import _native
from shardback.torch import Loader, loader, resident

resident.current_stream = lambda device: 0
native = _native.Device(0)
print(native.description)
Loader._kernel = lambda self: native if self._gather == "kernel" else None
for out in sys.argv[1:]:
    for index_dtype in (None, torch.int32, torch.int64):
        for trim in (False, True):
            options = {"batch_size": 50, "device": "cpu", "index_dtype": index_dtype, "trim": trim}
            kinds = [Loader(out, gather=gather, **options) for gather in ("kernel", "host", "torch")]
            steps = 0
            for kernel, host, pure in zip(*kinds, strict=True):
                for other in (host, pure):
                    pairs = zip((*kernel, kernel.lengths), (*other, other.lengths), strict=True)
                    assert all(one.dtype == two.dtype and torch.equal(one, two) for one, two in pairs)
                steps += 1
            assert steps == len(kinds[0]) > 0
            day = kinds[0]._residents._there[0].result()
            assert type(day).__name__ == "KernelRows"
            assert day._rows.bytes == kinds[0].plan().days[0].device_bytes
# Days that come and go, of which the last batch may still be held.
planned = Loader(sys.argv[1], batch_size=50, device="cpu").plan()
for strategy, room in ("two", planned.two_bytes), ("one", planned.one_bytes):
    some = Loader(sys.argv[1], batch_size=50, device="cpu", gather="kernel", device_memory=room + planned.batch_bytes)
    assert some.plan().strategy == strategy
    kept = [batch for epoch in range(2) for batch in some]
    host = Loader(sys.argv[1], batch_size=50, device="cpu")
    expected = [batch for epoch in range(2) for batch in host]
    for one, other in zip(kept, expected, strict=True):
        assert all(map(torch.equal, one, other))
print("equal")
"""


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with the driver's library."""
    folder = tmp_path_factory.mktemp("driver")
    source = REPOSITORY / "tests" / "it" / "cuda" / "driver.cpp"
    flags = ["-std=c++17", "-O1", "-fno-strict-aliasing", "-Wno-unknown-pragmas", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1"]
    compiler = os.environ.get("CXX", "c++")
    library = folder / "libcuda.so.1"
    subprocess.run([compiler, *flags, "-I", REPOSITORY / "kernels", "-o", library, source], check=True)
    return folder


def test_the_kernel_gives_the_batches_of_the_processor(out: pathlib.Path, wide: pathlib.Path, driver: pathlib.Path) -> None:
    # Nobody waits for a stream here, so what is submitted has to be done at once.
    environment = {**os.environ, "LD_LIBRARY_PATH": str(driver), "FAKE_CUDA_EAGER": "1"}
    command = [sys.executable, "-c", SCRIPT, str(out), str(wide)]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stdout.endswith("equal\n")


def test_a_day_that_finds_no_room_is_said(out: pathlib.Path, driver: pathlib.Path) -> None:
    """More was free when the plan was made."""
    environment = {**os.environ, "LD_LIBRARY_PATH": str(driver), "FAKE_CUDA_EAGER": "1", "FAKE_CUDA_MEMORY": "20000"}
    run = subprocess.run([sys.executable, "-c", SCRIPT, str(out)], capture_output=True, text=True, env=environment, timeout=120)
    assert "shardback.errors.DeviceError: the device has " in run.stderr, run.stderr


CLOSED = """
import sys
import torch
import shardback
from shardback import _native
from shardback.torch import Loader, resident

days = shardback.open(sys.argv[1])
native, host = _native.Device(0), torch.device("cpu")
one = resident.KernelRows(days[0], host, native)
try:
    resident.KernelRows(days[0], host, native)
    raise SystemExit("there was room for two")
except shardback.DeviceError as error:
    assert error.needed == one._rows.bytes > error.free, (error.needed, error.free)
emptied = []
torch.cuda.empty_cache = lambda: (emptied.append(1), one.close())
two = resident.uploader(host, native, None)(days[0])
assert emptied == [1]
layout = Loader(days, batch_size=4, device="cpu")._layout(4, days[0].manifest.history)
resident.current_stream = lambda device: 0
numbers = torch.arange(4).numpy().view("uint8")
two.gather(numbers, layout)
for call in (lambda: one.gather(numbers, layout), lambda: one._rows.bytes):
    try:
        call()
        raise SystemExit("it was closed")
    except shardback.ShardbackError as error:
        assert "the day's rows were closed" in str(error)
one.close()
for wrong in (numbers[1:17], numbers[:7]):
    try:
        two.gather(wrong, layout)
        raise SystemExit("no numbers of 64 bits")
    except shardback.OptionError as error:
        assert "rows: no numbers of 64 bits" in str(error)
print("closed")
"""


def test_a_day_that_is_closed_gives_its_memory_back(out: pathlib.Path, driver: pathlib.Path) -> None:
    """Then, and not when it is found unused; gathering afterwards is an error, and an upload without room empties the cache."""
    room = shardback.torch.Loader(out, batch_size=4, device="cpu").plan().days[0].device_bytes * 3 // 2
    environment = {**os.environ, "LD_LIBRARY_PATH": str(driver), "FAKE_CUDA_EAGER": "1", "FAKE_CUDA_MEMORY": str(room)}
    run = subprocess.run([sys.executable, "-c", CLOSED, str(out)], capture_output=True, text=True, env=environment, timeout=120)
    assert run.stdout == "closed\n", run.stderr


def test_without_a_driver_it_is_said() -> None:
    script = "from shardback import _native\n_native.Device(0)"
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert "shardback.errors.DeviceError: no CUDA device can be used: " in run.stderr
    assert issubclass(shardback.DeviceError, shardback.ShardbackError)

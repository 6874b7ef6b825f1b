"""The kernel in several compiled forms, side by side on one device: each held against the first, to the byte, then timed.

    python variants.py gather_pad.fatbin gather_pad.ptx …          a table: each form's time, and its share of a copy's speed
    python variants.py --once gather_pad.fatbin                    one large batch, as a profiler wants it

The forms are loaded by the driver itself, as the program loads them, so this also says whether this driver takes them, how long
its compiler takes for PTX, and how many registers they use. Needs PyTorch for CUDA, and nothing of shardback but the forms.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

KERNEL = b"gather_pad_i32_i32_u8"
# As in the kernel and its twin.
THREADS, TILE, SMALL_TILE, LARGE = 256, 1 << 13, 1 << 12, 1 << 25
HISTORY = 1000
COPIED = 1 << 30
# Launches that are timed together, and such groups, of which the median counts.
GROUP, GROUPS = 20, 5
LENGTHS, BATCHES = [100, 300, 600, 1000], [1_024, 8_192, 65_536, 1_000_000]
# Attributes of a function, as the driver numbers them.
LOCAL_BYTES, REGISTERS = 3, 4

driver = ctypes.CDLL("libcuda.so.1")


def call(name: str, *arguments: object) -> None:
    code = getattr(driver, name)(*arguments)
    if code:
        text = ctypes.c_char_p()
        driver.cuGetErrorName(code, ctypes.byref(text))
        sys.exit(f"{name}: {code} {(text.value or b'').decode()}")


class Source(ctypes.Structure):
    """The kernel's struct of this name."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("items", "types", "rows", "count")]


class Batch(ctypes.Structure):
    """The kernel's struct of this name."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in ("numbers", "count", "history", "tile", "items", "types", "item_ids", "is_order", "lengths")
    ]


class Form:
    """A compiled form of the kernel, loaded."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        image = path.read_bytes() + b"\0"
        module, self.function = ctypes.c_void_p(), ctypes.c_void_p()
        begun = time.perf_counter()
        call("cuModuleLoadData", ctypes.byref(module), image)
        self.load_ms = 1e3 * (time.perf_counter() - begun)
        call("cuModuleGetFunction", ctypes.byref(self.function), module, KERNEL)
        blocks = ctypes.c_int()
        call("cuOccupancyMaxActiveBlocksPerMultiprocessor", ctypes.byref(blocks), self.function, THREADS, ctypes.c_size_t(0))
        self.warps = blocks.value * THREADS // 32

    def attribute(self, attribute: int) -> int:
        value = ctypes.c_int()
        call("cuFuncGetAttribute", ctypes.byref(value), attribute, self.function)
        return value.value

    def launch(self, source: Source, batch: Batch) -> None:
        blocks = -(-batch.count // batch.tile)
        parameters = (ctypes.c_void_p * 2)(*(ctypes.cast(ctypes.byref(part), ctypes.c_void_p) for part in (source, batch)))
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        call("cuLaunchKernel", self.function, blocks, 1, 1, THREADS, 1, 1, 0, stream, parameters, None)


@dataclass
class Rows:
    """A million rows on the device, ten of each customer, whose histories have a mean length."""

    tensors: dict[str, torch.Tensor]
    mean: float

    @classmethod
    def random(cls, length: int, customers: int = 100_000, each: int = 10) -> Rows:
        generator = torch.Generator("cuda").manual_seed(length)

        def whole(low: int, high: int, count: int, dtype: torch.dtype) -> torch.Tensor:
            return torch.randint(low, high, (count,), generator=generator, device="cuda", dtype=dtype)

        spread = min(length, HISTORY - length)
        lengths = whole(length - spread, length + spread + 1, customers, torch.int64)
        ends = lengths.cumsum(0)
        actions, rows = int(ends[-1]), customers * each
        # Of a row: its start, then its length, the label in the highest bit, and its item, 32 bits each.
        starts, lengths = (column.repeat_interleave(each) for column in (ends - lengths, lengths))
        known = lengths | whole(0, 2, rows, torch.int64) << 31 | whole(1, 300_000, rows, torch.int64) << 32
        tensors = {
            "items": whole(1, 300_000, actions, torch.int32),
            "types": whole(1, 4, actions + 4, torch.uint8),
            "rows": torch.stack([starts, known], 1),
        }
        return cls(tensors, actions / customers)

    def __len__(self) -> int:
        return len(self.tensors["rows"])

    @property
    def source(self) -> Source:
        return Source(**{name: tensor.data_ptr() for name, tensor in self.tensors.items()}, count=len(self))


def batch(memory: torch.Tensor, numbers: torch.Tensor) -> Batch:
    """A batch of some rows in a block of memory."""
    count, at = len(numbers), memory.data_ptr()
    return Batch(
        numbers=numbers.data_ptr(),
        count=count,
        history=HISTORY,
        tile=max(1, min(THREADS, (SMALL_TILE if count * HISTORY < LARGE else TILE) // HISTORY)),
        items=at,
        lengths=at + count * HISTORY * 4,
        item_ids=at + count * (HISTORY * 4 + 4),
        types=at + count * (HISTORY * 4 + 8),
        is_order=at + count * (HISTORY * 5 + 8),
    )


def block_bytes(count: int) -> int:
    return count * (HISTORY * 5 + 9)


class Clock:
    """Times by the device's clock, of work that is in the device's queue before it begins."""

    def __init__(self) -> None:
        self.copied = torch.randint(0, 256, (2, COPIED), dtype=torch.uint8, device="cuda")

    def copy(self) -> None:
        self.copied[1].copy_(self.copied[0])

    def milliseconds(self, submit) -> float:  # type: ignore[no-untyped-def]
        submit(0)
        times = []
        for group in range(GROUPS):
            for _ in range(4):
                self.copy()
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            for place in range(GROUP):
                submit(group * GROUP + place)
            end.record()
            end.synchronize()
            times.append(begin.elapsed_time(end) / GROUP)
        return statistics.median(times)


def differing(forms: list[Form], rows: Rows) -> list[str]:
    """The forms that write other bytes than the first one."""
    numbers = torch.randperm(len(rows), device="cuda")[:65_536]
    blocks = []
    for form in forms:
        blocks.append(torch.full((block_bytes(len(numbers)),), 0xAB, dtype=torch.uint8, device="cuda"))
        form.launch(rows.source, batch(blocks[-1], numbers))
    torch.cuda.synchronize()
    return [form.name for form, block in zip(forms, blocks) if not torch.equal(block, blocks[0])]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("forms", nargs="+", type=Path)
    parser.add_argument("--once", action="store_true", help="one launch of each, of 262,144 shuffled rows of mean length 300")
    given = parser.parse_args()
    torch.zeros(1, device="cuda")
    forms = [Form(path) for path in given.forms]
    if given.once:
        rows = Rows.random(300)
        numbers = torch.randperm(len(rows), device="cuda")[:262_144]
        memory = torch.empty(block_bytes(len(numbers)), dtype=torch.uint8, device="cuda")
        for form in forms:
            form.launch(rows.source, batch(memory, numbers))
        torch.cuda.synchronize()
        return 0
    for form in forms:
        used = f"{form.attribute(REGISTERS)} registers, {form.attribute(LOCAL_BYTES)} bytes local"
        print(f"{form.name}: loaded in {form.load_ms:.0f} ms, {used}, {form.warps} warps a multiprocessor")
    clock = Clock()
    copied = 2 * COPIED / clock.milliseconds(lambda _: clock.copy()) / 1e6
    print(f"{torch.cuda.get_device_name()}, a copy reads and writes {copied:.0f} GB/s; K = {HISTORY}; ms, and share of the copy's speed")
    print(f"{'rows':>9} {'length':>6} {'order':>8}", *(f"{form.name[:24]:>24}" for form in forms))
    wrong: set[str] = set()
    for length, count in itertools.product(LENGTHS, BATCHES):
        if count == BATCHES[0]:
            rows = Rows.random(length)
            wrong.update(differing(forms, rows))
        targets = max(2, COPIED // block_bytes(count) + 1)
        memory = torch.empty(targets, block_bytes(count), dtype=torch.uint8, device="cuda")
        for order in ("in order", "shuffled"):
            numbers = torch.arange(len(rows), device="cuda") if order == "in order" else torch.randperm(len(rows), device="cuda")
            parts = numbers.split(count)
            batches = [batch(memory[place % targets], parts[place % (len(rows) // count)]) for place in range(GROUP * GROUPS)]
            moved = count * (rows.mean * 5 + 24) + block_bytes(count)
            cells = []
            for form in forms:
                took = clock.milliseconds(lambda place, form=form: form.launch(rows.source, batches[place]))
                cells.append(f"{took:>12.4f} {moved / took / 1e4 / copied:>9.0f} %")
            print(f"{count:>9} {length:>6} {order:>8}", *(f"{cell:>24}" for cell in cells), flush=True)
        del memory
    if wrong:
        print("other bytes than the first:", ", ".join(sorted(wrong)))
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main())

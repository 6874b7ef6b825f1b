"""The loader on a CUDA device: what a batch costs it, and what training loses to it. Needs PyTorch with CUDA.

    python benches/loader_gpu.py                      makes a day of a million rows, and prints two tables in Markdown
    python benches/loader_gpu.py --data out           your jagged days, of which the first one is taken
    python benches/loader_gpu.py --device cpu --rows 20000 --smoke    on the processor, to see that everything works

The first table is of batches with nothing else to do. The device's time for a batch is that of a row of batches between two events,
and the share is of the speed at which the device copies a gigabyte: bytes read and written for padded rows, per second, by those of
the copy. `by the clock` is what the host sees, Python included; it is hidden behind a training step, as the host runs ahead.

The second table is of the example's model in training: steps on the loader's batches, and by turns steps on one batch that is there.
The difference is what training waits for data; it may be below zero by as much as the clock is uncertain.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

import shardback
from shardback.torch import Batch, Loader

DAY = datetime.date(2025, 8, 16)
HISTORY = 1000
COPIED = 1 << 30
# Read for a row beside its history and its item: its number, where its history lies, its length with the label.
READ_BESIDES = 8 + 8 + 4
# Written for a row beside its history and its item: length and label.
WRITTEN_BESIDES = 4 + 1


def make(folder: Path, rows: int, length: int) -> Path:
    """A jagged day of so many rows, whose customers have about so many actions, up to K."""
    chance = np.random.default_rng(7)
    customers = max(1, rows // 10)
    lengths = np.minimum(chance.exponential(length, customers).astype(np.int64), HISTORY)
    count = int(lengths.sum())
    day = np.datetime64(DAY)
    shown = {
        "dt": pa.array(np.full(rows, day)),
        "customer_id": chance.integers(0, customers, rows),
        "item_id": chance.integers(1, 1 << 30, rows).astype(np.int32),
        "is_order": chance.random(rows) < 0.1,
    }
    clicks = {
        "dt": pa.array(np.full(count, day - 1)),
        "customer_id": np.repeat(np.arange(customers), lengths),
        "item_id": chance.integers(1, 1 << 30, count).astype(np.int32),
        "click_time": pa.array((day - 1).astype("datetime64[us]") + chance.integers(0, 86_400_000_000, count)),
    }
    shardback.build(
        impressions=pa.table(shown), clicks=pa.table(clicks), date=DAY, formats="jagged", history=HISTORY, out=folder, progress=True
    )
    return folder


class Clock:
    """Times of the device, or of the processor where that is the device."""

    def __init__(self, device: torch.device) -> None:
        self.on_device = device.type == "cuda"

    def wait(self) -> None:
        if self.on_device:
            torch.cuda.synchronize()

    def device_seconds(self, work: Callable[[], object]) -> float:
        """How long the device takes for what `work` submits, the host being ahead of it."""
        if not self.on_device:
            begun = time.perf_counter()
            work()
            return time.perf_counter() - begun
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        # So that the host has submitted all of it when the device begins.
        torch.cuda._sleep(100_000_000)
        begin.record()
        work()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1e3

    def seconds(self, work: Callable[[], object]) -> float:
        """How long it takes until all of it is done."""
        self.wait()
        begun = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - begun


def copy_speed(clock: Clock, device: torch.device, size: int) -> float:
    """Bytes a second that a copy on the device reads and writes."""
    source, target = (torch.randint(0, 256, (size,), dtype=torch.uint8, device=device) for _ in range(2))
    times = [clock.device_seconds(lambda: target.copy_(source)) for _ in range(11)]
    return 2 * size / statistics.median(times)


def keep(batches: Iterable[Batch]) -> None:
    """Takes batches as a training loop does, which holds the last few: memory of the cache of the device is not written over."""
    last: list[Batch] = []
    for batch in batches:
        last = [*last[-3:], batch]


def endless(loader: Loader) -> Iterator[Batch]:
    while True:
        yield from loader


def batches_table(days: shardback.Days, device: torch.device, sizes: list[int], rounds: int, copied: int) -> None:
    clock = Clock(device)
    speed = copy_speed(clock, device, copied)
    day = days[0]
    item = 8 if day.manifest.item_dtype == "i64" else 4
    mean = float(np.minimum(day.column("history_length"), HISTORY).mean())
    name = torch.cuda.get_device_name(device) if clock.on_device else "the processor"
    print(f"\n{name}: copies {speed / 1e9:.0f} GB/s; {len(day):,} rows, K = {day.manifest.history}, {mean:.0f} actions on average\n")
    print("| gather | batch | first batch | device, a batch | GB/s | share of a copy | by the clock, a batch | rows/s |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for gather, size in itertools.product(["kernel", "torch", "host"] if clock.on_device else ["torch", "host"], sizes):
        loader = Loader(days[:1], batch_size=size, device=device, gather=gather)  # type: ignore[arg-type]
        count = max(4, min(64, len(day) // size // 4))
        steps = endless(loader)
        first = clock.seconds(lambda: next(steps))
        keep(itertools.islice(steps, 4))
        moved = size * ((mean + day.manifest.history) * (item + 1) + 2 * item + READ_BESIDES + WRITTEN_BESIDES)
        on_device = statistics.median(clock.device_seconds(lambda: keep(itertools.islice(steps, count))) for _ in range(rounds)) / count
        by_clock = statistics.median(clock.seconds(lambda: keep(itertools.islice(steps, count))) for _ in range(rounds)) / count
        print(
            f"| {gather} | {size:,} | {1e3 * first:.0f} ms | {1e6 * on_device:.1f} µs | {moved / on_device / 1e9:.0f} "
            f"| {moved / on_device / speed:.0%} | {1e6 * by_clock:.1f} µs | {size / by_clock:,.0f} |",
            flush=True,
        )
        del loader, steps


def steps_table(days: shardback.Days, device: torch.device, sizes: list[int], rounds: int, count: int) -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python" / "examples"))
    from train import Model

    clock = Clock(device)
    print("\n| gather | batch | step on one batch | step with the loader | difference |")
    print("|---|---:|---:|---:|---:|")
    for gather, size in itertools.product(["kernel", "host"] if clock.on_device else ["torch", "host"], sizes):
        model = Model(days[0].manifest.history).to(device)
        optimizer = torch.optim.Adam(model.parameters())
        loader = Loader(days[:1], batch_size=size, device=device, gather=gather)  # type: ignore[arg-type]

        def train(batches: Iterable[Batch]) -> None:
            for impressions, actions, action_types, is_order in batches:
                logits = model(impressions, actions, action_types)
                loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, is_order.float())
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

        steps = endless(loader)
        fixed = next(steps)
        train(itertools.repeat(fixed, 3))
        times: dict[str, list[float]] = {"fixed": [], "loader": []}
        for _ in range(rounds):
            times["fixed"].append(clock.seconds(lambda: train(itertools.repeat(fixed, count))) / count)
            times["loader"].append(clock.seconds(lambda: train(itertools.islice(steps, count))) / count)
        one, other = (statistics.median(times[name]) for name in ("fixed", "loader"))
        print(f"| {gather} | {size:,} | {1e3 * one:.2f} ms | {1e3 * other:.2f} ms | {(other - one) / other:+.2%} |", flush=True)
        del loader, steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="an output of shardback with jagged days")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the day that is made if none is given")
    parser.add_argument("--length", type=int, default=300, help="actions of its customers, on average, before K cuts them off")
    parser.add_argument("--batches", type=int, nargs="+", default=[1024, 8192, 65_536])
    parser.add_argument("--steps", type=int, nargs="+", default=[256, 1024], help="sizes of batches in training")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--smoke", action="store_true", help="small batches and few of them")
    given = parser.parse_args()
    if given.device != "cpu" and not torch.cuda.is_available():
        parser.error("no CUDA device: torch.cuda.is_available() is false")
    device = torch.device("cuda", torch.cuda.current_device()) if given.device == "cuda" else torch.device(given.device)
    sizes, training, rounds, copied = given.batches, given.steps, given.rounds, COPIED
    if given.smoke:
        sizes, training, rounds, copied = [64], [32], 1, 1 << 20
    with tempfile.TemporaryDirectory() as scratch:
        opened = shardback.open(given.data or make(Path(scratch) / "out", given.rows, given.length))
        days = shardback.Days([opened]) if isinstance(opened, shardback.Day) else opened
        batches_table(days, device, sizes, rounds, copied)
        steps_table(days, device, training, rounds, 2 if given.smoke else 20)


if __name__ == "__main__":
    main()

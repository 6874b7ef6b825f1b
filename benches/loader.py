"""Rows per second that loaders deliver in a shuffled order, all from the same rows, and the memory that each takes.

    python benches/loader.py                      all loaders, three rounds; prints a table in Markdown
    python benches/loader.py --rounds 0           only checks that each of them delivers the right rows

Each loader lives in a process of its own, with two threads, or two workers that stay from pass to pass. It is opened once; then
the loaders take turns, a few seconds each, several rounds; the processes of the others are stopped meanwhile. Nothing is done with
a batch. The clock starts with the first batch of a round. Before that, each delivers one pass in which every row is hashed and looked up among the rows of the dense files, and in
which its memory is watched. One that does not answer in time is given up, and the table says so.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import multiprocessing
import os
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

DAY = datetime.date(2025, 8, 16)
HISTORY = 1000
WORKERS = 2

Batches = Callable[[], Iterable[tuple[Any, Any, Any, Any]]]
"""Makes one pass of batches: items shown [B], items [B, K], types [B, K], labels [B], as tensors."""


# ---- the loaders ------------------------------------------------------------------------------------------------------------


def row_at_a_time(work: Path, size: int) -> Batches:
    """What one writes first: a Dataset that looks a row of the wide table up, and a DataLoader."""
    import torch
    from torch.utils.data import DataLoader, Dataset

    class Rows(Dataset):  # type: ignore[type-arg]
        def __init__(self) -> None:
            self.table = parquet.read_table(work / "out" / "parquet" / f"dt={DAY}", partitioning=None).combine_chunks()

        def __len__(self) -> int:
            return len(self.table)

        def __getitem__(self, row: int) -> tuple[Any, ...]:
            # Views of the table's memory: as fast as row by row gets.
            actions, types = (self.table[name][row].values.to_numpy() for name in ("actions", "action_types"))
            item, label = (self.table[name][row].as_py() for name in ("item_id", "is_order"))
            return item, torch.from_numpy(actions.copy()), torch.from_numpy(types.copy()), label

    loader = DataLoader(Rows(), size, shuffle=True, num_workers=WORKERS, persistent_workers=True, multiprocessing_context="fork")
    return lambda: loader


def hugging_face(work: Path, size: int) -> Batches:
    """The wide Parquet as a data set of Hugging Face, mapped as Arrow, with tensors as its format."""
    from datasets import Dataset, disable_progress_bars
    from torch.utils.data import DataLoader

    disable_progress_bars()
    files = [str(file) for file in sorted((work / "out" / "parquet" / f"dt={DAY}").glob("*.parquet"))]
    rows = Dataset.from_parquet(files, cache_dir=str(work / "hugging-face")).with_format("torch")
    loader = DataLoader(rows, size, shuffle=True, num_workers=WORKERS, persistent_workers=True)

    def batches() -> Iterator[tuple[Any, Any, Any, Any]]:
        for batch in loader:
            yield batch["item_id"], batch["actions"], batch["action_types"], batch["is_order"]

    return batches


def mosaicml(work: Path, size: int) -> Batches:
    """Shards of MosaicML's own format on the local disk."""
    from streaming import MDSWriter, StreamingDataset
    from streaming.base.util import clean_stale_shared_memory
    from torch.utils.data import DataLoader

    folder = work / "mosaicml"
    if not (folder / "index.json").exists():
        kinds = {"item": "int32", "actions": f"ndarray:int32:{HISTORY}", "types": f"ndarray:uint8:{HISTORY}", "label": "uint8"}
        with MDSWriter(out=str(folder), columns=kinds) as writer:
            for item, actions, types, label in stored(work):
                for row in range(len(item)):
                    writer.write({"item": item[row], "actions": actions[row], "types": types[row], "label": np.uint8(label[row])})
    clean_stale_shared_memory()
    rows = StreamingDataset(local=str(folder), shuffle=True, batch_size=size, num_canonical_nodes=1)
    loader = DataLoader(rows, size, num_workers=WORKERS, persistent_workers=True)

    def batches() -> Iterator[tuple[Any, Any, Any, Any]]:
        for batch in loader:
            yield batch["item"], batch["actions"], batch["types"], batch["label"]

    return batches


def index_select(work: Path, size: int) -> Batches:
    """Padded rows as tensors in memory: what a gather costs when all else is done."""
    import torch
    from safetensors.torch import load_file

    shards = [load_file(file) for file in sorted((work / "out" / "dense" / f"dt={DAY}").glob("*.safetensors"))]
    names = ("item_id", "actions", "action_types", "is_order")
    tensors = [torch.cat([shard.pop(name) for shard in shards]) for name in names]
    # New memory for each batch, which the system zeroes page by page, would make it half as fast.
    blocks = [[tensor.new_empty((size, *tensor.shape[1:])) for tensor in tensors] for _ in range(4)]

    def batches() -> Iterator[tuple[Any, Any, Any, Any]]:
        for step, rows in enumerate(torch.randperm(len(tensors[0])).split(size)):
            outs = [block[: len(rows)] for block in blocks[step % len(blocks)]]
            item, actions, types, label = (torch.index_select(tensor, 0, rows, out=out) for tensor, out in zip(tensors, outs, strict=True))
            yield item, actions, types, label

    return batches


def shardback_loader(form: str) -> Callable[[Path, int], Batches]:
    """The loader of this project over dense or jagged files."""

    def make(work: Path, size: int) -> Batches:
        from shardback.torch import Loader

        loader = Loader(work / "out" / form, batch_size=size, device="cpu", threads=WORKERS)

        def batches() -> Iterator[tuple[Any, Any, Any, Any]]:
            for impressions, actions, action_types, is_order in loader:
                yield impressions, actions, action_types, is_order

        return batches

    return make


LOADERS: dict[str, tuple[str, Callable[[Path, int], Batches]]] = {
    "rows": ("Dataset over wide Parquet, a row at a time, with DataLoader", row_at_a_time),
    "datasets": ("Hugging Face datasets over wide Parquet, with DataLoader", hugging_face),
    "mosaicml": ("MosaicML streaming, with DataLoader", mosaicml),
    "select": ("torch.index_select on dense rows in memory", index_select),
    "dense": ("shardback, dense", shardback_loader("dense")),
    "jagged": ("shardback, jagged", shardback_loader("jagged")),
}


# ---- the rows ---------------------------------------------------------------------------------------------------------------


def prepare(work: Path, rows: int) -> None:
    """Tables with histories of very different lengths, 300 actions on average, and one day of them in all formats."""
    import shardback

    if (work / "out" / "dense" / f"dt={DAY}").exists():
        return
    random = np.random.default_rng(1)
    customers = max(rows // 10, 1)
    weights = random.lognormal(0.0, 1.0, customers)
    who = random.choice(customers, customers * 300, p=weights / weights.sum())
    clicks = {
        "dt": np.full(len(who), DAY - datetime.timedelta(1)),
        "customer_id": who,
        "item_id": random.integers(1, 100_000, len(who), dtype=np.int32),
        "click_time": np.datetime64("2025-08-15", "us") - random.integers(1, 30 * 86_400, len(who)).astype("m8[s]"),
    }
    shown = {
        "dt": np.full(rows, DAY),
        "customer_id": random.integers(0, customers, rows),
        "item_id": random.integers(1, 100_000, rows, dtype=np.int32),
        "is_order": random.random(rows) < 0.1,
    }
    shardback.build(
        impressions=pa.table(shown), clicks=pa.table(clicks), out=work / "out", date=DAY, history=HISTORY,
        formats=["parquet", "dense", "jagged"], shard_rows=32_768,
    )  # fmt: skip


def stored(work: Path) -> Iterator[tuple[Any, Any, Any, Any]]:
    """The rows of each dense shard."""
    from safetensors.numpy import load_file

    for file in sorted((work / "out" / "dense" / f"dt={DAY}").glob("*.safetensors")):
        shard = load_file(file)
        yield shard["item_id"], shard["actions"], shard["action_types"], shard["is_order"]


FACTORS = np.random.default_rng(2).integers(1 << 62, size=(2, HISTORY), dtype=np.int64) | 1


def hashes(batch: tuple[Any, Any, Any, Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """A number for each row that depends on all of it."""
    item, actions, types, label = (np.asarray(column).astype(np.int64) for column in batch)
    found: np.ndarray[Any, np.dtype[np.int64]] = actions @ FACTORS[0] + types @ FACTORS[1]
    return (found ^ (found >> 29)) * 0x2545F491 + item * 2 + label


def check(name: str, found: np.ndarray[Any, Any], complete: bool, expected: dict[int, int]) -> None:
    """Every row that was delivered is one of the day, and none came more often than it is there."""
    for row, count in zip(*np.unique(found, return_counts=True), strict=True):
        there = expected.get(int(row), 0)
        if count > there or (complete and count != there):
            raise SystemExit(f"{name}: a row came {count} times and is there {there} times")
    if complete and len(found) != sum(expected.values()):
        raise SystemExit(f"{name}: {len(found)} rows came, of {sum(expected.values())}")


# ---- a loader's process -----------------------------------------------------------------------------------------------------


def resident() -> int:
    """The bytes in memory of this process and its workers; what several share is counted once, mapped files included."""
    children: list[str] = []
    for thread in Path("/proc/self/task").iterdir():
        try:
            children += (thread / "children").read_text().split()
        except OSError:
            continue  # It has ended meanwhile.
    total = 0
    for process in [str(os.getpid()), *children]:
        try:
            lines = Path("/proc", process, "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
    return total


class Watch:
    """The most memory that was seen, looked at ten times a second."""

    def __enter__(self) -> Watch:
        self.most, self._over = resident(), threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def _look(self) -> None:
        while not self._over.wait(0.1):
            self.most = max(self.most, resident())

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def serve(parent: Connection, name: str, work: Path, size: int) -> None:
    """Answers what it is asked: ("verify", seconds) or ("measure", seconds), until it is told to stop."""
    import torch

    # With its workers, so that all of them can be stopped.
    os.setpgid(0, 0)
    torch.set_num_threads(WORKERS)
    before = resident()
    batches = LOADERS[name][1](work, size)
    parent.send("ready")
    while (asked := parent.recv()) is not None:
        kind, seconds = asked
        if kind == "verify":
            with Watch() as watch:
                parent.send((*verify(batches, seconds), watch.most - before))
        else:
            parent.send(measure(batches, seconds))


def verify(batches: Batches, seconds: float) -> tuple[np.ndarray[Any, Any], bool]:
    """The hashes of the rows of one pass, and whether it came to its end in time."""
    found, end = [], time.perf_counter() + seconds
    for batch in batches():
        found.append(hashes(batch))
        if time.perf_counter() > end:
            return np.concatenate(found), False
    return np.concatenate(found), True


def measure(batches: Batches, seconds: float) -> float:
    """Rows per second."""
    rows, now = 0, 0.0
    passing = iter(batches())
    next(passing)
    begun = now = time.perf_counter()
    while now < begun + seconds:
        batch = next(passing, None)
        if batch is None:
            passing = iter(batches())
            continue
        rows += len(batch[0])
        now = time.perf_counter()
    return rows / (now - begun)


# ---- the run ----------------------------------------------------------------------------------------------------------------


class Server:
    """A loader's processes, as the run sees them: they run while they are asked, until they are given up."""

    def __init__(self, name: str, work: Path, size: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, child = context.Pipe()
        self.process = context.Process(target=serve, args=(child, name, work, size))
        self.process.start()
        child.close()
        self.silent: float | None = None

    def answer(self, seconds: float) -> Any:
        """What it sends within some seconds; nothing where it does not, now and from then on."""
        if self.silent is not None:
            return None
        if not self.pipe.poll(seconds):
            self.silent = seconds
            self.kill()
            return None
        answer = self.pipe.recv()
        self.signal(signal.SIGSTOP)
        return answer

    def ask(self, what: tuple[str, float], seconds: float) -> Any:
        if self.silent is None:
            self.signal(signal.SIGCONT)
            self.pipe.send(what)
        return self.answer(seconds)

    def end(self) -> None:
        """Tells it to stop, and makes it where it does not."""
        if self.silent is None and self.process.is_alive():
            self.signal(signal.SIGCONT)
            self.pipe.send(None)
            self.process.join(30)
        self.kill()

    def kill(self) -> None:
        self.process.kill()
        # Its workers, where it has come as far as that.
        with contextlib.suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)

    def signal(self, number: int) -> None:
        assert self.process.pid is not None
        os.killpg(self.process.pid, number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of a loader's turn")
    parser.add_argument("--verify-seconds", type=float, default=60.0, help="after which a pass that is checked is broken off")
    parser.add_argument("--patience", type=float, default=120.0, help="seconds over its time after which a loader is given up")
    parser.add_argument("--loaders", default=",".join(LOADERS))
    parser.add_argument("--work", type=Path, default=Path("target/loader"), help="where data is kept")
    given = parser.parse_args()
    names = given.loaders.split(",")
    work = (given.work / str(given.rows)).absolute()
    prepare(work, given.rows)

    expected: dict[int, int] = {}
    for shard in stored(work):
        for start in range(0, len(shard[0]), 8192):
            rows = hashes(tuple(column[start : start + 8192] for column in shard))  # type: ignore[arg-type]
            for row, count in zip(*np.unique(rows, return_counts=True), strict=True):
                expected[int(row)] = expected.get(int(row), 0) + int(count)

    servers: dict[str, Server] = {}
    memory: dict[str, int] = {}
    rates: dict[str, list[float]] = {name: [] for name in names}
    try:
        for name in names:
            server = servers[name] = Server(name, work, given.batch_size)
            server.answer(given.patience)
            verified = server.ask(("verify", given.verify_seconds), given.verify_seconds + given.patience)
            if verified is None:
                print(f"<!-- {name}: no answer in {server.silent:.0f} s -->", flush=True)
                continue
            found, complete, memory[name] = verified
            check(name, found, complete, expected)
            print(f"<!-- {name}: {len(found):,} rows are the right ones{'' if complete else ', of a pass that was broken off'} -->", flush=True)
        for _ in range(given.rounds):
            for name, server in servers.items():
                rate = server.ask(("measure", given.seconds), given.seconds + given.patience)
                if rate is not None:
                    rates[name].append(rate)
    finally:
        for server in servers.values():
            server.end()
    if given.rounds:
        report(rates, memory, {name: server.silent for name, server in servers.items()})


def report(rates: dict[str, list[float]], memory: dict[str, int], silent: dict[str, float | None]) -> None:
    """The table."""
    first, select = (statistics.median(rates.get(name) or [float("nan")]) for name in ("rows", "select"))
    print("| loader | rows/s, median | min | max | × row at a time | × index_select | memory |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, found in rates.items():
        median = statistics.median(found or [float("nan")])
        cells = [f"{rate:,.0f}" for rate in (median, min(found, default=median), max(found, default=median))]
        cells += [f"{median / first:.2f}", f"{median / select:.2f}"]
        cells = ["–" if cell == "nan" else cell for cell in cells]
        most = f"{memory[name] / (1 << 20):,.0f} MiB" if name in memory else "–"
        note = "" if silent[name] is None else f" (given up after {len(found)} rounds: no answer in {silent[name]:.0f} s)"
        print(f"| {LOADERS[name][0]}{note} | {' | '.join(cells)} | {most} |")


if __name__ == "__main__":
    main()

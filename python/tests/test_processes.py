"""Loaders in other processes: forked, spawned, pickled, in DataLoader's workers; rows never double and nobody waits for ever."""

from __future__ import annotations

import copy
import multiprocessing
import pathlib
import pickle
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import cloudpickle
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

import shardback
from conftest import DAYS, ROWS, build
from shardback.torch import Batch, Loader

TOTAL = sum(ROWS.values())


def loader(out: pathlib.Path, **options: Any) -> Loader:
    return Loader(out, **{"batch_size": 32, "device": "cpu", "threads": 1, **options})


def items(batches: Any) -> list[int]:
    return [item for batch in batches for item in batch.impressions.tolist()]


class Wrapped(IterableDataset):  # type: ignore[type-arg]
    """What one writes to put a loader into a DataLoader."""

    def __init__(self, some: Loader) -> None:
        self.some = some

    def __iter__(self) -> Iterator[torch.Tensor]:
        for batch in self.some:
            yield batch.impressions


def test_a_dataloader_may_stand_around_it(out: pathlib.Path) -> None:
    some = loader(out)
    around = DataLoader(some, batch_size=None)
    assert len(around) == len(some)
    batches = list(around)
    assert all(type(batch) is Batch for batch in batches) and items(batches) == items(loader(out))
    assert some.epoch == 1
    with pytest.raises(shardback.OptionError, match=r"yields whole batches.*DataLoader\(loader, batch_size=None\)"):
        next(iter(DataLoader(loader(out))))


@pytest.mark.parametrize(("start", "wrap"), [("fork", Wrapped), ("fork", None), ("spawn", None)])
def test_worker_processes_are_refused(out: pathlib.Path, start: str, wrap: Any) -> None:
    """Each of them would go through all rows."""
    some = loader(out) if wrap is None else wrap(loader(out))
    workers = DataLoader(some, batch_size=None, num_workers=1, multiprocessing_context=start)
    with pytest.raises(shardback.OptionError, match="not for the worker processes of a DataLoader"):
        list(workers)
    assert len(list(DataLoader(Wrapped(loader(out)), batch_size=None))) == len(loader(out))


FORKED = """
    import os, signal, sys, traceback
    import shardback
    from shardback.torch import Loader

    loader = Loader({out!r}, batch_size=32, device="cpu", threads=2, gather={gather!r})
    steps = iter(loader)
    next(steps)
    raw = {raw}
    child = os.fork()
    if child == 0:
        # One that waits for ever is ended, and the parent says so.
        signal.alarm(60)
        try:
            for begun in (steps, raw):
                try:
                    next(begun)
                    print("it went on")
                except shardback.ShardbackError as error:
                    assert "begun in another process" in str(error), error
            # A new pass is begun here, with what was uploaded there.
            del steps, raw, begun
            rows = [row for batch in loader for row in batch.impressions.tolist()]
            print("forked", len(rows), len(set(rows)), flush=True)
            del loader
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    # The parent goes on with its own.
    print("parent", 1 + sum(1 for _ in steps), len(loader), os.waitstatus_to_exitcode(status))
"""


@pytest.mark.parametrize("gather", ["host", "torch"])
def test_a_pass_does_not_survive_fork(out: pathlib.Path, gather: str) -> None:
    """A child that is forked has none of the threads: it is told so, does not wait for ever, and begins a pass of its own."""
    raw = "loader._batches(loader._now, (0, 1), rows_only=True, pinned=False)"
    script = textwrap.dedent(FORKED).format(out=str(out), gather=gather, raw=raw)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert run.stdout == f"forked {TOTAL} {TOTAL}\nparent 32 32 0\n", run.stdout + run.stderr


def second_half(some: Loader) -> list[int]:
    return items(some)


@pytest.mark.parametrize("by", [pickle, cloudpickle])
def test_days_and_loaders_are_pickled_by_path_and_position(out: pathlib.Path, by: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As spawn and Ray send them; relative paths hold in another folder, too."""
    monkeypatch.chdir(out.parent)
    days = shardback.open(out.name)
    some = Loader(days, batch_size=32, device="cpu", threads=1, seed=4)
    list(some)
    steps = iter(some)
    head = items([next(steps) for _ in range(9)])
    small = by.dumps(some)
    assert len(small) < 4096
    monkeypatch.chdir("/")
    sent = pickle.loads(small)
    assert sent.state_dict() == some.state_dict() and len(sent) == len(some) and sent._residents is None
    # The pass that is under way stays here; there the same epoch is begun.
    assert items(sent)[: len(head)] == head
    again = pickle.loads(by.dumps(days))
    assert [day.date for day in again] == DAYS and np.array_equal(again[0].column("item_id"), days[0].column("item_id"))
    assert again[0].path == out / "jagged" / f"dt={DAYS[0]}"
    assert items(steps), "what is sent away goes on here"


def test_copies_stand_where_the_original_does(out: pathlib.Path) -> None:
    some = loader(out, gather="torch")
    list(some)
    for twin in (copy.deepcopy(some), copy.copy(some)):
        assert twin.state_dict() == some.state_dict() and twin.days[0] is some.days[0]
        assert items(twin) == items(loader_at(out, 1))
    # Neither moves the other.
    assert some.epoch == 1
    day = shardback.open(out)[0]
    assert copy.copy(day) is copy.deepcopy(day) is day


def loader_at(out: pathlib.Path, epoch: int) -> Loader:
    some = loader(out)
    some.set_epoch(epoch)
    return some


def test_a_loader_goes_to_a_spawned_process(out: pathlib.Path) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(second_half, (loader(out),)) == items(loader(out))


def test_a_day_that_was_built_anew_is_not_unpickled(tables: dict[str, pathlib.Path], out: pathlib.Path, tmp_path: pathlib.Path) -> None:
    folder = shutil.copytree(out / "jagged" / "dt=2025-08-14", tmp_path / "dt=2025-08-14")
    sent = pickle.dumps(shardback.Day(folder))
    assert pickle.loads(sent).date == DAYS[0]
    build(tables, tmp_path / "other", formats="jagged", history=7)
    shutil.rmtree(folder)
    with pytest.raises(shardback.IoError):
        pickle.loads(sent)
    shutil.copytree(tmp_path / "other" / "jagged" / "dt=2025-08-14", folder)
    with pytest.raises(shardback.CorruptError, match="it is not the day that was pickled: it was built anew"):
        pickle.loads(sent)


def test_a_batch_is_pickled(out: pathlib.Path) -> None:
    batch = next(iter(loader(out)))
    sent = pickle.loads(pickle.dumps(batch))
    assert sent.date == batch.date and all(map(torch.equal, (*sent, sent.lengths), (*batch, batch.lengths)))


def test_the_number_of_threads_ends_somewhere(out: pathlib.Path) -> None:
    day = shardback.open(out)[0]
    with pytest.raises(shardback.OptionError, match="threads: 16384 is not between 1 and 1024"):
        day.dense([0], threads=16384)

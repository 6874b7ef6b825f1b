"""The example learns what only the history tells, and goes on after it was stopped as if it had not been."""

from __future__ import annotations

import importlib
import os
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
import torch

from conftest import REPOSITORY

EXAMPLE = REPOSITORY / "python" / "examples" / "train.py"


def train(*arguments: object, processes: int = 0) -> str:
    """Runs the example on the processor, or by torchrun in some processes; what it printed."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes else []
    command = [sys.executable, *torchrun, str(EXAMPLE), "--device", "cpu", *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert run.returncode == 0, run.stderr
    return run.stdout


def waits() -> Any:
    """The example's measure of waiting."""
    with mock.patch.object(sys, "path", [str(EXAMPLE.parent), *sys.path]):
        return importlib.import_module("train").Waits()


class Slow:
    """A loader whose first batch takes 0.3 s, and each other one 0.05 s."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)

    def __iter__(self) -> Iterator[int]:
        time.sleep(0.3)
        yield 0
        for number in range(1, 5):
            time.sleep(0.05)
            yield number


def test_on_the_processor_each_wait_but_the_first_counts() -> None:
    some = waits()
    for _ in some.watch(Slow("cpu")):
        time.sleep(0.02)
    # With the first it would be 0.5 or more; a busy machine may sleep longer than it was told.
    assert 0.2 <= some.data < 0.5 and 0.3 <= some.all
    # The first batch of a second epoch is waited for as any other.
    list(some.watch(Slow("cpu")))
    assert 0.7 <= some.data < 1.0


@pytest.mark.parametrize("busy", [True, False])
def test_waiting_for_the_device_is_no_waiting_for_data(monkeypatch: pytest.MonkeyPatch, busy: bool) -> None:
    """Steps go to a device that takes 0.2 s for each, and the host may be two of them ahead."""

    class Event:
        under_way = most = 0

        def record(self) -> None:
            Event.under_way += 1
            Event.most = max(Event.most, Event.under_way)

        def query(self) -> bool:
            return not busy

        def synchronize(self) -> None:
            Event.under_way -= 1
            time.sleep(0.2)

    monkeypatch.setattr(torch.cuda, "Event", Event)
    some = waits()
    list(some.watch(Slow("cuda")))
    assert Event.most == 3
    assert some.all >= 0.2 + 2 * 0.2
    # What the device is waited for, 0.4 or more, is in neither.
    assert some.data < 0.1 if busy else 0.2 <= some.data < 0.55


def held_out(said: str, name: str) -> float:
    """The AUC of the day that a model has not seen."""
    found = re.search(rf"^{name}: held out, 2025-08-16: 12,000 rows, loss [0-9.]+, AUC ([0-9.]+)$", said, re.MULTILINE)
    assert found is not None, said
    return float(found[1])


def test_it_learns_and_resumes(tmp_path: pathlib.Path) -> None:
    work, checkpoint = tmp_path / "work", tmp_path / "run.pt"
    stopped = train("--work", work, "--checkpoint", checkpoint, "--stop-after", 160)
    assert "history: epoch 0, 2025-08-15: 12,000 rows" in stopped and "held out" not in stopped
    said = train("--work", work, "--checkpoint", checkpoint, "--baseline")
    # 47 steps a day, three days: 160 steps are an epoch and 19 steps of the first day.
    assert "history: goes on in epoch 1 at 2025-08-13, row 4,864\n" in said
    assert "history: epoch 1, 2025-08-13: 7,136 rows" in said
    assert "history: 122 steps in " in said and re.search(r"[0-9.]+% of it waiting for data", said)
    assert "baseline: 282 steps in " in said
    history, baseline = held_out(said, "history"), held_out(said, "baseline")
    assert history > baseline + 0.05, said
    # All of it is done: nothing is left to train, and what was saved is the model that was tested.
    again = train("--work", work, "--checkpoint", checkpoint)
    assert "history: 0 steps in " in again and held_out(again, "history") == history


def test_two_processes_train_and_one_goes_on(tmp_path: pathlib.Path) -> None:
    work, checkpoint = tmp_path / "work", tmp_path / "run.pt"
    stopped = train("--work", work, "--checkpoint", checkpoint, "--stop-after", 60, processes=2)
    # 24 steps a day, each of 256 rows in each of them.
    assert "history: epoch 0, 2025-08-14: 6,000 rows" in stopped and "2025-08-15" not in stopped
    said = train("--work", work, "--checkpoint", checkpoint, "--epochs", 1)
    assert "history: goes on in epoch 0 at 2025-08-15, row 6,144\n" in said
    assert "history: epoch 0, 2025-08-15: 5,856 rows" in said

"""Two processes of torch.distributed (gloo): ranks without being told, checkpoints, and another world afterwards."""

from __future__ import annotations

import collections
import json
import os
import pathlib
import subprocess
import sys

import pytest
import torch

import shardback
from conftest import DAYS, ROWS
from shardback.torch import Loader

WORKER = """
import json, pathlib, sys
import torch, torch.distributed as distributed
from shardback.torch import Loader

out, folder, rank, stop = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous-{stop}", rank=rank, world_size=2)
loader = Loader(out, batch_size=16, device="cpu", threads=1)
assert (loader.rank, loader.world_size) == (rank, 2)
checkpoint = folder / "checkpoint.pt"
if checkpoint.exists():
    loader.load_state_dict(torch.load(checkpoint))
rows = []
for step, batch in enumerate(loader, 1):
    # Every rank makes this step, or the job hangs.
    total = torch.tensor(len(batch))
    distributed.all_reduce(total)
    assert total.item() == 2 * len(batch)
    rows.extend(batch.impressions.tolist())
    if step == stop:
        if rank == 0:
            torch.save(loader.state_dict(), checkpoint)
        break
(folder / f"rows-{stop}-{rank}.json").write_text(json.dumps(rows))
distributed.barrier()
distributed.destroy_process_group()
"""


# The lines of a script in the order in which they are often written: the loader at the top, the process group in main.
EARLY = """
import json, os, pathlib, sys
import torch.distributed as distributed
import shardback
from shardback.torch import Loader

out, folder, rank = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
loader = Loader(out, batch_size=16, device="cpu", threads=1)
for call in (lambda: iter(loader), lambda: len(loader), lambda: loader.rank):
    try:
        call()
        raise SystemExit("nobody has said which rank this is")
    except shardback.OptionError as error:
        assert "WORLD_SIZE says 2 processes, and torch.distributed is not initialized" in str(error), error
        assert "init_process_group" in str(error) and "rank= and world_size=" in str(error)
distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
assert (loader.rank, loader.world_size) == (rank, 2)
rows = [row for batch in loader for row in batch.impressions.tolist()]
assert len(loader) == sum(1 for _ in loader)
(folder / f"rows-{rank}.json").write_text(json.dumps(rows))
os.environ["WORLD_SIZE"] = "3"
try:
    iter(loader)
    raise SystemExit("the process group has two")
except shardback.OptionError as error:
    assert "WORLD_SIZE says 3 processes, and the process group has 2" in str(error), error
assert len(Loader(out, batch_size=16, device="cpu", rank=1, world_size=3)) > 0
distributed.destroy_process_group()
"""


def test_a_loader_may_be_made_before_the_process_group(out: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Rank and world size are read when a pass begins: the order of two lines does not give two ranks the same rows."""
    environment = {**os.environ, "WORLD_SIZE": "2"}
    arguments = [[sys.executable, "-c", EARLY, str(out), str(tmp_path), str(rank)] for rank in range(2)]
    workers = [subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=environment) for line in arguments]
    for worker in workers:
        _, errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, errors
    shares = [json.loads((tmp_path / f"rows-{rank}.json").read_text()) for rank in range(2)]
    counts = collections.Counter(shares[0] + shares[1])
    assert len(counts) == sum(ROWS.values()) and counts.total() - len(counts) < 2 * len(DAYS)


def test_one_process_needs_no_group(out: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = Loader(out, batch_size=50, device="cpu", threads=1)
    for said in ("1", "", " "):
        monkeypatch.setenv("WORLD_SIZE", said)
        assert (some.rank, some.world_size) == (0, 1)
    monkeypatch.setenv("WORLD_SIZE", "many")
    with pytest.raises(shardback.OptionError, match="WORLD_SIZE says many processes"):
        iter(some)


def run(out: pathlib.Path, folder: pathlib.Path, stop: int) -> list[int]:
    """Two ranks for `stop` steps; the rows that both were given."""
    arguments = [[sys.executable, "-c", WORKER, out, folder, str(rank), str(stop)] for rank in range(2)]
    workers = [subprocess.Popen(list(map(str, line)), stderr=subprocess.PIPE, text=True) for line in arguments]
    for worker in workers:
        _, errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, errors
    return [row for rank in range(2) for row in json.loads((folder / f"rows-{stop}-{rank}.json").read_text())]


def test_two_processes_share_resume_and_hand_over_to_one(out: pathlib.Path, tmp_path: pathlib.Path) -> None:
    first = run(out, tmp_path, 9)
    checkpoint = torch.load(tmp_path / "checkpoint.pt")
    assert checkpoint["rows"] == 9 * 32
    rest = run(out, tmp_path, 10_000)
    counts = collections.Counter(first + rest)
    assert len(counts) == sum(ROWS.values())
    assert counts.total() - len(counts) < 2 * len(DAYS)

    alone = Loader(out, batch_size=50, device="cpu", threads=1)
    alone.load_state_dict(checkpoint)
    counts = collections.Counter(first + [row for batch in alone for row in batch.impressions.tolist()])
    assert len(counts) == counts.total() == sum(ROWS.values())

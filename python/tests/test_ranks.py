"""Two processes of torch.distributed (gloo): ranks without being told, checkpoints, and another world afterwards."""

from __future__ import annotations

import collections
import json
import pathlib
import subprocess
import sys

import torch

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

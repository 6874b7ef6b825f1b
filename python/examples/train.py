"""Trains a small transformer on days of shardback, and tests it on the last one.

    python train.py                                     makes its own data, with a planted signal, and learns it
    python train.py --data out --epochs 2               your days: all but the last for training, the last held out
    python train.py --checkpoint run.pt                 saves there, and goes on from there when started again
    torchrun --nproc-per-node 8 train.py --data out     one process for each GPU

It prints loss and AUC of each day as it is trained on, and the share of the time that steps waited for data, after the first
batch. AUC and loss of a day are of predictions made before the model learned from those rows.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import datetime
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

import planted
import torch
import torch.distributed as distributed
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

import shardback
from shardback.torch import Batch, Loader


class Model(nn.Module):
    """The chance of an order, from the item shown and the customer's last actions.

    Items are hashed into a table of embeddings, so that there is no vocabulary to keep: any item id has its place. Without
    `sees_history` it is the baseline: the same model, for which every history is empty.
    """

    def __init__(self, history: int, *, sees_history: bool = True, buckets: int = 1 << 12, width: int = 32) -> None:
        super().__init__()
        self.sees_history = sees_history
        self.items = nn.Embedding(buckets, width)
        self.types = nn.Embedding(4, width)
        self.places = nn.Embedding(history, width)
        # Stands before the history, so that there is something to attend to where it is empty.
        self.start = nn.Parameter(torch.zeros(width))
        for small in (self.types, self.places):
            nn.init.normal_(small.weight, std=0.1)
        layer = nn.TransformerEncoderLayer(width, 2, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.score = nn.Sequential(nn.Linear(3 * width, 2 * width), nn.ReLU(), nn.Linear(2 * width, 1))

    def forward(self, impressions: torch.Tensor, actions: torch.Tensor, action_types: torch.Tensor) -> torch.Tensor:
        """Logits [B] from impressions [B], actions [B, K] and action_types [B, K]."""
        count, width = actions.shape
        shown = self.embed(impressions)
        places = self.places(torch.arange(width, device=actions.device))
        values = self.embed(actions) + self.types(action_types.int()) + places
        values = torch.cat([self.start.expand(count, 1, -1), values], dim=1)
        padding = action_types == 0 if self.sees_history else torch.ones_like(action_types, dtype=torch.bool)
        padding = nn.functional.pad(padding, (1, 0), value=False)
        values = self.encoder(values, src_key_padding_mask=padding)
        # The item shown is the query as it is: from the first step on it finds itself where it was acted on before.
        found = nn.functional.scaled_dot_product_attention(shown[:, None], values, values, attn_mask=~padding[:, None])[:, 0]
        scored: torch.Tensor = self.score(torch.cat([shown, found, shown * found], dim=1))
        return scored[:, 0]

    def embed(self, items: torch.Tensor) -> torch.Tensor:
        """The embeddings of items: the upper bits of a product are a good hash."""
        hashed = (items.long() * -7046029254386353131) >> 32
        embedded: torch.Tensor = self.items(hashed % self.items.num_embeddings)
        return embedded


@dataclasses.dataclass
class Waits:
    """How long steps waited for data, and how long all took, in seconds.

    The first batch is left out: it is there when the device has been prepared and the first day is on it. On CUDA the time
    until a batch is there counts only where the device had nothing left to do by then, as it is what would have waited.
    """

    data: float = 0.0
    all: float = 0.0
    begun: bool = False

    def watch(self, loader: Loader) -> Iterator[Batch]:
        """The batches of an epoch."""
        under_way: collections.deque[torch.cuda.Event] = collections.deque()
        batches = iter(loader)
        if not self.begun:
            self.begun = True
            # Before the clock is looked at.
            batches = itertools.chain(list(itertools.islice(batches, 1)), batches)
        before = time.perf_counter()
        while True:
            # The device may be given two steps while it works on one; waiting for it is no waiting for data.
            while len(under_way) > 2:
                under_way.popleft().synchronize()
            asked = time.perf_counter()
            batch = next(batches, None)
            now = time.perf_counter()
            if not under_way or under_way[-1].query():  # type: ignore[no-untyped-call]
                self.data += now - asked
            self.all += now - before
            before = now
            if batch is None:
                return
            yield batch
            if loader.device.type == "cuda":
                under_way.append(torch.cuda.Event())  # type: ignore[no-untyped-call]
                under_way[-1].record()


@dataclasses.dataclass
class Scores:
    """The predictions for a day's rows and what happened; they stay on the device, so that no step waits for them."""

    logits: list[torch.Tensor] = dataclasses.field(default_factory=list)
    labels: list[torch.Tensor] = dataclasses.field(default_factory=list)

    def add(self, logits: torch.Tensor, labels: torch.Tensor) -> None:
        self.logits.append(logits.detach().float())
        self.labels.append(labels.float())

    def __str__(self) -> str:
        logits, labels = torch.cat(self.logits), torch.cat(self.labels)
        return f"{len(logits):,} rows, loss {cross_entropy(logits, labels).item():.4f}, AUC {auc(logits, labels):.4f}"


def auc(scores: torch.Tensor, labels: torch.Tensor) -> float:
    """The chance that an ordered row scores higher than another one; equal scores count half."""
    _, places, counts = torch.unique(scores.double(), return_inverse=True, return_counts=True)
    ranks = counts.cumsum(0) - (counts - 1) / 2
    positives = labels.sum()
    pairs = positives * (len(labels) - positives)
    return float((ranks[places][labels == 1].sum() - positives * (positives + 1) / 2) / pairs)


@dataclasses.dataclass
class Run:
    """A model in training, and where it is saved."""

    name: str
    model: nn.Module
    # The model, or what brings the gradients of all ranks together around it.
    parallel: nn.Module
    optimizer: torch.optim.Optimizer
    loader: Loader
    checkpoint: Path | None
    save_every: int

    def load(self) -> None:
        """Goes on from the checkpoint, where there is one."""
        if self.checkpoint is None or not self.checkpoint.exists():
            return
        # Tensors go where they are needed when they are loaded; what an optimizer keeps on the processor stays there, or each
        # of its steps would wait for the device.
        saved = torch.load(self.checkpoint, map_location="cpu")
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.loader.load_state_dict(saved["loader"])
        state = saved["loader"]
        say(f"{self.name}: goes on in epoch {state['epoch']} at {state['day']}, row {state['rows']:,}")

    def save(self) -> None:
        """Saves after a step that every rank has made; what the loader says then holds for all of them."""
        if self.checkpoint is None or self.loader.rank != 0:
            return
        saved = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "loader": self.loader.state_dict()}
        unfinished = self.checkpoint.with_suffix(".unfinished")
        torch.save(saved, unfinished)
        unfinished.replace(self.checkpoint)

    def train(self, epochs: int, stop_after: int | None = None) -> None:
        """All epochs, or what is left of them; or no more than some steps, as if it had been killed."""
        waits, steps = Waits(), 0
        self.parallel.train()
        for epoch in range(self.loader.epoch, epochs):
            for day, batches in itertools.groupby(waits.watch(self.loader), lambda batch: batch.date):
                scores = Scores()
                for impressions, actions, action_types, is_order in batches:
                    logits = self.parallel(impressions, actions, action_types)
                    loss = cross_entropy(logits, is_order.float())
                    self.optimizer.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]
                    self.optimizer.step()
                    scores.add(logits, is_order)
                    steps += 1
                    if steps % self.save_every == 0 or steps == stop_after:
                        self.save()
                    if steps == stop_after:
                        return
                say(f"{self.name}: epoch {epoch}, {day}: {scores}")
        self.save()
        share = waits.data / max(waits.all, 1e-9)
        say(f"{self.name}: {steps} steps in {waits.all:.1f} s, {share:.2%} of it waiting for data")

    @torch.inference_mode()
    def evaluate(self, days: shardback.Days) -> None:
        """Loss and AUC of days that it was not trained on."""
        self.parallel.eval()
        loader = Loader(days, batch_size=self.loader.batch_size, device=self.loader.device, shuffle=False, rank=0, world_size=1)
        scores = Scores()
        for impressions, actions, action_types, is_order in loader:
            scores.add(self.model(impressions, actions, action_types), is_order)
        say(f"{self.name}: held out, {', '.join(str(day.date) for day in days)}: {scores}")


def say(line: str) -> None:
    """Prints on one rank only."""
    if int(os.environ.get("RANK", "0")) == 0:
        print(line, flush=True)


def planted_days(work: Path) -> shardback.Days:
    """Days made from tables with a planted signal, made at the first call, by one process."""
    tables, out = work / "tables", work / "out"
    if int(os.environ.get("RANK", "0")) != 0:
        distributed.barrier()
        return opened(out)
    if not tables.exists():
        planted.write_tables(tables, customers=1500, items=80, days=4, rows=12_000)
    shardback.build(
        impressions=tables / "impressions.csv",
        clicks=tables / "clicks.csv",
        previous_orders=tables / "previous_orders.csv",
        start=planted.LAST_DAY - datetime.timedelta(3),
        end=planted.LAST_DAY,
        history=32,
        formats="jagged",
        out=out,
        skip_existing=True,
    )
    if distributed.is_initialized():
        distributed.barrier()
    return opened(out)


def opened(path: Path) -> shardback.Days:
    days = shardback.open(path)
    return shardback.Days([days]) if isinstance(days, shardback.Day) else days


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="an output of shardback; two days or more")
    parser.add_argument("--work", type=Path, default=Path("train-work"), help="where data is made if none is given")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=256, help="of each process")
    parser.add_argument("--buckets", type=int, default=1 << 12, help="of the table of embeddings, into which items are hashed")
    parser.add_argument("--rate", type=float, default=3e-3, help="the learning rate")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--save-every", type=int, default=200, metavar="STEPS")
    parser.add_argument("--stop-after", type=int, metavar="STEPS", help="save and stop, to try how it goes on")
    parser.add_argument("--baseline", action="store_true", help="train a model that does not see the history, too")
    given = parser.parse_args()

    if "RANK" in os.environ:
        distributed.init_process_group()
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.manual_seed(0)
    days = opened(given.data) if given.data else planted_days(given.work)
    for name in ["history", "baseline"] if given.baseline else ["history"]:
        loader = Loader(days[:-1], batch_size=given.batch_size, device=given.device)
        model = Model(days[0].manifest.history, sees_history=name == "history", buckets=given.buckets).to(loader.device)
        parallel = nn.parallel.DistributedDataParallel(model) if distributed.is_initialized() else model
        optimizer = torch.optim.Adam(model.parameters(), lr=given.rate)
        checkpoint = given.checkpoint if name == "history" else None
        run = Run(name, model, parallel, optimizer, loader, checkpoint, given.save_every)
        run.load()
        run.train(given.epochs, given.stop_after)
        if given.stop_after is None and loader.rank == 0:
            run.evaluate(days[-1:])
    if distributed.is_initialized():
        # The first rank tests, and the others wait for it before they take down what it may still use.
        distributed.barrier()
        distributed.destroy_process_group()


if __name__ == "__main__":
    main()

"""Lightning, Accelerate and Hugging Face's Trainer take a loader as it is, and see every row of every epoch."""

from __future__ import annotations

import itertools
import logging
import pathlib
import warnings
from collections.abc import Iterable
from typing import Any

import accelerate
import lightning
import pytest
import torch
import transformers
from torch import nn

from shardback.torch import Batch, Loader


def loader(out: pathlib.Path) -> Loader:
    return Loader(out, batch_size=64, device="cpu", threads=1)


def items(batches: Iterable[Batch]) -> list[int]:
    """The rows that batches hold, by the items that name them."""
    return [item for batch in batches for item in batch.impressions.tolist()]


def at(out: pathlib.Path, epoch: int) -> Loader:
    some = loader(out)
    some.set_epoch(epoch)
    return some


def epochs(out: pathlib.Path, count: int) -> list[int]:
    """The rows of the first epochs."""
    return [item for epoch in range(count) for item in items(at(out, epoch))]


class Model(nn.Module):
    """As small as a model can be, that keeps what it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Linear(1, 1)
        self.seen: list[int] = []

    def forward(self, batch: Batch) -> torch.Tensor:
        assert type(batch) is Batch
        impressions, actions, action_types, is_order = batch
        self.seen.extend(impressions.tolist())
        lengths = batch.lengths.float()[:, None]
        return nn.functional.binary_cross_entropy_with_logits(self.score(lengths)[:, 0], is_order.float())


class Lit(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.model = Model()

    def training_step(self, batch: Batch, number: int) -> torch.Tensor:
        loss: torch.Tensor = self.model(batch)
        self.log("loss", loss)
        return loss

    def validation_step(self, batch: Batch, number: int) -> None:
        assert type(batch) is Batch

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 1e-4)


def fit(module: Lit, some: Loader, folder: pathlib.Path, validation: Loader | None = None, **options: Any) -> lightning.Trainer:
    """Two epochs."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(max_epochs=2, accelerator="cpu", default_root_dir=folder, **quiet, **options)  # type: ignore[arg-type]
        trainer.fit(module, some, val_dataloaders=validation)
    return trainer


def test_lightning(out: pathlib.Path, tmp_path: pathlib.Path) -> None:
    some, module = loader(out), Lit()
    trainer = fit(module, some, tmp_path, loader(out))
    assert module.model.seen == epochs(out, 2)
    assert some.epoch == 2 and trainer.num_training_batches == len(some)


@pytest.mark.parametrize("moves", [True, False])
def test_lightning_with_epochs_cut_short(out: pathlib.Path, tmp_path: pathlib.Path, moves: bool) -> None:
    """A pass that is left counts as none, so each begins with the same rows, unless the next epoch is asked for."""
    some, steps = loader(out), 3

    class Moves(Lit):
        def on_train_epoch_end(self) -> None:
            if moves:
                some.set_epoch(self.current_epoch + 1)

    module = Moves()
    fit(module, some, tmp_path, limit_train_batches=steps)
    expected = [items(itertools.islice(at(out, epoch if moves else 0), steps)) for epoch in range(2)]
    assert module.model.seen == expected[0] + expected[1]
    assert some.epoch == (2 if moves else 0)


def test_accelerate(out: pathlib.Path) -> None:
    accelerator = accelerate.Accelerator(cpu=True)
    module = Model()
    model, optimizer, some = accelerator.prepare(module, torch.optim.SGD(module.parameters(), 1e-4), loader(out))
    for epoch in range(2):
        some.set_epoch(epoch)
        for batch in some:
            loss = model(accelerate.utils.send_to_device(batch, accelerator.device))
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
    assert module.seen == epochs(out, 2)


def test_transformers(out: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The trainer is told where batches come from, as its documentation says for a loader of one's own, and what a loss is."""
    some = loader(out)

    class Trainer(transformers.Trainer):
        def get_train_dataloader(self) -> Any:
            return some

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
            return model(inputs)

    module = Model()
    arguments = transformers.TrainingArguments(
        str(tmp_path), num_train_epochs=2, use_cpu=True, report_to=[], save_strategy="no", disable_tqdm=True, logging_strategy="no"
    )
    Trainer(module, arguments).train()
    assert module.seen == epochs(out, 2)
    assert some.epoch == 2


def test_a_batch_goes_to_a_device(out: pathlib.Path) -> None:
    batch = next(iter(loader(out)))
    for moved in (
        batch.to("cpu"),
        batch.to(torch.device("cpu"), non_blocking=True),
        accelerate.utils.send_to_device(batch, "cpu", non_blocking=True),
        lightning.pytorch.utilities.move_data_to_device(batch, torch.device("cpu")),
    ):
        assert type(moved) is Batch and moved.date == batch.date
        assert all(map(torch.equal, (*moved, moved.lengths), (*batch, batch.lengths)))
    away = batch.to("meta")
    assert {tensor.device.type for tensor in (*away, away.lengths)} == {"meta"} and len(away) == len(batch)

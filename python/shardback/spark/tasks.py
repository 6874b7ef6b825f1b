"""What executors run: batches in, batches out; the work is done in Rust.

Spark sends these functions by name, so the package has to be installed on the executors too.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterable, Iterator
from typing import TypedDict

import pyarrow
from pyspark import TaskContext

from shardback import _native


Spans = list[tuple[int, int] | None]
"""For each day the first and the last time of its requests, in microseconds; nothing of a day without any."""


class Job(TypedDict):
    """What every task has to know."""

    arguments: dict[str, object]
    days: list[str]
    shards: list[int] | None
    routes: list[int]
    customers: bytes | None
    spans: Spans | None


def map_rows(
    job: Job, table: str, batches: Iterable[pyarrow.RecordBatch]
) -> Iterator[pyarrow.RecordBatch]:
    """Batches of a table to rows of the shuffle."""
    task = TaskContext.get()
    assert task is not None, "executors run this"
    mapper = _native.Mapper(job, table, task.partitionId())
    for batch in batches:
        wants_more = mapper.push(pyarrow.RecordBatchReader.from_batches(batch.schema, [batch]))
        yield from _batches(mapper.take())
        if not wants_more:
            break
    yield from _batches(mapper.finish())


def count_rows(job: Job, batches: Iterable[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
    """Rows of all tasks that count to few."""
    reader = _reader(batches)
    if reader is not None:
        yield from _batches(_native.count(job, reader))


def reduce_rows(job: Job, run: str, batches: Iterable[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
    """Rows of the shuffle to files, in a folder of this attempt's own, and a report for each part."""
    reader = _reader(batches)
    if reader is None:
        return
    task = TaskContext.get()
    assert task is not None, "executors run this"
    attempt = f"{task.stageId()}-{task.partitionId()}-{task.taskAttemptId()}"
    spill = str(job["arguments"]["spill_dir"] or tempfile.gettempdir())
    reports = _native.reduce(job, reader, run, attempt, spill)
    yield pyarrow.RecordBatch.from_arrays([pyarrow.array(reports, pyarrow.binary())], names=["report"])


def _reader(batches: Iterable[pyarrow.RecordBatch]) -> pyarrow.RecordBatchReader | None:
    rows = iter(batches)
    first = next(rows, None)
    if first is None:
        return None
    return pyarrow.RecordBatchReader.from_batches(first.schema, itertools.chain([first], rows))


def _batches(streams: Iterable[_native.Stream]) -> Iterator[pyarrow.RecordBatch]:
    for stream in streams:
        yield from pyarrow.RecordBatchReader.from_stream(stream)

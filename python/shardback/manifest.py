"""The record of a day in one format, typed; `docs/format.md` says what each figure means."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """A file of the day: its name, its samples, its size in bytes, the XXH3 (128 bits) of all its bytes, and that of what it holds."""

    file: str
    rows: int
    bytes: int
    hash: str
    content: str


@dataclass(frozen=True, slots=True)
class Table:
    """What a day sees of a table: its valid rows, and those left out by reason.

    `late_since` is there where a table of actions has no row on the day before, though it has some before that: the last day of those.
    """

    rows: int
    rejected: Mapping[str, int]
    late_since: datetime.date | None = None

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> Table:
        late = fields.get("late_since")
        return cls(fields["rows"], fields["rejected"], None if late is None else datetime.date.fromisoformat(late))


@dataclass(frozen=True, slots=True)
class RejectedEntry:
    """The file of the rows left out: its name, its lines, its size in bytes, and its hash."""

    file: str
    rows: int
    bytes: int
    hash: str


@dataclass(frozen=True, slots=True)
class LengthRange:
    """How many customers have a history of `from_` to `to` actions, both inclusive."""

    from_: int
    to: int
    customers: int


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """How many samples have a label, and their share, where there are samples."""

    positives: int
    rate: float | None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of samples or of actions, and its type as safetensors names it."""

    name: str
    dtype: str


@dataclass(frozen=True, slots=True)
class Contents:
    """The columns of a day beside those that every day has.

    Attributes:
        request_time: whether requests have times, which are their cut-offs.
        request: whether requests have ids.
        labels: the labels.
        kept: the other columns of samples.
        position: which of them is the place in the list, by which the samples of a request are ordered.
        times: `s`, `ms` or `us`, where the times of actions are there.
        features: the features of actions.
    """

    request_time: bool
    request: bool
    labels: tuple[Column, ...]
    kept: tuple[Column, ...]
    position: int | None
    times: str | None
    features: tuple[Column, ...]

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> Contents:
        columns = {name: tuple(Column(**column) for column in fields[name]) for name in ("labels", "kept", "features")}
        return cls(
            request_time=fields.get("request_time", False),
            request=fields["request"],
            position=fields["position"],
            times=fields["times"],
            **columns,
        )


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures of a day.

    `labels` has the labels that are true or false. `actions` counts the actions in the histories by type, those that several
    requests of a customer see once. `smallest_gap_micros` is the shortest time between a cut-off and the newest action used, in
    microseconds. `at_cutoff` counts the actions exactly at the cut-offs of requests, where those are times.
    """

    samples: int
    labels: Mapping[str, LabelFigures]
    requests: int
    customers: int
    customers_without_history: int
    actions: Mapping[str, int]
    history_lengths: tuple[LengthRange, ...]
    smallest_gap_micros: int | None
    at_cutoff: int | None = None


@dataclass(frozen=True, slots=True)
class TimeCutoff:
    """A cut-off at the time of each request, in microseconds: how late actions are seen, and how far back, or none for all of the past."""

    delay_micros: int
    lookback_micros: int | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """One format of one day.

    Attributes:
        path: the day's folder.
        format: `parquet`, `dense` or `jagged`.
        version: the version of the format.
        tool: the program and version that wrote the day.
        date: the day.
        history: K, the length of a padded history.
        lookback_days: with a cut-off at the day how many days back a sample sees, or none for all of them.
        time_cutoff: the cut-off at the time of each request; none where it is the day.
        item_dtype: `i32` or `i64`.
        types: the number of each type of action, by its name.
        contents: the columns beside those that every day has.
        description: the hash of `schema`.
        schema: the description of the tables as it was understood, without where they lie and how their files are read.
        day_zone: the time zone in which the days of timestamps counted, where the build was given one.
        build: the hash of the day's content and options, the same in all formats of one build.
        shards: the files, in order.
        tables: what the day sees of each table.
        rejected: the file of rows left out, where there is one.
        statistics: figures of the day.
        hash: the hash of the manifest itself.
    """

    path: Path
    format: str
    version: int
    tool: str
    date: datetime.date
    history: int
    lookback_days: int | None
    time_cutoff: TimeCutoff | None
    item_dtype: str
    types: Mapping[str, int]
    contents: Contents
    description: str
    schema: Mapping[str, Any]
    day_zone: str | None
    build: str
    shards: tuple[ShardEntry, ...]
    tables: Mapping[str, Table]
    rejected: RejectedEntry | None
    statistics: Statistics
    hash: str

    @classmethod
    def parse(cls, path: Path, text: str) -> Manifest:
        """Reads the JSON of a manifest that has been checked."""
        fields: dict[str, Any] = json.loads(text)
        statistics: dict[str, Any] = fields["statistics"]
        labels = {name: LabelFigures(**figures) for name, figures in statistics.pop("labels").items()}
        ranges = statistics.pop("history_lengths")
        lengths = tuple(LengthRange(entry["from"], entry["to"], entry["customers"]) for entry in ranges)
        rejected = fields["rejected"]
        return cls(
            path=path,
            format=fields["format"].removeprefix("shardback."),
            version=fields["version"],
            tool=fields["tool"],
            date=datetime.date.fromisoformat(fields["dt"]),
            history=fields["history"],
            lookback_days=fields["lookback_days"],
            time_cutoff=TimeCutoff(**fields["time_cutoff"]) if "time_cutoff" in fields else None,
            item_dtype=fields["item_dtype"],
            types=fields["types"],
            contents=Contents.parse(fields["contents"]),
            description=fields["description"],
            schema=fields["schema"],
            day_zone=fields.get("day_zone"),
            build=fields["build"],
            shards=tuple(ShardEntry(**entry) for entry in fields["shards"]),
            tables={name: Table.parse(table) for name, table in fields["tables"].items()},
            rejected=None if rejected is None else RejectedEntry(**rejected),
            statistics=Statistics(**statistics, labels=labels, history_lengths=lengths),
            hash=fields["hash"],
        )

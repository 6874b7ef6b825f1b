"""What a build did, typed: the same as `shardback build --json` prints."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shardback.manifest import Manifest


@dataclass(frozen=True, slots=True)
class BuiltFormat:
    """A format of a built day: its name, its folder, and how many shards of how many bytes are there."""

    format: str
    path: Path
    shards: int
    bytes: int


@dataclass(frozen=True, slots=True)
class LateTable:
    """A table of actions that has no row on the day before a built day, and the last day before that on which it has some."""

    table: str
    last: datetime.date


@dataclass(frozen=True, slots=True)
class BuiltDay:
    """A day that was built and published: its samples, its distinct customers, its formats, and the tables that were late."""

    date: datetime.date
    samples: int
    customers: int
    formats: tuple[BuiltFormat, ...]
    late: tuple[LateTable, ...]


@dataclass(frozen=True, slots=True)
class ReadTable:
    """A table as it was read.

    Attributes:
        table: its name.
        files: its files; none where it was handed over as Arrow.
        bytes: the bytes that were read of them.
        rows: its valid rows; of impressions those of the days asked for.
        rejected: the rows that were left out.
        shows_nothing: lines of impressions in JSON with neither an item nor a list of items.
    """

    table: str
    files: tuple[Path, ...]
    bytes: int
    rows: int
    rejected: int
    shows_nothing: int


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of the work, and how long it took."""

    stage: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Summary:
    """What a build did.

    Attributes:
        days: the days that were built, in order.
        skipped: the days that were there already, with `skip_existing`.
        tables: the tables as they were read; none where no day was to be built.
        stages: the steps, in order.
        device: what padded rows.
        device_reason: why.
        threads: how many threads worked.
        seconds: how long it took, from start to end.
        peak_memory_bytes: the most memory that this process had so far, where the system tells.
        spilled_bytes: what memory had no room for.
    """

    days: tuple[BuiltDay, ...]
    skipped: tuple[datetime.date, ...]
    tables: tuple[ReadTable, ...]
    stages: tuple[Stage, ...]
    device: str
    device_reason: str
    threads: int
    seconds: float
    peak_memory_bytes: int | None
    spilled_bytes: int

    @classmethod
    def parse(cls, text: str) -> Summary:
        """Reads the JSON of a summary."""
        fields: dict[str, Any] = json.loads(text)
        fields["days"] = tuple(map(_day, fields["days"]))
        fields["skipped"] = tuple(map(datetime.date.fromisoformat, fields["skipped"]))
        fields["tables"] = tuple(
            ReadTable(**{**table, "files": tuple(map(Path, table["files"]))}) for table in fields["tables"]
        )
        fields["stages"] = tuple(Stage(**stage) for stage in fields["stages"])
        return cls(**fields)


class Built(list[Manifest]):
    """What came of a build: the manifest of each format of each day asked for, and as `summary` what the run did."""

    summary: Summary

    def __init__(self, manifests: Iterable[Manifest], summary: Summary) -> None:
        super().__init__(manifests)
        self.summary = summary

    def __reduce__(self) -> tuple[type[Built], tuple[list[Manifest], Summary]]:
        return Built, (list(self), self.summary)


def _day(fields: dict[str, Any]) -> BuiltDay:
    return BuiltDay(
        date=datetime.date.fromisoformat(fields["day"]),
        samples=fields["samples"],
        customers=fields["customers"],
        formats=tuple(BuiltFormat(**{**entry, "path": Path(entry["path"])}) for entry in fields["formats"]),
        late=tuple(LateTable(entry["table"], datetime.date.fromisoformat(entry["last"])) for entry in fields["late"]),
    )

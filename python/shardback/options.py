"""The options of a build, as every way to build takes them."""

from __future__ import annotations

import datetime
import json
import numbers
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from shardback import _native
from shardback.errors import OptionError
from shardback.manifest import Manifest

DateLike = datetime.date | str
"""A day, as a date or as `YYYY-MM-DD`."""

Config = str | os.PathLike[str] | Mapping[str, object]
"""A description of tables: its file, in TOML or JSON, or what such a file says as a dict."""

StoreOptions = Mapping[str, str | int | bool]
"""Settings of object stores, by the names that the environment has for them, in lower case."""

FORMATS = ("parquet", "dense", "jagged")


def arguments(
    *,
    out: str | os.PathLike[str],
    date: DateLike | None,
    start: DateLike | None,
    end: DateLike | None,
    formats: str | Iterable[str],
    shard_rows: int | None,
    shards: int | None,
    memory: int | str | None,
    config: Config | None = None,
    spill_dir: str | os.PathLike[str] | None,
    store_options: StoreOptions | None = None,
    **others: object,
) -> dict[str, object]:
    """The options as Rust takes them.

    Raises:
        OptionError: options that exclude each other, or are no numbers.
    """
    first, last = _range(date, start, end)
    if shards is not None and shard_rows is not None:
        raise OptionError("shards: it excludes shard_rows; give one of them")
    given = {
        "out": os.fsdecode(os.path.expanduser(out)),
        "start": _iso(first),
        "end": _iso(last),
        "formats": [formats] if isinstance(formats, str) else list(formats),
        "shard_rows": 131_072 if shard_rows is None else shard_rows,
        "shards": shards,
        "memory": None if memory is None else str(memory),
        "description": description(config),
        "spill_dir": None if spill_dir is None else os.fsdecode(os.path.expanduser(spill_dir)),
        "store_options": store_settings(store_options),
        # Spark reads CSV itself.
        "csv_escape": None,
        **others,
    }
    for name in ("history", "lookback_days", "shard_rows", "shards", "threads"):
        value = given[name]
        if value is not None and not (isinstance(value, numbers.Integral) and 0 <= int(value) < 1 << 32):
            raise OptionError(f"{name}: expected a whole number, found {value!r}")
    return given


def store_settings(options: StoreOptions | None) -> list[tuple[str, str]]:
    """Settings of object stores as Rust takes them: as texts, a bool in lower case."""
    return [(name, str(value).lower() if isinstance(value, bool) else str(value)) for name, value in (options or {}).items()]


def on_disk(
    path: str | os.PathLike[str],
    cache_dir: str | os.PathLike[str] | None,
    cache_limit: int | str | None,
    store_options: StoreOptions | None,
) -> str | os.PathLike[str]:
    """The days at a path, on this machine: those at an address in an object store are fetched."""
    path = os.path.expanduser(path)
    if not _native.is_in_store(path):
        return path
    folder = None if cache_dir is None else os.path.expanduser(cache_dir)
    limit = None if cache_limit is None else str(cache_limit)
    return _native.fetch(path, folder, limit, store_settings(store_options))


def description(config: Config | None) -> dict[str, str | None] | None:
    """A description as Rust takes it: its text, and the file that it was in; tasks on other machines need not have that."""
    if config is None:
        return None
    if isinstance(config, Mapping):
        if not config:
            raise OptionError("config: it is empty; give a description, or leave it out for the built-in tables")
        try:
            return {"file": None, "text": json.dumps(config)}
        except TypeError as error:
            raise OptionError(f"config: {error}; a description holds texts, numbers, lists and dicts") from None
    path = os.fsdecode(os.path.expanduser(config))
    try:
        return {"file": path, "text": Path(path).read_text("utf-8")}
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"config: cannot read `{path}`: {error}") from None


def named_tables(built_in: Mapping[str, Any], config: Config | None, tables: Mapping[str, Any] | None) -> dict[str, Any]:
    """The tables that are given, by name: the built-in ones, or those of a description.

    Raises:
        OptionError: both are given, or tables without a description.
    """
    known = {name: table for name, table in built_in.items() if table is not None}
    if config is None:
        if tables is not None:
            raise OptionError("tables: they are those of a description: give `config` too, or the built-in tables by their names")
        return known
    if known:
        raise OptionError(f"{next(iter(known))}: it is a built-in table, and `config` describes others; give them as `tables`")
    return dict(tables or {})


def folder(config: Config | None) -> str | None:
    """From where on the paths of a description are: its file's folder, or the current one."""
    if config is None:
        return None
    return "" if isinstance(config, Mapping) else os.path.dirname(os.fsdecode(os.path.expanduser(config)))


def manifests(given: dict[str, object]) -> list[Manifest]:
    """The manifest of each format of each day that these options ask for, once they are built."""
    first, last = (datetime.date.fromisoformat(str(given[name])) for name in ("start", "end"))
    days = [first + datetime.timedelta(day) for day in range((last - first).days + 1)]
    names, out = given["formats"], str(given["out"])
    assert isinstance(names, list), "a list is what `arguments` makes of it"
    if _native.is_in_store(out):
        settings = given["store_options"]
        assert isinstance(settings, list), "a list is what `arguments` makes of it"
        texts = _native.remote_manifests(out, [name for name in FORMATS if name in names], [str(day) for day in days], settings)
        found = [Manifest.parse(Path(out), text) for text in texts]
        return sorted(found, key=lambda manifest: manifest.date)
    folders = [Path(out, name, f"dt={day}") for day in days for name in FORMATS if name in names]
    return [Manifest.parse(folder, _native.manifest(folder)) for folder in folders]


def _iso(day: DateLike) -> str:
    """A day as Rust and Python alike read it; what is none is left to Rust, which says so."""
    return str(day).removeprefix("dt=")


def _range(date: DateLike | None, start: DateLike | None, end: DateLike | None) -> tuple[DateLike, DateLike]:
    if date is not None and start is None and end is None:
        return date, date
    if date is None and start is not None and end is not None:
        return start, end
    raise OptionError("date: name the day to build, or the first and the last with start and end")

"""`check`: what is understood of tables, before anything is built of them."""

from __future__ import annotations

import json
import numbers
from collections.abc import Mapping
from typing import Any

from shardback import _native
from shardback.building import TABLES, Table, refuse_one_as_two
from shardback.errors import OptionError
from shardback.options import Config, StoreOptions, description, folder, named_tables, store_settings
from shardback.sources import source


def check(
    *,
    impressions: Table | None = None,
    clicks: Table | None = None,
    add_to_carts: Table | None = None,
    previous_orders: Table | None = None,
    config: Config | None = None,
    tables: Mapping[str, Table] | None = None,
    rows: int = 100_000,
    item_dtype: str | None = None,
    day_zone: str | None = None,
    csv_escape: str | None = None,
    store_options: StoreOptions | None = None,
) -> dict[str, Any]:
    """Reads a little of every table, as `build` would, and says what was understood and what looks wrong. Writes nothing.

    Bad rows are shown, and no error. A stream that can be read only once is used up.

    Args:
        impressions: as for `build`, and so are the other tables, `config` and `tables`.
        clicks: as for `build`.
        add_to_carts: as for `build`.
        previous_orders: as for `build`.
        config: a description of other tables: a file in TOML or JSON, or a dict with what such a file says.
        tables: the tables of the description by name; those that are not here lie where it says.
        rows: about how many rows of each table are read at most, spread over its files; of a stream the first ones.
        item_dtype: `i32` or `i64`: items that do not fit are bad; as a build has it if not given.
        day_zone: the time zone in which the days of timestamps count.
        csv_escape: what comes before a quote within quotes of a CSV file.
        store_options: as for `build`.

    Returns:
        What `shardback check --json` prints: `tables`, `customers` and `warnings`, each of which has a `kind`, a `table` and a
        `problem`.

    Raises:
        OptionError: an argument makes no sense.
        InputError: a table cannot be used.
        IoError: the system refused something.
        TypeError: a table is neither a path nor yields Arrow.
    """
    if isinstance(rows, bool) or not isinstance(rows, numbers.Integral) or not 0 <= rows < 1 << 63:
        raise OptionError(f"rows: expected a whole number, found {rows!r}")
    given = {
        "description": description(config),
        "item_dtype": item_dtype,
        "day_zone": day_zone,
        "csv_escape": csv_escape,
        "store_options": store_settings(store_options),
        "rows": int(rows),
    }
    built_in = dict(zip(TABLES, (impressions, clicks, add_to_carts, previous_orders), strict=True))
    named = named_tables(built_in, config, tables)
    refuse_one_as_two(named)
    sources = [(name, source(name, table)) for name, table in named.items()]
    report: dict[str, Any] = json.loads(_native.check(sources, given, folder(config)))
    return report

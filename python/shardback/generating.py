"""`generate`: synthetic tables."""

from __future__ import annotations

import numbers
import os
from dataclasses import dataclass

from shardback import _native
from shardback.errors import OptionError
from shardback.options import DateLike


@dataclass(frozen=True, slots=True)
class Generated:
    """What was made: rows of the tables of actions, rows of impressions, the items in those, and how many files of how many bytes."""

    actions: int
    impression_rows: int
    samples: int
    files: int
    bytes: int


def generate(
    out: str | os.PathLike[str],
    *,
    customers: int | None = None,
    mean_actions: float | None = None,
    sigma: float | None = None,
    days: int | None = None,
    impression_days: int | None = None,
    rows_per_day: int | None = None,
    slate: float | None = None,
    items: int | None = None,
    last_day: DateLike | None = None,
    seed: int | None = None,
    late_share: float | None = None,
    giant_share: float | None = None,
    cold_share: float | None = None,
    format: str = "parquet",
    described: bool = False,
) -> Generated:
    """Makes synthetic tables of any size: heavy-tailed, seeded, the same bytes each time. `shardback generate --help` has the defaults.

    Args:
        out: a folder that is new or empty.
        customers: customers that may act.
        mean_actions: actions of a customer, on average.
        sigma: how unevenly customers act: 0 makes them alike, 1.6 gives a heavy tail.
        days: days of actions.
        impression_days: how many of the last days have impressions.
        rows_per_day: impression rows a day.
        slate: items of an impression row, on average.
        items: distinct items.
        last_day: the last day of all tables.
        seed: other seeds give other tables of the same shape.
        late_share: the share of clicks and add-to-carts that arrive up to three days after their time.
        giant_share: the share of all actions that one enormous customer has.
        cold_share: the share of impression rows that go to customers without any action.
        format: `parquet` or `json`.
        described: more columns, and a description of them, `out`/shop.toml, with a cut-off at the time.

    Raises:
        OptionError: an argument makes no sense, or `out` is not empty.
        IoError: writing failed; what has been written is left there.
    """
    whole = {
        "customers": (customers, 64),
        "days": (days, 32),
        "impression_days": (impression_days, 32),
        "rows_per_day": (rows_per_day, 64),
        "items": (items, 64),
        "seed": (seed, 64),
    }
    for name, (value, bits) in whole.items():
        if value is not None and not (isinstance(value, numbers.Integral) and 0 <= value < 1 << bits):
            raise OptionError(f"{name}: expected a whole number, found {value!r}")
    given = {
        **{name: None if value is None else int(value) for name, (value, _) in whole.items()},
        "mean_actions": mean_actions,
        "sigma": sigma,
        "slate": slate,
        "late_share": late_share,
        "giant_share": giant_share,
        "cold_share": cold_share,
        "last_day": None if last_day is None else str(last_day),
        "format": format,
        "described": described,
    }
    return Generated(*_native.generate(os.path.expanduser(out), given))

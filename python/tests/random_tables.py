"""Random tables with everything that the contract has to say something about."""

from __future__ import annotations

import datetime
import pathlib
import random

import pyarrow as pa
import pyarrow.parquet as parquet

DAYS = [datetime.date(2025, 8, 14) + datetime.timedelta(day) for day in range(3)]
Tables = dict[str, pathlib.Path]

SLATE = pa.list_(pa.struct([("item_id", pa.int64()), ("is_order", pa.bool_())]))
CUSTOMERS = [*range(40), -7, 2**62, -(2**63), 2**63 - 1]
GIANT = 3


def write(folder: pathlib.Path, seed: int, actions: int = 1500, giant: float = 0.0, bad: bool = False) -> Tables:
    """Writes the four tables as Parquet, each in some files; `bad` rows break the contract here and there.

    Few customers, items and times, so that ties are common; late arrivals, null times, items of 0 and below, duplicates,
    customers without actions and some without impressions; days of different size; days as text in both spellings.
    """
    chance = random.Random(seed)

    def day_text(day: datetime.date) -> str:
        return chance.choice([str(day), f"dt={day}"])

    def bad_or(value: object, *wrong: object) -> object:
        return chance.choice(wrong) if bad and chance.random() < 0.01 else value

    def spoiled_day(day: datetime.date) -> object:
        return bad_or(day_text(day), None, "soon", "2025-02-31", "0000-01-01", "2025-8-5", f" {day}")

    shown = []
    for place, day in enumerate([DAYS[0] - datetime.timedelta(2), *DAYS, DAYS[-1] + datetime.timedelta(1)]):
        for _ in range(40 + 30 * place):
            items = [
                {"item_id": bad_or(chance.randrange(-2, 9), None, 2**31), "is_order": bad_or(chance.random() < 0.3, None)}
                for _ in range(chance.randrange(4))
            ]
            customer = bad_or(chance.choice(CUSTOMERS[4:]), None)
            shown.append((spoiled_day(day), customer, None if chance.random() < 0.05 else items))

    def action(timed: bool) -> tuple[object, ...]:
        day = DAYS[-1] - datetime.timedelta(chance.randrange(-1, 9))
        # Half of the days late, now and then early; some times are not known.
        clock = day - datetime.timedelta(chance.choice([0, 0, 0, 0, 1, 3, -1]))
        midnight = datetime.datetime(clock.year, clock.month, clock.day, tzinfo=datetime.timezone.utc)
        time = None if chance.random() < 0.05 else midnight + datetime.timedelta(hours=chance.choice([0, 9, 9, 23]))
        customer = GIANT if chance.random() < giant else chance.choice(CUSTOMERS[:36])
        item = bad_or(chance.randrange(-2, 9), None, -(2**31) - 1)
        if timed:
            return spoiled_day(day), bad_or(customer, None), item, time
        return bad_or(day, None), bad_or(customer, None), item

    zoned, naive = pa.timestamp("us", tz="UTC"), pa.timestamp("us")
    schemas = {
        "impressions": [("dt", pa.string()), ("customer_id", pa.int64()), ("impressions", SLATE)],
        "clicks": [("dt", pa.string()), ("customer_id", pa.int64()), ("item_id", pa.int64()), ("click_time", zoned)],
        "add_to_carts": [("dt", pa.string()), ("customer_id", pa.int64()), ("config_id", pa.int64()), ("occurred_at", naive)],
        "previous_orders": [("order_date", pa.date32()), ("customer_id", pa.int64()), ("config_id", pa.int64())],
    }
    rows: dict[str, list[tuple[object, ...]]] = {
        "impressions": shown,
        "clicks": [action(True) for _ in range(actions)],
        "add_to_carts": [without_zone(action(True)) for _ in range(actions // 4)],
        "previous_orders": [action(False) for _ in range(actions // 10)],
    }
    for name, columns in schemas.items():
        schema = pa.schema(columns)
        for part in range(3):
            records = [dict(zip(schema.names, row)) for row in rows[name][part::3]]
            (folder / name).mkdir(parents=True, exist_ok=True)
            parquet.write_table(pa.Table.from_pylist(records, schema), folder / name / f"{part}.parquet")
    return {name: folder / name for name in schemas}


def without_zone(row: tuple[object, ...]) -> tuple[object, ...]:
    time = row[-1]
    return (*row[:-1], time.replace(tzinfo=None) if isinstance(time, datetime.datetime) else None)

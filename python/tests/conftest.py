"""Small tables in which every sample shows an item of its own, so that an item names its row; and days built from them."""

from __future__ import annotations

import csv
import datetime
import pathlib
import random
from collections.abc import Iterable

import pytest

import shardback

DAYS = [datetime.date(2025, 8, 14) + datetime.timedelta(day) for day in range(3)]
HISTORY = 20
ROWS = {DAYS[0]: 403, DAYS[1]: 250, DAYS[2]: 331}
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def write(path: pathlib.Path, columns: list[str], rows: Iterable[Iterable[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


def write_tables(folder: pathlib.Path) -> None:
    """120 customers, a fifth of them without actions, some with many more than K."""
    chance = random.Random(5)
    samples = [
        (day, chance.randrange(120), 1000 * (1 + place) + row, chance.random() < 0.2)
        for place, day in enumerate(DAYS)
        for row in range(ROWS[day])
    ]
    write(folder / "impressions.csv", ["dt", "customer_id", "item_id", "is_order"], samples)

    def action(item: str) -> tuple[object, ...]:
        customer = min(int(chance.expovariate(1 / 25)), 95)
        day = DAYS[-1] - datetime.timedelta(chance.randrange(1, 20))
        time = f"{day}T{chance.randrange(24):02}:{chance.randrange(60):02}:00Z"
        return {"order": (day, customer, chance.randrange(1, 500))}.get(item, (day, customer, chance.randrange(-5, 500), time))

    write(folder / "clicks.csv", ["dt", "customer_id", "item_id", "click_time"], (action("click") for _ in range(2500)))
    write(folder / "carts.csv", ["dt", "customer_id", "config_id", "occurred_at"], (action("cart") for _ in range(300)))
    write(folder / "orders.csv", ["order_date", "customer_id", "config_id"], (action("order") for _ in range(100)))


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pathlib.Path]:
    """The four tables by the names of `build`'s arguments."""
    folder = tmp_path_factory.mktemp("tables")
    write_tables(folder)
    names = {"impressions": "impressions", "clicks": "clicks", "add_to_carts": "carts", "previous_orders": "orders"}
    return {name: folder / f"{file}.csv" for name, file in names.items()}


def build(tables: dict[str, pathlib.Path], out: pathlib.Path, **options: object) -> list[shardback.Manifest]:
    chosen = {"start": DAYS[0], "end": DAYS[-1], "formats": ["dense", "jagged"], "history": HISTORY, "shards": 3, **options}
    return shardback.build(**tables, out=out, **chosen)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def out(tables: dict[str, pathlib.Path], tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Three days, dense and jagged, three shards each."""
    folder = tmp_path_factory.mktemp("days") / "out"
    build(tables, folder)
    return folder


@pytest.fixture(scope="session")
def wide(tables: dict[str, pathlib.Path], tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The same days with items of 64 bits."""
    folder = tmp_path_factory.mktemp("wide") / "out"
    build(tables, folder, item_dtype="i64", formats="jagged")
    return folder

"""Tables with a planted signal, for the example: customers buy what belongs to the themes that they have acted on before.

Each item belongs to one theme, which no table tells. An item is ordered often where its theme is one of the customer's, and
hardly ever where it is not; some items sell better than others to everyone. So the item alone tells a little, and the item
together with the history tells a lot.
"""

from __future__ import annotations

import csv
import datetime
from collections.abc import Iterable
from pathlib import Path

import numpy as np

THEMES = 8
THEMES_OF_A_CUSTOMER = 2
LAST_DAY = datetime.date(2025, 8, 16)
DAYS_OF_ACTIONS = 20


def write_tables(folder: Path, *, customers: int, items: int, days: int, rows: int, seed: int = 0) -> None:
    """Impressions of the last `days` days, `rows` samples each, and the clicks and orders of the last 20, as CSV."""
    random = np.random.default_rng(seed)
    # Ids as a shop has them: large, and with gaps.
    ids = random.choice(1 << 30, items, replace=False)
    themes = random.integers(0, THEMES, items)
    appeal = random.uniform(0.4, 1.0, items)
    liked = np.array([random.choice(THEMES, THEMES_OF_A_CUSTOMER, replace=False) for _ in range(customers)])
    by_theme = [np.flatnonzero(themes == theme) for theme in range(THEMES)]

    def draw(who: int, share_liked: float) -> int:
        """An item, of a theme that the customer likes with the given chance, else of any."""
        if random.random() < share_liked:
            return int(random.choice(by_theme[random.choice(liked[who])]))
        return int(random.integers(items))

    def samples() -> Iterable[tuple[object, ...]]:
        for back in reversed(range(days)):
            day = LAST_DAY - datetime.timedelta(back)
            for who in random.integers(0, customers, rows):
                item = draw(who, 0.4)
                chance = 0.6 if themes[item] in liked[who] else 0.03
                yield day, who, ids[item], random.random() < chance * appeal[item]

    def actions(count: int) -> Iterable[tuple[object, ...]]:
        for who in random.integers(0, customers, count):
            day = LAST_DAY - datetime.timedelta(int(random.integers(DAYS_OF_ACTIONS)) + 1)
            yield day, who, ids[draw(who, 0.8)], f"{day}T{random.integers(24):02}:{random.integers(60):02}:00Z"

    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "impressions.csv", ("dt", "customer_id", "item_id", "is_order"), samples())
    write(folder / "clicks.csv", ("dt", "customer_id", "item_id", "click_time"), actions(20 * customers))
    orders = (row[:3] for row in actions(2 * customers))
    write(folder / "previous_orders.csv", ("order_date", "customer_id", "config_id"), orders)


def write(path: Path, columns: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)

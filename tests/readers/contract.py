"""The contract in plain Python: slow, obvious, and independent of the program.

Reads the four tables of a folder and works out the rows that each day has to have, in the order they have to have.
"""

import csv
import datetime
import gzip
import io
import json
import pathlib
import re

import pyarrow as pa
import pyarrow.parquet as pq

CLICK, ADD_TO_CART, ORDER = 1, 2, 3
MASK = 2**64 - 1
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)")


def data_files(table: pathlib.Path):
    """The files of a table, without what starts with `_` or `.`."""
    for path in sorted(table.rglob("*")):
        if path.is_file() and not any(part[0] in "_." for part in path.relative_to(table).parts):
            yield path


def micros_of_text(text):
    seconds, fraction, zone = RFC3339.fullmatch(text).groups()
    moment = datetime.datetime.fromisoformat(seconds + ("+00:00" if zone == "Z" else zone))
    whole = (moment - EPOCH) // datetime.timedelta(seconds=1)
    return whole * 1_000_000 + int((fraction or "").ljust(6, "0")[:6])


def micros_of_column(column):
    """A timestamp column as microseconds, rounded down: `//` also rounds negative numbers down."""
    per_unit = {"s": (1_000_000, 1), "ms": (1_000, 1), "us": (1, 1), "ns": (1, 1_000)}
    factor, divisor = per_unit[column.type.unit]
    return [None if value is None else value * factor // divisor for value in column.cast(pa.int64()).to_pylist()]


def rows_of_file(path):
    """The rows of a file as dictionaries; times as microseconds, or as text in text formats."""
    if path.suffix == ".parquet":
        table = pq.ParquetFile(path).read()
        columns = {
            name: micros_of_column(column) if pa.types.is_timestamp(column.type) else column.to_pylist()
            for name, column in zip(table.column_names, table.columns)
        }
        return [dict(zip(columns, values)) for values in zip(*columns.values())]
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    elif path.suffix == ".zst":
        data = pa.input_stream(pa.py_buffer(data), compression="zstd").read()
    kind = path.with_suffix("").suffix if path.suffix in (".gz", ".zst") else path.suffix
    text = io.StringIO(data.decode(), newline="")
    if kind == ".csv":
        return [{name: value or None for name, value in row.items()} for row in csv.DictReader(text)]
    return [json.loads(line) for line in text]


def rows_of_table(table: pathlib.Path, day_column):
    """(day, row) of every row; a day in the path wins over the column."""
    for path in data_files(table):
        prefix = f"{day_column}="
        in_path = [part.removeprefix(prefix) for part in path.parts if part.startswith(prefix)]
        for row in rows_of_file(path):
            day = in_path[-1] if in_path else row[day_column]
            if not isinstance(day, datetime.date):
                day = datetime.date.fromisoformat(day.removeprefix("dt="))
            yield day, row


def read_actions(root: pathlib.Path):
    """(customer, day, time in microseconds or None, item, type) of every action."""
    tables = [
        ("clicks", "dt", "item_id", "click_time", CLICK),
        ("add_to_carts", "dt", "config_id", "occurred_at", ADD_TO_CART),
        ("previous_orders", "order_date", "config_id", None, ORDER),
    ]
    for table, day_column, item_column, time_column, kind in tables:
        for day, row in rows_of_table(root / table, day_column):
            if time_column is None:
                time = (day - EPOCH.date()).days * 86_400_000_000
            else:
                time = row.get(time_column)
                time = micros_of_text(time) if isinstance(time, str) else time
            yield int(row["customer_id"]), day, time, int(row[item_column]), kind


def read_samples(root: pathlib.Path):
    """{day: [(customer, item, label)]}, in no order."""
    samples = {}
    for day, row in rows_of_table(root / "impressions", "dt"):
        customer = int(row["customer_id"])
        of_day = samples.setdefault(day, [])
        if "is_order" in row:
            label = row["is_order"]
            of_day.append((customer, int(row["item_id"]), label if isinstance(label, bool) else label == "true"))
        else:
            shown = row.get("impressions") or []
            of_day.extend((customer, element["item_id"], element["is_order"]) for element in shown)
    return samples


def newness(customer, action):
    """What actions are sorted by; a time that is not known is older than every other."""
    _, time, item, kind = action
    low = 2**32 - 1
    tie = ((item & low) * 2654435761 + (customer & low) + ((time or 0) & low)) & low
    return (time is not None, time or 0, -tie, item, kind)


def splitmix64(customer):
    z = (customer + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


class Contract:
    """What a folder of tables has to become."""

    def __init__(self, root: pathlib.Path):
        self.samples = read_samples(root)
        self.actions_of = {}
        for customer, day, time, item, kind in read_actions(root):
            self.actions_of.setdefault(customer, []).append((day, time, item, kind))

    def history(self, customer, day, length):
        """The customer's (item, type) before the day, newest first, at most `length` of them."""
        visible = [action for action in self.actions_of.get(customer, []) if action[0] < day]
        visible.sort(key=lambda action: newness(customer, action), reverse=True)
        return [(item, kind) for _, _, item, kind in visible[:length]]

    def shards(self, day, shards):
        """The samples of the day as lists of (customer, item, label), one per shard, in their order."""
        cut = [[] for _ in range(shards)]
        for sample in sorted(self.samples[day], key=lambda sample: (splitmix64(sample[0]), sample[1], sample[2])):
            cut[splitmix64(sample[0]) * shards >> 64].append(sample)
        return cut

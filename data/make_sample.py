#!/usr/bin/env python3
"""Writes data/sample: four small tables with every edge of the contract and no bad row. README.md says which is where.

Run it from anywhere with the packages of tests/readers/requirements.txt; the same versions give the same bytes.
"""

import csv
import datetime
import gzip
import json
import pathlib
import random
import shutil

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = pathlib.Path(__file__).resolve().parent / "sample"
FIRST_ACTION_DAY = datetime.date(2025, 8, 1)
IMPRESSION_DAYS = [datetime.date(2025, 8, day) for day in (13, 14, 15, 16)]
UTC = datetime.timezone.utc
DAY = 86_400_000_000  # in microseconds

CLICK, ADD_TO_CART, ORDER = 1, 2, 3

# Customers that stand for one edge each.
GIANT = 1001  # about 1,400 actions
EXACT = 1002  # 1,000 actions on the 14th, 1,001 on the 15th
TIES = 1003  # equal times, items and types
DUPLICATES = 1004  # the same action several times
NULL_TIMES = 1005  # actions whose time is not known
LATE = 1006  # actions that became known days after their time: no contiguous slice
ONLY_THAT_DAY = 1007  # acts on the days of its impressions only
AHEAD = 1008  # a clock ahead: a time after the day
ODD_ITEMS = 1009  # items 0, negative, and the ends of 32 bits
NANOSECONDS = 1010  # times that differ by less than a microsecond, also before 1970
NO_HISTORY = 1011  # never acts
ZERO_CUSTOMER = 0
NEGATIVE_CUSTOMER = -7
BEYOND_DOUBLES = 9_007_199_254_740_993  # 2^53 + 1: lost where a reader goes through a float
LARGEST, SMALLEST = 2**63 - 1, -(2**63)
REGULAR = [20_000 + 37 * number for number in range(45)]
EDGES = list(range(GIANT, NO_HISTORY + 1)) + [ZERO_CUSTOMER, NEGATIVE_CUSTOMER, BEYOND_DOUBLES, LARGEST, SMALLEST]

dice = random.Random(20250816)


def august(day):
    return datetime.date(2025, 8, day)


def at(day, hour=12, minute=0, second=0, micros=0):
    """A time in August 2025, in nanoseconds since the epoch."""
    moment = datetime.datetime(2025, 8, day, hour, minute, second, tzinfo=UTC)
    return (int(moment.timestamp()) * 1_000_000 + micros) * 1_000


def sometime(day):
    midnight = int(datetime.datetime.combine(day, datetime.time(), UTC).timestamp()) * 1_000_000
    return (midnight + dice.randrange(DAY)) * 1_000


def some_item():
    """Few items are popular, so that histories repeat themselves."""
    return min(int(dice.paretovariate(0.5)), 5_000)


def actions():
    """(type, day, customer, item, nanoseconds since the epoch or None) of every action."""
    rows = []

    def add(kind, day, customer, item, time):
        rows.append((kind, day if isinstance(day, datetime.date) else august(day), customer, item, time))

    for customer in REGULAR + [ZERO_CUSTOMER, NEGATIVE_CUSTOMER, BEYOND_DOUBLES, LARGEST, SMALLEST]:
        for _ in range(min(int(dice.lognormvariate(2.8, 1.0)), 150)):
            day = FIRST_ACTION_DAY + datetime.timedelta(days=dice.randrange(17))
            kind = dice.choices([CLICK, ADD_TO_CART, ORDER], [85, 10, 5])[0]
            add(kind, day, customer, some_item(), sometime(day))
    for _ in range(1_400):
        day = FIRST_ACTION_DAY + datetime.timedelta(days=dice.randrange(16))
        add(dice.choices([CLICK, ADD_TO_CART], [95, 5])[0], day, GIANT, some_item(), sometime(day))
    for number in range(1_000):
        day = FIRST_ACTION_DAY + datetime.timedelta(days=number % 13)
        add(CLICK, day, EXACT, some_item(), sometime(day))
    add(CLICK, 14, EXACT, 77, at(14))

    for item in (5, 9, 7):
        add(CLICK, 10, TIES, item, at(10, 8))
        add(ADD_TO_CART, 10, TIES, item, at(10, 8))
    for kind in (CLICK, ADD_TO_CART, ORDER):  # An order is at midnight: here its day, type and time meet the others'.
        add(kind, 11, TIES, 6, at(11, 0))
    add(CLICK, 9, TIES, 3, at(10, 8))  # Another day, the same time.

    for _ in range(3):
        add(CLICK, 9, DUPLICATES, 40, at(9, 9, 30, 15, 123_456))
        add(ADD_TO_CART, 9, DUPLICATES, 40, at(9, 9, 30, 15, 123_456))
        add(ORDER, 9, DUPLICATES, 40, None)

    for item in (12, 30, 21):
        add(CLICK, 12, NULL_TIMES, item, None)
        add(ADD_TO_CART, 11, NULL_TIMES, item, None)
    add(CLICK, 12, NULL_TIMES, 1, at(12))
    add(CLICK, 12, NULL_TIMES, 2, -1_000)  # A microsecond before 1970 is still newer than a null.

    for day in range(2, 13):
        add(CLICK, day, LATE, 100 + day, at(day))
    for known, happened in ((14, 4), (14, 8), (15, 6), (15, 11), (15, 3), (16, 5)):
        add(CLICK, known, LATE, 200 + happened, at(happened, 18))
        add(ADD_TO_CART, known, LATE, 300 + happened, at(happened, 19))

    for day in (14, 16, 17):
        add(CLICK, day, ONLY_THAT_DAY, 50 + day, at(day, 0))
        add(ADD_TO_CART, day, ONLY_THAT_DAY, 60 + day, at(day, 1))
        add(ORDER, day, ONLY_THAT_DAY, 70 + day, None)

    add(CLICK, 13, AHEAD, 80, at(14, 10))
    add(CLICK, 13, AHEAD, 81, at(13, 23, 59, 59, 999_999))
    add(CLICK, 13, AHEAD, 82, at(20))

    for number, item in enumerate((0, -1, -(2**31), 2**31 - 1, 0)):
        add(CLICK, 7, ODD_ITEMS, item, at(7, 10, number))
        add(ADD_TO_CART, 7, ODD_ITEMS, item, at(7, 10, number))
        add(ORDER, 7, ODD_ITEMS, item, None)

    # The last three digits are cut off before anything is compared, so the item decides.
    for item, nanos in ((3, 999), (8, 1), (5, 500)):
        add(CLICK, 3, NANOSECONDS, item, at(3) + nanos)
        add(ADD_TO_CART, 3, NANOSECONDS, item + 10, at(3) + nanos)
    for item, nanos in ((1, -1), (4, -999), (2, -1_001), (9, 0)):  # Cut off means downwards, also before 1970.
        add(CLICK, 3, NANOSECONDS, item, nanos)

    dice.shuffle(rows)
    return rows


def write_parquet(path, columns, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, **{"compression": "snappy", **options})


def write_text(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode()
    if path.suffix == ".gz":
        data = gzip.compress(data, mtime=0)
    elif path.suffix == ".zst":
        data = pa.compress(data, codec="zstd", asbytes=True)
    path.write_bytes(data)


def time_column(rows, unit, zone):
    divisor = {"ms": 1_000_000, "us": 1_000, "ns": 1}[unit]
    return pa.array([None if row[4] is None else row[4] // divisor for row in rows], pa.timestamp(unit, tz=zone))


def ids(rows, place, width):
    return pa.array([row[place] for row in rows], width)


def fits(value, bits, signed=True):
    return -(2 ** (bits - 1)) <= value < 2 ** (bits - 1) if signed else 0 <= value < 2**bits


def write_clicks(rows):
    """A partition per day; some of them as other writers would write them."""
    folder = ROOT / "clicks"
    by_day = {}
    for row in rows:
        by_day.setdefault(row[1], []).append(row)
    for day, of_day in sorted(by_day.items()):
        path = folder / f"dt={day}" / "part-00000.parquet"
        customer, item, time = ids(of_day, 2, pa.int64()), ids(of_day, 3, pa.int32()), time_column(of_day, "us", "UTC")
        match day.day:
            case 2:  # Milliseconds without a zone.
                time = time_column(of_day, "ms", None)
            case 3:  # Nanoseconds.
                time = time_column(of_day, "ns", "UTC")
            case 4:  # Spark's old 96-bit timestamps.
                time = time_column(of_day, "ns", None)
            case 5:  # Another zone changes the clock on the wall, not the moment.
                time = time_column(of_day, "us", "Europe/Berlin")
            case 6:  # Microseconds without a zone, the columns in another order, one more than needed.
                time = time_column(of_day, "us", None)
        columns = {"customer_id": customer, "item_id": item, "click_time": time}
        if day.day == 4:
            write_parquet(path, columns, use_deprecated_int96_timestamps=True)
        elif day.day == 6:
            sessions = pa.array([f"s{number}" for number in range(len(of_day))])
            write_parquet(path, {"click_time": time, "session": sessions, "item_id": item, "customer_id": customer})
        elif day.day == 8:  # Narrow integers where they fit, wide ones in a second file.
            narrow = [row for row in of_day if fits(row[2], 32, signed=False) and fits(row[3], 16)]
            rest = [row for row in of_day if row not in narrow]
            write_parquet(
                path,
                {
                    "customer_id": ids(narrow, 2, pa.uint32()),
                    "item_id": ids(narrow, 3, pa.int16()),
                    "click_time": time_column(narrow, "ms", "UTC"),
                },
            )
            write_parquet(
                path.with_name("part-00001.parquet"),
                {
                    "customer_id": ids(rest, 2, pa.int64()),
                    "item_id": ids(rest, 3, pa.int64()),
                    "click_time": time_column(rest, "us", "UTC"),
                },
            )
        elif day.day == 9:  # The path has the day: what the column says does not count.
            write_parquet(path, {"dt": pa.array(["dt=1999-12-31"] * len(of_day)), **columns}, compression="zstd")
        elif day.day == 10:
            write_parquet(path, {"dt": pa.nulls(len(of_day), pa.string()), **columns}, compression="none")
        elif day.day == 12:  # Several row groups.
            write_parquet(path, {"dt": pa.array([f"dt={day}"] * len(of_day)), **columns}, row_group_size=50)
        else:
            write_parquet(path, {"dt": pa.array([f"dt={day}"] * len(of_day)), **columns})
    write_text(folder / "_SUCCESS", "")
    write_text(folder / "_temporary" / "0" / "part-00000.parquet", "half a file of a writer that died")


def rfc3339(nanos, number):
    """The same moment in the many ways that the RFC allows."""
    seconds, fraction = divmod(nanos, 1_000_000_000)
    hours = (0, 2, -5)[number % 3]
    zone = datetime.timezone(datetime.timedelta(hours=hours, minutes=30 if hours else 0))
    moment = datetime.datetime.fromtimestamp(seconds, UTC).astimezone(zone)
    digits = f"{fraction:09}".rstrip("0")
    digits = digits.ljust((0, 3, 6, 9)[number % 4], "0")
    suffix = "Z" if hours == 0 else moment.strftime("%z")[:3] + ":" + moment.strftime("%z")[3:]
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + ("." + digits if digits else "") + suffix


def write_add_to_carts(rows):
    """No partitions: the day is in the column, with and without its prefix."""
    lines = []
    for number, (_, day, customer, item, time) in enumerate(rows):
        record = {"dt": f"dt={day}" if number % 2 else f"{day}", "customer_id": customer, "config_id": item}
        if number % 5:
            record["simple_id"] = item * 10
        if time is not None:
            record["occurred_at"] = rfc3339(time, number)
        elif number % 2:
            record["occurred_at"] = None
        if number % 7 == 0:
            record["device"] = {"kind": "phone", "name": 'J\u00fcrgens "Handy"\n', "tags": [1, None, "a"]}
        if number % 3 == 0:
            record = dict(reversed(record.items()))
        lines.append(json.dumps(record, ensure_ascii=number % 2 == 0) + "\n")
    half = len(lines) // 2
    folder = ROOT / "add_to_carts"
    write_text(folder / "part-00000.json", "".join(lines[:half]))
    write_text(folder / "part-00001.json.gz", "".join(lines[half:]))


def write_previous_orders(rows):
    """Three formats in one folder; only days, no times."""
    folder = ROOT / "previous_orders"
    thirds = [rows[start::3] for start in range(3)]
    write_parquet(
        folder / "orders-1.parquet",
        {
            "order_date": pa.array([row[1] for row in thirds[0]], pa.date32()),
            "customer_id": ids(thirds[0], 2, pa.int64()),
            "config_id": ids(thirds[0], 3, pa.int64()),
        },
    )
    path = folder / "orders-2.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(["config_id", "note", "customer_id", "order_date"])
        for number, row in enumerate(thirds[1]):
            note = ("", "a gift, with a card", 'two\nlines and a "quote"')[number % 3]
            writer.writerow([row[3], note, row[2], row[1]])
    lines = [json.dumps({"order_date": str(row[1]), "customer_id": row[2], "config_id": row[3]}) for row in thirds[2]]
    write_text(folder / "orders-3.jsonl.zst", "\n".join(lines))  # No line feed at the end.


def slate(day):
    length = 0 if dice.random() < 0.1 else dice.randrange(1, 8)
    return [(some_item(), dice.random() < 0.15) for _ in range(length)]


def impressions(day):
    """(ranking, customer, list of (item, label) or None) of a day, the edges among them."""
    shown = dice.sample(REGULAR, 30) + EDGES + [30_001, 30_002]
    dice.shuffle(shown)
    rows = [(f"r-{day}-{number}", customer, slate(day)) for number, customer in enumerate(shown)]
    rows += [
        (f"r-{day}-null", GIANT, None),
        (f"r-{day}-empty", GIANT, []),
        (f"r-{day}-many", GIANT, [(item, False) for item in range(20, 0, -1)]),
        # The same item twice with the same label, and once with the other.
        (f"r-{day}-same", TIES, [(7, False), (7, True), (7, False)]),
        (f"r-{day}-odd", ODD_ITEMS, [(0, False), (-5, True), (-(2**31), False), (2**31 - 1, False)]),
    ]
    rows += [(f"r-{day}-edge-{customer}", customer, [(day.day, False)]) for customer in EDGES]
    return rows


def write_impressions():
    folder = ROOT / "impressions"
    first, second, third, fourth = (folder / f"dt={day}" for day in IMPRESSION_DAYS)
    element = pa.struct([("item_id", pa.int32()), ("is_order", pa.bool_())])
    records = lambda slate: None if slate is None else [{"item_id": item, "is_order": label} for item, label in slate]

    # A day that nobody asks for, and the first of those built: lists as Spark writes them, beside a checksum.
    for day, path in zip(IMPRESSION_DAYS[:2], (first, second)):
        rows = impressions(day)
        write_parquet(
            path / "part-00000.snappy.parquet",
            {
                "dt": pa.array([f"dt={day}"] * len(rows)),
                "ranking_id": pa.array([row[0] for row in rows]),
                "customer_id": ids(rows, 1, pa.int64()),
                "impressions": pa.array([records(row[2]) for row in rows], pa.list_(element)),
            },
        )
        write_text(path / ".part-00000.snappy.parquet.crc", "crc\0")

    # The second: 64-bit lists of wide items with a field too many, no ranking_id; and a file with a row per item.
    rows = impressions(IMPRESSION_DAYS[2])
    lists, flat = rows[::2], rows[1::2]
    wide = pa.struct([("is_order", pa.bool_()), ("position", pa.int8()), ("item_id", pa.int64())])
    write_parquet(
        third / "part-00000.parquet",
        {
            "customer_id": ids(lists, 1, pa.int64()),
            "impressions": pa.array([records(row[2]) for row in lists], pa.large_list(wide)),
        },
    )
    samples = [(row[1], item, label) for row in flat for item, label in row[2] or []]
    write_parquet(
        third / "part-00001.parquet",
        {
            "item_id": pa.array([sample[1] for sample in samples], pa.int32()),
            "is_order": pa.array([sample[2] for sample in samples], pa.bool_()),
            "customer_id": pa.array([sample[0] for sample in samples], pa.int64()),
        },
    )

    # The third: the same two shapes as text.
    rows = impressions(IMPRESSION_DAYS[3])
    lists, flat = rows[::2], rows[1::2]
    lines = []
    for number, (ranking, customer, shown) in enumerate(lists):
        record = {"ranking_id": ranking, "customer_id": customer, "impressions": records(shown)}
        if not shown and number % 2:
            del record["impressions"]
        lines.append(json.dumps(record) + "\n")
    write_text(fourth / "part-00000.json", "".join(lines))
    text = "customer_id,item_id,is_order\n"
    text += "".join(f"{row[1]},{item},{str(label).lower()}\n" for row in flat for item, label in row[2] or [])
    write_text(fourth / "part-00001.csv", text)
    write_text(folder / "_SUCCESS", "")


def main():
    shutil.rmtree(ROOT, ignore_errors=True)
    rows = actions()
    write_clicks([row for row in rows if row[0] == CLICK])
    write_add_to_carts([row for row in rows if row[0] == ADD_TO_CART])
    write_previous_orders([row for row in rows if row[0] == ORDER])
    write_impressions()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes data/bad: one folder for each kind of bad input, each a tiny table. README.md says what is wrong with which.

Run it from anywhere with the packages of tests/readers/requirements.txt; the same versions give the same bytes.
"""

import datetime
import gzip
import io
import pathlib
import shutil

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = pathlib.Path(__file__).resolve().parent / "bad"
DAY = "2025-08-10"
NOON = datetime.datetime(2025, 8, 10, 12, tzinfo=datetime.timezone.utc)


def write(folder, name, data):
    path = ROOT / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def parquet(columns):
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def clicks(customers=(1, 2, 3), items=(10, 20, 30), days=(DAY,) * 3, customer=pa.int64(), item=pa.int32()):
    """Three clicks as Parquet, of which a test replaces what shall be wrong."""
    return parquet(
        {
            "dt": pa.array(days, pa.string()),
            "customer_id": pa.array(customers, customer),
            "item_id": pa.array(items, item),
            "click_time": pa.array([NOON] * 3, pa.timestamp("us", tz="UTC")),
        }
    )


def click(day=f'"{DAY}"', customer="1", item="10", time=f'"{DAY}T12:00:00Z"'):
    """A click as a line of JSON, each value as it stands there."""
    return f'{{"dt": {day}, "customer_id": {customer}, "item_id": {item}, "click_time": {time}}}\n'


def rows_of_clicks():
    write("null_customer", "clicks.parquet", clicks(customers=(1, None, 3)))
    write("null_item", "clicks.json", click() + click(item="null") + click())
    write("missing_item", "clicks.json", click() + click() + f'{{"dt": "{DAY}", "customer_id": 3}}\n')
    write("null_day", "clicks.parquet", clicks(days=(DAY, DAY, None)))
    write("null_day_in_path", "dt=__HIVE_DEFAULT_PARTITION__/clicks.json", click())
    write("unparsable_day", "clicks.json", click() + click(day='"2025-02-30"'))
    write("unparsable_day_in_path", "dt=yesterday/clicks.json", click())
    write("unparsable_time", "clicks.json", click() + click(time='"10 August, noon"'))
    write("time_as_number", "clicks.json", click() + click(time="1754827200"))
    write("customer_beyond_64_bits", "clicks.json", click() + click(customer="9223372036854775808"))
    unsigned = clicks(customers=(1, 2, 2**63), customer=pa.uint64())
    write("customer_beyond_64_bits_unsigned", "clicks.parquet", unsigned)
    write("item_beyond_32_bits", "clicks.parquet", clicks(items=(10, 2**31, 30), item=pa.int64()))
    write("item_below_32_bits", "clicks.json", click() + click(item="-2147483649"))


def rows_of_impressions():
    element = pa.struct([("item_id", pa.int32()), ("is_order", pa.bool_())])
    slates = [[{"item_id": 1, "is_order": False}], [{"item_id": 2, "is_order": True}, {"item_id": 3, "is_order": None}]]
    lists = {"customer_id": pa.array([1, 2]), "impressions": pa.array(slates, pa.list_(element))}
    write("null_label", "dt=2025-08-14/impressions.parquet", parquet(lists))
    write("null_label_flat", "dt=2025-08-14/impressions.csv", "customer_id,item_id,is_order\n1,10,true\n2,20,\n")


def columns():
    whole = {"dt": [DAY], "customer_id": [1], "item_id": [10], "click_time": [NOON]}
    write("missing_column", "clicks.parquet", parquet({name: whole[name] for name in whole if name != "item_id"}))
    write("wrong_type_parquet", "clicks.parquet", parquet({**whole, "customer_id": [True]}))
    write("time_as_integer_parquet", "clicks.parquet", parquet({**whole, "click_time": [1_754_827_200]}))
    write("wrong_type_json", "clicks.json", click() + click(customer='"abc"'))
    write("fraction_as_customer", "clicks.json", click() + click(customer="1.5"))
    midnight = datetime.datetime(2025, 8, 9, 22, tzinfo=datetime.timezone.utc)
    sink = io.BytesIO()
    # Without the Arrow schema, as Spark writes it: that the time is kept in UTC is all that the file says.
    pq.write_table(pa.table({**whole, "dt": [midnight]}), sink, store_schema=False)
    write("instant_as_day", "clicks.parquet", sink.getvalue())
    write("column_twice", "clicks.csv", f"dt,customer_id,item_id,click_time,item_id\n{DAY},1,10,{DAY}T12:00:00Z,11\n")
    write("key_twice", "clicks.json", click() + click().replace("}", ', "item_id": 11}'))


def files():
    whole = clicks()
    write("truncated_parquet", "clicks.parquet", whole[: len(whole) // 2])
    write("garbage_parquet", "clicks.parquet", b"PAR1" + bytes(range(256)) + b"PAR1")
    write("empty_parquet", "clicks.parquet", b"")
    write("broken_json", "clicks.json", click() + click()[:40] + "\n" + click())
    write("json_no_object", "clicks.json", click() + '["2025-08-10", 1, 10]\n')
    header = "dt,customer_id,item_id,click_time\n"
    write("ragged_csv", "clicks.csv", header + f"{DAY},1,10,{DAY}T12:00:00Z\n{DAY},2,20\n")
    packed = gzip.compress("".join(click(customer=str(number)) for number in range(200)).encode(), mtime=0)
    write("truncated_gz", "clicks.json.gz", packed[: len(packed) // 2])
    write("garbage_gz", "clicks.json.gz", b"this was never compressed\n")
    write("behind_gz", "clicks.json.gz", packed + b"more\n")
    write("parquet_named_json", "clicks.json", whole)
    write("utf16_csv", "clicks.csv", (header + f"{DAY},1,10,{DAY}T12:00:00Z\n").encode("utf-16"))
    inches = "".join(f'{DAY},{number},10,{DAY}T12:00:00Z,"tv 15\\""\n' for number in (1, 2, 3))
    write("escaped_quotes_csv", "clicks.csv", "dt,customer_id,item_id,click_time,query\n" + inches)
    endless = bytes([0xF9, 0xF1, 0xFF, 0xFF, 0xFF, 0xFF, 0x07, 0])
    write("endless_footer", "clicks.parquet", b"PAR1" + endless + len(endless).to_bytes(4, "little") + b"PAR1")
    write("two_forms", "clicks.json", click())
    write("two_forms", "clicks.json.gz", gzip.compress(click().encode(), mtime=0))
    write("delta", "_delta_log/00000000000000000000.json", '{"commitInfo":{}}\n')
    write("delta", "clicks.parquet", whole)
    write("unknown_format", "clicks.xlsx", b"PK\x03\x04")
    write("no_files", "_SUCCESS", b"")
    # In Latin-1 the character is the byte 0xff, which UTF-8 never has.
    write("invalid_utf8_json", "clicks.json", (click() + click(time='"\u00ff"')).encode("latin-1"))
    write("invalid_utf8_csv", "clicks.csv", (header + f"{DAY},1,10,\u00ff\n").encode("latin-1"))


def main():
    shutil.rmtree(ROOT, ignore_errors=True)
    rows_of_clicks()
    rows_of_impressions()
    columns()
    files()


if __name__ == "__main__":
    main()

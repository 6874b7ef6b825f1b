"""Tables in Parquet to the same tables in CSV, a line for each item that was shown.

csv_tables.py ROOT OUT
"""

import pathlib
import sys

import polars as pl

ROOT, OUT = map(pathlib.Path, sys.argv[1:])
TIME = "%Y-%m-%dT%H:%M:%S%.6fZ"

for file in sorted(ROOT.rglob("*.parquet")):
    table = pl.read_parquet(file, hive_partitioning=False)
    if "impressions" in table.columns:
        table = table.explode("impressions").unnest("impressions").filter(pl.col("item_id").is_not_null())
    table = table.with_columns(pl.col(pl.Datetime("us", "UTC")).dt.strftime(TIME))
    target = (OUT / file.relative_to(ROOT)).with_suffix(".csv")
    target.parent.mkdir(parents=True, exist_ok=True)
    table.write_csv(target)

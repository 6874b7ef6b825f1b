"""Days as padded rows in Parquet, by Polars: a sort, a group, a join."""

import os

from given import HISTORY, arguments

GIVEN = arguments(__doc__)
# Polars reads it when it is imported.
os.environ["POLARS_MAX_THREADS"] = str(GIVEN.threads)

import polars as pl  # noqa: E402

import polars_tables  # noqa: E402


def build(day):
    folder = GIVEN.out / f"dt={day}"
    folder.mkdir(parents=True)
    samples = polars_tables.samples(GIVEN, day)
    histories = polars_tables.histories(GIVEN, day, samples.select("customer_id").unique())
    zeros = {"actions": zero_list(pl.Int32), "action_types": zero_list(pl.UInt8)}
    padded = histories.with_columns(
        pl.concat_list(pl.col(name), zero).list.head(HISTORY).alias(name) for name, zero in zeros.items()
    )
    rows = samples.join(padded, on="customer_id", how="left")
    rows = rows.with_columns(pl.col(name).fill_null(zero) for name, zero in zeros.items())
    rows.sink_parquet(folder / "part-00000.parquet", compression=GIVEN.compression)


def zero_list(dtype):
    return pl.lit(pl.Series([[0] * HISTORY], dtype=pl.List(dtype)))


for each in GIVEN.days:
    build(each)

"""Days as padded rows in Parquet, by Polars, each request's history as it stood at its own time.

An as-of join finds one action and not the last K. So each customer's actions become one list, newest first, numbered from the oldest;
the as-of join finds the number of the newest action before a request, and that says where in the list its history begins.
"""

import os

from given import HISTORY, arguments

GIVEN = arguments(__doc__)
# Polars reads it when it is imported.
os.environ["POLARS_MAX_THREADS"] = str(GIVEN.threads)

import polars as pl  # noqa: E402

import polars_tables  # noqa: E402

# Requests whose lists are cut at a time: all of a day's would not fit into memory together.
REQUESTS = 4096


def build(day):
    folder = GIVEN.out / f"dt={day}"
    folder.mkdir(parents=True)
    samples = polars_tables.samples_at_time(GIVEN, day).collect()
    requests = samples.select("customer_id", "shown_at").unique().sort("shown_at")
    actions = polars_tables.actions_at_time(GIVEN, day, requests.lazy().select("customer_id").unique()).collect()
    oldest_first = actions.with_columns(number=pl.int_range(pl.len(), 0, -1).over("customer_id")).reverse()
    known = requests.join_asof(
        oldest_first.select("customer_id", "time", "number"),
        left_on="shown_at",
        right_on="time",
        by="customer_id",
        strategy="backward",
        allow_exact_matches=False,
        check_sortedness=False,
    )
    lists = actions.group_by("customer_id", maintain_order=True).agg("action", "action_type", total=pl.len())
    zeros = {"actions": zero_list(pl.Int32), "action_types": zero_list(pl.UInt8)}
    parts = []
    for some in known.iter_slices(REQUESTS):
        of_requests = some.join(lists, on="customer_id", how="left").with_columns(
            skipped=(pl.col("total") - pl.col("number")).cast(pl.Int64)
        )
        cut = of_requests.select(
            "customer_id",
            "shown_at",
            actions=pl.col("action").list.slice(pl.col("skipped"), HISTORY),
            action_types=pl.col("action_type").list.slice(pl.col("skipped"), HISTORY),
        )
        padded = cut.with_columns(
            pl.concat_list(pl.col(name).fill_null([]), zero).list.head(HISTORY).alias(name) for name, zero in zeros.items()
        )
        rows = samples.join(padded, on=["customer_id", "shown_at"], how="inner")
        rows.write_parquet(folder / f"part-{len(parts):05}.parquet", compression=GIVEN.compression)
        parts.append(rows.height)


def zero_list(dtype):
    return pl.lit(pl.Series([[0] * HISTORY], dtype=pl.List(dtype)))


for each in GIVEN.days:
    build(each)

"""The tables in Polars, lazily: samples of a day, and the newest actions of their customers."""

import datetime

import polars as pl

from given import HISTORY, before_day, on_day, whole

SLATE = pl.List(pl.Struct({"item_id": pl.Int32, "is_order": pl.Boolean}))
JSON_SCHEMAS = {
    "impressions": {"customer_id": pl.Int32, "impressions": SLATE},
    "clicks": {"customer_id": pl.Int32, "item_id": pl.Int32, "click_time": pl.String},
    "add_to_carts": {"customer_id": pl.Int32, "config_id": pl.Int32, "occurred_at": pl.String},
    "previous_orders": {"customer_id": pl.Int32, "config_id": pl.Int32, "order_date": pl.String},
}

CSV_TYPES = dict.fromkeys(("customer_id", "item_id", "config_id"), pl.Int32)


def samples(given, day):
    """Customer, item and label of each impressed item."""
    impressions = _scan(given, "impressions", on_day(given.root, "impressions", day))
    if given.input == "csv":
        return impressions.select("customer_id", "item_id", "is_order")
    exploded = impressions.select("customer_id", "impressions").explode("impressions").unnest("impressions")
    return exploded.filter(pl.col("item_id").is_not_null())


def samples_at_time(given, day):
    """The same, with the time of the request."""
    impressions = _scan(given, "impressions", on_day(given.root, "impressions", day))
    items = impressions.select("customer_id", "shown_at", "impressions").explode("impressions").unnest("impressions")
    return items.filter(pl.col("item_id").is_not_null()).select("customer_id", "shown_at", "item_id", "is_order")


def histories(given, day, customers):
    """For each of the customers that have any: items and types of the newest actions, as two lists."""
    end = datetime.date.fromisoformat(day)
    files = {name: before_day(given.root, name, day) for name in ("clicks", "add_to_carts")}
    newest_first = _newest_first(given, customers, files, pl.col("order_date") < end, pl.col("order_date"))
    # Groups keep the order of their rows.
    return newest_first.group_by("customer_id").agg(
        pl.col("action").head(HISTORY).alias("actions"), pl.col("action_type").head(HISTORY).alias("action_types")
    )


def actions_at_time(given, day, customers):
    """All actions of the customers that are known by the day, newest first; those of a day without a time stand at its end."""
    end = datetime.date.fromisoformat(day)
    files = {name: before_day(given.root, name, day) + on_day(given.root, name, day) for name in ("clicks", "add_to_carts")}
    at_the_end = pl.col("order_date").cast(pl.Datetime("us")) + pl.duration(days=1, microseconds=-1)
    return _newest_first(given, customers, files, pl.col("order_date") <= end, at_the_end)


def _newest_first(given, customers, files, known, order_time):
    orders = _scan(given, "previous_orders", whole(given.root, "previous_orders"))
    order_date = pl.col("order_date") if given.input == "parquet" else pl.col("order_date").str.to_date()
    orders = orders.with_columns(order_date).filter(known)
    clicks, carts = _scan(given, "clicks", files["clicks"]), _scan(given, "add_to_carts", files["add_to_carts"])
    actions = pl.concat([
        _actions(clicks, "item_id", _time(given, "click_time"), 1),
        _actions(carts, "config_id", _time(given, "occurred_at"), 2),
        _actions(orders, "config_id", order_time.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"), 3),
    ])
    of_customers = actions.join(customers, on="customer_id", how="semi")
    return of_customers.sort("time", _tie(), "action", "action_type", descending=[True, False, True, True])


def _tie():
    """What orders the actions of one time."""
    low = pl.lit(2**32 - 1, pl.UInt64)
    item, customer, time = (
        pl.col(name).cast(pl.Int64).reinterpret(signed=False) & low for name in ("action", "customer_id", "time")
    )
    return (item * 2654435761 + customer + time) & low


def _scan(given, table, files):
    if given.input == "json":
        return pl.scan_ndjson(files, schema=JSON_SCHEMAS[table])
    if given.input == "csv":
        return pl.scan_csv(files, schema_overrides=CSV_TYPES)
    return pl.scan_parquet(files, hive_partitioning=False)


def _time(given, column):
    if given.input != "parquet":
        return pl.col(column).str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", time_zone="UTC")
    return pl.col(column)


def _actions(table, item, time, action_type):
    return table.select(
        "customer_id",
        pl.col(item).alias("action"),
        pl.lit(action_type, pl.UInt8).alias("action_type"),
        time.alias("time"),
    )

"""Days as padded rows in Parquet, by Spark on this machine: the newest of each customer in two steps, then a join.

Customers are split over SALTS groups each for the first step, as pipelines do where some have very long histories.
"""

from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as f

from given import HISTORY, arguments, before_day, on_day, whole

SALTS = 10
JSON_SCHEMAS = {
    "impressions": "customer_id int, impressions array<struct<item_id: int, is_order: boolean>>",
    "clicks": "customer_id int, item_id int, click_time timestamp",
    "add_to_carts": "customer_id int, config_id int, occurred_at timestamp",
    "previous_orders": "customer_id int, config_id int, order_date date",
}


def table(spark, name, files, form):
    if form == "json":
        return spark.read.schema(JSON_SCHEMAS[name]).json(files)
    return spark.read.parquet(*files)


def actions_of(table, item, time, action_type):
    # What orders actions of one time, descending. Items here have 31 bits, so the product fits.
    low = f.lit(2**32 - 1)
    tie = low - (f.col(item).cast("long") * 2654435761 + f.col("customer_id") + f.unix_micros(time).bitwiseAND(low)).bitwiseAND(low)
    action = f.struct(time.alias("time"), tie.alias("tie"), f.col(item).alias("item"), f.lit(action_type).alias("type"))
    return table.select("customer_id", action.alias("action"))


def build(spark, root, day, out, form="parquet", compression="snappy"):
    orders = table(spark, "previous_orders", whole(root, "previous_orders"), form).filter(f.col("order_date") < day)
    clicks = table(spark, "clicks", before_day(root, "clicks", day), form)
    carts = table(spark, "add_to_carts", before_day(root, "add_to_carts", day), form)
    actions = actions_of(clicks, "item_id", f.col("click_time"), 1)
    actions = actions.unionByName(actions_of(carts, "config_id", f.col("occurred_at"), 2))
    actions = actions.unionByName(actions_of(orders, "config_id", f.col("order_date").cast("timestamp"), 3))

    salted = actions.withColumn("salt", (f.rand(seed=1) * SALTS).cast("int"))
    newest = Window.partitionBy("customer_id", "salt").orderBy(f.col("action").desc())
    candidates = salted.withColumn("place", f.row_number().over(newest)).filter(f.col("place") <= HISTORY)
    collected = candidates.groupBy("customer_id").agg(f.collect_list("action").alias("actions"))
    histories = collected.withColumn("newest", f.slice(f.sort_array("actions", asc=False), 1, HISTORY))

    zeros = f.array_repeat(f.lit(0), HISTORY)
    padded = {
        "actions": f.slice(f.concat("newest.item", zeros), 1, HISTORY),
        "action_types": f.slice(f.concat("newest.type", zeros), 1, HISTORY),
    }
    histories = histories.select("customer_id", *(column.alias(name) for name, column in padded.items()))
    impressions = table(spark, "impressions", on_day(root, "impressions", day), form)
    samples = impressions.select("customer_id", f.inline("impressions"))
    rows = samples.join(histories, "customer_id", "left").select(
        "customer_id", "item_id", "is_order", *(f.coalesce(name, zeros).alias(name) for name in padded)
    )
    rows.write.option("compression", compression).parquet(str(out / f"dt={day}"))


def main():
    given = arguments(__doc__)
    session = (
        SparkSession.builder.master(f"local[{given.threads}]")
        .config("spark.driver.memory", "14g")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    for day in given.days:
        build(session, given.root, day, given.out, given.input, given.compression)
    session.stop()


if __name__ == "__main__":
    main()

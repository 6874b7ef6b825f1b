"""A day as padded rows in Parquet, by Spark, each request's history as it stood at its own time.

Each customer's actions become one sorted list, which is joined to the customer's requests; each takes what was before it.
"""

from pyspark.sql import functions as f

from given import HISTORY, before_day, on_day, whole
from spark_wide import actions_of, table


def build(spark, root, day, out, form="parquet", compression="snappy"):
    orders = table(spark, "previous_orders", whole(root, "previous_orders"), form).filter(f.col("order_date") <= day)
    files = {name: before_day(root, name, day) + on_day(root, name, day) for name in ("clicks", "add_to_carts")}
    clicks, carts = (table(spark, name, paths, form) for name, paths in files.items())
    # What has only a day counts from its end on.
    end_of_day = f.col("order_date").cast("timestamp") + f.expr("INTERVAL 1 DAY") - f.expr("INTERVAL 1 MICROSECOND")
    actions = actions_of(clicks, "item_id", f.col("click_time"), 1)
    actions = actions.unionByName(actions_of(carts, "config_id", f.col("occurred_at"), 2))
    actions = actions.unionByName(actions_of(orders, "config_id", end_of_day, 3))

    impressions = table(spark, "impressions", on_day(root, "impressions", day), form)
    requests = impressions.select("customer_id", "shown_at").distinct()
    wanted = actions.join(requests.select("customer_id").distinct(), "customer_id", "left_semi")
    lists = wanted.groupBy("customer_id").agg(f.sort_array(f.collect_list("action"), asc=False).alias("actions"))
    before = f.slice(f.filter("actions", lambda action: action["time"] < f.col("shown_at")), 1, HISTORY)
    of_requests = requests.join(lists, "customer_id", "left").select("customer_id", "shown_at", before.alias("newest"))

    zeros = f.array_repeat(f.lit(0), HISTORY)
    padded = {
        "actions": f.slice(f.concat("newest.item", zeros), 1, HISTORY),
        "action_types": f.slice(f.concat("newest.type", zeros), 1, HISTORY),
    }
    histories = of_requests.select("customer_id", "shown_at", *(column.alias(name) for name, column in padded.items()))
    samples = impressions.select("customer_id", "shown_at", f.inline("impressions"))
    rows = samples.join(histories, ["customer_id", "shown_at"], "left").select(
        "customer_id", "shown_at", "item_id", "is_order", *(f.coalesce(name, zeros).alias(name) for name in padded)
    )
    rows.write.option("compression", compression).parquet(str(out / f"dt={day}"))

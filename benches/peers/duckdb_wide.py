"""Days as padded rows in Parquet, by DuckDB: one statement for each day."""

import duckdb

from given import HISTORY, arguments, before_day, on_day, whole

GIVEN = arguments(__doc__)
JSON_COLUMNS = {
    "impressions": {"customer_id": "INTEGER", "impressions": "STRUCT(item_id INTEGER, is_order BOOLEAN)[]"},
    "clicks": {"customer_id": "INTEGER", "item_id": "INTEGER", "click_time": "TIMESTAMPTZ"},
    "add_to_carts": {"customer_id": "INTEGER", "config_id": "INTEGER", "occurred_at": "TIMESTAMPTZ"},
    "previous_orders": {"customer_id": "INTEGER", "config_id": "INTEGER", "order_date": "DATE"},
}
# The order of actions of one time, descending. Items here have 31 bits, so the product fits.
TIE = "4294967295 - ((item::BIGINT * 2654435761 + customer_id + (time & 4294967295)) & 4294967295)"


def table(name, files):
    if GIVEN.input == "json":
        return f"read_json({files}, format = 'newline_delimited', columns = {JSON_COLUMNS[name]})"
    return f"read_parquet({files}, hive_partitioning = false)"


def build(connection, day):
    folder = GIVEN.out / f"dt={day}"
    folder.mkdir(parents=True)
    impressions = table("impressions", on_day(GIVEN.root, "impressions", day))
    clicks = table("clicks", before_day(GIVEN.root, "clicks", day))
    add_to_carts = table("add_to_carts", before_day(GIVEN.root, "add_to_carts", day))
    previous_orders = table("previous_orders", whole(GIVEN.root, "previous_orders"))
    connection.execute(f"""
        COPY (
            WITH samples AS (
                SELECT customer_id, unnest(impressions, recursive := true) FROM {impressions}
            ),
            actions AS (
                SELECT customer_id, epoch_us(click_time) AS time, item_id AS item, 1::UTINYINT AS type FROM {clicks}
                UNION ALL
                SELECT customer_id, epoch_us(occurred_at), config_id, 2::UTINYINT FROM {add_to_carts}
                UNION ALL
                SELECT customer_id, epoch_us(order_date::TIMESTAMP), config_id, 3::UTINYINT
                FROM {previous_orders} WHERE order_date < DATE '{day}'
            ),
            histories AS (
                SELECT customer_id, list(a ORDER BY a DESC)[1:{HISTORY}] AS newest
                FROM (SELECT customer_id, {{'time': time, 'tie': {TIE}, 'item': item, 'type': type}} AS a FROM actions)
                SEMI JOIN samples USING (customer_id)
                GROUP BY customer_id
            ),
            padded AS (
                SELECT
                    customer_id,
                    list_resize(list_transform(newest, lambda a: a.item), {HISTORY}, 0) AS actions,
                    list_resize(list_transform(newest, lambda a: a.type), {HISTORY}, 0) AS action_types
                FROM histories
            )
            SELECT
                samples.customer_id, item_id, is_order,
                coalesce(actions, list_resize([0], {HISTORY}, 0)) AS actions,
                coalesce(action_types, list_resize([0::UTINYINT], {HISTORY}, 0)) AS action_types
            FROM samples LEFT JOIN padded USING (customer_id)
        ) TO '{folder}/part-00000.parquet' (FORMAT parquet, COMPRESSION {GIVEN.compression})
    """)


with duckdb.connect() as database:
    # The order of rows is nobody's concern here, and keeping it costs.
    database.execute(f"SET threads = {GIVEN.threads}; SET preserve_insertion_order = false")
    for each in GIVEN.days:
        build(database, each)

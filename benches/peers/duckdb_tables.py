"""The tables in DuckDB: statements for the samples of a day, and the newest actions of their customers."""

from given import HISTORY, before_day, on_day, whole

JSON_COLUMNS = {
    "impressions": {"customer_id": "INTEGER", "impressions": "STRUCT(item_id INTEGER, is_order BOOLEAN)[]"},
    "clicks": {"customer_id": "INTEGER", "item_id": "INTEGER", "click_time": "TIMESTAMPTZ"},
    "add_to_carts": {"customer_id": "INTEGER", "config_id": "INTEGER", "occurred_at": "TIMESTAMPTZ"},
    "previous_orders": {"customer_id": "INTEGER", "config_id": "INTEGER", "order_date": "DATE"},
}
CSV_TYPES = {
    "impressions": {"customer_id": "INTEGER", "item_id": "INTEGER", "is_order": "BOOLEAN"},
    "clicks": {"customer_id": "INTEGER", "item_id": "INTEGER", "click_time": "TIMESTAMPTZ"},
    "add_to_carts": {"customer_id": "INTEGER", "config_id": "INTEGER", "occurred_at": "TIMESTAMPTZ"},
    "previous_orders": {"customer_id": "INTEGER", "config_id": "INTEGER", "order_date": "DATE"},
}
# The order of actions of one time, descending. Items here have 31 bits, so the product fits.
TIE = "4294967295 - ((item::BIGINT * 2654435761 + customer_id + (time & 4294967295)) & 4294967295)"


def samples(given, day):
    """Customer, item and label of each impressed item."""
    impressions = _table(given, "impressions", on_day(given.root, "impressions", day))
    if given.input == "csv":
        return f"SELECT customer_id, item_id, is_order FROM {impressions}"
    return f"SELECT customer_id, unnest(impressions, recursive := true) FROM {impressions}"


def histories(given, day):
    """For each customer in `samples` that has any: the newest actions, newest first."""
    clicks = _table(given, "clicks", before_day(given.root, "clicks", day))
    add_to_carts = _table(given, "add_to_carts", before_day(given.root, "add_to_carts", day))
    previous_orders = _table(given, "previous_orders", whole(given.root, "previous_orders"))
    return f"""
        WITH actions AS (
            SELECT customer_id, epoch_us(click_time) AS time, item_id AS item, 1::UTINYINT AS type FROM {clicks}
            UNION ALL
            SELECT customer_id, epoch_us(occurred_at), config_id, 2::UTINYINT FROM {add_to_carts}
            UNION ALL
            SELECT customer_id, epoch_us(order_date::TIMESTAMP), config_id, 3::UTINYINT
            FROM {previous_orders} WHERE order_date < DATE '{day}'
        )
        SELECT customer_id, list(a ORDER BY a DESC)[1:{HISTORY}] AS newest
        FROM (SELECT customer_id, {{'time': time, 'tie': {TIE}, 'item': item, 'type': type}} AS a FROM actions)
        SEMI JOIN samples USING (customer_id)
        GROUP BY customer_id
    """


def settings(given):
    """What every connection is set to."""
    # The order of rows is nobody's concern here, and keeping it costs.
    return f"SET threads = {given.threads}; SET preserve_insertion_order = false"


def _table(given, name, files):
    if given.input == "json":
        return f"read_json({files}, format = 'newline_delimited', columns = {JSON_COLUMNS[name]})"
    if given.input == "csv":
        # With all columns said, DuckDB need not look at each file first.
        with open(files[0]) as first:
            columns = {column: CSV_TYPES[name].get(column, "VARCHAR") for column in first.readline().strip().split(",")}
        return f"read_csv({files}, header = true, auto_detect = false, columns = {columns})"
    return f"read_parquet({files}, hive_partitioning = false)"

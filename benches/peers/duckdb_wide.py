"""Days as padded rows in Parquet, by DuckDB: one statement for each day."""

import duckdb

import duckdb_tables
from given import HISTORY, arguments

GIVEN = arguments(__doc__)


def build(connection, day):
    folder = GIVEN.out / f"dt={day}"
    folder.mkdir(parents=True)
    connection.execute(f"""
        COPY (
            WITH samples AS ({duckdb_tables.samples(GIVEN, day)}),
            histories AS ({duckdb_tables.histories(GIVEN, day)}),
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
    database.execute(duckdb_tables.settings(GIVEN))
    for each in GIVEN.days:
        build(database, each)

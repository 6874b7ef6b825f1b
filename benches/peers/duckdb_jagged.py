"""Days as two Parquet files, samples and histories without padding, by DuckDB: two statements for each day."""

import duckdb

import duckdb_tables
from given import arguments

GIVEN = arguments(__doc__)


def build(connection, day):
    folder = GIVEN.out / f"dt={day}"
    folder.mkdir(parents=True)
    # Held in memory, for it is read twice and small.
    connection.execute(f"CREATE OR REPLACE TEMP TABLE samples AS {duckdb_tables.samples(GIVEN, day)}")
    written = f"(FORMAT parquet, COMPRESSION {GIVEN.compression})"
    connection.execute(f"COPY samples TO '{folder}/samples.parquet' {written}")
    connection.execute(f"""
        COPY (
            SELECT
                customer_id,
                list_transform(newest, lambda a: a.item) AS actions,
                list_transform(newest, lambda a: a.type) AS action_types
            FROM ({duckdb_tables.histories(GIVEN, day)})
        ) TO '{folder}/histories.parquet' {written}
    """)


with duckdb.connect() as database:
    database.execute(duckdb_tables.settings(GIVEN))
    for each in GIVEN.days:
        build(database, each)

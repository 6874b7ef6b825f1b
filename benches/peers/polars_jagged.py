"""Days as two Parquet files, samples and histories without padding, by Polars: a loop over the days."""

import os

from given import arguments

GIVEN = arguments(__doc__)
# Polars reads it when it is imported.
os.environ["POLARS_MAX_THREADS"] = str(GIVEN.threads)

import polars_tables  # noqa: E402


def build(day):
    folder = GIVEN.out / f"dt={day}"
    folder.mkdir(parents=True)
    # Held in memory, for it is read twice and small.
    samples = polars_tables.samples(GIVEN, day).collect()
    samples.write_parquet(folder / "samples.parquet", compression=GIVEN.compression)
    histories = polars_tables.histories(GIVEN, day, samples.lazy().select("customer_id").unique())
    histories.sink_parquet(folder / "histories.parquet", compression=GIVEN.compression)


for each in GIVEN.days:
    build(each)

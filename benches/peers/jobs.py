"""The jobs, and how each engine is asked to do them."""

import dataclasses
import datetime
import pathlib

LAST_DAY = datetime.date(2025, 8, 16)
IMPRESSION_DAYS = 14
# The engines beside shardback.
PEERS = ("polars", "duckdb", "spark")


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How large tables are."""

    actions: int
    customers: int
    # A day.
    impression_rows: int


@dataclasses.dataclass(frozen=True)
class Tables:
    """What the tables of a job are like."""

    format: str = "parquet"
    # The share of all actions that one customer has.
    giant_share: float = 0.0
    # Whether impressions have times.
    described: bool = False

    def name(self, sizes):
        giant = f"-giant-{self.giant_share}" if self.giant_share else ""
        described = "-described" if self.described else ""
        return f"{self.format}-{sizes.actions}-{sizes.impression_rows}{giant}{described}"

    def rows_name(self, sizes):
        """Tables with the same one have the same rows, whatever their format."""
        return Tables(giant_share=self.giant_share).name(sizes)


@dataclasses.dataclass(frozen=True)
class Contestant:
    """One engine in one job."""

    engine: str
    label: str
    # How rows.py reads what it writes.
    form: str
    # The script of an engine other than shardback.
    script: str | None = None
    tables: Tables = Tables()
    # As many as the whole comparison uses, if it is None.
    threads: int | None = None
    # `day` or `time`, where the tables are described.
    cutoff: str | None = None

    @property
    def config(self):
        """The description of the tables, where the built-in one does not fit."""
        return "flat.toml" if self.tables.format == "csv" else "shown.toml" if self.cutoff else None

    def rows_name(self, sizes):
        """Contestants with the same one have the same rows."""
        return self.tables.rows_name(sizes) + ("-time" if self.cutoff == "time" else "")


@dataclasses.dataclass(frozen=True)
class Job:
    """What is to be done, and by whom; the first contestant is what the others are compared with."""

    name: str
    title: str
    contestants: tuple[Contestant, ...]
    days: int = 1


@dataclasses.dataclass(frozen=True)
class Settings:
    """What all commands of a comparison share."""

    binary: str
    python: str
    threads: int
    memory: str | None


def days(count):
    """The last days that have impressions."""
    return [str(LAST_DAY - datetime.timedelta(days=back)) for back in reversed(range(count))]


def command(contestant, job, settings, tables, out):
    """The command line for tables in one folder and results in another."""
    wanted = days(job.days)
    threads = str(contestant.threads or settings.threads)
    if contestant.engine != "shardback":
        script = str(pathlib.Path(__file__).with_name(contestant.script))
        given = [str(tables), str(out), *wanted, "--input", contestant.tables.format, "--threads", threads]
        return [settings.python, script, *given]
    if contestant.config:
        named = ("impressions", "clicks", "add_to_carts", "previous_orders")
        places = [f"--table={'samples' if table == 'impressions' else table}={tables / table}" for table in named]
        paths = ["--config", str(pathlib.Path(__file__).with_name(contestant.config)), *places]
        paths += ["--cutoff", contestant.cutoff] if contestant.cutoff else []
        return [settings.binary, "build", *paths, *options(contestant, wanted, threads, settings, out)]
    paths = [
        argument
        for option, table in (
            ("--impressions", "impressions"),
            ("--clicks", "clicks"),
            ("--add-to-carts", "add_to_carts"),
            ("--previous-orders", "previous_orders"),
        )
        for argument in (option, str(tables / table))
    ]
    return [settings.binary, "build", *paths, *options(contestant, wanted, threads, settings, out)]


def options(contestant, wanted, threads, settings, out):
    """What a build is asked for beside its tables."""
    given = ["--out", str(out), "--start", wanted[0], "--end", wanted[-1], "--threads", threads, "--quiet"]
    given += ["--formats", output_format(contestant)]
    return given + (["--memory", settings.memory] if settings.memory else [])


def results(contestant, job, out):
    """The folders of the days in a contestant's results."""
    parent = out / output_format(contestant) if contestant.engine == "shardback" else out
    return [parent / f"dt={day}" for day in days(job.days)]


def output_format(contestant):
    return {"wide": "parquet"}.get(contestant.form, contestant.form)


def shardback(form, label="shardback", **others):
    return Contestant("shardback", label, form, **others)


def polars_wide(**others):
    return Contestant("polars", "Polars, wide Parquet", "wide", "polars_wide.py", **others)


def polars_two_files(label="Polars, two Parquet files", **others):
    return Contestant("polars", label, "two_files", "polars_jagged.py", **others)


def duckdb_wide(**others):
    return Contestant("duckdb", "DuckDB, wide Parquet", "wide", "duckdb_wide.py", **others)


def duckdb_two_files(label="DuckDB, two Parquet files", **others):
    return Contestant("duckdb", label, "two_files", "duckdb_jagged.py", **others)


def spark_wide(**others):
    return Contestant("spark", "Spark, wide Parquet", "wide", "spark_wide.py", **others)


def at_day_and_at_time(form):
    described = Tables(described=True)
    return (
        shardback(form, "shardback, cut-off at the day", tables=described, cutoff="day"),
        shardback(form, "shardback, cut-off at the time", tables=described, cutoff="time"),
    )


def polars_at_time():
    label = "Polars, wide Parquet, cut-off at the time"
    return Contestant("polars", label, "wide", "polars_at_time.py", tables=Tables(described=True), cutoff="time")


def one_and_all(threads, form):
    return (
        shardback(form, f"shardback, {threads} threads"),
        shardback(form, "shardback, 1 thread", threads=1),
    )


def all_jobs(threads):
    """Every job, where a comparison uses as many threads."""
    ndjson, giant = Tables("json"), Tables(giant_share=0.1)
    flat, described = Tables("csv"), Tables("json", described=True)
    two_weeks = f"{IMPRESSION_DAYS} days, jagged, in one pass"
    return [
        Job("jagged-day", "one day, jagged", (shardback("jagged"), polars_two_files(), duckdb_two_files())),
        Job(
            "jagged-days",
            two_weeks,
            (shardback("jagged"), polars_two_files("Polars, two Parquet files a day, day by day")),
            IMPRESSION_DAYS,
        ),
        Job("wide-day", "one day, wide Parquet", (shardback("wide"), polars_wide(), duckdb_wide(), spark_wide())),
        Job("dense-day", "one day, dense", (shardback("dense"), polars_wide())),
        Job(
            "ndjson-wide-day",
            "one day from NDJSON, wide Parquet",
            (shardback("wide", tables=ndjson), polars_wide(tables=ndjson), duckdb_wide(tables=ndjson)),
        ),
        Job(
            "ndjson-jagged-day",
            "one day from NDJSON, jagged",
            (shardback("jagged", tables=ndjson), polars_two_files(tables=ndjson), duckdb_two_files(tables=ndjson)),
        ),
        Job(
            "csv-jagged-day",
            "one day from CSV, by a description, jagged",
            (shardback("jagged", tables=flat), polars_two_files(tables=flat), duckdb_two_files(tables=flat)),
        ),
        Job(
            "csv-described-day",
            "one day from CSV, by a description, wide Parquet",
            (shardback("wide", tables=flat), polars_wide(tables=flat)),
        ),
        Job(
            "ndjson-described-day",
            "one day from NDJSON, by a description, wide Parquet",
            (shardback("wide", tables=described, cutoff="day"), polars_wide(tables=described)),
        ),
        Job("time-day", "one day, jagged", at_day_and_at_time("jagged")),
        Job("time-days", two_weeks, at_day_and_at_time("jagged"), IMPRESSION_DAYS),
        Job("time-wide-day", "one day, wide Parquet", (*reversed(at_day_and_at_time("wide")), polars_at_time())),
        Job("threads", "one day, wide Parquet", one_and_all(threads, "wide")),
        Job("threads-days", two_weeks, one_and_all(threads, "jagged"), IMPRESSION_DAYS),
        Job(
            "giant",
            "one day, jagged",
            (
                shardback("jagged", "shardback, actions spread over the customers"),
                shardback("jagged", "shardback, a tenth of the actions with one customer", tables=giant),
            ),
        ),
    ]


def growth_jobs():
    """What is done at each size of the tables."""
    return [
        Job("growth-day", "one day, jagged", (shardback("jagged"),)),
        Job("growth-days", f"{IMPRESSION_DAYS} days, jagged, in one pass", (shardback("jagged"),), IMPRESSION_DAYS),
    ]

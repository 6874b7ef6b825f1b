"""A day of ten million actions in Parquet, read from a disk and from a store whose answers come late, and by other engines from the same store.

    python benches/stores.py PROGRAM WORK [--actions N] [--delay SECONDS]

WORK keeps the tables. The server is s3s-fs, which the tests of tests/stores install; the engines are Polars and DuckDB, where they are
installed (DuckDB's httpfs from PyPI: duckdb-ext-httpfs, with the duckdb that it is for). Each takes its turn three times, and the middle one counts. The server's own speed is that of all bytes that the build asks for, fetched by
as many threads as a build has requests.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "stores"))

from proxy import Proxy  # noqa: E402
from servers import BUCKET, KEY, SECRET, client, environment, s3s_fs  # noqa: E402

TABLES = ("impressions", "clicks", "add_to_carts", "previous_orders")
TURNS = 3
# As many as `generate` has by default.
CUSTOMERS = 50_000
POLARS = """
import polars as pl
options = {{"aws_access_key_id": "{key}", "aws_secret_access_key": "{secret}", "aws_endpoint_url": "{url}", "aws_region": "us-east-1", "aws_allow_http": "true"}}
frame = pl.scan_parquet("s3://{bucket}/clicks/**/*.parquet", storage_options=options, hive_partitioning=True)
print(frame.select("customer_id", "item_id", "click_time", "dt").collect().height)
"""
DUCKDB = """
import duckdb
try:
    import duckdb_ext
    connection = duckdb_ext.init(duckdb.connect())
except ImportError:
    connection = duckdb.connect()
    connection.sql("INSTALL httpfs")
connection.sql("LOAD httpfs")
connection.sql("CREATE SECRET (TYPE s3, KEY_ID '{key}', SECRET '{secret}', ENDPOINT '{host}', REGION 'us-east-1', URL_STYLE 'path', USE_SSL false)")
print(connection.sql("SELECT count(customer_id), count(item_id), count(click_time), count(dt) FROM 's3://{bucket}/clicks/*/*.parquet'").fetchall())
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--actions", type=int, default=10_000_000)
    parser.add_argument("--delay", type=float, default=0.03)
    given = parser.parse_args()
    bucket = given.work.resolve() / "store" / BUCKET
    if not bucket.exists():
        command = [given.program, "generate", bucket, "--mean-actions", str(given.actions / CUSTOMERS), "--quiet"]
        subprocess.run(command, check=True)
    with s3s_fs(bucket.parent) as url:
        proxy = Proxy(url)
        proxy.reset(delay=given.delay)
        measure(given, bucket, proxy)


def measure(given, bucket, proxy):
    names = {"key": KEY, "secret": SECRET, "url": proxy.url, "host": urllib.parse.urlsplit(proxy.url).netloc, "bucket": BUCKET}
    jobs = {
        "shardback from the disk": lambda: build(given, bucket),
        "shardback from the store": lambda: build(given, f"s3://{BUCKET}", env=environment(proxy.url)),
        "the bytes alone": lambda: fetch(proxy),
        "Polars scan_parquet, clicks only": lambda: run([sys.executable, "-c", POLARS.format(**names)]),
        "DuckDB httpfs, clicks only": lambda: run([sys.executable, "-c", DUCKDB.format(**names)]),
    }
    times = {name: [] for name in jobs}
    for _ in range(TURNS):
        for name, job in jobs.items():
            if name != "the bytes alone":
                proxy.reset(delay=given.delay)
            started = time.monotonic()
            done = job()
            times[name].append(time.monotonic() - started if done else float("nan"))
            if name == "shardback from the store":
                print(f"{len(proxy.requests)} requests, {proxy.most_under_way} at once")
    for name, taken in times.items():
        print(f"{name:36} {statistics.median(taken):6.2f} s   ({', '.join(f'{one:.2f}' for one in taken)})")


def build(given, place, **settings):
    out = given.work / "out"
    command = [given.program, "build", "--date", "2025-08-16", "--formats", "jagged", "--out", out, "--quiet"]
    for table in TABLES:
        command += [f"--{table.replace('_', '-')}", f"{place}/{table}/"]
    return run(command, **settings)


def fetch(proxy):
    """The ranges that the last build asked for, again, without anything being done with them."""
    asked = [(urllib.parse.unquote(path.removeprefix(f"/{BUCKET}/")), part) for method, path, part in proxy.requests if method == "GET" and "?" not in path]
    store = client(proxy.url)

    def one(request):
        key, part = request
        return len(store.get_object(Bucket=BUCKET, Key=key, **({"Range": part} if part else {}))["Body"].read())

    with ThreadPoolExecutor(16) as threads:
        total = sum(threads.map(one, asked))
    print(f"{total / 1e6:.0f} MB")
    return True


def run(command, **settings):
    done = subprocess.run(command, capture_output=True, text=True, **settings)
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1:], file=sys.stderr)
    return done.returncode == 0


if __name__ == "__main__":
    main()

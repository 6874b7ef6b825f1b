"""The program under test, a build of the sample from the disk, and servers with the same tables."""

import os
import pathlib
import subprocess

import pytest

from proxy import Proxy
from servers import BUCKET, S3_SERVERS, environment, fill

SAMPLE = pathlib.Path(__file__).resolve().parents[2] / "data" / "sample"
TABLES = ("impressions", "clicks", "add_to_carts", "previous_orders")
DAYS = ["--start", "2025-08-14", "--end", "2025-08-16"]


@pytest.fixture(scope="session")
def program():
    name = os.environ.get("SHARDBACK_BIN")
    if not name:
        pytest.exit("SHARDBACK_BIN is not set: name the program under test in it, or run `make test`", returncode=2)
    path = pathlib.Path(name).resolve()
    if not path.is_file():
        pytest.exit(f"SHARDBACK_BIN names no file: {path}", returncode=2)
    return path


@pytest.fixture(scope="session")
def build(program):
    """Builds days of tables that lie at a place each, and gives the run."""

    def run(out, places, *options, days=DAYS, check=True, **settings):
        command = [program, "build", "--out", out, *days, "--formats", "parquet,dense,jagged", "--quiet", *options]
        for table, place in places.items():
            command += [f"--{table.replace('_', '-')}", str(place)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, **settings)
        assert not check or done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def from_disk(build, tmp_path_factory):
    out = tmp_path_factory.mktemp("disk") / "out"
    build(out, {table: SAMPLE / table for table in TABLES})
    return contents(out)


def contents(out):
    """The bytes of all published files, but for the record of the run."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and path.name != "_run.json")
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="session", params=S3_SERVERS)
def s3(request, tmp_path_factory):
    """The address of a server of S3 that has the sample's tables."""
    with S3_SERVERS[request.param](tmp_path_factory.mktemp("s3")) as url:
        fill(url, SAMPLE)
        yield url


@pytest.fixture(scope="session")
def proxy_of(s3):
    proxy = Proxy(s3)
    yield proxy
    proxy.close()


@pytest.fixture
def proxy(proxy_of):
    proxy_of.reset()
    yield proxy_of
    proxy_of.reset()


def addresses(scheme="s3", bucket=BUCKET):
    return {table: f"{scheme}://{bucket}/{table}" for table in TABLES}


__all__ = ["BUCKET", "DAYS", "SAMPLE", "TABLES", "addresses", "contents", "environment"]

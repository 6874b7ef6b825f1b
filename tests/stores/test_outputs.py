"""Days in object stores: published by one write of their manifests, whatever happens on the way, and read like those on a disk."""

import io
import json
import subprocess
import threading
import time

import polars
import pyarrow.dataset
import pyarrow.fs
import pytest

from conftest import DAYS, SAMPLE, TABLES, contents
from servers import KEY, SECRET, client, environment

OUT = "results"
PLACES = {table: SAMPLE / table for table in TABLES}


@pytest.fixture(scope="module")
def store(s3):
    """A server with an empty bucket for results."""
    client(s3).create_bucket(Bucket=OUT)
    return s3


@pytest.fixture
def out(store, request):
    """An address that no other test writes to."""
    return f"s3://{OUT}/{request.node.originalname}"


def keys(store, out):
    prefix = out.removeprefix(f"s3://{OUT}/") + "/"
    pages = client(store).get_paginator("list_objects_v2").paginate(Bucket=OUT, Prefix=prefix)
    return sorted(entry["Key"].removeprefix(prefix) for page in pages for entry in page.get("Contents", ()))


def manifest(store, out, place):
    key = f"{out.removeprefix(f's3://{OUT}/')}/{place}/_manifest.json"
    return json.loads(client(store).get_object(Bucket=OUT, Key=key)["Body"].read())


def run(program, url, *command, check=True):
    done = subprocess.run([program, *map(str, command)], capture_output=True, text=True, timeout=120, env=environment(url))
    assert not check or done.returncode == 0, done.stderr
    return done


def test_days_in_a_store_are_those_of_a_disk(build, program, store, out, from_disk, tmp_path):
    """Fetched, a day has the bytes that a build on a disk writes; and nothing is left of how it came there."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    build(out, PLACES, "--spill-dir", temporary, env=environment(store))
    assert not list(temporary.iterdir())
    cache = tmp_path / "cache"
    done = run(program, store, "verify", out, "--cache-dir", cache)
    assert "no fault in 9 days" in done.stdout
    (mirror,) = cache.iterdir()
    assert contents(mirror) == from_disk
    # Each file of a day but its manifest stands in the folder that the manifest names.
    named = {f"{place}/{manifest(store, out, place)['folder']}" for place in {"/".join(key.split("/")[:2]) for key in keys(store, out)}}
    others = {key.rsplit("/", 1)[0] for key in keys(store, out) if not key.endswith("/_manifest.json")}
    assert others == named


# The other server does not know the ranges that Polars asks for.
@pytest.mark.parametrize("s3", ["moto"], indirect=True)
def test_other_readers_read_published_parquet_in_the_store(build, store, out, from_disk):
    """Polars and pyarrow, by the folder that the manifest names: the rows of the day's file on a disk."""
    build(out, PLACES, env=environment(store))
    place = "parquet/dt=2025-08-16"
    folder = f"{OUT}/{out.removeprefix(f's3://{OUT}/')}/{place}/{manifest(store, out, place)['folder']}"
    expected = polars.read_parquet(io.BytesIO(from_disk[f"{place}/part-00000.parquet"]))
    assert expected.height > 100
    options = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "aws_endpoint_url": store, "aws_region": "us-east-1", "aws_allow_http": "true"}
    assert polars.read_parquet(f"s3://{folder}/*.parquet", storage_options=options).equals(expected)
    files = pyarrow.fs.S3FileSystem(access_key=KEY, secret_key=SECRET, endpoint_override=store, region="us-east-1")
    table = pyarrow.dataset.dataset(folder, filesystem=files, format="parquet").to_table()
    assert polars.from_arrow(table).equals(expected)


def test_large_files_are_sent_in_parts(build, program, store, proxy, out, tmp_path):
    """A part of which the answer is lost or refused is sent again; fetched, the file is the one of a disk."""
    options = ["--history", "20000", "--shards", "1"]
    days = ["--date", "2025-08-15"]
    build(tmp_path / "disk", PLACES, *options, days=days)
    proxy.reset(refuse_every=6)
    build(out, PLACES, *options, days=days, env=environment(proxy.url))
    assert sum("partNumber=" in path for _, path, _ in proxy.requests) > 3 and proxy.refused > 1
    proxy.reset()
    run(program, store, "verify", out, "--cache-dir", tmp_path / "cache")
    (mirror,) = (tmp_path / "cache").iterdir()
    assert contents(mirror) == contents(tmp_path / "disk")


def test_a_day_is_replaced_and_its_old_files_are_deleted(build, program, store, out, tmp_path):
    build(out, PLACES, env=environment(store))
    before = manifest(store, out, "jagged/dt=2025-08-16")
    run(program, store, "verify", f"{out}/jagged/dt=2025-08-16", "--cache-dir", tmp_path)
    build(out, PLACES, "--history", "5", env=environment(store))
    after = manifest(store, out, "jagged/dt=2025-08-16")
    assert before["build"] != after["build"]
    assert not [key for key in keys(store, out) if before["folder"] in key]
    # What was kept of the old day is fetched anew.
    shown = run(program, store, "inspect", f"{out}/jagged/dt=2025-08-16", "--cache-dir", tmp_path)
    assert "K = 5" in shown.stdout


def test_days_that_are_there_are_skipped(build, store, out):
    build(out, PLACES, env=environment(store))
    before = keys(store, out)
    build(out, PLACES, "--skip-existing", env=environment(store))
    assert keys(store, out) == before
    # One of which a file is missing is built again.
    place = "dense/dt=2025-08-15"
    folder = manifest(store, out, place)["folder"]
    shard = f"{out.removeprefix(f's3://{OUT}/')}/{place}/{folder}/shard-00000.safetensors"
    client(store).delete_object(Bucket=OUT, Key=shard)
    build(out, PLACES, "--skip-existing", env=environment(store))
    assert manifest(store, out, place)["folder"] != folder


def test_of_two_runs_that_write_one_day_the_second_fails(build, program, store, proxy, out):
    """The run that comes last has seen another manifest than the one that is there: it leaves it, and takes its own files away."""
    proxy.reset(hold="_manifest.json")
    results = []
    one = threading.Thread(target=lambda: results.append(build(out, PLACES, check=False, env=environment(proxy.url))))
    one.start()
    # The slow run has looked at the places, and is about to put the first day in place.
    while not any(command == "PUT" and path.endswith("_manifest.json") for command, path, _ in list(proxy.requests)):
        assert one.is_alive(), results
        time.sleep(0.01)
    build(out, PLACES, "--history", "7", env=environment(store))
    proxy.hold = None
    one.join()
    (slow,) = results
    assert slow.returncode == 1 and "another run has published this day since this one began" in slow.stderr
    assert all(manifest(store, out, f"jagged/dt=2025-08-{number}")["history"] == 7 for number in (14, 15, 16))
    folders = {key.split("/")[2] for key in keys(store, out) if not key.endswith("_manifest.json")}
    named = {manifest(store, out, "/".join(key.split("/")[:2]))["folder"] for key in keys(store, out)}
    assert folders == named


@pytest.mark.parametrize("after", [1, 3, 6, 10, 15, 21, 28])
def test_killed_anywhere_a_day_is_the_old_or_the_new_one(build, program, store, proxy, tmp_path, after, out):
    """A run is killed after some of its requests: each day is whole, and what is left lying is found by `clean`."""
    out = f"{out}/{after}"
    build(out, PLACES, "--history", "9", env=environment(store))
    proxy.reset(delay=0.02)
    command = [program, "build", "--out", out, *DAYS, "--formats", "parquet,dense,jagged", "--quiet"]
    command += [word for table, place in PLACES.items() for word in (f"--{table.replace('_', '-')}", str(place))]
    running = subprocess.Popen(command, env=environment(proxy.url), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(proxy.requests) < 9 + after and running.poll() is None:
        time.sleep(0.001)
    running.kill()
    running.wait()
    proxy.reset()
    for place in ("parquet", "dense", "jagged"):
        run(program, store, "verify", f"{out}/{place}", "--cache-dir", tmp_path / place)
    run(program, store, "clean", out, "--older-than", "0s")
    left = {key.rsplit("/", 1)[0] for key in keys(store, out) if not key.endswith("_manifest.json")}
    named = {f"{place}/{manifest(store, out, place)['folder']}" for place in {"/".join(key.split("/")[:2]) for key in keys(store, out)}}
    assert left == named


def test_the_cache_keeps_to_its_limit(build, program, store, out, tmp_path):
    build(out, PLACES, env=environment(store))
    day = f"{out}/dense/dt=2025-08-{{}}"
    sizes = {number: sum(shard["bytes"] for shard in manifest(store, out, f"dense/dt=2025-08-{number}")["shards"]) for number in (14, 15, 16)}
    limit = sizes[14] + sizes[15]
    for number in (14, 15, 16):
        run(program, store, "verify", day.format(number), "--cache-dir", tmp_path, "--cache-limit", limit)
    kept = sorted(path.name for path in tmp_path.glob("*/dense/*"))
    assert "dt=2025-08-16" in kept and "dt=2025-08-14" not in kept
    refused = run(program, store, "verify", f"{out}/dense", "--cache-dir", tmp_path, "--cache-limit", limit, check=False)
    assert refused.returncode != 0 and "raise it, or open fewer days" in refused.stderr


def test_a_day_that_is_deleted_in_the_store_is_not_shown_from_the_cache(build, program, store, out, tmp_path):
    build(out, PLACES, env=environment(store))
    run(program, store, "verify", out, "--cache-dir", tmp_path)
    prefix = out.removeprefix(f"s3://{OUT}/")
    for key in keys(store, out):
        if key.startswith("jagged/dt=2025-08-15/"):
            client(store).delete_object(Bucket=OUT, Key=f"{prefix}/{key}")
    assert "no fault in 8 days" in run(program, store, "verify", out, "--cache-dir", tmp_path).stdout


def test_a_file_that_is_not_what_the_manifest_says_is_not_kept(build, program, store, out, tmp_path):
    build(out, PLACES, env=environment(store))
    place = "jagged/dt=2025-08-14"
    key = f"{out.removeprefix(f's3://{OUT}/')}/{place}/{manifest(store, out, place)['folder']}/shard-00000.safetensors"
    store_client = client(store)
    bytes_of = store_client.get_object(Bucket=OUT, Key=key)["Body"].read()
    store_client.put_object(Bucket=OUT, Key=key, Body=bytes_of[:-1] + bytes([bytes_of[-1] ^ 1]))
    refused = run(program, store, "verify", f"{out}/{place}", "--cache-dir", tmp_path, check=False)
    assert refused.returncode == 1 and "its hash is another" in refused.stderr
    assert not list(tmp_path.glob("*/jagged/*"))


def test_an_output_inside_a_table_is_refused(build, store):
    places = {"impressions": f"s3://{OUT}/tables/impressions", "clicks": f"s3://{OUT}/tables/clicks"}
    done = build(f"s3://{OUT}/tables/clicks/out", places, check=False, env=environment(store))
    assert done.returncode == 2 and "is in the table clicks" in done.stderr


def test_nothing_is_written_to_the_web(build, store):
    done = build("https://example.org/out", PLACES, check=False, env=environment(store))
    assert done.returncode == 2 and "nothing can be written to an address of the web" in done.stderr

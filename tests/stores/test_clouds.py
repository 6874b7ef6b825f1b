"""Azure's and Google's stores: tables there, days there, conditions that hold, and clear errors. S3 has the tests of all the rest."""

import base64
import json
import subprocess
import threading
import time
import urllib.parse

import pytest

from clouds import ACCOUNT, CLOUDS
from conftest import SAMPLE, TABLES, addresses, contents
from servers import BUCKET

OUT = "results"
PLACES = {table: SAMPLE / table for table in TABLES}
QUICK = ["--store-option", "retry_timeout=2s"]


@pytest.fixture(scope="module", params=CLOUDS)
def server(request, tmp_path_factory):
    """A server with the sample's tables, and an empty bucket for results."""
    with CLOUDS[request.param].server(tmp_path_factory.mktemp(request.param)) as cloud:
        for bucket in (BUCKET, OUT):
            cloud.create_bucket(bucket)
        for path in SAMPLE.rglob("*"):
            if path.is_file():
                cloud.put(BUCKET, path.relative_to(SAMPLE).as_posix(), path.read_bytes())
        yield cloud
        cloud.proxy.close()
        cloud.another_proxy.close()


@pytest.fixture
def cloud(server):
    server.proxy.reset()
    yield server
    server.proxy.reset()


@pytest.fixture
def out(cloud, request):
    """An address that no other test writes to."""
    return f"{cloud.scheme}://{OUT}/{request.node.originalname}"


def manifest(cloud, out, place):
    return json.loads(cloud.get(OUT, f"{out.split('/', 3)[3]}/{place}/_manifest.json"))


def is_manifest(path):
    return urllib.parse.unquote(path).endswith("_manifest.json")


def verify(program, cloud, out, cache):
    done = subprocess.run([program, "verify", out, "--cache-dir", cache], capture_output=True, text=True, timeout=120, env=cloud.environment())
    assert done.returncode == 0 and "note:" not in done.stdout, done.stdout + done.stderr
    return done.stdout


def test_tables_by_address_give_the_bytes_of_tables_on_a_disk(build, from_disk, cloud, tmp_path):
    build(tmp_path / "out", addresses(cloud.scheme), env=cloud.environment())
    assert contents(tmp_path / "out") == from_disk


def test_answers_that_are_refused_and_cut_by_turns(build, from_disk, cloud, tmp_path):
    cloud.proxy.reset(refuse_every=5, cut_every=7)
    build(tmp_path / "out", addresses(cloud.scheme), env=cloud.environment())
    assert cloud.proxy.refused > 10 and cloud.proxy.cut > 5
    assert contents(tmp_path / "out") == from_disk


def test_days_in_a_store_are_those_of_a_disk_and_are_replaced(build, program, from_disk, cloud, out, tmp_path):
    """Fetched, a day has the bytes that a build on a disk writes; a newer one takes its place and its files go."""
    build(out, PLACES, env=cloud.environment())
    assert "no fault in 9 days" in verify(program, cloud, out, tmp_path)
    (mirror,) = tmp_path.iterdir()
    assert contents(mirror) == from_disk
    before = manifest(cloud, out, "jagged/dt=2025-08-15")
    build(out, PLACES, "--skip-existing", env=cloud.environment())
    assert manifest(cloud, out, "jagged/dt=2025-08-15") == before
    build(out, PLACES, "--history", "5", env=cloud.environment())
    after = manifest(cloud, out, "jagged/dt=2025-08-15")
    assert after["build"] != before["build"]
    keys = cloud.keys(OUT, f"{out.split('/', 3)[3]}/jagged/dt=2025-08-15/")
    assert keys and not [key for key in keys if before["folder"] in key]
    assert "no fault in 9 days" in verify(program, cloud, out, tmp_path)


def test_of_two_runs_that_write_one_day_the_second_fails(build, program, cloud, out, tmp_path):
    """The run that comes last has seen another manifest than the one that is there, or none, and leaves it."""
    cloud.proxy.reset(hold="_manifest.json")
    results = []
    slow = threading.Thread(target=lambda: results.append(build(out, PLACES, check=False, env=cloud.environment())))
    slow.start()
    # It has looked at the places, and is about to put the first day in place.
    while not any(command == "PUT" and is_manifest(path) for command, path, _ in list(cloud.proxy.requests)):
        assert slow.is_alive(), results
        time.sleep(0.01)
    build(out, PLACES, "--history", "7", env=cloud.environment(cloud.another_proxy))
    cloud.proxy.hold = None
    slow.join()
    (run,) = results
    assert run.returncode == 1 and "another run has published this day since this one began" in run.stderr, run.stderr
    assert manifest(cloud, out, "parquet/dt=2025-08-14")["history"] == 7
    assert "no fault in 9 days" in verify(program, cloud, out, tmp_path)


def test_no_bucket(build, cloud, tmp_path):
    places = addresses(cloud.scheme, bucket="no-such-bucket-here")
    run = build(tmp_path / "out", places, *QUICK, check=False, env=cloud.environment())
    assert run.returncode == 1 and f"{cloud.scheme}://no-such-bucket-here" in run.stderr, run.stderr


# The other server does not look at credentials.
@pytest.mark.parametrize("server", ["azurite"], indirect=True)
def test_a_wrong_key_is_said_and_not_shown(build, cloud, tmp_path):
    wrong = base64.b64encode(b"another key").decode()
    run = build(tmp_path / "out", addresses(cloud.scheme), *QUICK, check=False, env=cloud.environment(key=wrong))
    assert run.returncode == 1 and "the store does not permit it: the credentials lack the right or are wrong" in run.stderr, run.stderr
    assert wrong not in run.stderr


@pytest.mark.parametrize("server", ["azurite"], indirect=True)
def test_addresses_of_hadoop(build, from_disk, cloud, tmp_path):
    """`abfss://` names the account in the address."""
    places = {table: f"abfss://{BUCKET}@{ACCOUNT}.dfs.core.windows.net/{table}" for table in TABLES}
    build(tmp_path / "out", places, env=cloud.environment())
    assert contents(tmp_path / "out") == from_disk

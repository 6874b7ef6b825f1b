"""Tables in object stores: the same bytes as from a disk, whatever the server and the network do; and clear errors."""

import functools
import http.server
import json
import os
import signal
import subprocess
import threading
import time

import pytest

from conftest import SAMPLE, TABLES, addresses, contents, environment
from servers import BUCKET, KEY, S3_SERVERS, SECRET, client, fill

QUICK = ["--store-option", "retry_timeout=2s"]


def error(run):
    """What a failed run says; no secret is in it."""
    assert run.returncode in (1, 2), run.stderr
    assert SECRET not in run.stderr and "Signature=" not in run.stderr
    return run.stderr.strip()


def test_tables_by_address_give_the_bytes_of_tables_on_a_disk(build, from_disk, s3, tmp_path):
    """Folders with partitions, every format, files that are passed over: nothing depends on where they lie."""
    build(tmp_path / "out", addresses(), env=environment(s3))
    assert contents(tmp_path / "out") == from_disk


def test_no_record_holds_a_secret(build, s3, tmp_path):
    """Neither manifests nor `_run.json`, wherever the secrets came from."""
    keys = ["--store-option", f"aws_secret_access_key={SECRET}", "--store-option", f"aws_access_key_id={KEY}"]
    build(tmp_path / "out", addresses(), *keys, env=environment(s3))
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert any(path.name == "_run.json" and f"s3://{BUCKET}/clicks" in path.read_text() for path in files)
    for path in files:
        assert SECRET.encode() not in path.read_bytes(), path
        assert KEY.encode() not in path.read_bytes(), path


def test_patterns_files_and_a_description(program, build, from_disk, s3, tmp_path):
    """Patterns at any depth, single objects, `s3a://`, a trailing slash; and `[store]` in a description, with nothing in the environment."""
    places = {
        "impressions": f"s3://{BUCKET}/impressions/*",
        "clicks": f"s3a://{BUCKET}/**/clicks/dt=*/*.parquet",
        "add_to_carts": f"s3://{BUCKET}/add_to_carts/",
        "previous_orders": f"s3://{BUCKET}/previous_[op]rders",
    }
    build(tmp_path / "patterns", places, env=environment(s3))
    assert contents(tmp_path / "patterns") == from_disk

    shop = tmp_path / "shop.toml"
    tables = """
        version = 1
        types = { click = 1 }
        history = { length = 10 }
        [samples]
        path = "PLACE/impressions"
        customer = "customer_id"
        item = "impressions.item_id"
        day = "dt"
        labels = { is_order = "impressions.is_order" }
        [actions.clicks]
        path = "PLACE/clicks"
        type = "click"
        customer = "customer_id"
        item = "item_id"
        day = "dt"
        time = "click_time"
    """
    store = f"""
        [store]
        aws_endpoint = "{s3}"
        aws_region = "us-east-1"
        aws_access_key_id = "{KEY}"
        aws_secret_access_key = "{SECRET}"
    """
    bare = {name: value for name, value in environment(s3).items() if not name.startswith("AWS_")}
    outs = []
    for place, more in ((f"s3://{BUCKET}", store), (str(SAMPLE), "")):
        shop.write_text(tables.replace("PLACE", place) + more)
        outs.append(tmp_path / f"out-{len(outs)}")
        command = [program, "build", "--config", shop, "--date", "2025-08-15", "--out", outs[-1], "--quiet"]
        subprocess.run(command, check=True, env=bare)
    assert contents(outs[0]) == contents(outs[1])


def test_only_the_partitions_that_days_can_need_are_listed_and_read(build, proxy, tmp_path):
    """A day with a look-back of three: no request is of another day's folder."""
    build(
        tmp_path / "out",
        {"impressions": f"s3://{BUCKET}/impressions", "clicks": f"s3://{BUCKET}/clicks"},
        "--lookback-days=3",
        days=["--date", "2025-08-15"],
        env=environment(proxy.url),
    )
    asked = {part for _, path, _ in proxy.requests for part in path.replace("%3D", "=").replace("%2F", "/").split("/") if "dt=" in part}
    assert {name.split("dt=")[1][:10] for name in asked} == {"2025-08-15", "2025-08-14", "2025-08-13", "2025-08-12"}


def test_requests_are_under_way_together(build, from_disk, proxy, tmp_path):
    """With 0.2 s for each answer, the sample's hundreds of requests take less than a second for every twenty of them."""
    proxy.reset(delay=0.2)
    started = time.monotonic()
    build(tmp_path / "out", addresses(), "--threads", "2", env=environment(proxy.url))
    elapsed = time.monotonic() - started
    assert contents(tmp_path / "out") == from_disk
    assert proxy.most_under_way >= 8
    assert elapsed < 2 + len(proxy.requests) * 0.2 / 4, f"{len(proxy.requests)} requests in {elapsed:.1f} s"


def test_answers_that_are_refused_and_cut_by_turns(build, from_disk, proxy, tmp_path):
    """Requests are made again, and what is cut in the middle goes on: the bytes are the same."""
    proxy.reset(refuse_every=5, cut_every=7)
    build(tmp_path / "out", addresses(), env=environment(proxy.url))
    assert proxy.refused > 10 and proxy.cut > 5
    assert contents(tmp_path / "out") == from_disk


def test_a_server_that_stays_away_is_an_error_after_the_time_that_is_said(build, proxy, tmp_path):
    """`retry_timeout` says how long; nothing is published."""
    proxy.reset(refuse_all=(503, "SlowDown"))
    started = time.monotonic()
    run = build(tmp_path / "out", addresses(), *QUICK, check=False, env=environment(proxy.url))
    assert "503" in error(run) and f"s3://{BUCKET}" in run.stderr
    assert time.monotonic() - started < 20
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (301, "PermanentRedirect", "the bucket is in another region or at another endpoint: set AWS_REGION"),
        (400, "AuthorizationHeaderMalformed", "the bucket is in another region or at another endpoint: set AWS_REGION"),
        (400, "ExpiredToken", "the credentials have expired: get new ones (ExpiredToken)"),
        (403, "ExpiredToken", "the credentials have expired: get new ones (ExpiredToken)"),
        (403, "InvalidAccessKeyId", "the store does not accept the credentials (InvalidAccessKeyId)"),
        (403, "RequestTimeTooSkewed", "the clock of this machine is wrong (RequestTimeTooSkewed)"),
        (403, "AccessDenied", "the store does not permit it: the credentials lack the right or are wrong, or there are none (AccessDenied)"),
        (404, "NoSuchBucket", f"there is no bucket `s3://{BUCKET}` (NoSuchBucket)"),
    ],
)
def test_what_a_store_refuses_is_said_in_one_message_at_once(build, proxy, tmp_path, status, code, said):
    """Nothing of this is tried again, and nothing is published."""
    proxy.reset(refuse_all=(status, code))
    started = time.monotonic()
    run = build(tmp_path / "out", addresses(), check=False, env=environment(proxy.url))
    assert said in error(run) and len(run.stderr.splitlines()) == 1, run.stderr
    assert time.monotonic() - started < 20
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_no_server(build, tmp_path):
    run = build(tmp_path / "out", addresses(), *QUICK, check=False, env=environment("http://127.0.0.1:9"))
    assert "no connection to the server" in error(run)


def test_a_run_that_waits_for_a_store_heeds_an_interrupt(program, proxy, tmp_path):
    """Ctrl-C ends a wait that would last for minutes."""
    proxy.reset(hang=True)
    command = [program, "build", "--date", "2025-08-15", "--out", tmp_path / "out", "--quiet"]
    for table, place in addresses().items():
        command += [f"--{table.replace('_', '-')}", place]
    run = subprocess.Popen(command, env=environment(proxy.url), stderr=subprocess.PIPE, text=True)
    while not proxy.requests:
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, said = run.communicate(timeout=20)
    assert run.returncode == 130, said
    assert time.monotonic() - started < 5


def test_an_object_that_changes_while_it_is_read_is_an_error(program, s3, proxy, tmp_path):
    """The file of clicks is replaced between the first look and the reading: no mixture of both is read."""
    store = client(s3)
    store.create_bucket(Bucket="changing")
    for table in ("impressions", "clicks"):
        for path in (SAMPLE / table).rglob("*"):
            if path.is_file():
                store.put_object(Bucket="changing", Key=path.relative_to(SAMPLE).as_posix(), Body=path.read_bytes())
    key = "clicks/dt=2025-08-10/part-0.parquet"
    keys = [found["Key"] for found in store.list_objects_v2(Bucket="changing", Prefix="clicks/dt=2025-08-10")["Contents"]]
    key = next(name for name in keys if name.endswith(".parquet"))
    proxy.reset(delay=0.3)
    command = [program, "build", "--date", "2025-08-15", "--out", tmp_path / "out", "--quiet", "--threads", "1"]
    command += ["--impressions", "s3://changing/impressions", "--clicks", "s3://changing/clicks"]
    run = subprocess.Popen(command, env=environment(proxy.url), stderr=subprocess.PIPE, text=True)
    read = key.replace("=", "%3D")
    while not any(method == "GET" and (key in path or read in path) for method, path, _ in list(proxy.requests)):
        assert run.poll() is None, run.stderr.read()
        time.sleep(0.01)
    body = store.get_object(Bucket="changing", Key=key)["Body"].read()
    store.put_object(Bucket="changing", Key=key, Body=body + b"more")
    _, said = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "changed while the run was reading it" in said and key in said


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("s3://no-such-bucket-here/clicks", "there is no bucket `s3://no-such-bucket-here`"),
        (f"s3://{BUCKET}/no-such-folder", "no data files in"),
        (f"s3://{BUCKET}/clicks/*.nothing", "no data files in"),
        ("s3://user:hunter2@bucket/clicks", "must hold no user"),
        ("https://example.invalid/clicks.csv?X-Amz-Signature=hunter2", "must hold no user"),
        ("hdfs://hunter2/clicks", "expected s3://, gs://"),
        ("file://hunter2/clicks", "three slashes"),
        ("s3:///clicks", "the name of the bucket is missing"),
    ],
)
def test_places_where_nothing_is(build, s3, tmp_path, place, said):
    """One message says what is wrong, without what may be a secret."""
    run = build(tmp_path / "out", addresses() | {"clicks": place}, *QUICK, check=False, env=environment(s3))
    assert said in error(run)
    assert "hunter2" not in run.stderr


def test_settings_that_are_not_known(build, s3, tmp_path):
    for setting, said in (("aws_regoin=eu-west-1", "aws_regoin"), ("retry_timeout=soon", "retry_timeout")):
        run = build(tmp_path / "out", addresses(), "--store-option", setting, check=False, env=environment(s3))
        assert run.returncode == 2 and "--store-option" in run.stderr and said in run.stderr


@pytest.mark.parametrize("server", ["s3s-fs"])
def test_wrong_credentials(build, tmp_path, server):
    """Of the two servers one looks at signatures."""
    with S3_SERVERS[server](tmp_path) as url:
        fill(url, SAMPLE)
        wrong = environment(url, AWS_SECRET_ACCESS_KEY="another")
        run = build(tmp_path / "out", addresses(), *QUICK, check=False, env=wrong)
        assert "the store does not accept the credentials" in error(run) or "does not permit" in run.stderr


def test_a_profile_gives_credentials(build, from_disk, s3, tmp_path):
    """As the tools of AWS keep them, by the name that the environment says."""
    (tmp_path / "credentials").write_text(f"[other]\naws_access_key_id = no\n[mine]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    (tmp_path / "config").write_text(f"[profile mine]\nregion = us-east-1\nendpoint_url = {s3}\n")
    names = {"AWS_PROFILE": "mine", "AWS_SHARED_CREDENTIALS_FILE": tmp_path / "credentials", "AWS_CONFIG_FILE": tmp_path / "config"}
    bare = {name: value for name, value in environment(s3).items() if not name.startswith("AWS_")}
    build(tmp_path / "out", addresses(), env=bare | {name: str(value) for name, value in names.items()})
    assert contents(tmp_path / "out") == from_disk


def test_files_by_address(build, from_disk, tmp_path):
    """`file://` is a path on this machine, with escapes, in all places where a table stands."""
    link = tmp_path / "a b"
    link.symlink_to(SAMPLE)
    build(tmp_path / "out", {table: f"file://{tmp_path}/a%20b/{table}" for table in TABLES})
    assert contents(tmp_path / "out") == from_disk


class Ranges(http.server.SimpleHTTPRequestHandler):
    """A web server that answers ranges, or where it is told so, does not know them."""

    knows_ranges = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = self.translate_path(self.path)
        asked = self.headers.get("Range")
        if not asked or not self.knows_ranges or not os.path.isfile(path):
            return super().do_GET()
        content = open(path, "rb").read()
        first, _, last = asked.removeprefix("bytes=").partition("-")
        part = content[int(first) : int(last) + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Last-Modified", self.date_time_string(os.stat(path).st_mtime))
        self.end_headers()
        self.wfile.write(part)


@pytest.fixture
def web():
    handler = functools.partial(Ranges, directory=SAMPLE)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_single_files_of_the_web(program, build, web, tmp_path):
    """A file at an address of the web gives what it gives from a disk; a folder there is an error."""
    files = sorted((SAMPLE / "add_to_carts").glob("*.json*"))
    days = ["--date", "2025-08-14"]
    impressions = SAMPLE / "impressions"
    for place, out in ((files[0], "disk"), (f"{web}/add_to_carts/{files[0].name}", "web")):
        build(tmp_path / out, {"impressions": impressions, "add_to_carts": place}, days=days)
    assert contents(tmp_path / "web") == contents(tmp_path / "disk")
    run = build(tmp_path / "out", {"impressions": impressions, "add_to_carts": f"{web}/nothing/"}, *QUICK, days=days, check=False)
    assert "folders and patterns of names are read from object stores" in error(run)


def test_check_reads_a_little(program, proxy):
    """`check` takes addresses, and shows what it shows of files."""
    shown = []
    for places in (addresses(), {table: SAMPLE / table for table in TABLES}):
        command = [program, "check", "--json"]
        for table, place in places.items():
            command += [f"--{table.replace('_', '-')}", str(place)]
        run = subprocess.run(command, capture_output=True, text=True, env=environment(proxy.url))
        assert run.returncode == 0, run.stderr
        text = run.stdout.replace(str(SAMPLE), f"s3://{BUCKET}")
        shown.append(json.loads(text))
    assert shown[0] == shown[1]

"""The console script: the same program as cargo builds, on the same Rust code, with its exit codes and its ways to stop."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import sysconfig
import time

import pytest

import shardback

SCRIPT = pathlib.Path(sysconfig.get_path("scripts")) / "shardback"
SHARE = pathlib.Path(sysconfig.get_path("data")) / "share"


def run(*words, **options):
    return subprocess.run([SCRIPT, *map(os.fspath, words)], capture_output=True, text=True, timeout=120, **options)


def test_one_install_brings_the_package_and_the_command():
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"shardback {shardback.__version__}\n", "")
    by_module = subprocess.run([sys.executable, "-m", "shardback", "--version"], capture_output=True, text=True)
    assert by_module.stdout == done.stdout
    assert "Usage: shardback build [OPTIONS]" in run("build", "--help").stdout
    # What shells and `man` look for is beside it.
    assert run("completions", "bash").stdout == (SHARE / "bash-completion/completions/shardback").read_text()
    assert run("man", "build").stdout == (SHARE / "man/man1/shardback-build.1").read_text()


def test_it_builds_and_exits_as_the_program_does(tables, tmp_path):
    words = ["build", "--impressions", tables["impressions"], "--clicks", tables["clicks"], "--formats", "jagged"]
    done = run(*words, "--date", "2025-08-16", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert f"wrote  {tmp_path}/out/jagged/dt=2025-08-16" in done.stdout
    by_package = shardback.build(
        impressions=tables["impressions"], clicks=tables["clicks"], formats="jagged", date="2025-08-16", out=tmp_path / "package"
    )
    assert by_package[0].hash == shardback.open(tmp_path / "out")["2025-08-16"].manifest.hash
    assert run("verify", tmp_path / "out").returncode == 0
    wrong = run("build", "--date", "yesterday")
    assert (wrong.returncode, wrong.stdout) == (2, "") and wrong.stderr.startswith("error: ")
    failed = run("verify", tmp_path / "nowhere")
    assert (failed.returncode, failed.stdout) == (1, "") and failed.stderr.startswith("error: cannot read `")
    assert run("build", "--impressions", tables["impressions"], "--clicks", tables["clicks"], "--out", tmp_path / "x").returncode == 2


def test_names_that_are_no_text_arrive_as_they_are(tmp_path):
    name = os.fsdecode(b"out-\xff")
    done = subprocess.run([SCRIPT, "report", tmp_path / name], capture_output=True)
    assert done.returncode == 1 and "No such file".encode() in done.stderr
    (tmp_path / name).mkdir()
    done = subprocess.run([SCRIPT, "report", tmp_path / name], capture_output=True)
    assert done.returncode == 1 and b"no days here" in done.stderr


def test_a_closed_pipe_is_no_fault(out):
    with subprocess.Popen([SCRIPT, "inspect", out, "--json", "--rows", "100000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_build_that_is_told_to_stop_cleans_up_and_says_130(number, tmp_path):
    shardback.generate(tmp_path / "tables", customers=4000, rows_per_day=5000, days=30, impression_days=10)
    words = ["build", "--out", tmp_path / "out", "--start", "2025-08-07", "--end", "2025-08-16", "--formats", "dense", "--threads", "1"]
    for table in ("impressions", "clicks", "add-to-carts", "previous-orders"):
        words += [f"--{table}", tmp_path / "tables" / table.replace("-", "_")]
    process = subprocess.Popen([SCRIPT, *words], stderr=subprocess.PIPE, text=True)
    # It listens before it has done anything.
    line = process.stderr.readline()
    assert "read impressions" in line
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "error: interrupted" in said, said
    assert not (tmp_path / "out" / ".staging").exists()


LARGE = ["--customers", "1000000", "--rows-per-day", "1000000"]


def test_tables_that_are_generated_stop_when_they_are_told_to(tmp_path):
    process = subprocess.Popen([SCRIPT, "generate", tmp_path / "tables", *LARGE, "--quiet"], stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "tables").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=10)
    assert process.returncode == 130 and said == "error: interrupted\n"


def test_ctrl_c_ends_other_commands_at_once(tmp_path):
    """Python's own handler would only make a note, and the command would go on to its end."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}", "AWS_REGION": "x", "AWS_SKIP_SIGNATURE": "true"}
        words = ["verify", "s3://bucket/out", "--cache-dir", tmp_path]
        process = subprocess.Popen([SCRIPT, *words], env=os.environ | place)
        # It asks, and waits for an answer that does not come.
        silent.settimeout(20)
        connection, _ = silent.accept()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == -signal.SIGINT
        connection.close()

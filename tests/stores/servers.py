"""Servers of stores on this machine: each a program of its own, on a free port, with the sample's tables in it."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import boto3
import botocore.config

KEY, SECRET = "ACCESSKEYOFTESTS", "secret-of-the-tests-0123456789"
BUCKET = "tables"
S3S_FS = ["--version", "0.12.0", "--features", "binary"]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def running(command, port, **options):
    """A server while it runs; it has to answer within a minute."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert server.poll() is None, f"{command[0]} ended with {server.returncode}"
            time.sleep(0.1)
        else:
            raise AssertionError(f"{command[0]} does not answer")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


@contextlib.contextmanager
def moto(folder):
    """S3 by moto, from PyPI. It believes every signature."""
    port = free_port()
    environment = os.environ | {"PYTHONPATH": ""}
    with running([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port, env=environment) as url:
        yield url


@contextlib.contextmanager
def s3s_fs(folder):
    """S3 by s3s-fs, from crates.io: objects are files of a folder, and signatures are checked."""
    root = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or pathlib.Path(__file__).parents[2] / "target") / "stores"
    program = root / "bin" / "s3s-fs"
    if not program.exists():
        install = ["cargo", "install", "s3s-fs", *S3S_FS, "--locked", "--quiet", "--root", root]
        subprocess.run(install, check=True, env=os.environ | {"CARGO_TARGET_DIR": str(root / "target")})
        shutil.rmtree(root / "target", ignore_errors=True)
    port = free_port()
    command = [program, "--host", "127.0.0.1", "--port", str(port), "--access-key", KEY, "--secret-key", SECRET, folder]
    with running(command, port) as url:
        yield url


S3_SERVERS = {"moto": moto, "s3s-fs": s3s_fs}


def client(url):
    config = botocore.config.Config(
        s3={"addressing_style": "path"}, request_checksum_calculation="when_required", response_checksum_validation="when_required"
    )
    names = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=url, config=config, **names)


def fill(url, folder, bucket=BUCKET):
    """Puts all files of a folder into a bucket, by their names from the folder on."""
    store = client(url)
    store.create_bucket(Bucket=bucket)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.put_object(Bucket=bucket, Key=path.relative_to(folder).as_posix(), Body=path.read_bytes())


def environment(url, **others):
    """What the program finds in its environment: nothing of the machine's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AZURE_", "GOOGLE_"))}
    # No profile of a person who runs the tests.
    kept |= {"HOME": "/nonexistent", "AWS_ENDPOINT_URL": url, "AWS_REGION": "us-east-1"}
    return kept | {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET} | others

"""Builds the sample once, with the program under test, and works out what it has to hold."""

import os
import pathlib
import subprocess

import pytest

from contract import Contract

SAMPLE = pathlib.Path(__file__).resolve().parents[2] / "data" / "sample"
SHARDS = 3


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
def built(program, tmp_path_factory):
    """The folder with the output: three days, three formats, three shards each."""
    out = tmp_path_factory.mktemp("readers") / "out"
    command = [program, "build", "--out", out, "--start", "2025-08-14", "--end", "2025-08-16"]
    command += ["--formats", "parquet,dense,jagged", "--shards", str(SHARDS)]
    for table in ("impressions", "clicks", "add-to-carts", "previous-orders"):
        command += [f"--{table}", SAMPLE / table.replace("-", "_")]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, f"{' '.join(map(str, command))}\n{run.stdout}{run.stderr}"
    return out


@pytest.fixture(scope="session")
def contract():
    return Contract(SAMPLE)

"""What a comparison needs before it starts: a Python with the engines, the program, and the tables."""

import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys

from jobs import IMPRESSION_DAYS, LAST_DAY, Sizes

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
ACTIONS_PER_CUSTOMER = 200


def python(work, extras):
    """An interpreter that has the engines, in a virtual environment; `extras` are further sets of requirements."""
    environment = work / "venv"
    interpreter = environment / "bin" / "python"
    if not interpreter.exists():
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    for extra in ["", *(f"-{extra}" for extra in extras)]:
        requirements = pathlib.Path(__file__).with_name(f"requirements{extra}.txt")
        installed = environment / requirements.name
        if not installed.exists() or installed.read_text() != requirements.read_text():
            pip = [interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, "-r", requirements], check=True)
            shutil.copy(requirements, installed)
    return str(interpreter)


def has_module(interpreter, module):
    """Whether an interpreter can import a module."""
    find = f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"
    return subprocess.run([interpreter, "-c", find], check=False).returncode == 0


def binary():
    """The program, built for release."""
    subprocess.run(["cargo", "build", "--release", "--bin", "shardback"], check=True, cwd=REPOSITORY)
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    return str(REPOSITORY / target / "release" / "shardback")


def sizes(actions, impression_rows=None):
    """Tables of so many actions; if it is not said how many impression rows a day, there is one for each customer."""
    customers = max(1, actions // ACTIONS_PER_CUSTOMER)
    return Sizes(actions, customers, impression_rows or customers)


def tables(work, settings, wanted, sizes):
    """The folder with tables of these sizes; kept for the next time."""
    folder = work / "tables" / wanted.name(sizes)
    if not folder.exists():
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        options = {
            "customers": sizes.customers,
            "mean-actions": sizes.actions / sizes.customers,
            "rows-per-day": sizes.impression_rows,
            "impression-days": IMPRESSION_DAYS,
            "last-day": LAST_DAY,
            "giant-share": wanted.giant_share,
            "format": wanted.format,
        }
        given = [f"--{option}={value}" for option, value in options.items()] + ["--described"] * wanted.described
        if wanted.format == "csv":
            parquet = tables(work, settings, dataclasses.replace(wanted, format="parquet"), sizes)
            script = pathlib.Path(__file__).with_name("csv_tables.py")
            subprocess.run([settings.python, script, parquet, unfinished], check=True)
        else:
            subprocess.run([settings.binary, "generate", unfinished, *given, "--quiet"], check=True)
        unfinished.rename(folder)
    # Every engine finds the tables in the page cache, as far as there is room for them.
    for file in folder.rglob("*"):
        if file.is_file():
            with open(file, "rb", buffering=0) as data:
                while data.read(1 << 20):
                    pass
    return folder

"""What a comparison needs before it starts: a Python with the engines, the program, and the tables."""

import os
import pathlib
import shutil
import subprocess
import sys

from jobs import IMPRESSION_DAYS, LAST_DAY

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


def impression_rows(actions):
    """Rows of the impressions table a day: one for each customer, on average."""
    return max(1, actions // ACTIONS_PER_CUSTOMER)


def tables(work, settings, wanted, actions):
    """The folder with tables of so many actions; kept for the next time."""
    folder = work / "tables" / wanted.name(actions)
    if not folder.exists():
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        customers = impression_rows(actions)
        options = {
            "customers": customers,
            "mean-actions": actions / customers,
            "rows-per-day": customers,
            "impression-days": IMPRESSION_DAYS,
            "last-day": LAST_DAY,
            "giant-share": wanted.giant_share,
            "format": wanted.format,
        }
        given = [f"--{option}={value}" for option, value in options.items()]
        subprocess.run([settings.binary, "generate", unfinished, *given, "--quiet"], check=True)
        unfinished.rename(folder)
    # Every engine finds the tables in the page cache, as far as there is room for them.
    for file in folder.rglob("*"):
        if file.is_file():
            with open(file, "rb", buffering=0) as data:
                while data.read(1 << 20):
                    pass
    return folder

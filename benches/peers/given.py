"""What every engine's script is given, and the files of the tables that a day can see."""

import argparse
import pathlib

HISTORY = 1000


def arguments(description):
    """The command line of a script: ROOT OUT DAY…, where ROOT holds the tables and each day goes to OUT/dt=DAY."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("root", type=pathlib.Path, help="the folder with the four tables")
    parser.add_argument("out", type=pathlib.Path, help="a folder for the results")
    parser.add_argument("days", nargs="+", metavar="DAY", help="days to build, one after the other")
    parser.add_argument("--input", choices=["parquet", "json", "csv"], default="parquet", help="the format of the tables")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compression", default="snappy", help="the codec of Parquet results")
    return parser.parse_args()


def on_day(root, table, day):
    """The files of a table's partition."""
    return sorted(str(file) for file in (root / table / f"dt={day}").iterdir())


def before_day(root, table, day):
    """The files of the partitions before a day: nobody who has partitions reads the others."""
    folders = sorted(folder for folder in (root / table).iterdir() if folder.name < f"dt={day}")
    return [str(file) for folder in folders for file in sorted(folder.iterdir())]


def whole(root, table):
    """The files of a table without partitions."""
    return sorted(str(file) for file in (root / table).iterdir())

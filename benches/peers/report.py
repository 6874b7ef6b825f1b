"""A comparison as Markdown."""

import datetime
import os
import platform
import statistics
import subprocess


def table(header, rows):
    """A table whose columns but the first are numbers if their header ends in a blank."""
    rules = ["---:" if name.endswith(" ") else "---" for name in header]
    lines = [[name.strip() for name in header], rules, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def comparison(results):
    """The table of all jobs; results are lists of runs by job and contestant, each job's reference first."""
    header = ["job", "engine", "runs ", "median s ", "min s ", "max s ", "CPU s ", "peak memory ", "written "]
    header += ["to disk s ", "× shardback "]
    rows = []
    for job, contestants in results:
        reference = median(contestants[0][1], "seconds")
        for label, runs in contestants:
            seconds = [run.seconds for run in runs]
            rows.append([
                job.title,
                label,
                str(len(runs)),
                *(f"{value:.2f}" for value in (statistics.median(seconds), min(seconds), max(seconds))),
                f"{median(runs, 'cpu_seconds'):.2f}",
                size(max(run.peak_bytes for run in runs)),
                size(median(runs, "written_bytes")),
                f"{median(runs, 'sync_seconds'):.2f}",
                f"{statistics.median(seconds) / reference:.2f}",
            ])
    return table(header, rows)


def growth(points):
    """The table of growing tables; a point is the number of actions, a job and its runs."""
    header = ["actions ", "job", "runs ", "median s ", "s per million actions ", "CPU s ", "peak memory ", "written "]
    rows = [
        [
            f"{actions:,}",
            job.title,
            str(len(runs)),
            f"{median(runs, 'seconds'):.2f}",
            f"{median(runs, 'seconds') / (actions / 1e6):.3f}",
            f"{median(runs, 'cpu_seconds'):.2f}",
            size(max(run.peak_bytes for run in runs)),
            size(median(runs, "written_bytes")),
        ]
        for actions, job, runs in points
    ]
    return table(header, rows)


def limits(measured):
    """What the machine could do before and after the jobs: where that differs much, it was not quiet."""
    names = {
        "direct_write": "written past the page cache (O_DIRECT, room reserved)",
        "synced_write": "written through the page cache, with a sync",
        "memory_copy": "memory copied, one thread",
        "memory_copy_threads": "memory copied, all threads",
    }
    rows = [[title, *(rate(each[name]) for each in measured)] for name, title in names.items()]
    return table(["limit", "before ", "after "], rows)


# Prints the versions of the engines that an interpreter has.
VERSIONS = """
from importlib import metadata
found = {each.name: each.version for each in metadata.distributions()}
print(*(f"{name} {found[name]}" for name in ("polars", "duckdb", "pyspark") if name in found), sep=", ")
"""


def machine(settings, work, tables):
    """Where and with what it was measured."""
    rows = {
        "when": f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC",
        "processor": f"{field('/proc/cpuinfo', 'model name')}, {os.cpu_count()} logical cores",
        "memory": f"{int(field('/proc/meminfo', 'MemTotal').split()[0]) / 2**20:.1f} GiB",
        "system": f"{platform.system()} {platform.release()}, {file_system(work)}",
        "engines": f"{output([settings.binary, '--version'])}, {output([settings.python, '-c', VERSIONS])}",
        "settings": f"{settings.threads} threads" + (f", --memory {settings.memory}" if settings.memory else ""),
        "tables": tables,
    }
    return table(["machine", ""], [list(row) for row in rows.items()])


def median(runs, name):
    return statistics.median(getattr(run, name) for run in runs)


def rate(bytes_per_second):
    return "–" if bytes_per_second is None else f"{bytes_per_second / 1e9:.2f} GB/s"


def size(count):
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def output(command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def field(path, name):
    """A field of a file in /proc."""
    with open(path) as lines:
        values = (line.split(":", 1)[1].strip() for line in lines if line.startswith(name))
        return next(values, "unknown")


def file_system(folder):
    """The kind of file system that a folder is on."""
    with open("/proc/mounts") as lines:
        mounts = [line.split()[1:3] for line in lines]
    path = f"{folder.resolve()}/"
    around = [(len(point), kind) for point, kind in mounts if path.startswith(f"{point.rstrip('/')}/")]
    return max(around, default=(0, "unknown"))[1]

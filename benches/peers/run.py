"""Runs the same jobs on shardback and on other engines, side by side, and prints one table.

Needs nothing but Python's own library, cargo, and Linux; the engines are installed into a virtual environment.
docs/benchmarks.md says what the jobs and the columns are.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys

import jobs
import prepare
import report
from measure import measure

# What takes longer than this is run twice at most.
SLOW_SECONDS = 30
# Enough that every job has something to do.
SMOKE_ACTIONS = 100_000
# As `generate` and `build` have them by default.
SLATE = 10
HISTORY = 1000
# Impression rows a day while the actions grow.
GROWTH_ROWS = 50_000
# A disk is not measured by less.
LEAST_LIMITS_BYTES = 64 << 20


def main():
    given = arguments()
    work = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    extras = [extra for extra, wanted in (("spark", "spark" in (given.engines or ())), ("plot", given.plot)) if wanted]
    python = given.python or prepare.python(work, extras)
    settings = jobs.Settings(given.binary or prepare.binary(), python, given.threads, given.memory)
    text = grow(given, work, settings) if given.growth else compare(given, work, settings)
    print(text)
    if given.out:
        given.out.write_text(text)


def arguments():
    names = [job.name for job in jobs.all_jobs(2)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=listed(names), default=names, help=f"some of {', '.join(names)}")
    parser.add_argument(
        "--engines",
        type=listed(jobs.PEERS),
        help="some of polars, duckdb, spark; if not given polars and duckdb, and spark where it is installed already",
    )
    parser.add_argument("--runs", type=int, default=3, help="runs of each engine; slow ones have at most two")
    parser.add_argument("--actions", type=int, default=10_000_000, help="rows of the action tables together")
    parser.add_argument("--threads", type=int, default=2, help="for every engine")
    parser.add_argument("--memory", metavar="SIZE", help="for shardback, as 8GiB")
    parser.add_argument("--smoke", action="store_true", help="small tables and one run, to see that everything works")
    parser.add_argument(
        "--growth",
        type=millions,
        nargs="?",
        const=[1, 10, 100],
        metavar="MILLIONS",
        help="instead of the jobs, shardback alone with this many million actions: 1,10,100 if not given",
    )
    parser.add_argument("--plot", type=pathlib.Path, metavar="FILE", help="draw the growth, as .svg or .png")
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE", help="also write the Markdown to a file")
    parser.add_argument(
        "--work",
        type=pathlib.Path,
        default=prepare.REPOSITORY / "target" / "peers",
        metavar="FOLDER",
        help="for tables, results and the virtual environment; on the disk that is to be measured",
    )
    parser.add_argument("--binary", help="a shardback that is built already")
    parser.add_argument("--python", help="a Python that has the engines already")
    given = parser.parse_args()
    if given.smoke:
        given.actions, given.runs = SMOKE_ACTIONS, 1
    return given


def listed(names):
    """Takes names that are separated by commas."""

    def parse(text):
        chosen = text.split(",")
        unknown = [name for name in chosen if name not in names]
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; choose from {', '.join(names)}")
        return chosen

    return parse


def millions(text):
    return [float(number) for number in text.split(",")]


def compare(given, work, settings):
    """Runs the jobs, their contestants by turns."""
    engines = ["shardback", *(given.engines or installed(settings.python))]
    sizes = prepare.sizes(given.actions)
    rows = sizes.impression_rows
    # As much as a day of dense tensors.
    limits_bytes = max(LEAST_LIMITS_BYTES, rows * SLATE * HISTORY * 5)
    measured_limits = [limits(work, settings, limits_bytes)]
    results = []
    # Rows are compared with those of this run only.
    expected = work / "rows"
    shutil.rmtree(expected, ignore_errors=True)
    for job in jobs.all_jobs(settings.threads):
        contestants = [contestant for contestant in job.contestants if contestant.engine in engines]
        if job.name in given.jobs:
            runs = run_job(job, contestants, given, work, settings, sizes, expected)
            results.append((job, [(each.label, runs[each]) for each in contestants]))
    measured_limits.append(limits(work, settings, limits_bytes))
    impressions = f"{jobs.IMPRESSION_DAYS} × {rows:,} impression rows of {SLATE} items"
    tables = f"{sizes.actions:,} actions, {sizes.customers:,} customers, {impressions}"
    return "\n".join([
        report.machine(settings, work, tables),
        report.limits(measured_limits),
        report.comparison(results),
    ])


def grow(given, work, settings):
    """Runs shardback alone on larger and larger tables."""
    points = []
    for size in given.growth:
        sizes = prepare.sizes(round(size * 1e6), GROWTH_ROWS)
        for job in jobs.growth_jobs():
            runs = run_job(job, job.contestants, given, work, settings, sizes)[job.contestants[0]]
            points.append((sizes.actions, job, runs))
    if given.plot:
        plain = [
            {
                "actions": actions,
                "job": job.title,
                "seconds": report.median(runs, "seconds"),
                "peak_bytes": max(run.peak_bytes for run in runs),
            }
            for actions, job, runs in points
        ]
        source = work / "growth.json"
        source.write_text(json.dumps(plain))
        script(settings, "plot.py", source, given.plot)
    tables = f"a customer for every {prepare.ACTIONS_PER_CUSTOMER} actions, {GROWTH_ROWS:,} impression rows a day"
    return "\n".join([report.machine(settings, work, tables), report.growth(points)])


def run_job(job, contestants, given, work, settings, sizes, expected=None):
    """All runs of a job, by contestant; rows of the first runs are compared with those in `expected`, if given."""
    runs = {contestant: [] for contestant in contestants}
    out = work / "out"
    for turn in range(given.runs):
        for contestant in contestants:
            if turn >= 2 and runs[contestant][0].seconds > SLOW_SECONDS:
                continue
            shutil.rmtree(out, ignore_errors=True)
            tables = prepare.tables(work, settings, contestant.tables, sizes)
            measured = measure(jobs.command(contestant, job, settings, tables, out), out, work / "log.txt")
            say(f"{job.name}: {contestant.label}, run {turn + 1} of {given.runs}: {measured.seconds:.2f} s")
            runs[contestant].append(measured)
            if turn == 0 and expected:
                of_tables = expected / contestant.rows_name(sizes)
                of_tables.mkdir(parents=True, exist_ok=True)
                folders = jobs.results(contestant, job, out)
                script(settings, "rows.py", contestant.form, *folders, "--expected", of_tables)
    shutil.rmtree(out, ignore_errors=True)
    return runs


def installed(python):
    """The engines that are there."""
    has_spark = shutil.which("java") and prepare.has_module(python, "pyspark")
    return jobs.PEERS if has_spark else tuple(peer for peer in jobs.PEERS if peer != "spark")


def limits(work, settings, count):
    return json.loads(script(settings, "limits.py", work, "--bytes", count, "--threads", settings.threads))


def script(settings, name, *given):
    """Runs one of our scripts, in a process of its own: a child's peak memory begins with that of this one."""
    path = pathlib.Path(__file__).with_name(name)
    finished = subprocess.run([settings.python, path, *map(str, given)], stdout=subprocess.PIPE, text=True, check=False)
    if finished.returncode:
        raise SystemExit(f"{name} failed")
    return finished.stdout


def say(line):
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

"""The same day on one Spark cluster, by a plain pipeline of PySpark and by shardback.spark, in one table.

    python benches/spark.py                       ten million actions, five rounds; prints a table in Markdown
    python benches/spark.py --actions 10,100      how both grow
    python benches/spark.py --cutoff time         each request's history at its own time
    python benches/spark.py --smoke               small tables, to see that everything works

The cluster is Spark's own on this machine: executors in processes of their own, with a core each. Each contestant has a session of
its own with the same settings. They take turns; the rows of the first turn are compared, and the first turns are not measured, as
Java compiles for long. What the plain pipeline does is benches/peers/spark_wide.py, or spark_at_time.py; it writes wide Parquet, which is what Spark can write.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
PEERS = HERE / "peers"
sys.path.insert(0, str(PEERS))

import jobs  # noqa: E402
import prepare  # noqa: E402

DAY = str(jobs.LAST_DAY)
EXECUTORS = 2
# As the other comparison has them while the actions grow.
IMPRESSION_ROWS = 50_000
CONTESTANTS = {"plain": "PySpark, wide Parquet", "wide": "shardback.spark, wide Parquet", "jagged": "shardback.spark, jagged"}


# ---- a contestant, in a process of its own ------------------------------------------------------------------------------------


def session(executor_memory: str):
    """A session on a cluster of processes on this machine."""
    import pyspark
    from pyspark.sql import SparkSession

    # The scripts that start executors are where pip has put them.
    os.environ["SPARK_HOME"] = os.path.dirname(pyspark.__file__)
    os.environ["PYSPARK_PYTHON"] = sys.executable
    return (
        SparkSession.builder.master(f"local-cluster[{EXECUTORS},1,{int(executor_memory[:-1]) * 1024}]")
        .config("spark.executor.memory", executor_memory)
        .config("spark.driver.memory", "2g")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.log.level", "ERROR")
        .getOrCreate()
    )


def contestant(name: str, executor_memory: str, task_memory: str, cutoff: str, connection) -> None:
    """Runs jobs as they are asked for: takes (tables, out), gives seconds, bytes shuffled and the memory of an executor."""
    spark = session(executor_memory)
    seen: set[int] = set()
    while True:
        wanted = connection.recv()
        if wanted is None:
            break
        tables, out = wanted
        with ExecutorMemory() as memory:
            started = time.perf_counter()
            run(name, spark, tables, out, task_memory, cutoff)
            seconds = time.perf_counter() - started
        connection.send((seconds, shuffled(spark, seen), memory.most))
    spark.stop()


def run(name: str, spark, tables: pathlib.Path, out: pathlib.Path, task_memory: str, cutoff: str) -> None:
    if name == "plain":
        import spark_at_time
        import spark_wide

        (spark_at_time if cutoff == "time" else spark_wide).build(spark, tables, DAY, out)
        return
    import shardback.spark

    frames = {table: spark.read.parquet(str(tables / table)) for table in ("clicks", "add_to_carts", "previous_orders")}
    formats = {"wide": "parquet", "jagged": "jagged"}[name]
    impressions = spark.read.parquet(str(tables / "impressions"))
    given = {"out": out, "date": DAY, "formats": formats, "memory": task_memory}
    if cutoff == "time":
        described = {"samples": impressions, **frames}
        shardback.spark.build(spark, config=PEERS / "shown.toml", tables=described, cutoff="time", **given)
        return
    shardback.spark.build(spark, impressions=impressions, **frames, **given)


def shuffled(spark, seen: set[int]) -> int:
    """The bytes that stages have written for others since this was last asked."""
    context = spark.sparkContext
    address = f"{context.uiWebUrl}/api/v1/applications/{context.applicationId}/stages?status=complete"
    with urllib.request.urlopen(address) as answer:
        stages = [stage for stage in json.load(answer) if stage["stageId"] not in seen]
    seen.update(stage["stageId"] for stage in stages)
    return sum(stage["shuffleWriteBytes"] for stage in stages)


class ExecutorMemory:
    """The most memory that an executor had resident: its Java and its Python together."""

    def __enter__(self) -> ExecutorMemory:
        self.most = 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()

    def watch(self) -> None:
        while not self.ended.wait(0.25):
            children: dict[int, list[int]] = {}
            executors, resident = [], {}
            for folder in pathlib.Path("/proc").iterdir():
                if not folder.name.isdigit():
                    continue
                try:
                    process = int(folder.name)
                    parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                    pages = int((folder / "statm").read_text().split()[1])
                    command = (folder / "cmdline").read_bytes()
                except (OSError, IndexError, ValueError):
                    continue
                children.setdefault(parent, []).append(process)
                resident[process] = pages * os.sysconf("SC_PAGE_SIZE")
                if b"CoarseGrainedExecutorBackend" in command and b"java" in command.split(b"\0")[0]:
                    executors.append(process)
            ours = descendants(os.getpid(), children)
            for executor in ours.intersection(executors):
                tree = descendants(executor, children)
                self.most = max(self.most, sum(resident[process] for process in tree))


def descendants(process: int, children: dict[int, list[int]]) -> set[int]:
    found, new = {process}, [process]
    while new:
        new = [child for parent in new for child in children.get(parent, []) if child not in found]
        found.update(new)
    return found


# ---- the comparison -----------------------------------------------------------------------------------------------------------


def main() -> None:
    given = arguments()
    work = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    settings = jobs.Settings(given.binary or prepare.binary(), sys.executable, EXECUTORS, None)
    lines = [
        f"Spark {version('pyspark')}, {EXECUTORS} executors with a core and {given.executor_memory} of heap each, "
        f"{given.task_memory} for a task of shardback; {IMPRESSION_ROWS:,} impression rows, K = 1000.",
        "",
        "| actions | | seconds (median) | all runs | against plain | shuffled | memory of an executor | written |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for actions in given.actions:
        sizes = prepare.sizes(round(actions * 1e6), IMPRESSION_ROWS)
        tables = prepare.tables(work, settings, jobs.Tables(described=given.cutoff == "time"), sizes)
        results = compare(given, work, tables)
        plain = statistics.median(run[0] for run in results["plain"][0]) if "plain" in results else None
        for name, (runs, written) in results.items():
            seconds = [run[0] for run in runs]
            median = statistics.median(seconds)
            ratio = f"{plain / median:.1f} ×" if plain and name != "plain" else ""
            each = ", ".join(f"{one:.1f}" for one in seconds)
            lines.append(
                f"| {sizes.actions / 1e6:g} M | {CONTESTANTS[name]} | {median:.1f} | {each} | {ratio} | "
                f"{mebibytes(max(run[1] for run in runs))} | {mebibytes(max(run[2] for run in runs))} | {mebibytes(written)} |"
            )
    print("\n".join(lines))


def compare(given: argparse.Namespace, work: pathlib.Path, tables: pathlib.Path) -> dict[str, tuple[list[tuple], int]]:
    """The runs of each contestant on some tables, by turns, and the bytes that it writes."""
    context = multiprocessing.get_context("spawn")
    out, expected = work / "out", work / "rows"
    shutil.rmtree(expected, ignore_errors=True)
    expected.mkdir()
    results: dict[str, tuple[list[tuple], int]] = {}
    processes, connections = {}, {}
    for name in given.contestants:
        here, there = context.Pipe()
        processes[name] = context.Process(
            target=contestant, args=(name, given.executor_memory, given.task_memory, given.cutoff, there), daemon=False
        )
        processes[name].start()
        connections[name] = here
    for turn in range(given.warm_ups + given.rounds):
        for name, connection in connections.items():
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            connection.send((tables, out))
            run = connection.recv()
            print(f"{tables.name}, {name}, turn {turn}: {run[0]:.1f} s", file=sys.stderr)
            if turn == 0:
                folder = out / {"plain": "", "wide": "parquet", "jagged": "jagged"}[name] / f"dt={DAY}"
                form = {"plain": "wide"}.get(name, name)
                subprocess.run(
                    [sys.executable, PEERS / "rows.py", form, folder, "--expected", expected], check=True
                )
                results[name] = ([], sum(file.stat().st_size for file in folder.iterdir()))
            if turn >= given.warm_ups:
                results[name][0].append(run)
    for name, connection in connections.items():
        connection.send(None)
        processes[name].join()
    shutil.rmtree(out, ignore_errors=True)
    return results


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actions", type=numbers, default=[10], metavar="MILLIONS", help="rows of the action tables")
    parser.add_argument("--contestants", type=lambda text: text.split(","), default=list(CONTESTANTS), help=f"some of {', '.join(CONTESTANTS)}")
    parser.add_argument("--warm-ups", type=int, default=3, help="runs of each before those that are measured")
    parser.add_argument("--rounds", type=int, default=5, help="measured runs of each")
    parser.add_argument("--executor-memory", default="5g", help="the heap of an executor")
    parser.add_argument("--task-memory", default="1GiB", help="the memory of a task of shardback, outside the heap")
    parser.add_argument("--cutoff", choices=["day", "time"], default="day", help="from when on nothing is seen")
    parser.add_argument("--smoke", action="store_true", help="small tables, and each twice")
    parser.add_argument("--binary", help="a shardback that is built already")
    parser.add_argument("--work", type=pathlib.Path, default=prepare.REPOSITORY / "target" / "peers", metavar="FOLDER")
    given = parser.parse_args()
    if given.smoke:
        given.actions, given.warm_ups, given.rounds = [0.1], 1, 1
    return given


def numbers(text: str) -> list[float]:
    return [float(number) for number in text.split(",")]


def version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


def mebibytes(count: float) -> str:
    return f"{count / 2**20:,.0f} MiB"


if __name__ == "__main__":
    main()

"""A process measured from outside: time, processor time, memory, and what it left on disk."""

import ctypes
import dataclasses
import os
import time

PR_SET_CHILD_SUBREAPER = 36


@dataclasses.dataclass(frozen=True)
class Measured:
    """What one run of an engine took."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    written_bytes: int
    # How long it takes to bring to disk what the process left in the page cache.
    sync_seconds: float


def measure(command, out, log):
    """Runs a command that writes into the folder `out`; what it prints goes to `log`.

    Processor time counts all processes that the command starts. Memory is that of the largest one.
    """
    # Processes that outlive the one that started them become ours, so that they can be counted too.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with open(log, "wb") as output:
        streams = [(os.POSIX_SPAWN_DUP2, output.fileno(), stream) for stream in (1, 2)]
        started = time.perf_counter()
        process = os.posix_spawnp(command[0], command, os.environ, file_actions=streams)
        _, status, usage = os.wait4(process, 0)
        seconds = time.perf_counter() - started
    usages = [usage, *adopted()]
    if status:
        raise SystemExit(f"failed: {' '.join(command)}\n{log.read_text(errors='replace')[-4000:]}")
    files = [file for file in out.rglob("*") if file.is_file()]
    return Measured(
        seconds=seconds,
        cpu_seconds=sum(each.ru_utime + each.ru_stime for each in usages),
        peak_bytes=max(each.ru_maxrss for each in usages) * 1024,
        written_bytes=sum(file.stat().st_size for file in files),
        sync_seconds=sync(files),
    )


def adopted():
    """Waits for the processes that the command left behind."""
    usages = []
    while True:
        try:
            usages.append(os.wait4(-1, 0)[2])
        except ChildProcessError:
            return usages


def sync(files):
    """Brings files to disk, so that no run pays for the one before."""
    started = time.perf_counter()
    for path in files:
        file = os.open(path, os.O_RDONLY)
        os.fsync(file)
        os.close(file)
    return time.perf_counter() - started

"""What this machine's disk and memory can do at best, in bytes per second, as JSON.

    limits.py FOLDER --bytes N

Writes N bytes to a file in FOLDER, once past the page cache and once through it with a sync, and copies memory.
"""

import argparse
import concurrent.futures
import json
import mmap
import os
import pathlib
import time

import numpy as np

BLOCK = 16 << 20
COPIED = 512 << 20
ROUNDS = 3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--bytes", type=int, required=True)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    size = max(1, given.bytes // BLOCK) * BLOCK
    with concurrent.futures.ThreadPoolExecutor(given.threads) as threads:
        limits = {
            "direct_write": best(lambda: write_direct(given.folder, size, threads)),
            "synced_write": best(lambda: write_synced(given.folder, size)),
            "memory_copy": best(lambda: copy([0], threads)),
            "memory_copy_threads": best(lambda: copy(range(given.threads), threads)),
        }
    print(json.dumps(limits))


def best(measured):
    """The fastest of some rounds; None where the machine cannot do it."""
    try:
        return max(measured() for _ in range(ROUNDS))
    except OSError:
        return None


def write_direct(folder, size, threads):
    """O_DIRECT into a file that has its room already, a block in flight for each thread."""
    return write(folder, size, os.O_DIRECT, lambda file, block: write_blocks(file, size, block, threads.map))


def write_synced(folder, size):
    """As most programs write: into the page cache, then to disk."""
    return write(folder, size, 0, lambda file, block: write_blocks(file, size, block, map))


def write(folder, size, flags, write_all):
    path = folder / "limits.bin"
    # Anonymous memory begins at a page, as O_DIRECT asks; random bytes, which no disk can make smaller.
    block = mmap.mmap(-1, BLOCK)
    block.write(os.urandom(BLOCK))
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | flags)
    try:
        if flags:
            os.posix_fallocate(file, 0, size)
        started = time.perf_counter()
        write_all(file, block)
        os.fsync(file)
        return size / (time.perf_counter() - started)
    finally:
        os.close(file)
        path.unlink()


def write_blocks(file, size, block, each):
    if sum(each(lambda offset: os.pwrite(file, block, offset), range(0, size, BLOCK))) != size:
        raise OSError("the disk took less than it was given")


def copy(workers, threads):
    """Copies memory that is much larger than the caches; the bytes are counted once."""
    pairs = [(np.ones(COPIED // 8), np.ones(COPIED // 8)) for _ in workers]
    started = time.perf_counter()
    list(threads.map(lambda pair: np.copyto(*pair), pairs))
    return COPIED * len(pairs) / (time.perf_counter() - started)


if __name__ == "__main__":
    main()

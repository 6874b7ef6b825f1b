"""The command line: what the console script `shardback` runs, and `python -m shardback`."""

import signal
import sys

from shardback import _native


def main() -> int:
    """Runs the command line with the arguments of this process; gives the exit code."""
    # Python's own handler only makes a note for the interpreter, which is not running while Rust works: then Ctrl-C would do nothing. A
    # build listens itself; other commands end at once, as programs do.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _native.command(["shardback", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())

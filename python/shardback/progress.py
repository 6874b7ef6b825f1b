"""A bar on standard error, for builds."""

from __future__ import annotations

import sys
import time
from types import TracebackType


class Bar:
    """Shows one stage at a time: its name, a bar, percent, and the seconds it has taken. It is what `build` calls."""

    WIDTH = 30

    def __init__(self, *, shown: bool = True) -> None:
        self._shown = shown
        self._stage = ""
        self._started = 0.0

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self._end_line()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Draws the stage anew, on a line of its own."""
        if not self._shown:
            return
        if stage != self._stage:
            self._end_line()
            self._stage, self._started = stage, time.monotonic()
        part = min(done / total, 1.0) if total else 0.0
        filled = round(part * self.WIDTH)
        bar = "█" * filled + "·" * (self.WIDTH - filled)
        percent = f"{part:4.0%}" if total else "    "
        sys.stderr.write(f"\r{stage:18} {percent} |{bar}| {time.monotonic() - self._started:.1f} s")
        sys.stderr.flush()

    def _end_line(self) -> None:
        if self._stage:
            sys.stderr.write("\n")
            sys.stderr.flush()
        self._stage = ""

"""What a loader will do with the days, and how much device memory it takes."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Literal

Strategy = Literal["host", "all", "two", "one"]
"""Where batches are gathered.

`host`: by the processor, into pinned memory where the device is CUDA. The others on the device, from jagged days that are
resident there: `all` days, `two` of them (the one at work, and the next one uploading behind it), or `one` at a time.
"""


@dataclass(frozen=True, slots=True)
class DayPlan:
    """A day: its rows, and the bytes of device memory that it takes where it is resident (0 for a dense day)."""

    date: datetime.date
    rows: int
    device_bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Where batches are gathered, and the device memory that it takes, in bytes.

    `available` is what days and batches may take, none without a device. `free` is what the device has free where `available`
    is half of that, and none where `available` was said.
    """

    strategy: Strategy
    reason: str
    days: tuple[DayPlan, ...]
    batch_bytes: int
    available: int | None
    free: int | None = None

    @property
    def all_bytes(self) -> int:
        """What all days take together."""
        return sum(day.device_bytes for day in self.days)

    @property
    def two_bytes(self) -> int:
        """What the two largest neighbours take together; the last day and the first are neighbours, too."""
        sizes = [day.device_bytes for day in self.days]
        if len(sizes) < 2:
            return self.all_bytes
        return max(first + second for first, second in zip(sizes, sizes[1:] + sizes[:1], strict=True))

    @property
    def one_bytes(self) -> int:
        """What the largest day takes."""
        return max((day.device_bytes for day in self.days), default=0)

    @property
    def device_bytes(self) -> int:
        """What the days take that are resident at the same time, with the batches."""
        resident = {"host": 0, "all": self.all_bytes, "two": self.two_bytes, "one": self.one_bytes}
        return resident[self.strategy] + self.batch_bytes

    def __str__(self) -> str:
        lines = [f"{day.date}  {day.rows:>12,} rows  {gibibytes(day.device_bytes):>12}" for day in self.days]
        have = "no device" if self.available is None else f"{gibibytes(self.available)} available"
        if self.free is not None:
            have += f" (half of the {gibibytes(self.free)} that are free; device_memory= says another number)"
        lines.append(f"all days {gibibytes(self.all_bytes)}, batches {gibibytes(self.batch_bytes)}, {have}")
        lines.append(f"{self.strategy}: {self.reason}")
        return "\n".join(lines)


def gibibytes(count: int) -> str:
    """As a person reads it."""
    return f"{count / (1 << 30):.2f} GiB" if count >= 1 << 30 else f"{count / (1 << 20):.1f} MiB"


def choose(
    days: tuple[DayPlan, ...], batch_bytes: int, available: int | None, *, jagged: bool, free: int | None = None
) -> Plan:
    """The plan for days on a device with `available` bytes, half of `free`, or for the processor where that is none."""

    def plan(strategy: Strategy, reason: str) -> Plan:
        return Plan(strategy, reason, days, batch_bytes, available, free)

    if available is None:
        return plan("host", "batches are gathered by the processor")
    if not jagged:
        return plan("host", "dense days are gathered by the processor; build jagged ones to keep them on the device")
    sizes = plan("host", "")
    if sizes.all_bytes + batch_bytes <= available:
        return plan("all", "all days fit on the device, and stay there")
    if sizes.two_bytes + batch_bytes <= available:
        return plan("two", "a day at a time is on the device, while the next one is uploaded behind it")
    if sizes.one_bytes + batch_bytes <= available:
        return plan("one", "only one day at a time fits on the device: each step to the next day waits for its upload")
    return plan(
        "host",
        f"the largest day takes {gibibytes(sizes.one_bytes + batch_bytes)} with its batches, and {gibibytes(available)} are "
        "available: batches are gathered by the processor",
    )

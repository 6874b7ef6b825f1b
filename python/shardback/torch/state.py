"""Where a loader stands, and the state that says so: small, plain, and checked before it is believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from shardback.days import Days
from shardback.errors import OptionError

STATE_VERSION = 2

Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True)
class Position:
    """The epoch, the place of the day, and the rows of it that all ranks have been given."""

    epoch: int
    day: int = 0
    rows: int = 0

    def after(self, days: Days, place: int, delivered: int) -> Position:
        """Where the same epoch stands when so many rows of the day at a place have been given."""
        if delivered < len(days[place]):
            return Position(self.epoch, place, delivered)
        if place + 1 < len(days):
            return Position(self.epoch, place + 1)
        return Position(self.epoch + 1)


def write(position: Position, days: Days, *, seed: int, shuffle: bool) -> dict[str, Any]:
    """The state of a loader."""
    day = days[position.day]
    return {
        "version": STATE_VERSION,
        "seed": seed,
        "shuffle": shuffle,
        "epoch": position.epoch,
        "day": str(day.date),
        "day_rows": len(day),
        "build": day.manifest.build,
        "rows": position.rows,
    }


def read(state: Mapping[str, Any], days: Days, *, shuffle: bool) -> tuple[Position, int]:
    """The position and the seed that a state says.

    Raises:
        OptionError: it is no state, or one of other days, another order or another version.
    """
    if not isinstance(state, Mapping):
        raise OptionError(f"state: expected what state_dict gave, found {type(state).__name__}")
    if state.get("version") != STATE_VERSION:
        raise OptionError(f"state: it is of version {state.get('version')}, this is version {STATE_VERSION}")
    seed, epoch, day_rows, rows = (_number(state, name) for name in ("seed", "epoch", "day_rows", "rows"))
    if _typed(state, "shuffle", bool) != shuffle:
        raise OptionError(f"state: it was taken with shuffle={state['shuffle']}")
    date, build = _typed(state, "day", str), _typed(state, "build", str)
    places = {str(day.date): place for place, day in enumerate(days)}
    place = places.get(date)
    if place is None:
        raise OptionError(f"state: it stands at {date}, which is none of the days {', '.join(places)}")
    day = days[place]
    if len(day) != day_rows:
        raise OptionError(f"state: {date} had {day_rows} rows, and has {len(day)} now: it was built anew")
    if day.manifest.build != build:
        raise OptionError(f"state: {date} is of build {day.manifest.build}, and was of {build}: it was built anew")
    if rows > day_rows:
        raise OptionError(f"state: {rows} rows of {date} cannot have been given: it has {day_rows}")
    return Position(epoch, place, rows), seed


def _typed(state: Mapping[str, Any], name: str, kind: type[Kind]) -> Kind:
    value = state.get(name)
    # A bool is an int to Python.
    if type(value) is not kind:
        raise OptionError(f"state: `{name}` is {value!r}, expected one of type {kind.__name__}")
    return value


def _number(state: Mapping[str, Any], name: str) -> int:
    value = _typed(state, name, int)
    if not 0 <= value < 1 << 64:
        raise OptionError(f"state: `{name}` is {value}, expected a number of 64 bits")
    return value

"""Where a `shardback.torch.Loader` stands: passes, epochs, and states that are saved and gone on with."""

from __future__ import annotations

import collections
import pathlib
import re
from typing import Any

import numpy as np
import pytest

import shardback
from conftest import DAYS, build
from loading import TOTAL, items, loader
from shardback.torch import Loader


@pytest.mark.parametrize("stop", [0, 1, 12, 13, 20, 31, 32])
@pytest.mark.parametrize("gather", ["host", "torch"])
def test_resume_goes_on_with_the_next_row(out, stop, gather) -> None:
    """The state counts what was yielded, not what was made ahead, and is small and plain."""
    whole = loader(out, gather=gather)
    list(whole)
    second = items(whole)
    stopped = loader(out, gather=gather)
    list(stopped)
    iterator = iter(stopped)
    before = items([next(iterator) for _ in range(stop)])
    state = stopped.state_dict()
    assert all(isinstance(value, int | str | bool) for value in state.values())
    resumed = loader(out, gather=gather, seed=99)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    if stop == 32:
        assert resumed.epoch == 2
        return
    # What training loops call at the start of each epoch does not undo it.
    resumed.set_epoch(1)
    assert before + items(resumed) == second
    assert resumed.epoch == 2 and sorted(items(resumed)) == sorted(second)


def test_a_pass_left_early_costs_no_epoch(out) -> None:
    """Looking at a batch does not change what is trained on afterwards: an epoch counts when its pass has given all."""
    looked, plain = loader(out), loader(out)
    for _ in range(3):
        next(iter(looked))
        assert looked.epoch == 0
    assert [items(looked) for _ in range(2)] == [items(plain) for _ in range(2)]
    assert looked.epoch == plain.epoch == 2
    # Also where the epoch was begun by another run: the pass begins where it did.
    steps = iter(plain)
    head = items([next(steps) for _ in range(5)])
    looked.load_state_dict(plain.state_dict())
    next(iter(looked))
    plain = loader(out)
    plain.set_epoch(2)
    assert head + items(looked) == items(plain)
    # Whoever wants the next one says so.
    looked.set_epoch(3)
    next(iter(looked))
    looked.set_epoch(looked.epoch + 1)
    assert items(looked) == items(at_epoch(out, 4))


def at_epoch(out: pathlib.Path, epoch: int) -> Loader:
    some = loader(out)
    some.set_epoch(epoch)
    return some


@pytest.mark.parametrize("rule", [{}, {"drop_last": True}, {"uneven": True}])
def test_the_last_batch_ends_the_epoch(out, rule) -> None:
    """Whoever counts the steps never asks for one more: the epoch is over all the same."""
    for rank in range(7):
        some = loader(out, batch_size=50, rank=rank, world_size=7, **rule)
        for epoch in range(2):
            assert some._next.epoch == epoch
            steps = iter(some)
            for _ in range(len(some)):
                next(steps)
            del steps
        assert some._next.epoch == 2


def test_the_newest_pass_is_the_one_that_counts(out) -> None:
    some = loader(out)
    old = iter(some)
    next(old)
    new = iter(some)
    with pytest.raises(shardback.ShardbackError, match="this pass is over: another one was begun after it"):
        next(old)
    before = some.state_dict()
    assert list(old) == [] and some.state_dict() == before, "what is over moves nothing"
    assert items(new) == items(loader(out)) and some.epoch == 1
    for change in (lambda: some.set_epoch(7), lambda: some.load_state_dict(before)):
        steps = iter(some)
        next(steps)
        change()
        state = some.state_dict()
        with pytest.raises(shardback.ShardbackError, match="told another epoch or state"):
            next(steps)
        assert some.state_dict() == state
    # One that was opened and never asked is over as well.
    unasked = iter(some)
    next(iter(some))
    with pytest.raises(shardback.ShardbackError, match="this pass is over"):
        next(unasked)


@pytest.mark.parametrize("peek", [False, True])
def test_the_loop_of_the_documentation_sees_each_row_in_each_epoch(out, peek) -> None:
    """Stopped anywhere, gone on with, and looked at before: three epochs are three times all rows."""

    def train(state: dict[str, Any] | None, stop: int | None) -> tuple[list[int], dict[str, Any]]:
        some, seen = loader(out), []
        if state is not None:
            some.load_state_dict(state)
        if peek:
            next(iter(some))
        for _ in range(some.epoch, 3):
            for batch in some:
                seen.extend(batch.impressions.tolist())
                if stop is not None and len(seen) >= stop:
                    # As a training loop does: after the loop as well as within it.
                    break
            else:
                continue
            break
        return seen, some.state_dict()

    whole, _ = train(None, None)
    assert whole == [item for epoch in range(3) for item in items(at_epoch(out, epoch))]
    for stop in (100, TOTAL, TOTAL + 1, 2 * TOTAL + 500, 3 * TOTAL):
        first, state = train(None, stop)
        rest, _ = train(state, None)
        assert first + rest == whole


@pytest.mark.parametrize(("old", "new"), [(2, 3), (3, 1), (1, 2)])
def test_resume_on_another_number_of_ranks(out, old, new) -> None:
    counts: collections.Counter[int] = collections.Counter()
    state = None
    for rank in range(old):
        some = loader(out, batch_size=13, rank=rank, world_size=old)
        iterator = iter(some)
        counts.update(items(next(iterator) for _ in range(7)))
        assert state in (None, some.state_dict()), "all ranks stand at the same place"
        state = some.state_dict()
    for rank in range(new):
        rest = loader(out, batch_size=19, rank=rank, world_size=new)
        rest.load_state_dict(state)
        counts.update(items(rest))
    assert len(counts) == TOTAL
    assert counts.total() - TOTAL < len(DAYS) * max(old, new)


def test_numbers_of_numpy_are_saved_as_plain_ones(out) -> None:
    """What a checkpoint holds is read back, whatever kind of number the seed was."""
    drawn = loader(out, seed=np.int64(7), shuffle=1, batch_size=np.int32(32))
    same = loader(out)
    same.load_state_dict(drawn.state_dict())
    assert (same.seed, items(same)) == (7, items(loader(out, seed=7)))


def test_states_of_something_else_are_refused(out) -> None:
    """All of a state is looked at before any of it is believed: after a failure nothing has changed."""
    one = loader(out, seed=5)
    steps = iter(one)
    next(steps)
    state = one.state_dict()
    later = {**state, "seed": 6, "epoch": 4, "rows": 64}
    for change, message in [
        ({"version": 1}, "version 1, this is version 2"),
        ({"version": 3}, "version 3"),
        ({"day": "2025-08-01"}, "stands at 2025-08-01, which is none of the days 2025-08-14"),
        ({"day_rows": 5}, "had 5 rows, and has 403 now"),
        ({"build": "0" * 32}, f"2025-08-14 is of build {one.days[0].manifest.build}, and was of 0000"),
        ({"shuffle": False}, "shuffle=False"),
        ({"rows": 404}, "404 rows of 2025-08-14 cannot have been given: it has 403"),
        *[({name: -1}, f"`{name}` is -1") for name in ("seed", "epoch", "rows", "day_rows")],
        *[({name: 1 << 64}, f"`{name}` is 18446744073709551616") for name in ("seed", "epoch", "rows")],
        *[
            ({name: value}, f"`{name}` is {value!r}, expected one of type int")
            for name in ("seed", "epoch", "rows", "day_rows")
            for value in ("5", 1.7, True, None)
        ],
        ({"day": 20250814}, "`day` is 20250814, expected one of type str"),
        ({"shuffle": 1}, "`shuffle` is 1, expected one of type bool"),
    ]:
        with pytest.raises(shardback.OptionError, match=re.escape(message)):
            one.load_state_dict({**later, **change})
        assert one.state_dict() == state and one.seed == 5
    for name in state:
        with pytest.raises(shardback.OptionError, match="None"):
            one.load_state_dict({key: value for key, value in later.items() if key != name})
    with pytest.raises(shardback.OptionError, match="expected what state_dict gave, found str"):
        one.load_state_dict("5")
    # Not even a pass that is under way.
    next(steps)
    one.load_state_dict({**state, "rows": 403})
    assert len(items(one)) == TOTAL - 403


def test_a_day_that_was_built_anew_is_not_gone_on_with(out, tables, tmp_path) -> None:
    """As many rows as before, and other histories: the order would draw other rows."""
    some = loader(out)
    clicks = tables["clicks"].read_text().splitlines()
    (tmp_path / "clicks.csv").write_text("\n".join(clicks[:-1000]) + "\n")
    build({**tables, "clicks": tmp_path / "clicks.csv"}, tmp_path / "out")
    with pytest.raises(shardback.OptionError, match="it was built anew"):
        loader(tmp_path / "out").load_state_dict(some.state_dict())
    # In the other format of the same build it is the same day.
    loader(out / "dense").load_state_dict(some.state_dict())

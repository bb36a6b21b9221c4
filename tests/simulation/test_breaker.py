"""The breaker of a channel, under any sequence of failures, successes, time and steps of our clock."""

from datetime import timedelta
from random import Random
from typing import Final
from unittest.mock import patch

import pytest

from channels import breaker, clock_steps
from channels.breaker import BreakerState, state_of
from channels.errors import Throttled, TransientError, Unauthorised
from tests.properties import IS_THOROUGH
from tests.simulation import stand
from tests.simulation.database import Clockwork
from tests.simulation.world import AUTUMN, Violation

pytestmark = pytest.mark.usefixtures("simulation")

SEEDS: Final = 2000 if IS_THOROUGH else 80
CHANNEL: Final = 1


def begin() -> Clockwork:
    """Begins with an empty database."""
    clock = Clockwork(AUTUMN)
    stand.enter(clock)
    breaker.forget_successes()
    return clock


def state(clock: Clockwork) -> BreakerState:
    """Returns what may go out now."""
    rows = clock.database.tables["channels_channelhealth"]
    return state_of(rows[0]["breaker_open_until"] if rows else None, now=clock.server_time())


def play(seed: int) -> None:
    """Calls whenever the breaker allows it, and while calls of before are still under way; raises `Violation`."""
    choose, clock = Random(seed), begin()
    in_a_row, opened_at = 0, AUTUMN
    may_happen = [
        "fails",
        "fails",
        "throttled",
        "waits",
        "waits",
        *(["works"] if choose.random() < 0.5 else []),
    ]
    for _ in range(60):
        before = state(clock)
        happened = choose.choice(may_happen)
        if happened == "fails":
            breaker.note_failure(CHANNEL, TransientError("502"))
            in_a_row += before is not BreakerState.OPEN
        elif happened == "throttled":
            breaker.note_failure(CHANNEL, Throttled("429"))
        elif happened == "works" and before is not BreakerState.OPEN:
            breaker.note_success(CHANNEL)
            in_a_row = 0
        else:
            clock.now += timedelta(seconds=choose.choice((1.0, 5.0, 400.0, 400.0)))
            stand.set_clock(clock.server_time())
        now = state(clock)
        if now is BreakerState.OPEN and before is not BreakerState.OPEN:
            opened_at = clock.now
            if in_a_row < breaker.THRESHOLD:
                raise Violation(f"it opened after {in_a_row} failures")
            check_pause(clock, in_a_row)
        if now is BreakerState.CLOSED and in_a_row >= breaker.THRESHOLD:
            raise Violation(f"it is closed after {in_a_row} failures")
        longest = breaker.LONGEST_PAUSE * 1.25 + 1
        if now is BreakerState.OPEN and (clock.now - opened_at).total_seconds() > longest:
            raise Violation("it stays open")


def check_pause(clock: Clockwork, failures: int) -> None:
    """Each failure doubles the pause, up to the longest, lengthened by a quarter at most; raises `Violation`."""
    (health,) = clock.database.tables["channels_channelhealth"]
    pause = (health["breaker_open_until"] - clock.server_time()).total_seconds()
    doubled = breaker.FIRST_PAUSE * 2.0 ** (failures - breaker.THRESHOLD)
    if pause > min(doubled, breaker.LONGEST_PAUSE) * 1.25 + 0.001:
        raise Violation(f"it opens for {pause} seconds after {failures} failures")


def test_it_opens_after_failures_in_a_row_alone_and_never_for_long() -> None:
    play_many()


def play_many() -> None:
    """Plays all seeds; raises `Violation`."""
    for seed in range(SEEDS):
        play(seed)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (breaker._OPEN, "false"),
        ("%(longest)s", "1000000"),
        ("consecutive_failures + 1 >= %(threshold)s", "consecutive_failures + 2 >= %(threshold)s"),
    ],
    ids=["calls of before are counted", "pauses grow for ever", "it opens too early"],
)
def test_without_its_safeguards_the_property_fails(before: str, after: str) -> None:
    altered = breaker._NOTE_FAILURE_SQL.replace(before, after)
    with patch.object(breaker, "_NOTE_FAILURE_SQL", altered), pytest.raises(Violation):
        play_many()


@pytest.mark.parametrize("error", [TransientError("502"), Unauthorised("401")])
@pytest.mark.parametrize("hours", [1, 24])
def test_a_clock_that_is_put_back_keeps_it_open_no_longer_than_any_pause(
    error: Exception, hours: int
) -> None:
    clock = begin()
    for _ in range(breaker.THRESHOLD):
        breaker.note_failure(CHANNEL, error)  # type: ignore[arg-type]
    clock.offset = -timedelta(hours=hours)
    clock.now += timedelta(seconds=clock_steps.LONGEST_PAUSE)
    assert state(clock) is BreakerState.OPEN
    clock_steps.forget_the_future()
    assert state(clock) is BreakerState.HALF_OPEN

"""The token bucket: whatever our clock does, a platform is not asked for more than it grants, and never left alone for ever."""

from datetime import timedelta
from random import Random
from typing import Final
from unittest.mock import patch

import pytest

from channels import clock_steps, limits
from channels.connectors.base import LimitReading, RateLimit
from tests.properties import IS_THOROUGH
from tests.simulation import stand
from tests.simulation.database import Clockwork
from tests.simulation.world import AUTUMN, Violation

pytestmark = pytest.mark.usefixtures("simulation")

SEEDS: Final = 2000 if IS_THOROUGH else 100
CAPACITY, REFILL = 10.0, 2.0
#: Seconds by which our server's clock is put on or back.
STEPS: Final = (-7200.0, -60.0, -1.0, 3600.0)


class Platform:
    """Grants what its own bucket holds, by the true time."""

    def __init__(self, clock: Clockwork, *, capacity: float = CAPACITY, refill: float = REFILL) -> None:
        self.clock = clock
        self.capacity, self.refill = capacity, refill
        self.tokens, self.at = capacity, clock.now
        self.refusals = 0

    def call(self, cost: float) -> LimitReading:
        """Answers a call and says what is left."""
        gone = (self.clock.now - self.at).total_seconds()
        self.tokens, self.at = min(self.capacity, self.tokens + gone * self.refill), self.clock.now
        if self.tokens < cost - 1e-6:
            self.refusals += 1
            return LimitReading(self.capacity, self.refill, self.tokens, blocked_for=cost / self.refill)
        self.tokens -= cost
        return LimitReading(self.capacity, self.refill, self.tokens)


def spend(clock: Clockwork, platform: Platform, cost: float, *, learns: bool) -> float:
    """Makes a call where the bucket grants it; returns the seconds to wait otherwise."""
    declared = RateLimit(CAPACITY, REFILL)
    grant = limits.spend(1, "calls", cost, declared=declared, priority=True)
    if grant.wait:
        return grant.wait
    reading = platform.call(cost)
    if learns:
        limits.learn(1, "calls", reading)
    return 0.0


def begin() -> Clockwork:
    """Begins with an empty database."""
    clock = Clockwork(AUTUMN)
    stand.enter(clock)
    return clock


def play(seed: int) -> None:
    """Calls now and then while our clock is put back and on, and believes no answer; raises `Violation`.

    Time by which a clock is put on looks like time that went by: a bucketful may be granted too much each time.
    """
    choose, clock = Random(seed), begin()
    declared = RateLimit(CAPACITY, REFILL)
    granted, most = 0.0, CAPACITY
    for _ in range(60):
        if choose.random() < 0.1:
            ahead = timedelta(seconds=choose.choice((0, -1, -3600, 7200)))
            most += CAPACITY if ahead > clock.offset else 0.0
            clock.offset = ahead
        seconds, cost = choose.choice((0.0, 0.01, 0.5)), choose.choice((1.0, 3.0))
        clock.now += timedelta(seconds=seconds)
        most += seconds * REFILL
        if not limits.spend(1, "calls", cost, declared=declared, priority=True).wait:
            granted += cost
        if granted > most + 0.001:
            raise Violation(f"{granted} were granted, and {most} are")


def play_many() -> None:
    """Plays all seeds; raises `Violation`."""
    for seed in range(SEEDS):
        play(seed)


def test_whatever_our_clock_does_no_more_is_granted_than_the_platform_grants() -> None:
    play_many()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "extract(epoch FROM clock.now - updated_at)::float, 0)",
            "extract(epoch FROM clock.now - updated_at)::float, 1)",
        ),
        ("least(capacity, tokens + refill_per_second", "(tokens + refill_per_second"),
        ("%(cost)s, capacity)))", "%(cost)s, capacity)) - 3)"),
    ],
    ids=["time goes by that does not", "the bucket has no brim", "less than is needed is enough"],
)
def test_without_its_safeguards_more_is_granted(before: str, after: str) -> None:
    assert before in limits._TAKE_SQL
    altered = limits._TAKE_SQL.replace(before, after)
    with patch.object(limits, "_TAKE_SQL", altered), pytest.raises(Violation):
        play_many()


@pytest.mark.parametrize("step", STEPS)
def test_after_a_step_of_our_clock_calls_go_out_again_within_a_minute(step: float) -> None:
    for seed in range(20):
        choose, clock = Random(seed), begin()
        platform = Platform(clock)
        for _ in range(choose.randrange(20)):
            spend(clock, platform, 1.0, learns=True)
        clock.offset = timedelta(seconds=step)
        waited = 0.0
        clock_steps.forget_the_future()
        while pause := spend(clock, platform, 1.0, learns=True):
            clock.now += timedelta(seconds=min(pause, 5.0))
            waited += min(pause, 5.0)
            assert waited < 60.0


def test_without_the_watch_a_clock_that_was_put_back_stops_all_calls() -> None:
    clock = begin()
    platform = Platform(clock)
    while not spend(clock, platform, 1.0, learns=True):
        pass
    clock.offset = timedelta(hours=-2)
    clock.now += timedelta(hours=1)
    assert spend(clock, platform, 1.0, learns=True) > 0
    clock_steps.forget_the_future()
    clock.now += timedelta(seconds=5)
    assert spend(clock, platform, 1.0, learns=True) == 0


def test_what_a_platform_really_grants_is_learned_after_few_refusals() -> None:
    for seed in range(15):
        choose, clock = Random(seed), begin()
        capacity = choose.choice((2.0, 5.0))
        platform = Platform(clock, capacity=capacity, refill=choose.choice((0.5, 1.0)))
        for _ in range(100):
            clock.now += timedelta(seconds=choose.choice((0.05, 0.3)))
            spend(clock, platform, 1.0, learns=True)
        assert platform.refusals <= 2

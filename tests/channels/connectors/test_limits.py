"""Shared token buckets grant exactly, and learn from the platforms."""

import threading
from datetime import timedelta

import psycopg
import pytest
from django.db import connection, connections
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from channels import limits
from channels.connectors.base import LimitReading, RateLimit
from channels.models import Channel, RateBucket
from inventory.models import Merchant

#: Refills so slowly that no token comes back during a test.
STILL = RateLimit(capacity=20, refill_per_second=0.000001)


def bucket(channel: Channel) -> RateBucket:
    return RateBucket.objects.get(channel=channel, name="calls")


def take(channel: Channel, cost: float = 1.0, *, declared: RateLimit = STILL, priority: bool = True) -> float:
    return limits.spend(channel.pk, "calls", cost, declared=declared, priority=priority).wait


def test_a_new_bucket_starts_full_as_declared(channel: Channel) -> None:
    assert take(channel) == 0.0
    kept = bucket(channel)
    assert (kept.capacity, kept.refill_per_second) == (20, 0.000001)
    assert kept.tokens == pytest.approx(19)


def test_a_bucket_grants_its_capacity_and_then_says_how_long_to_wait(channel: Channel) -> None:
    declared = RateLimit(capacity=3, refill_per_second=0.01)
    assert [take(channel, declared=declared) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert take(channel, declared=declared) == pytest.approx(100, rel=0.1)
    assert bucket(channel).tokens < 1


def test_tokens_come_back_with_time_but_not_beyond_the_capacity(channel: Channel) -> None:
    declared = RateLimit(capacity=5, refill_per_second=1)
    take(channel, 5, declared=declared)
    RateBucket.objects.update(updated_at=timezone.now() - timedelta(seconds=2.5))
    assert [take(channel, declared=declared) == 0 for _ in range(3)] == [True, True, False]
    RateBucket.objects.update(updated_at=timezone.now() - timedelta(hours=1))
    assert [take(channel, declared=declared) == 0 for _ in range(6)] == [True] * 5 + [False]


@pytest.mark.parametrize(("rate", "back"), [(1.0, 96), (0.5, 50)])
def test_of_a_fast_limit_a_little_is_left_unused(channel: Channel, rate: float, back: int) -> None:
    declared = RateLimit(capacity=1000, refill_per_second=rate)
    take(channel, declared=declared)
    for cost, is_granted in ((back + 1.5, False), (back - 0.5, True)):
        RateBucket.objects.update(tokens=0, updated_at=timezone.now() - timedelta(seconds=100))
        assert (take(channel, cost, declared=declared) == 0) is is_granted


def test_a_call_dearer_than_the_bucket_takes_all_of_it_instead_of_waiting_for_ever(channel: Channel) -> None:
    assert take(channel, 100) == 0.0
    assert take(channel) > 0


def test_ordinary_callers_leave_a_tenth_to_what_has_waited_longest(channel: Channel) -> None:
    granted = 0
    while take(channel, priority=False) == 0:
        granted += 1
    assert granted == 18
    assert [take(channel, priority=True) == 0 for _ in range(3)] == [True, True, False]


def test_a_bucket_of_a_single_call_serves_ordinary_callers_too(channel: Channel) -> None:
    single = RateLimit(capacity=1, refill_per_second=0.000001)
    assert take(channel, declared=single, priority=False) == 0.0


def test_the_platforms_numbers_replace_what_was_assumed(channel: Channel) -> None:
    take(channel)
    limits.learn(channel.pk, "calls", LimitReading(capacity=2000, refill_per_second=100, tokens=1500))
    kept = bucket(channel)
    assert (kept.capacity, kept.refill_per_second, kept.tokens) == (2000, 100, 1500)


def test_what_a_call_did_not_cost_is_given_back_but_never_more_than_the_platform_has(
    channel: Channel,
) -> None:
    take(channel, 10)
    limits.learn(channel.pk, "calls", LimitReading(capacity=20, tokens=20), refund=6)
    assert bucket(channel).tokens == pytest.approx(16)
    limits.learn(channel.pk, "calls", LimitReading(tokens=4), refund=1)
    assert bucket(channel).tokens == pytest.approx(4)
    limits.learn(channel.pk, "calls", LimitReading(), refund=100)
    assert bucket(channel).tokens == pytest.approx(20)


def test_a_pause_that_the_platform_asked_for_holds_everybody_within_reason(channel: Channel) -> None:
    take(channel)
    limits.learn(channel.pk, "calls", LimitReading(blocked_for=30))
    assert 25 < take(channel) <= 30
    limits.learn(channel.pk, "calls", LimitReading(blocked_for=1))
    assert take(channel) > 25
    limits.learn(channel.pk, "calls", LimitReading(blocked_for=10**9))
    assert take(channel) <= limits.LONGEST_BLOCK


@pytest.mark.parametrize("nonsense", [0.0, -5.0, float("inf"), float("nan")])
def test_a_capacity_or_rate_that_makes_no_sense_is_not_believed(channel: Channel, nonsense: float) -> None:
    take(channel)
    limits.learn(channel.pk, "calls", LimitReading(capacity=nonsense, refill_per_second=nonsense))
    assert (bucket(channel).capacity, bucket(channel).refill_per_second) == (20, 0.000001)


def test_spending_takes_one_statement(
    channel: Channel, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    take(channel)
    with django_assert_num_queries(1):
        take(channel)


# -- many at once, on connections of their own


def _channel() -> Channel:
    merchant = Merchant.objects.create(name="Merchant")
    return Channel.objects.create(merchant=merchant, name="Channel", kind="shopify")


@pytest.mark.django_db(transaction=True)
def test_many_callers_at_once_are_granted_exactly_what_there_is() -> None:
    channel = _channel()
    granted: list[int] = []
    start = threading.Barrier(6)

    def spend_much() -> None:
        try:
            start.wait()
            granted.append(sum(take(channel) == 0.0 for _ in range(20)))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=spend_much) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == 20
    assert bucket(channel).tokens == pytest.approx(0, abs=0.01)


def _open() -> psycopg.Connection[tuple[float]]:
    return psycopg.connect(**connection.get_connection_params(), row_factory=None)


@pytest.mark.django_db(transaction=True)
def test_reading_first_and_writing_then_grants_the_last_token_twice() -> None:
    """The control: what `spend` would do without its single statement."""
    channel = _channel()
    take(channel, 19)
    granted = 0
    with _open() as one, _open() as other:
        read = "SELECT tokens FROM channels_ratebucket WHERE channel_id = %s"
        seen = [each.execute(read, [channel.pk]).fetchone() for each in (one, other)]
        for each, row in zip((one, other), seen, strict=True):
            if row and row[0] >= 1:
                update = "UPDATE channels_ratebucket SET tokens = %s WHERE channel_id = %s"
                each.execute(update, [row[0] - 1, channel.pk])
                each.commit()
                granted += 1
    assert granted == 2


@pytest.mark.django_db(transaction=True)
def test_whoever_wants_the_last_token_while_it_is_being_taken_waits_and_gets_none() -> None:
    channel = _channel()
    take(channel, 19)
    waited: list[float] = []

    def second() -> None:
        try:
            waited.append(take(channel))
        finally:
            connections.close_all()

    with _open() as first:
        first.execute(
            "UPDATE channels_ratebucket SET tokens = tokens - 1 WHERE channel_id = %s", [channel.pk]
        )
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.3)
        assert not waited, "the second caller did not wait for the row"
        first.commit()
        thread.join(10)
    assert len(waited) == 1
    assert waited[0] > 0

"""The breaker: opened by failures of the whole channel, closed by one success, the pauses growing."""

from datetime import timedelta

import pytest
from django.utils import timezone

from channels.breaker import BreakerState, note_failure, note_success, state_of
from channels.errors import (
    ConnectorError,
    Misconfigured,
    OutcomeUnknown,
    Rejected,
    Throttled,
    TransientError,
    Unauthorised,
    Unsupported,
)
from channels.models import ChannelHealth
from channels.survey import survey
from tests.channels.shop import open_shop
from tests.inventory.racing import race

pytestmark = pytest.mark.django_db


def new_channel_id() -> int:
    return open_shop().channel.pk


def health(channel_id: int) -> ChannelHealth:
    return ChannelHealth.objects.get(channel_id=channel_id)


def pause(channel_id: int) -> float:
    """Returns the seconds for which the breaker is open, and lets them pass."""
    until = health(channel_id).breaker_open_until
    assert until is not None
    ChannelHealth.objects.filter(channel_id=channel_id).update(breaker_open_until=timezone.now())
    return (until - timezone.now()).total_seconds()


def test_it_opens_at_the_third_failure_in_a_row_and_says_why() -> None:
    channel_id = new_channel_id()
    counts = [note_failure(channel_id, TransientError("Answered 503.")) for _ in range(2)]
    assert counts == [1, 2]
    assert survey()[channel_id].breaker is BreakerState.CLOSED
    assert note_failure(channel_id, OutcomeUnknown("No answer.")) == 3
    assert survey()[channel_id].breaker is BreakerState.OPEN
    assert health(channel_id).breaker_reason == "No answer."


def test_a_success_between_failures_starts_the_count_anew() -> None:
    channel_id = new_channel_id()
    for _ in range(4):
        note_failure(channel_id, TransientError())
        note_failure(channel_id, TransientError())
        note_success(channel_id)
    assert (health(channel_id).consecutive_failures, health(channel_id).breaker_open_until) == (0, None)


def test_pauses_double_up_to_a_limit_and_a_success_ends_them() -> None:
    channel_id = new_channel_id()
    pauses = []
    for number in range(14):
        note_failure(channel_id, TransientError())
        if number >= 2:
            pauses.append(pause(channel_id))
    assert 1.0 < pauses[0] < 3.0
    assert 3.0 < pauses[1] < 6.0
    assert all(200 < each < 400 for each in pauses[-3:])
    note_success(channel_id)
    assert health(channel_id).breaker_open_until is None
    assert health(channel_id).breaker_reason == ""


@pytest.mark.parametrize("error", [Unauthorised(), Misconfigured()])
def test_what_a_person_has_to_mend_opens_it_at_once(error: ConnectorError) -> None:
    channel_id = new_channel_id()
    note_failure(channel_id, error)
    assert survey()[channel_id].breaker is BreakerState.OPEN
    assert pause(channel_id) > 20


@pytest.mark.parametrize("error", [Rejected(), Unsupported(), Throttled(retry_after=900)])
def test_what_concerns_one_item_or_one_limit_is_not_held_against_the_channel(error: ConnectorError) -> None:
    channel_id = new_channel_id()
    assert [note_failure(channel_id, error) for _ in range(9)] == [0] * 9
    assert not ChannelHealth.objects.filter(channel_id=channel_id).exists()


def test_a_platform_that_says_how_long_is_obeyed_within_reason() -> None:
    for asked, at_least, at_most in ((60.0, 59.0, 61.0), (86_400.0, 299.0, 301.0)):
        channel_id = new_channel_id()
        for _ in range(3):
            note_failure(channel_id, TransientError(retry_after=asked))
        assert at_least < pause(channel_id) < at_most


def test_calls_that_were_on_their_way_when_it_opened_say_nothing_new() -> None:
    channel_id = new_channel_id()
    for _ in range(10):
        note_failure(channel_id, TransientError())
    assert health(channel_id).consecutive_failures == 3
    assert pause(channel_id) < 3.0


def test_it_is_half_open_once_its_pause_is_over() -> None:
    now = timezone.now()
    second = timedelta(seconds=1)
    assert state_of(None) is BreakerState.CLOSED
    assert state_of(now + second, now=now) is BreakerState.OPEN
    assert state_of(now - second, now=now) is BreakerState.HALF_OPEN


def test_successes_are_noted_to_the_second_and_a_push_by_itself() -> None:
    channel_id = new_channel_id()
    note_success(channel_id)
    first = health(channel_id).last_success_at
    note_success(channel_id)
    assert health(channel_id).last_success_at == first
    assert health(channel_id).last_push_at is None
    note_success(channel_id, is_push=True)
    assert health(channel_id).last_push_at is not None


@pytest.mark.django_db(transaction=True)
def test_failures_of_calls_at_the_same_time_all_count_until_it_opens() -> None:
    channel_id = new_channel_id()
    counts = race([lambda: note_failure(channel_id, TransientError())] * 6)
    assert sorted(counts) == [1, 2, 3, 3, 3, 3]
    assert survey()[channel_id].breaker is BreakerState.OPEN

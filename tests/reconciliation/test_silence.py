"""Webhooks that go silent are noticed against the channel's own rhythm, and quiet shops are left alone."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from channels.models import Channel, ChannelHealth, ChannelOrder, WebhookDelivery
from reconciliation.checks.results import Result
from reconciliation.checks.silence import USUAL, Silence, expected, judge, silences, webhooks
from reconciliation.models import Severity
from tests.factories import ChannelFactory

NOW = timezone.now()


def hear(channel: Channel, at: datetime, times: int = 1, spread: timedelta = timedelta()) -> None:
    """Has the channel's webhooks come, spread evenly before an instant."""
    WebhookDelivery.objects.bulk_create(
        WebhookDelivery(
            channel=channel,
            dedupe_key=str(uuid4()),
            topic="orders",
            state="processed",
            received_at=at - spread * (number / times),
        )
        for number in range(times)
    )


def sell(channel: Channel, at: datetime) -> None:
    ChannelOrder.objects.create(channel=channel, external_id=str(uuid4()), arrived_at=at)


def found(channel: Channel) -> Result:
    return next(each for each in webhooks() if each.channel_id == channel.pk)


@pytest.fixture
def channel(db: None) -> Channel:
    return ChannelFactory(name="Web shop")


def ago(**units: float) -> datetime:
    return timezone.now() - timedelta(**units)


def test_a_busy_shop_that_is_silent_at_its_usual_hour_is_noticed(channel: Channel) -> None:
    for week in range(1, 5):
        hear(channel, ago(days=7 * week) + timedelta(hours=3), times=60, spread=timedelta(hours=6))
    hear(channel, ago(hours=2))
    result = found(channel)
    assert not result.is_ok
    assert "usual by now" in result.says
    assert result.severity == Severity.WARNING
    assert 15 <= result.evidence["usual_messages"] <= 25


def test_the_same_silence_at_an_hour_that_is_always_quiet_is_none(channel: Channel) -> None:
    for week in range(1, 5):
        hear(channel, ago(days=7 * week, hours=3), times=200, spread=timedelta(hours=6))
    hear(channel, ago(hours=2), times=500, spread=timedelta(hours=4))
    assert found(channel).is_ok


def test_one_quiet_week_among_them_is_enough_to_keep_quiet(channel: Channel) -> None:
    for week in (1, 2, 4):
        hear(channel, ago(days=7 * week) + timedelta(hours=3), times=60, spread=timedelta(hours=6))
    hear(channel, ago(hours=2))
    assert found(channel).is_ok


def test_a_young_channel_is_judged_by_its_days(channel: Channel) -> None:
    for days in range(1, 4):
        hear(channel, ago(days=days) + timedelta(hours=2), times=80, spread=timedelta(hours=4))
    hear(channel, ago(days=3, hours=4))
    hear(channel, ago(hours=1))
    assert not found(channel).is_ok


def test_a_new_channel_is_judged_by_its_pace(channel: Channel) -> None:
    hear(channel, ago(seconds=60), times=300, spread=timedelta(minutes=2))
    assert not found(channel).is_ok
    slow = ChannelFactory()
    hear(slow, ago(seconds=60), times=20, spread=timedelta(minutes=2))
    assert found(slow).is_ok


def test_orders_that_only_polls_brought_show_that_webhooks_are_broken(channel: Channel) -> None:
    hear(channel, ago(hours=5))
    for minutes in (30, 20, 10):
        assert found(channel).is_ok
        sell(channel, ago(minutes=minutes))
    result = found(channel)
    assert not result.is_ok
    assert "3 orders came by polling alone" in result.says


def test_a_channel_that_never_sent_one_is_noticed_by_its_orders(channel: Channel) -> None:
    Channel.objects.filter(pk=channel.pk).update(created_at=ago(hours=1))
    assert found(channel).says == "none has come yet"
    for minutes in (30, 20, 10):
        sell(channel, ago(minutes=minutes))
    assert not found(channel).is_ok


def test_a_channel_that_is_down_or_off_is_not_blamed_for_its_silence(channel: Channel) -> None:
    hear(channel, ago(hours=5))
    for minutes in (30, 20, 10):
        sell(channel, ago(minutes=minutes))
    ChannelHealth.objects.create(channel=channel, breaker_open_until=timezone.now())
    assert found(channel).is_ok
    Channel.objects.update(is_active=False)
    assert webhooks() == []


def test_a_message_that_came_again_is_a_sign_of_life(channel: Channel) -> None:
    hear(channel, ago(hours=5))
    for minutes in (30, 20, 10):
        sell(channel, ago(minutes=minutes))
    ChannelHealth.objects.create(channel=channel, last_webhook_at=ago(seconds=5))
    assert found(channel).is_ok


@pytest.mark.django_db
def test_the_statements_do_not_grow_with_the_channels() -> None:
    counts = []
    for _ in range(2):
        for _ in range(5):
            hear(ChannelFactory(), ago(hours=5))
        with CaptureQueriesContext(connection) as captured:
            silences()
        counts.append(len(captured))
    assert counts == [2, 2]


def silence(seconds: float, usual: dict[int, int], *, hour_before: int = 0, days: float = 40.0) -> Silence:
    return Silence(1, 1, "Web shop", "woocommerce", False, NOW, seconds, hour_before, days, 0, usual)


windows = st.fixed_dictionaries(dict.fromkeys((1, 2, 3, 7, 14, 21, 28), st.integers(0, 1000)))


@given(windows, st.floats(0, 1e6), st.integers(0, 1000), st.floats(0, 40))
def test_what_is_usual_is_the_quietest_of_the_known_weeks_or_days(
    usual: dict[int, int], seconds: float, hour_before: int, days: float
) -> None:
    known = silence(seconds, usual, hour_before=hour_before, days=days)
    weeks = [usual[day] for day in (7, 14, 21, 28) if day <= days]
    if len(weeks) >= 2:
        assert expected(known) == min(weeks)
    elif days >= 2:
        assert expected(known) == min(usual[day] for day in (1, 2, 3) if day <= days)
    assert expected(known) >= 0


@given(st.floats(30, 1e6), st.floats(30, 1e6), st.integers(0, 1000), st.floats(0, 1.9))
def test_a_longer_silence_is_never_less_unusual(one: float, other: float, count: int, days: float) -> None:
    shorter, longer = sorted((one, other))
    judged = [
        judge(silence(seconds, {}, hour_before=count, days=days)).is_ok for seconds in (shorter, longer)
    ]
    assert judged[0] or not judged[1]


def test_the_threshold_is_what_chance_alone_seldom_reaches() -> None:
    weeks = {7: USUAL, 14: USUAL, 21: USUAL, 28: USUAL}
    assert not judge(silence(600, weeks)).is_ok
    assert judge(silence(600, {**weeks, 14: USUAL - 1})).is_ok
    assert judge(silence(20, weeks)).is_ok
    assert judge(silence(600, dict.fromkeys(weeks, 60))).severity == Severity.CRITICAL

"""Webhooks that go silent are noticed against the channel's own rhythm, and quiet shops are left alone."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from channels.models import Channel, ChannelHealth, ChannelOrder, Heartbeat, PollFeed, WebhookDelivery
from reconciliation.checks.results import Result
from reconciliation.checks.silence import (
    USUAL,
    USUAL_WHEN_YOUNG,
    Silence,
    expected,
    is_doubtful,
    judge,
    poll_doubtful,
    silences,
    webhooks,
)
from reconciliation.models import Alert, Severity, WatchGap
from reconciliation.tasks import note_return
from tests.factories import ChannelFactory

NOW = timezone.now()


def hear(
    channel: Channel, at: datetime, times: int = 1, spread: timedelta = timedelta(), *, priority: int = 0
) -> None:
    """Has the channel's webhooks of orders (or, with 1, notices) come, spread evenly before an instant."""
    WebhookDelivery.objects.bulk_create(
        WebhookDelivery(
            channel=channel,
            dedupe_key=str(uuid4()),
            topic="orders",
            state="processed",
            received_at=at - spread * (number / times),
            priority=priority,
        )
        for number in range(times)
    )


def sell(channel: Channel, at: datetime, *, ordered_at: datetime | None = None) -> None:
    ChannelOrder.objects.create(
        channel=channel, external_id=str(uuid4()), arrived_at=at, ordered_at=ordered_at
    )


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


def trade(channel: Channel, days: int, *, times: int = 80) -> None:
    """Has messages come each day in the four hours around this one."""
    for day in range(1, days + 1):
        hear(channel, ago(days=day) + timedelta(hours=2), times=times, spread=timedelta(hours=4))
    hear(channel, ago(days=days, hours=3))
    hear(channel, ago(hours=1))


def test_a_channel_of_a_week_is_judged_by_its_days_and_last_weeks_same_day(channel: Channel) -> None:
    trade(channel, 8)
    assert not found(channel).is_ok


@pytest.mark.parametrize("days", [0, 1, 3, 6])
def test_a_channel_of_less_than_a_week_has_no_rhythm_yet(channel: Channel, days: int) -> None:
    trade(channel, days, times=400)
    assert found(channel).is_ok


def test_a_shop_whose_customers_have_left_is_polled_and_not_blamed(channel: Channel) -> None:
    """As after a demo: hundreds of messages within minutes, then none."""
    hear(channel, ago(seconds=40), times=300, spread=timedelta(minutes=2))
    assert found(channel).is_ok
    PollFeed.objects.create(
        channel=channel, name="orders", next_poll_at=ago(minutes=-5), covered_until=ago(minutes=1)
    )
    assert poll_doubtful() == [channel.pk]
    assert PollFeed.objects.get().next_poll_at <= timezone.now()
    # What the poll brought is the answer: nothing, so that it is left alone.
    PollFeed.objects.update(covered_until=timezone.now())
    assert poll_doubtful() == []
    assert found(channel).is_ok


def test_a_busy_shop_whose_orders_come_by_polling_alone_is_noticed_within_half_a_minute(
    channel: Channel,
) -> None:
    hear(channel, ago(seconds=35), times=300, spread=timedelta(minutes=2))
    for _ in range(9):
        sell(channel, ago(seconds=3), ordered_at=ago(seconds=25))
    sell(channel, ago(seconds=3), ordered_at=ago(seconds=40))  # told of before the silence
    assert found(channel).is_ok
    sell(channel, ago(seconds=3), ordered_at=ago(seconds=25))
    result = found(channel)
    assert "10 orders came by polling alone" in result.says
    assert not result.is_ok


def test_the_first_poll_of_a_new_channel_brings_old_orders_and_no_alarm(channel: Channel) -> None:
    Channel.objects.filter(pk=channel.pk).update(created_at=ago(minutes=20))
    for hours in range(1, 30):
        sell(channel, ago(minutes=15), ordered_at=ago(hours=hours))
    assert found(channel).is_ok


def test_news_of_shelves_are_no_sign_that_orders_are_told(channel: Channel) -> None:
    hear(channel, ago(hours=5))
    hear(channel, ago(seconds=5), times=50, priority=1)
    for minutes in (30, 20, 10):
        sell(channel, ago(minutes=minutes))
    assert not found(channel).is_ok


def test_after_an_outage_of_ours_everybody_begins_anew(channel: Channel) -> None:
    for week in range(1, 5):
        hear(channel, ago(days=7 * week), times=600, spread=timedelta(hours=30))
    hear(channel, ago(hours=20))
    for minutes in (300, 200, 100):
        sell(channel, ago(minutes=3), ordered_at=ago(minutes=minutes))
    assert not found(channel).is_ok
    WatchGap.objects.create(began_at=ago(hours=19), ended_at=ago(minutes=5))
    assert found(channel).is_ok


def test_after_an_outage_of_the_platform_too(channel: Channel) -> None:
    for week in range(1, 5):
        hear(channel, ago(days=7 * week), times=600, spread=timedelta(hours=30))
    hear(channel, ago(hours=5))
    assert not found(channel).is_ok
    down = {
        "channel": channel,
        "merchant": channel.merchant,
        "kind": "channel_down",
        "severity": 1,
        "title": "x",
    }
    Alert.objects.create(
        **down, opened_at=ago(hours=5), last_seen_at=ago(minutes=2), resolved_at=ago(minutes=2)
    )
    assert found(channel).is_ok


def test_a_gap_is_written_when_the_watch_comes_back_and_not_while_it_watches(db: None) -> None:
    assert note_return()
    assert WatchGap.objects.get().began_at is None
    Heartbeat.objects.create(name="watch", beat_at=ago(minutes=10))
    assert note_return()
    Heartbeat.objects.update(beat_at=ago(minutes=2))
    assert not note_return()
    assert WatchGap.objects.count() == 2


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
    assert found(channel).says == "none of an order has come yet"
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


@pytest.mark.django_db
def test_the_statements_do_not_grow_with_the_channels() -> None:
    counts = []
    for _ in range(2):
        for _ in range(5):
            shop = ChannelFactory()
            hear(shop, ago(hours=5))
            hear(shop, ago(days=9))
        with CaptureQueriesContext(connection) as captured:
            silences()
        counts.append(len(captured))
    assert counts == [2, 2]


def silence(seconds: float, usual: dict[int, int], *, hour_before: int = 0, days: float = 40.0) -> Silence:
    known = Silence(1, 1, "Web shop", "woocommerce", False, NOW, NOW, seconds, days, hour_before, 0, 0)
    known.usual = usual
    return known


windows = st.fixed_dictionaries(dict.fromkeys((1, 2, 3, 7, 14, 21, 28), st.integers(0, 1000)))


@given(windows, st.floats(0, 1e6), st.floats(0, 40))
def test_what_is_usual_is_the_quietest_of_the_known_weeks_or_days(
    usual: dict[int, int], seconds: float, days: float
) -> None:
    known = silence(seconds, usual, days=days)
    if days >= 14:
        assert expected(known) == (min(usual[day] for day in (7, 14, 21, 28) if day <= days), USUAL)
    elif days >= 7:
        assert expected(known) == (min(usual[day] for day in (1, 2, 3, 7)), USUAL_WHEN_YOUNG)
    else:
        assert expected(known) == (0, USUAL_WHEN_YOUNG)


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(0, 1000), st.floats(0, 40))
def test_a_longer_silence_is_never_less_doubtful(one: float, other: float, count: int, days: float) -> None:
    shorter, longer = sorted((one, other))
    doubts = [
        is_doubtful(silence(seconds, {}, hour_before=count, days=days)) for seconds in (shorter, longer)
    ]
    assert not doubts[0] or doubts[1]


def test_the_threshold_is_what_chance_alone_seldom_reaches() -> None:
    weeks = {7: USUAL, 14: USUAL, 21: USUAL, 28: USUAL}
    assert not judge(silence(600, weeks)).is_ok
    assert judge(silence(600, {**weeks, 14: USUAL - 1})).is_ok
    assert judge(silence(20, weeks)).is_ok
    assert judge(silence(600, dict.fromkeys(weeks, 60))).severity == Severity.CRITICAL

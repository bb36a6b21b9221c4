"""The dashboard's figures are right, cost the same whatever there is, and are sent again only when they changed."""

from collections.abc import Iterator
from datetime import timedelta
from math import inf
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from analytics import dashboard
from analytics.dashboard import ChannelState, Figures, Stock, figures
from analytics.owed import OWED, Owed
from channels import heartbeats
from channels.models import Channel, ChannelHealth, ChannelOrder, ListingLevel
from tests.back_office import Business, person
from tests.factories import ChannelFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def fresh() -> Figures:
    cache.clear()
    return figures()


def state_of(channel: Channel) -> ChannelState:
    return next(each for each in fresh().channels if each.channel_id == channel.pk)


def test_stock_is_summed_over_all_levels_and_what_is_owed_over_open_conflicts() -> None:
    Business.grown(2)
    found = fresh()
    assert found.stock == Stock(on_hand=20, reserved=20, unavailable=0)
    assert found.stock.available == 0
    assert found.owed == Owed(units=4, conflicts=2)


def test_nothing_is_shown_as_zero() -> None:
    found = fresh()
    assert found.stock == Stock(0, 0, 0)
    assert found.owed == Owed(0, 0)
    assert (found.latency.orders, found.latency.p95) == (0, None)
    assert found.channels == []


def test_queues_show_how_much_waits_and_since_when() -> None:
    business = Business.grown(1)
    channel = business.channels[0]
    quiet = state_of(channel).queues
    assert (quiet.outbound, quiet.outbound_since, quiet.inbound, quiet.inbound_since) == (0, None, 0, None)
    waiting = business.add_delivery(channel, state="received")
    since = timezone.now() - timedelta(seconds=30)
    ListingLevel.objects.filter(channel=channel).update(wanted=2, done=1, due_since=since, lane=0)
    busy = state_of(channel).queues
    assert (busy.outbound, busy.outbound_since) == (1, since)
    assert (busy.inbound, busy.inbound_since) == (1, waiting.received_at)


def test_dead_letters_of_both_directions_are_counted() -> None:
    business = Business.grown(2)
    channel = business.channels[0]
    ListingLevel.objects.filter(channel=channel).update(wanted=2, dead_at=timezone.now())
    state = state_of(channel)
    waiting = state.queues
    assert (waiting.dead_deliveries, waiting.dead_pushes, state.dead, waiting.outbound) == (1, 1, 2, 0)


def test_a_long_queue_is_counted_up_to_a_bound(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    monkeypatch.setattr(dashboard, "MOST_COUNTED", 3)
    business = Business.grown(1)
    channel = business.channels[0]
    for _ in range(6):
        business.add_delivery(channel, state="received")
    assert state_of(channel).queues.inbound == 4


@pytest.mark.parametrize(
    ("channel_fields", "health_fields", "word"),
    [
        ({"is_active": False}, {"consecutive_failures": 3}, "off"),
        ({"is_paused": True}, {"consecutive_failures": 3}, "paused"),
        ({}, {"breaker_open_until": timezone.now() + timedelta(hours=1), "consecutive_failures": 3}, "down"),
        (
            {},
            {"breaker_open_until": timezone.now() - timedelta(hours=1), "last_push_at": timezone.now()},
            "connected",
        ),
        ({}, {"consecutive_failures": 1, "last_push_at": timezone.now()}, "degraded"),
        ({}, {"subscription_problems": [{"topic": "orders"}], "last_push_at": timezone.now()}, "degraded"),
        ({}, {"last_success_at": timezone.now()}, "connected"),
        ({}, {}, "new"),
        ({}, None, "new"),
    ],
)
def test_a_channel_is_described_in_one_word(
    channel_fields: dict[str, object], health_fields: dict[str, object] | None, word: str, client: Client
) -> None:
    channel = ChannelFactory(**channel_fields)
    if health_fields is not None:
        ChannelHealth.objects.create(channel=channel, **health_fields)
    assert state_of(channel).state == word
    client.force_login(person("read-only"))
    listed = client.get(reverse("admin:channels_channel_changelist")).content.decode()
    assert f">{word}</span>" in listed


def add_orders(business: Business, channel: Channel, seconds: list[float | None]) -> None:
    """Adds orders that took so long to every other shelf; None: not there yet."""
    for took in seconds:
        order = business.add_order(channel, business.variants[0]).order
        propagated_at = None if took is None else order.arrived_at + timedelta(seconds=took)
        ChannelOrder.objects.filter(pk=order.pk).update(propagated_at=propagated_at)


def test_latency_is_that_of_the_last_hour_by_channel_and_in_all() -> None:
    business = Business.grown(2)
    ChannelOrder.objects.all().delete()
    first, second = business.channels
    add_orders(business, first, [0.1 * n for n in range(1, 21)])
    add_orders(business, second, [5])
    old = business.add_order(second, business.variants[0]).order
    ChannelOrder.objects.filter(pk=old.pk).update(arrived_at=timezone.now() - timedelta(hours=2))
    found = fresh()
    assert found.latency_by_channel[first.pk].p50 == pytest.approx(1.0)
    assert found.latency_by_channel[first.pk].p95 == pytest.approx(1.9)
    assert (found.latency_by_channel[second.pk].orders, found.latency_by_channel[second.pk].p50) == (1, 5.0)
    assert (found.latency.orders, found.latency.p95) == (21, 2.0)


def test_an_order_on_its_way_counts_as_infinitely_late() -> None:
    business = Business.grown(1)
    ChannelOrder.objects.all().delete()
    add_orders(business, business.channels[0], [0.2, None, None])
    latency = fresh().latency
    assert (latency.orders, latency.unfinished, latency.p50) == (3, 2, inf)


def test_a_test_order_is_not_measured() -> None:
    business = Business.grown(1)
    ChannelOrder.objects.update(is_test=True)
    assert fresh().latency.orders == 0
    assert business.channels


def test_the_latest_movements_are_shown_newest_first() -> None:
    Business.grown(8)
    ids = [movement.pk for movement in fresh().movements]
    assert len(ids) == dashboard.LATEST
    assert ids == sorted(ids, reverse=True)


def test_processes_that_are_silent_are_named_once_they_should_have_started(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeats.forget_beats()
    for name in (heartbeats.PUSHER, heartbeats.RECONCILER, heartbeats.JOBS):
        heartbeats.beat(name)
    assert [each.subject for each in fresh().processes if not each.is_ok] == ["watch"]
    client.force_login(person("read-only"))
    pages = []
    for seconds in (10.0, 301.0):
        monkeypatch.setattr("reconciliation.checks.installation.seconds_up", lambda seconds=seconds: seconds)
        pages.append(client.get(reverse("analytics:live")).content.decode())
    assert "watch within minutes" in pages[0]
    assert "silent" not in pages[0]
    assert "1 silent" in pages[1]


def test_the_figures_cost_a_dozen_statements_and_none_while_they_are_kept() -> None:
    for _ in range(2):
        Business.grown(3)
        with CaptureQueriesContext(connection) as first:
            fresh()
        assert len(first) == 12
    with CaptureQueriesContext(connection) as again:
        figures()
    assert len(again) == 0


_MANY_ORDERS = """
INSERT INTO channels_channelorder
    (channel_id, external_id, arrived_at, number, state_key, state_digest, country, currency, is_test,
     is_deleted, fetch_wanted, fetched, fetch_error, marks)
SELECT c.id, 'many-' || n, now() - n * interval '1 minute', '', '[]', '', '', '', false, false, 0, 0, '', '{}'
FROM (SELECT min(id) AS id FROM channels_channel) c, generate_series(1, 3000) n
"""


def plan_of(sql: str, parameters: Any) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {sql}", parameters)
        return "\n".join(line for (line,) in cursor.fetchall())


def test_what_is_shown_is_read_from_indexes() -> None:
    Business.grown(1)
    with connection.cursor() as cursor:
        cursor.execute(_MANY_ORDERS)
        cursor.execute("ANALYZE channels_channelorder")
    assert "order_by_arrival" in plan_of(dashboard._LATENCIES, [timezone.now()])
    assert "conflict_open" in plan_of(OWED, {"merchant": None})


def test_the_fragment_is_sent_again_only_when_something_happened(client: Client) -> None:
    business = Business.grown(1)
    client.force_login(person("operations"))
    url = reverse("analytics:live")
    first = client.get(url)
    assert first.status_code == 200
    cache.clear()
    unchanged = client.get(url, headers={"if-none-match": first["ETag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    business.grow(1)
    cache.clear()
    changed = client.get(url, headers={"if-none-match": first["ETag"]})
    assert changed.status_code == 200
    assert changed["ETag"] != first["ETag"]
    assert "no-cache" in changed["Cache-Control"]


def test_the_first_page_holds_the_same_fragment_so_that_it_is_there_without_a_script(client: Client) -> None:
    Business.grown(1)
    client.force_login(person("operations"))
    page = client.get(reverse("admin:index"))
    fragment = client.get(reverse("analytics:live"))
    assert fragment.content.decode() in page.content.decode()
    assert page.context["live_etag"] == fragment["ETag"]


def test_what_platforms_say_is_never_markup(client: Client) -> None:
    channel = ChannelFactory(name="<b>Shop</b>")
    said = {"last_error": "<script>alert(1)</script>", "breaker_reason": "<script>alert(2)</script>"}
    ChannelHealth.objects.create(
        channel=channel,
        consecutive_failures=2,
        breaker_open_until=timezone.now() + timedelta(hours=1),
        **said,
    )
    client.force_login(person("operations"))
    text = client.get(reverse("analytics:live")).content.decode()
    assert "<script>" not in text
    assert "<b>Shop" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_only_reading_is_answered(client: Client) -> None:
    client.force_login(person("operations"))
    assert client.post(reverse("analytics:live")).status_code == 405

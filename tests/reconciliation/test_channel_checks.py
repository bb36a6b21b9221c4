"""Each check of a channel: right when all is well, wrong in time, with a remedy, and cheap."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from channels import breaker
from channels.errors import Rejected, TransientError, Unauthorised
from channels.models import (
    AccessToken,
    Channel,
    ChannelHealth,
    ErrorEntry,
    ListingLevel,
    PollFeed,
    Push,
    RateBucket,
    WebhookDelivery,
)
from reconciliation.checks.channel_facts import channel_facts
from reconciliation.checks.results import Result
from reconciliation.health import channels, sweep
from reconciliation.models import Alert, AlertDelivery, AlertRecipient, Severity
from tests.back_office import Business
from tests.factories import ChannelFactory, ListingLevelFactory

pytestmark = pytest.mark.django_db


def ago(**units: float) -> Any:
    return timezone.now() - timedelta(**units)


@pytest.fixture
def channel() -> Channel:
    """A channel of an hour, read a minute ago."""
    made: Channel = ChannelFactory(name="Web shop", kind="shopify")
    Channel.objects.filter(pk=made.pk).update(created_at=ago(hours=1))
    now = timezone.now()
    ChannelHealth.objects.create(channel=made, last_success_at=now, subscriptions_audited_at=now)
    PollFeed.objects.create(channel=made, name="orders", next_poll_at=now, last_polled_at=ago(minutes=1))
    return made


def results(channel: Channel) -> dict[str, Result]:
    return {each.kind: each for each in channels() if each.channel_id == channel.pk}


def wrong(channel: Channel) -> dict[str, Result]:
    return {kind: each for kind, each in results(channel).items() if not each.is_ok}


def test_all_is_well_and_each_thing_says_how(channel: Channel) -> None:
    found = results(channel)
    assert wrong(channel) == {}
    assert all(each.says and each.thing.startswith("Web shop: ") for each in found.values())
    assert set(found) == {
        "no_connector", "channel_down", "access_refused", "polls_missed", "subscriptions_wrong", "inbound_late",
        "outbound_late", "dead_letters", "no_headroom", "error_rate",
    }  # fmt: skip


def test_what_is_wrong_always_says_what_to_do(channel: Channel) -> None:
    Channel.objects.update(kind="retired")
    for _ in range(3):
        breaker.note_failure(channel.pk, Unauthorised("Key revoked."))
    ListingLevelFactory(channel=channel, wanted=2, due_since=ago(minutes=10), dead_at=None)
    WebhookDelivery.objects.create(
        channel=channel, dedupe_key="1", topic="x", received_at=ago(minutes=10), state="dead"
    )
    found = wrong(channel)
    assert {"no_connector", "channel_down", "access_refused", "dead_letters"} <= set(found)
    assert all(each.remedy for each in found.values())


def test_a_channel_that_is_down_is_a_warning_and_critical_when_it_lasts(channel: Channel) -> None:
    for _ in range(3):
        breaker.note_failure(channel.pk, TransientError("Answered 503."))
    down = wrong(channel)["channel_down"]
    assert (down.severity, "Answered 503." in down.says) == (Severity.WARNING, True)
    ChannelHealth.objects.update(last_success_at=ago(minutes=11))
    assert wrong(channel)["channel_down"].severity == Severity.CRITICAL


def test_an_outage_between_two_looks_is_seen_all_the_same(channel: Channel) -> None:
    for _ in range(3):
        breaker.note_failure(channel.pk, TransientError("Answered 503."))
    breaker.note_success(channel.pk)
    assert "found no working platform" in wrong(channel)["channel_down"].says
    ErrorEntry.objects.update(at=ago(minutes=2))
    assert "channel_down" not in wrong(channel)


def test_some_failures_among_many_calls_are_no_outage(channel: Channel) -> None:
    for _ in range(3):
        breaker.note_failure(channel.pk, TransientError("Answered 503."))
        breaker.note_success(channel.pk)
    _push(channel, times=4)
    assert "channel_down" not in wrong(channel)


def _push(channel: Channel, times: int) -> None:
    level = ListingLevelFactory(listing__channel=channel)
    now = timezone.now()
    for _ in range(times):
        Push.objects.create(
            channel=channel, listing_level=level, call_id=uuid4(), wanted=1, target=1, outcome="confirmed",
            computed_at=now, finished_at=now,
        )  # fmt: skip


def test_refused_credentials_are_critical_until_something_works(channel: Channel) -> None:
    breaker.note_failure(channel.pk, Unauthorised("Shopify does not accept the access token (401)."))
    refused = wrong(channel)["access_refused"]
    assert refused.severity == Severity.CRITICAL
    assert "Enter new credentials" in refused.remedy
    breaker.note_success(channel.pk)
    assert "access_refused" not in wrong(channel)


def test_a_token_that_cannot_be_renewed_is_noticed(channel: Channel) -> None:
    token: Any = {}
    AccessToken.objects.create(channel=channel, token=token, expires_at=ago(minutes=20))
    assert "access_refused" not in wrong(channel)
    PollFeed.objects.update(last_polled_at=ago(minutes=16))
    assert "was not renewed" in wrong(channel)["access_refused"].says


def test_missed_polls_are_measured_by_the_channels_own_interval(channel: Channel) -> None:
    PollFeed.objects.update(last_polled_at=ago(minutes=14))
    assert "polls_missed" not in wrong(channel)
    PollFeed.objects.update(last_polled_at=ago(minutes=16), failures=3, last_error="Answered 500.")
    assert "Answered 500." in wrong(channel)["polls_missed"].says
    Channel.objects.update(poll_interval=timedelta(hours=1))
    assert "polls_missed" not in wrong(channel)


def test_subscriptions_that_are_wrong_or_looked_after_by_nobody(channel: Channel) -> None:
    problem = {"topic": "orders/updated", "problem": "It is missing.", "remedy": "Add the scope."}
    ChannelHealth.objects.update(subscription_problems=[problem])
    found = wrong(channel)["subscriptions_wrong"]
    assert "It is missing." in found.says
    assert found.remedy == "Add the scope."
    ChannelHealth.objects.update(subscription_problems=[], subscriptions_audited_at=ago(hours=4))
    assert "not audited" in wrong(channel)["subscriptions_wrong"].says


def test_messages_that_wait_too_long_are_noticed(channel: Channel) -> None:
    delivery = WebhookDelivery.objects.create(
        channel=channel, dedupe_key="1", topic="x", received_at=ago(seconds=50)
    )
    assert "inbound_late" not in wrong(channel)
    WebhookDelivery.objects.filter(pk=delivery.pk).update(received_at=ago(seconds=70))
    assert wrong(channel)["inbound_late"].severity == Severity.WARNING
    WebhookDelivery.objects.filter(pk=delivery.pk).update(received_at=ago(seconds=400))
    late = wrong(channel)["inbound_late"]
    assert (late.severity, late.evidence["waiting"]) == (Severity.CRITICAL, 1)


def test_numbers_that_wait_too_long_are_noticed_unless_the_channel_is_paused(channel: Channel) -> None:
    ListingLevelFactory(listing__channel=channel, wanted=2, done=1, due_since=ago(minutes=6))
    assert wrong(channel)["outbound_late"].severity == Severity.CRITICAL
    Channel.objects.update(is_paused=True)
    assert "outbound_late" not in wrong(channel)


def test_dead_letters_of_both_directions_are_one_thing(channel: Channel) -> None:
    ListingLevelFactory(listing__channel=channel, wanted=2, dead_at=timezone.now())
    Business().add_delivery(channel, state="dead")
    assert wrong(channel)["dead_letters"].evidence == {"messages": 1, "pushes": 1}


def test_a_used_up_limit_matters_when_numbers_wait_for_it(channel: Channel) -> None:
    bucket = RateBucket.objects.create(
        channel=channel, name="graphql", capacity=1000, refill_per_second=0.001, tokens=20, updated_at=timezone.now()
    )  # fmt: skip
    assert "no_headroom" not in wrong(channel)
    level = ListingLevelFactory(listing__channel=channel, wanted=2, done=1, due_since=ago(seconds=40))
    assert "graphql" in wrong(channel)["no_headroom"].says
    ListingLevel.objects.filter(pk=level.pk).update(done=2, due_since=None)
    RateBucket.objects.filter(pk=bucket.pk).update(blocked_until=timezone.now() + timedelta(minutes=5))
    assert "wants no calls" in wrong(channel)["no_headroom"].says


def test_the_error_rate_counts_against_the_calls_that_worked(channel: Channel) -> None:
    for _ in range(5):
        breaker.note_failure(channel.pk, Rejected("Not tracked."))
    rate = wrong(channel)["error_rate"]
    assert rate.evidence == {"by_code": {"rejected": 5}, "calls_that_worked": 0}
    _push(channel, times=100)
    assert "error_rate" not in wrong(channel)


@pytest.mark.parametrize(
    ("days", "says", "subject", "severity"),
    [
        (30, "end in 30 days", "within 30 days", Severity.WARNING),
        (8, "end in 8 days", "within 30 days", Severity.WARNING),
        (7, "end in 7 days", "within 7 days", Severity.WARNING),
        (1, "end in 1 day, on", "within 1 days", Severity.CRITICAL),
        (0, "ended on", "ended", Severity.CRITICAL),
        (-40, "ended on", "ended", Severity.CRITICAL),
    ],
)
def test_people_hear_three_times_that_credentials_end_and_when_they_have(
    channel: Channel, days: int, says: str, subject: str, severity: Severity
) -> None:
    Channel.objects.update(credentials_expire_on=timezone.now().date() + timedelta(days=days))
    found = wrong(channel)["access_expires"]
    assert (says in found.says, found.subject, found.severity) == (True, subject, severity)
    assert "Make new credentials" in found.remedy
    # Nothing gets worse within the hour because nobody looked.
    assert found.trouble.escalates_after is None


def test_credentials_that_end_later_say_so_and_those_without_a_day_nothing(channel: Channel) -> None:
    assert "access_expires" not in results(channel)
    Channel.objects.update(credentials_expire_on=timezone.now().date() + timedelta(days=31))
    assert results(channel)["access_expires"].is_ok


def test_each_step_towards_the_end_is_told_anew(channel: Channel) -> None:
    AlertRecipient.objects.create(kind="email", address="ops@example.com")
    today = timezone.now().date()
    for days in (30, 20, 7, 6, 1, 0, -1):
        Channel.objects.update(credentials_expire_on=today + timedelta(days=days))
        sweep()
    told = AlertDelivery.objects.filter(event="alert.opened", alert__kind="access_expires").order_by("pk")
    assert list(told.values_list("alert__subject", flat=True)) == [
        "within 30 days", "within 7 days", "within 1 days", "ended",
    ]  # fmt: skip
    assert Alert.objects.filter(kind="access_expires", resolved_at=None).get().subject == "ended"


def test_a_channel_that_is_off_is_not_looked_at(channel: Channel) -> None:
    Channel.objects.update(is_active=False)
    assert channel_facts() == []


def test_the_statements_do_not_grow_with_the_channels() -> None:
    counts = []
    for _ in range(2):
        Business.grown(3)
        with CaptureQueriesContext(connection) as captured:
            channels()
        counts.append(len(captured))
    assert counts == [6, 6]


def test_what_waits_is_read_from_the_indexes_that_hold_just_that() -> None:
    from reconciliation.checks.queues import _QUEUES

    with connection.cursor() as cursor:
        for table in ("channels_listinglevel", "channels_webhookdelivery"):
            cursor.execute(f"REINDEX TABLE {table}")
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {_QUEUES}", {"ids": [1], "most": 10})
        plan = "\n".join(line for (line,) in cursor.fetchall())
    for index in ("listing_level_due", "listing_level_dead", "delivery_dead", "delivery_waiting"):
        assert index in plan


def test_a_lost_key_of_credentials_stops_no_check(channel: Channel) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE channels_channel SET credentials = 'gAAAA-nonsense'")
    assert results(channel)["channel_down"].is_ok

"""Alerts open once, become worse, are over by themselves, and are acknowledged or muted with a reason."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from channels.models import Channel
from inventory.models import Merchant
from reconciliation import alerts
from reconciliation.alerts import Trouble, clear_alert, clear_alerts_except, raise_alert
from reconciliation.glance import glance, opened_since
from reconciliation.models import Alert, AlertDelivery, AlertRecipient, Severity
from reconciliation.retention import forget_old_alerts
from tests.factories import ChannelFactory, MerchantFactory
from tests.inventory.racing import race

pytestmark = pytest.mark.django_db

DOWN = Trouble("Web shop: connection: stopped", remedy="Press Test connection.")


@pytest.fixture
def channel() -> Channel:
    return ChannelFactory(name="Web shop")


def tell(address: str = "ops@example.com", **more: object) -> AlertRecipient:
    return AlertRecipient.objects.create(**{"kind": "email", "address": address, **more})


def events(alert: Alert) -> list[str]:
    return list(AlertDelivery.objects.filter(alert=alert).order_by("id").values_list("event", flat=True))


def test_a_thing_is_one_alert_however_often_it_is_noticed(channel: Channel) -> None:
    first = raise_alert("channel_down", DOWN, channel=channel)
    again = raise_alert("channel_down", Trouble("Stopped again"), channel=channel.pk)
    assert again.pk == first.pk
    assert (again.occurrences, again.title, again.merchant_id) == (2, "Stopped again", channel.merchant_id)
    assert Alert.objects.count() == 1


def test_things_differ_by_kind_channel_merchant_and_subject(channel: Channel) -> None:
    merchant = MerchantFactory()
    raise_alert("disk_full", DOWN)
    raise_alert("disk_full", DOWN, subject="/var")
    raise_alert("disk_full", DOWN, merchant=merchant)
    raise_alert("disk_full", DOWN, channel=channel)
    raise_alert("other", DOWN)
    assert Alert.objects.count() == 5


def test_an_alert_that_was_over_opens_anew(channel: Channel) -> None:
    first = raise_alert("channel_down", DOWN, channel=channel)
    assert clear_alert("channel_down", channel=channel, because="It answers.")
    assert not clear_alert("channel_down", channel=channel)
    second = raise_alert("channel_down", DOWN, channel=channel)
    first.refresh_from_db()
    assert second.pk != first.pk
    assert (first.resolved_because, first.resolved_by) == ("It answers.", "")


def test_the_database_refuses_a_second_open_alert_of_one_thing() -> None:
    now = timezone.now()
    fields = {"kind": "disk_full", "severity": 1, "title": "Full", "opened_at": now, "last_seen_at": now}
    Alert.objects.create(**fields)
    with pytest.raises(IntegrityError, match="alert_is_open_once"), transaction.atomic():
        Alert.objects.create(**fields)


def _raise_without_looking(merchant: Merchant) -> Callable[[], int]:
    """The control: looks first and creates then, as one would without the constraint's help."""

    def run() -> int:
        now = timezone.now()
        with transaction.atomic():
            if not Alert.objects.filter(merchant=merchant, resolved_at__isnull=True).exists():
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_sleep(0.2)")
                fields = {"severity": 1, "title": "Full", "opened_at": now, "last_seen_at": now}
                Alert.objects.create(merchant=merchant, kind="disk_full", **fields)
        return 1

    return run


@pytest.mark.django_db(transaction=True)
def test_whoever_notices_it_at_once_opens_one_alert() -> None:
    merchant = MerchantFactory()
    found = race([lambda: raise_alert("disk_full", DOWN, merchant=merchant).pk for _ in range(4)])
    assert len(set(found)) == 1
    assert Alert.objects.get().occurrences == 4


@pytest.mark.django_db(transaction=True)
def test_without_care_the_same_race_fails_at_the_constraint() -> None:
    merchant = MerchantFactory()
    found = race([_raise_without_looking(merchant) for _ in range(3)])
    assert [type(each) for each in found if isinstance(each, Exception)] == [IntegrityError] * 2


def test_it_becomes_worse_and_never_better_while_it_is_open(channel: Channel) -> None:
    tell()
    alert = raise_alert("channel_down", DOWN, channel=channel)
    raise_alert("channel_down", Trouble("Down", severity=Severity.CRITICAL), channel=channel)
    alert = raise_alert("channel_down", DOWN, channel=channel)
    assert alert.severity == Severity.CRITICAL
    assert alert.escalated_at is not None
    assert events(alert) == ["alert.opened", "alert.escalated"]


def test_a_warning_that_nobody_acknowledges_becomes_critical(channel: Channel) -> None:
    tell()
    alert = raise_alert("channel_down", DOWN, channel=channel)
    assert alerts.escalate_due() == 0
    later = timezone.now() + alerts.ESCALATES_AFTER + timedelta(seconds=1)
    assert alerts.escalate_due(now=later) == 1
    assert alerts.escalate_due(now=later) == 0
    alert.refresh_from_db()
    assert (alert.severity, events(alert)) == (Severity.CRITICAL, ["alert.opened", "alert.escalated"])


def test_an_acknowledged_alert_stays_as_it_is(channel: Channel) -> None:
    alert = raise_alert("channel_down", DOWN, channel=channel)
    assert alerts.acknowledge([alert.pk], actor="ann", because="I am on it.") == 1
    assert alerts.acknowledge([alert.pk], actor="bob", because="Me too.") == 0
    assert alerts.escalate_due(now=timezone.now() + timedelta(days=1)) == 0
    alert.refresh_from_db()
    assert (alert.acknowledged_by, alert.acknowledged_because) == ("ann", "I am on it.")


def test_nobody_hears_of_a_muted_alert_also_when_it_comes_again(channel: Channel) -> None:
    tell()
    alert = raise_alert("channel_down", DOWN, channel=channel)
    until = timezone.now() + timedelta(hours=4)
    assert alerts.mute([alert.pk], until=until, actor="ann", because="Moving house.") == 1
    raise_alert("channel_down", Trouble("Down", severity=Severity.CRITICAL), channel=channel)
    clear_alert("channel_down", channel=channel)
    again = raise_alert("channel_down", DOWN, channel=channel)
    assert events(alert) == ["alert.opened"]
    assert events(again) == []
    assert (again.muted_until, again.muted_because) == (until, "Moving house.")
    assert alerts.muted_things() == {("channel_down", channel.merchant_id, channel.pk, "")}
    assert alerts.unmute([again.pk]) == 1
    assert not alerts.muted_things()
    assert events(again) == ["alert.opened"]
    raise_alert("channel_down", Trouble("Down", severity=Severity.CRITICAL), channel=channel)
    assert events(again) == ["alert.opened", "alert.escalated"]
    # The mute of the time before last does not come back.
    clear_alert("channel_down", channel=channel)
    assert raise_alert("channel_down", DOWN, channel=channel).muted_until is None


def test_what_is_still_wrong_when_its_mute_is_over_is_told_once(channel: Channel) -> None:
    tell()
    first = raise_alert("channel_down", DOWN, channel=channel)
    alerts.mute([first.pk], until=timezone.now() + timedelta(hours=4), actor="ann", because="Moving house.")
    clear_alert("channel_down", channel=channel)
    again = raise_alert("channel_down", DOWN, channel=channel)
    assert alerts.end_mutes() == 0
    Alert.objects.update(muted_until=timezone.now() - timedelta(seconds=1))
    assert (alerts.end_mutes(), alerts.end_mutes()) == (1, 0)
    assert events(again) == ["alert.opened"]
    assert events(first) == ["alert.opened"]


def test_a_reason_is_wanted() -> None:
    alert = raise_alert("disk_full", DOWN)
    with pytest.raises(IntegrityError, match="for_a_reason"), transaction.atomic():
        alerts.acknowledge([alert.pk], actor="ann", because="")
    with pytest.raises(IntegrityError, match="for_a_reason"), transaction.atomic():
        alerts.mute([alert.pk], until=timezone.now(), actor="ann", because="")


def test_those_who_heard_of_it_hear_of_its_end(channel: Channel) -> None:
    tell("told@example.com")
    alert = raise_alert("channel_down", DOWN, channel=channel)
    tell("new@example.com")
    clear_alert("channel_down", channel=channel)
    told = AlertDelivery.objects.filter(alert=alert).values_list("recipient__address", "event")
    assert set(told) == {("told@example.com", "alert.opened"), ("told@example.com", "alert.resolved")}


def test_recipients_hear_of_what_is_theirs_and_bad_enough(channel: Channel) -> None:
    other = MerchantFactory()
    tell("all@example.com")
    tell("mine@example.com", merchant=channel.merchant)
    tell("other@example.com", merchant=other)
    tell("worst@example.com", minimum_severity=Severity.EMERGENCY)
    tell("off@example.com", is_active=False)
    of_channel = raise_alert("channel_down", DOWN, channel=channel)
    of_all = raise_alert("ledger_diverges", Trouble("It does not hold", severity=Severity.EMERGENCY))
    told = {
        alert.pk: set(alert.deliveries.values_list("recipient__address", flat=True))
        for alert in (of_channel, of_all)
    }
    assert told[of_channel.pk] == {"all@example.com", "mine@example.com"}
    assert told[of_all.pk] == {"all@example.com", "worst@example.com"}


def test_what_is_told_commits_with_the_alert(channel: Channel) -> None:
    tell()

    @transaction.atomic
    def notice_and_fail() -> None:
        raise_alert("channel_down", DOWN, channel=channel)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        notice_and_fail()
    assert not Alert.objects.exists()
    assert not AlertDelivery.objects.exists()


def test_what_is_told_says_what_where_and_what_to_do(channel: Channel, settings: Settings) -> None:
    settings.PUBLIC_URL = "https://stock.example.com"
    tell()
    alert = raise_alert("channel_down", Trouble("Down", remedy="Wait.", evidence={"n": 3}), channel=channel)
    told = AlertDelivery.objects.get().payload
    assert told["type"] == "alert.opened"
    assert told["data"]["channel"] == "Web shop"
    assert told["data"]["evidence"] == {"n": 3}
    assert told["data"]["url"] == f"https://stock.example.com/admin/reconciliation/alert/{alert.pk}/change/"


def test_a_check_ends_what_it_no_longer_finds_and_nothing_else(channel: Channel) -> None:
    kept = raise_alert("channel_down", DOWN, channel=channel)
    raise_alert("channel_down", DOWN, channel=ChannelFactory())
    foreign = raise_alert("discrepancy", DOWN, channel=channel)
    assert clear_alerts_except(["channel_down", "polls_missed"], [kept.pk]) == 1
    still_open = Alert.objects.filter(resolved_at__isnull=True)
    assert set(still_open) == {kept, foreign}


def test_seeing_it_again_costs_the_same_whatever_else_is_open(channel: Channel) -> None:
    raise_alert("channel_down", DOWN, channel=channel)
    counts = []
    for others in (0, 30):
        for number in range(others):
            raise_alert("disk_full", DOWN, subject=str(number))
        with CaptureQueriesContext(connection) as captured:
            raise_alert("channel_down", DOWN, channel=channel)
        counts.append(len(captured))
    assert counts[0] == counts[1] <= 4


def test_the_dashboard_sees_the_worst_first(channel: Channel) -> None:
    raise_alert("a", DOWN, channel=channel)
    raise_alert("b", Trouble("Worse", severity=Severity.EMERGENCY))
    seen = glance()
    assert [each.kind for each in seen.alerts] == ["b", "a"]
    assert (seen.is_urgent, seen.has_more, seen.ledger_holds) == (True, False, False)
    for number in range(12):
        raise_alert("many", DOWN, subject=str(number))
    assert (len(glance().alerts), glance().has_more) == (10, True)


def test_a_run_tells_which_alerts_it_saw(channel: Channel) -> None:
    raise_alert("long_ago", DOWN, channel=channel)
    since = timezone.now()
    raise_alert("channel_down", DOWN, channel=channel)
    raise_alert("disk_full", DOWN)
    raise_alert("channel_down", DOWN, channel=ChannelFactory())
    clear_alert("channel_down", channel=channel)
    seen = opened_since([channel.pk], since)
    assert [(each["kind"], each["channel"], each["resolved_at"] is None) for each in seen] == [
        ("channel_down", "woocommerce", False),
        ("disk_full", "", True),
    ]


def test_alerts_that_have_long_been_over_are_forgotten(settings: Settings) -> None:
    settings.KEEP_ALERTS_DAYS = 400
    tell()
    for number, days in enumerate((401, 399)):
        alert = raise_alert("disk_full", DOWN, subject=str(number))
        clear_alert("disk_full", subject=str(number))
        long_ago = timezone.now() - timedelta(days=days)
        Alert.objects.filter(pk=alert.pk).update(opened_at=long_ago, resolved_at=long_ago)
    raise_alert("still_open", DOWN)
    assert forget_old_alerts() == {"alerts": 1, "tests": 0, "gaps": 0}
    assert Alert.objects.count() == 2

"""All checks together: alerts open and end by what is found, a line a thing, and an exit code that says it all."""

import io
import json
from collections import namedtuple
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from channels import heartbeats
from channels.models import Channel, ChannelHealth, ChannelOrder, Heartbeat, PollFeed, WebhookDelivery
from channels.schedules import ensure_schedules
from config.jobs import task_of
from reconciliation import health, tasks
from reconciliation.checks import drift, installation
from reconciliation.checks.drift import Drift
from reconciliation.checks.installation import judge_clock, judge_disk, judge_heartbeat
from reconciliation.health import sweep
from reconciliation.models import Alert, Severity
from tests.factories import ChannelFactory

pytestmark = pytest.mark.django_db

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def _room_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    plenty = Usage(10**12, 0, 10**12)
    monkeypatch.setattr("reconciliation.checks.installation.shutil.disk_usage", lambda path: plenty)


@pytest.fixture
def channel() -> Channel:
    """A running installation with one channel, in which nothing is wrong."""
    made: Channel = ChannelFactory(name="Web shop")
    now = timezone.now()
    ChannelHealth.objects.create(channel=made, last_success_at=now, subscriptions_audited_at=now)
    PollFeed.objects.create(channel=made, name="orders", next_poll_at=now, last_polled_at=now)
    for name in (heartbeats.PUSHER, heartbeats.JOBS, heartbeats.RECONCILER, installation.WATCH):
        heartbeats.beat(name)
    return made


def late_message(channel: Channel) -> WebhookDelivery:
    at = timezone.now() - timedelta(minutes=2)
    return WebhookDelivery.objects.create(channel=channel, dedupe_key="1", topic="x", received_at=at)


def open_kinds() -> set[str]:
    return set(Alert.objects.filter(resolved_at__isnull=True).values_list("kind", flat=True))


def checked(*arguments: str) -> tuple[int, str]:
    """Returns the exit code and what was printed."""
    out, code = io.StringIO(), 0
    try:
        call_command("check_health", *arguments, stdout=out)
    except SystemExit as end:
        code = int(end.code or 0)
    return code, out.getvalue()


def test_where_nothing_is_wrong_no_alert_opens_and_every_line_is_ok(channel: Channel) -> None:
    assert sweep() == 0
    assert open_kinds() == set()
    code, text = checked()
    assert code == 0, text
    lines = text.splitlines()
    assert all(line.startswith("OK ") for line in lines)
    assert any("Web shop: connection" in line for line in lines)
    assert len(lines) > 12


def test_what_is_wrong_opens_one_alert_and_is_over_when_it_is_right(channel: Channel) -> None:
    delivery = late_message(channel)
    assert sweep() == 1
    assert sweep() == 1
    alert = Alert.objects.get()
    assert (alert.kind, alert.channel_id, alert.occurrences) == ("inbound_late", channel.pk, 2)
    delivery.delete()
    assert sweep() == 0
    alert.refresh_from_db()
    assert alert.resolved_at is not None


def test_the_command_names_what_is_wrong_and_the_remedy_and_fails(channel: Channel) -> None:
    late_message(channel)
    code, text = checked()
    assert code == 1
    assert "FAIL   Web shop: inbound queue: 1 waiting, the oldest for 2 min [WARNING]" in text
    assert "→ See that the process jobs of `serve` runs" in text
    assert open_kinds() == set()
    checked("--raise")
    assert open_kinds() == {"inbound_late"}


def test_machines_read_one_object(channel: Channel) -> None:
    late_message(channel)
    code, text = checked("--json")
    told: dict[str, Any] = json.loads(text)
    assert (code, told["ok"], told["failed_checks"]) == (1, False, {})
    (wrong,) = [thing for thing in told["things"] if not thing["is_ok"]]
    assert (wrong["kind"], wrong["severity"], wrong["channel_id"]) == ("inbound_late", "warning", channel.pk)


def test_what_somebody_has_muted_does_not_fail_the_command(channel: Channel) -> None:
    late_message(channel)
    sweep()
    until = timezone.now() + timedelta(hours=1)
    Alert.objects.update(muted_until=until, muted_because="We know.")
    code, text = checked()
    assert code == 0
    assert "MUTED  Web shop: inbound queue" in text


def test_a_check_that_cannot_look_ends_no_alert_and_hides_no_other(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    late_message(channel)
    sweep()

    def fail() -> list[Any]:
        raise DatabaseError("canceling statement due to statement timeout")

    monkeypatch.setitem(health.CHECKS, "channels", (fail, health.CHECKS["channels"][1]))
    Heartbeat.objects.all().delete()
    assert sweep() == 5
    assert open_kinds() == {"inbound_late", "process_silent"}
    code, text = checked()
    assert code == 1
    assert "The check of channels could not look: canceling statement" in text


def test_silent_webhooks_are_mended_at_once(channel: Channel) -> None:
    WebhookDelivery.objects.create(
        channel=channel, dedupe_key="0", topic="x", state="processed",
        received_at=timezone.now() - timedelta(hours=1),
    )  # fmt: skip
    PollFeed.objects.update(next_poll_at=timezone.now() + timedelta(minutes=4))
    for number in range(3):
        at = timezone.now() - timedelta(minutes=10 + number)
        ChannelOrder.objects.create(channel=channel, external_id=str(number), arrived_at=at)
    sweep()
    assert open_kinds() == {"webhooks_silent"}
    assert PollFeed.objects.get().next_poll_at <= timezone.now()


@pytest.mark.django_db(transaction=True)
def test_a_silent_channel_is_audited_once(channel: Channel) -> None:
    WebhookDelivery.objects.create(
        channel=channel, dedupe_key="0", topic="x", state="processed",
        received_at=timezone.now() - timedelta(hours=1),
    )  # fmt: skip
    for number in range(3):
        at = timezone.now() - timedelta(minutes=10 + number)
        ChannelOrder.objects.create(channel=channel, external_id=str(number), arrived_at=at)
    sweep()
    woken = [task["func"] for each in OrmQ.objects.all() if (task := task_of(each.payload))]
    assert "channels.tasks.audit_channel" in woken
    OrmQ.objects.all().delete()
    sweep()
    assert not OrmQ.objects.exists()


def test_the_watch_checks_escalates_and_sends(channel: Channel) -> None:
    late_message(channel)
    assert tasks.watch() == 1
    long_ago = timezone.now() - timedelta(minutes=1)
    Alert.objects.update(escalates_at=long_ago)
    tasks.watch()
    assert Alert.objects.get().severity == Severity.CRITICAL


def test_the_first_watch_after_a_pause_leaves_what_piled_up_a_minute(channel: Channel) -> None:
    late_message(channel)
    for pause in (timedelta(minutes=2), timedelta(minutes=4)):
        Heartbeat.objects.filter(name=installation.WATCH).update(beat_at=timezone.now() - pause)
        Alert.objects.all().delete()
        heartbeats.forget_beats()
        tasks.watch()
        assert Alert.objects.exists() is (pause < timedelta(minutes=3))
    assert tasks.watch() == 1


def test_every_kind_belongs_to_one_check() -> None:
    kinds = [kind for _, owned in health.CHECKS.values() for kind in owned]
    assert len(kinds) == len(set(kinds))


def test_every_result_is_of_a_kind_that_its_check_owns(channel: Channel) -> None:
    for report in health.look():
        assert {result.kind for result in report.results} <= set(report.kinds), report.name


# -- the installation


def test_the_clock_may_differ_by_what_the_reading_took() -> None:
    now = timezone.now()
    assert judge_clock(now, now + timedelta(seconds=3), now + timedelta(seconds=5)).is_ok
    ahead = judge_clock(now, now + timedelta(seconds=9), now + timedelta(seconds=1))
    assert (ahead.is_ok, ahead.severity, ahead.evidence) == (False, Severity.WARNING, {"seconds": 8.0})
    behind = judge_clock(now, now - timedelta(minutes=1), now)
    assert behind.severity == Severity.CRITICAL
    (here,) = installation.clock()
    assert here.is_ok


@pytest.mark.parametrize(
    ("free", "total", "is_ok", "severity"),
    [
        (50, 100, True, None),
        (9, 100, True, None),
        (4, 100, False, Severity.WARNING),
        (0.9, 100, False, Severity.CRITICAL),
        (1, 8, True, None),
        (0.7, 8, False, Severity.WARNING),
        (0.2, 8, False, Severity.CRITICAL),
        (100, 4000, True, None),
    ],
)
def test_a_disk_is_full_by_share_and_by_size(
    free: float, total: float, is_ok: bool, severity: Severity | None
) -> None:
    result = judge_disk("/data", int(free * 1024**3), int(total * 1024**3))
    assert result.is_ok is is_ok
    assert severity is None or result.severity == severity


def test_a_process_that_stays_silent_is_critical(channel: Channel) -> None:
    now = timezone.now()
    assert judge_heartbeat("pusher", now - timedelta(seconds=50), now).is_ok
    silent = judge_heartbeat("pusher", now - timedelta(seconds=70), now)
    assert (silent.is_ok, silent.severity) == (False, Severity.CRITICAL)
    assert judge_heartbeat("jobs", now - timedelta(seconds=170), now).is_ok
    assert judge_heartbeat("jobs", None, now).says == "has never worked"
    Heartbeat.objects.create(name="shipper", beat_at=now - timedelta(hours=1))
    assert [each.subject for each in installation.processes() if not each.is_ok] == ["shipper"]


def test_schedules_that_nobody_runs_are_named() -> None:
    ensure_schedules()
    (fine,) = installation.schedules()
    assert fine.is_ok
    overdue = Schedule.objects.filter(name="Sweep of what is due")
    overdue.update(next_run=timezone.now() - timedelta(minutes=11))
    (late,) = installation.schedules()
    assert (late.is_ok, late.evidence) == (False, {"schedules": ["Sweep of what is due"]})
    overdue.update(repeats=0)
    (switched_off,) = installation.schedules()
    assert switched_off.is_ok


def test_the_nightly_proof_waits_for_the_night() -> None:
    ensure_schedules()
    nightly = Schedule.objects.get(name="Nightly proof of the ledger")
    assert nightly.next_run.hour == 2
    assert timezone.now() < nightly.next_run <= timezone.now() + timedelta(days=1)


@pytest.mark.parametrize(
    ("compared", "drifted", "is_ok", "severity"),
    [
        (1000, 0, True, None),
        (1000, 2, True, None),
        (1000, 3, False, Severity.WARNING),
        (10, 1, True, None),
        (100, 3, False, Severity.CRITICAL),
        (0, 0, True, None),
    ],
)
def test_drift_is_judged_by_share_but_never_by_a_single_shelf(
    channel: Channel,
    monkeypatch: pytest.MonkeyPatch,
    compared: int,
    drifted: int,
    is_ok: bool,
    severity: Severity | None,
) -> None:
    found = Drift(channel.pk, compared, drifted, timezone.now())
    monkeypatch.setattr("reconciliation.checks.drift.latest_drift", lambda: [found])
    (result,) = drift.drift()
    assert result.is_ok is is_ok
    assert severity is None or result.severity == severity
    assert bool(result.remedy) is not is_ok

"""When channels are compared: rows with an interval or an hour, and what the resident process does with them."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from channels.models import Channel, ChannelHealth
from reconciliation import runs, schedules
from reconciliation.models import ReconciliationRun, ReconciliationSchedule
from reconciliation.models.discrepancies import RunState
from reconciliation.reconciler import Reconciler
from tests.reconciliation.market import Market, open_market

pytestmark = pytest.mark.django_db


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch) -> Market:
    market = open_market(monkeypatch, {"MUG": 20})
    Channel.objects.exclude(pk=market.shop.channel.pk).update(is_active=False)
    return market


def due(market: Market) -> ReconciliationSchedule:
    """A schedule of every ten minutes, due now."""
    return ReconciliationSchedule.objects.create(
        channel=market.shop.channel,
        kind="incremental",
        every_minutes=10,
        next_run_at=timezone.now() - timedelta(seconds=1),
    )


def test_every_channel_has_an_incremental_and_a_daily_schedule(market: Market) -> None:
    assert schedules.ensure_schedules() == 2
    assert schedules.ensure_schedules() == 0
    found = ReconciliationSchedule.objects.filter(channel=market.shop.channel)
    assert list(found.values_list("kind", "every_minutes", "hour")) == [
        ("full", None, schedules.HOUR),
        ("incremental", schedules.EVERY_MINUTES, None),
    ]


def test_a_schedule_that_was_changed_or_switched_off_stays_so(market: Market) -> None:
    schedules.ensure_schedules()
    ReconciliationSchedule.objects.filter(kind="incremental").update(every_minutes=60, is_active=False)
    schedules.ensure_schedules()
    assert ReconciliationSchedule.objects.get(kind="incremental").every_minutes == 60


@pytest.mark.parametrize("values", [{}, {"every_minutes": 5, "hour": 3}, {"hour": 24}, {"every_minutes": 0}])
def test_the_database_refuses_a_schedule_without_a_sensible_time(
    market: Market, values: dict[str, int]
) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        ReconciliationSchedule.objects.create(channel=market.shop.channel, kind="full", **values)


@pytest.mark.parametrize(("hour", "day"), [(3, 22), (12, 22), (13, 21)])
def test_the_next_time_of_an_hour(hour: int, day: int) -> None:
    after = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    assert schedules.next_at_hour(hour, after) == datetime(2026, 11, day, hour, 0, tzinfo=UTC)


def test_a_due_schedule_asks_for_one_run_until_that_has_ended(market: Market) -> None:
    schedule = due(market)
    assert schedules.ask_for_due() == 1
    ReconciliationSchedule.objects.update(next_run_at=timezone.now() - timedelta(seconds=1))
    assert schedules.ask_for_due() == 0
    run = ReconciliationRun.objects.get()
    assert (run.schedule, run.kind, run.asked_by) == (schedule, "incremental", "schedule")


def test_a_run_that_failed_is_tried_again_soon(market: Market) -> None:
    schedule = due(market)
    schedules.note_end(schedule, has_failed=True)
    schedule.refresh_from_db()
    assert schedule.next_run_at is not None
    assert schedule.next_run_at < timezone.now() + timedelta(minutes=6)


def test_a_channel_whose_breaker_is_open_is_left_alone(market: Market) -> None:
    runs.ask(market.shop.channel)
    assert runs.open_runs().count() == 1
    ChannelHealth.objects.update_or_create(
        channel=market.shop.channel,
        defaults={"breaker_open_until": timezone.now() + timedelta(minutes=1)},
    )
    assert runs.open_runs().count() == 0


def test_the_resident_process_makes_what_is_due_and_plans_the_next(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = due(market)
    market.edit("MUG", 19)
    reconciler = Reconciler(threads=1)
    # In this thread: the test's transaction is seen by no other.
    monkeypatch.setattr(reconciler._crew, "submit", lambda job: job())
    reconciler.sweep()
    run = ReconciliationRun.objects.get()
    assert (run.state, run.corrected) == (RunState.DONE, 1)
    schedule.refresh_from_db()
    assert schedule.next_run_at is not None
    assert schedule.next_run_at > timezone.now() + timedelta(minutes=9)
    market.settle()
    assert market.number("MUG") == 20

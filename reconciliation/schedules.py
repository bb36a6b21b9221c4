"""When channels are compared: rows that operations edit, and what is due of them."""

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Q
from django.utils import timezone

from channels.connectors import shown_kinds
from channels.models import Channel
from reconciliation.errors import Refused
from reconciliation.models import ReconciliationSchedule
from reconciliation.models.discrepancies import RunKind, RunState
from reconciliation.runs import ask

#: What every channel has until somebody chooses otherwise.
EVERY_MINUTES: Final = 15
HOUR: Final = 3
#: A run that failed is tried again after this, where its own interval is not shorter.
_AFTER_FAILURE: Final = timedelta(minutes=5)


def ensure_schedules() -> int:
    """Gives active channels that have none of a kind the usual schedule of it; returns how many it added."""
    now = timezone.now()
    channels = Channel.objects.filter(is_active=True, kind__in=shown_kinds()).defer("credentials")
    whole = ReconciliationSchedule.objects.filter(tag__isnull=True)
    known = set(whole.values_list("channel_id", "kind"))
    new = [
        schedule
        for channel in channels
        for schedule in _usual(channel, now)
        if (channel.pk, schedule.kind) not in known
    ]
    return len(ReconciliationSchedule.objects.bulk_create(new, ignore_conflicts=True)) if new else 0


def _usual(channel: Channel, now: datetime) -> list[ReconciliationSchedule]:
    return [
        ReconciliationSchedule(
            channel=channel,
            kind=RunKind.INCREMENTAL,
            every_minutes=EVERY_MINUTES,
            next_run_at=now + timedelta(minutes=EVERY_MINUTES),
        ),
        ReconciliationSchedule(
            channel=channel, kind=RunKind.FULL, hour=HOUR, next_run_at=next_at_hour(HOUR, now)
        ),
    ]


def next_at_hour(hour: int, after: datetime) -> datetime:
    """Returns the next time that the clock (UTC) shows this hour."""
    today = after.replace(hour=hour, minute=0, second=0, microsecond=0)
    return today if today > after else today + timedelta(days=1)


def next_run_of(schedule: ReconciliationSchedule, after: datetime) -> datetime:
    """Returns when a schedule is due next."""
    if schedule.every_minutes is not None:
        return after + timedelta(minutes=schedule.every_minutes)
    return next_at_hour(schedule.hour or 0, after)


def ask_for_due() -> int:
    """Asks for the runs that are due; returns how many. One that still waits or runs is not asked for twice."""
    now = timezone.now()
    is_due = Q(next_run_at__lte=now) | Q(next_run_at__isnull=True)
    due = ReconciliationSchedule.objects.filter(
        is_due,
        is_active=True,
        channel__is_active=True,
        channel__in_shadow=False,
        channel__kind__in=shown_kinds(),
    )
    under_way = Q(runs__state__in=[RunState.ASKED, RunState.RUNNING])
    count = 0
    for schedule in due.exclude(under_way).select_related("channel", "tag").defer("channel__credentials"):
        try:
            ask(
                schedule.channel,
                RunKind(schedule.kind),
                tag=schedule.tag,
                asked_by="schedule",
                schedule_id=schedule.pk,
            )
        except Refused:
            continue
        _plan(schedule, next_run_of(schedule, now))
        count += 1
    return count


def note_end(schedule: ReconciliationSchedule, *, has_failed: bool) -> None:
    """Plans the run after one that has ended: an interval counts from the end, a failure is tried again soon."""
    now = timezone.now()
    next_run = next_run_of(schedule, now)
    _plan(schedule, min(next_run, now + _AFTER_FAILURE) if has_failed else next_run)


def _plan(schedule: ReconciliationSchedule, at: datetime) -> None:
    ReconciliationSchedule.objects.filter(pk=schedule.pk).update(next_run_at=at)

"""The schedules: rows that operations can edit, added where they are missing.

Apps that stand on this one add theirs by `add_schedule` when they are loaded.
"""

from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone
from django_q.models import Schedule

#: Name → (function, type, minutes).
_SCHEDULES: Final[dict[str, tuple[str, str, int | None]]] = {
    "Sweep of what is due": ("channels.tasks.sweep", Schedule.MINUTES, 1),
    "Judging of observations": ("channels.tasks.judge_observations", Schedule.MINUTES, 1),
    "Expiry of reservations": ("channels.tasks.expire_reservations", Schedule.MINUTES, 1),
    "Missed promises": ("channels.tasks.break_missed_promises", Schedule.HOURLY, None),
    "Dates of rules and pins": ("channels.tasks.follow_rules", Schedule.MINUTES, 1),
    "Days of pre-orders": ("channels.rules.arrivals.follow_days", Schedule.MINUTES, 5),
    "Measures for rules": ("channels.tasks.measure_rules", Schedule.MINUTES, 30),
    "Audit of webhook subscriptions": ("channels.tasks.audit_subscriptions", Schedule.HOURLY, None),
    "Forgetting of what is old": ("channels.tasks.forget_old", Schedule.DAILY, None),
    "Checkpoints of the ledger": ("channels.tasks.write_checkpoints", Schedule.HOURLY, None),
    "Conflicts and their resolution": ("reconciliation.tasks.look_after_conflicts", Schedule.MINUTES, 1),
    "Recheck of open orders": ("channels.tasks.recheck_open_orders", Schedule.DAILY, None),
}


#: Name → hour of the day (UTC) of the first run; the others run at once.
_HOURS: Final[dict[str, int]] = {}


def add_schedule(
    name: str, function: str, kind: str, *, minutes: int | None = None, hour: int | None = None
) -> None:
    """Has a schedule kept: a function called every so often, first at once or when it is next `hour` (UTC)."""
    _SCHEDULES[name] = (function, kind, minutes)
    if hour is not None:
        _HOURS[name] = hour


def _first_run(name: str, now: datetime) -> datetime:
    if name not in _HOURS:
        return now
    today = now.replace(hour=_HOURS[name], minute=0, second=0, microsecond=0)
    return today if today > now else today + timedelta(days=1)


def ensure_schedules() -> None:
    """Adds schedules that do not exist; one that operations changed or switched off stays as it is."""
    now = timezone.now()
    for name, (function, kind, minutes) in _SCHEDULES.items():
        Schedule.objects.get_or_create(
            name=name,
            defaults={
                "func": function,
                "schedule_type": kind,
                "minutes": minutes,
                "repeats": -1,
                "next_run": _first_run(name, now),
            },
        )

"""The channels' schedules: rows that operations can edit, added where they are missing."""

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
    "Recheck of open orders": ("channels.tasks.recheck_open_orders", Schedule.DAILY, None),
}


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
                "next_run": now,
            },
        )

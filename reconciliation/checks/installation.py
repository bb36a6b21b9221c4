"""How the installation itself is: database, clock, disk, the processes that do the work, and tasks that kill them."""

import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import connection
from django.utils import timezone
from django_q.models import Schedule

from channels.heartbeats import JOBS, PUSHER, RECONCILER, WEBHOOKS
from channels.models import Heartbeat
from config.admin_panels import duration, list_of
from config.models import DeadTask
from config.uptime import seconds_up
from reconciliation.checks.results import Result
from reconciliation.models import Severity

#: Seconds by which the clocks of this machine and of the database may differ; tokens and signatures bear no more.
SKEW_IS_WRONG: Final = 2.0
SKEW_IS_CRITICAL: Final = 30.0
#: Space left on the disk of the data directory, as a share and in bytes; whichever is less is enough.
LITTLE_SPACE: Final = (0.10, 5 * 1024**3)
NO_SPACE: Final = (0.03, 1024**3)
#: The heartbeat of the watch of each minute, which opens and ends alerts.
WATCH: Final = "watch"
#: A process is silent when its heartbeat is older; each beats every ten seconds, what jobs do every minute.
SILENT_AFTER: Final = {PUSHER: 60.0, RECONCILER: 60.0, JOBS: 180.0, WATCH: 300.0}
_OTHERS_SILENT_AFTER: Final = 60.0
#: How late a schedule may be before nobody seems to run it.
OVERDUE: Final = timedelta(minutes=10)

_DOES: Final = {
    PUSHER: "tells channels their numbers and reads their orders",
    RECONCILER: "compares what shops show with what they should show",
    JOBS: "processes messages and runs what is scheduled",
    WATCH: "opens and ends alerts",
    WEBHOOKS: "tells the merchants' own systems what happened",
}


def clock() -> Iterator[Result]:
    """Compares this machine's clock with the database's."""
    before = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (there,) = cursor.fetchone()
    yield judge_clock(before, there, timezone.now())


def judge_clock(before: datetime, there: datetime, after: datetime) -> Result:
    """Judges the database's clock, read between two readings of ours; what the reading itself took is no skew."""
    skew = max((before - there).total_seconds(), (there - after).total_seconds(), 0.0)
    if skew <= SKEW_IS_WRONG:
        return Result("clock_skew", "Clock", f"within {duration(SKEW_IS_WRONG)} of the database's")
    return Result(
        "clock_skew",
        "Clock",
        f"differs from the database's by {duration(skew)}",
        is_ok=False,
        remedy="Have both machines follow a time server (chrony or systemd-timesyncd), then look again.",
        severity=Severity.CRITICAL if skew > SKEW_IS_CRITICAL else Severity.WARNING,
        evidence={"seconds": round(skew, 3)},
    )


def disk() -> Iterator[Result]:
    """Looks at the space left where the embedded database and the keys lie."""
    path = settings.DATA_DIR if settings.DATA_DIR.exists() else settings.BASE_DIR
    usage = shutil.disk_usage(path)
    yield judge_disk(str(path), usage.free, usage.total)


def judge_disk(path: str, free: int, total: int) -> Result:
    """Judges the space left on a disk, in bytes."""
    says = f"{free / 1024**3:.1f} GiB of {total / 1024**3:.1f} GiB left"
    named: dict[str, Any] = {"kind": "disk_full", "thing": "Disk", "subject": path}
    if not _is_below(free, total, LITTLE_SPACE):
        return Result(says=says, **named)
    return Result(
        says=f"{says} at {path}",
        is_ok=False,
        remedy="Make room, or move ONECOUNT_DATA_DIR to a larger disk. A full disk stops the database.",
        severity=Severity.CRITICAL if _is_below(free, total, NO_SPACE) else Severity.WARNING,
        evidence={"free_bytes": free, "total_bytes": total},
        **named,
    )


def _is_below(free: int, total: int, bound: tuple[float, int]) -> bool:
    share, size = bound
    return free < min(share * total, size)


def processes() -> Iterator[Result]:
    """Looks at the heartbeats of the processes that do the work."""
    now = timezone.now()
    beats = dict(Heartbeat.objects.values_list("name", "beat_at"))
    for name in sorted({*SILENT_AFTER, *beats}):
        yield judge_heartbeat(name, beats.get(name), now)


def may_be_starting(name: str) -> bool:
    """Tells whether a silent process may have been started with this one, and just not have worked yet."""
    return seconds_up() < SILENT_AFTER.get(name, _OTHERS_SILENT_AFTER)


def signs_of_life() -> dict[str, bool]:
    """Returns for each process whether it has worked lately; one statement."""
    return {each.subject: each.is_ok for each in processes()}


def judge_heartbeat(name: str, beat_at: datetime | None, now: datetime) -> Result:
    """Judges the last sign of life of a process."""
    named: dict[str, Any] = {"kind": "process_silent", "thing": f"Process {name}", "subject": name}
    age = (now - beat_at).total_seconds() if beat_at else None
    if age is not None and age <= SILENT_AFTER.get(name, _OTHERS_SILENT_AFTER):
        return Result(says=f"worked {duration(max(age, 0.0))} ago", **named)
    does = _DOES.get(name, "does its part of the work")
    return Result(
        says="has never worked" if age is None else f"silent for {duration(age)}",
        is_ok=False,
        remedy=f"It {does}. Start `serve`, or read its log for child_hung and child_ended.",
        severity=Severity.CRITICAL,
        **named,
    )


def schedules() -> Iterator[Result]:
    """Looks for schedules that nobody runs."""
    late = timezone.now() - OVERDUE
    overdue = Schedule.objects.exclude(repeats=0).filter(next_run__lt=late).order_by("next_run")
    names = list(overdue.values_list("name", flat=True))
    if not names:
        yield Result("schedules_late", "Schedules", "none is overdue")
        return
    yield Result(
        "schedules_late",
        "Schedules",
        f"{len(names)} overdue: {', '.join(str(name) for name in names[:5])}",
        is_ok=False,
        remedy="See that the process jobs of `serve` runs, and that no long job holds all its workers.",
        evidence={"schedules": [str(name) for name in names]},
    )


def dead_tasks() -> Iterator[Result]:
    """Looks for tasks that killed whoever ran them."""
    found = list(DeadTask.objects.all()[:5])
    if not found:
        yield Result("tasks_killed_workers", "Tasks", "none has killed its workers")
        return
    names = [str(each) for each in found]
    yield Result(
        "tasks_killed_workers",
        "Tasks",
        f"workers died of {', '.join(names)}",
        is_ok=False,
        remedy="Look for out of memory in the machine's log, give it more, then press Run again under Dead tasks.",
        severity=Severity.CRITICAL,
        link=list_of("config.deadtask"),
        evidence={"tasks": names},
    )

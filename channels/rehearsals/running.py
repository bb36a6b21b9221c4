"""Asks for rehearsals and runs them as jobs, with progress that everybody sees."""

from collections.abc import Callable
from datetime import datetime, timedelta
from time import monotonic
from typing import Final

import structlog
from django.db.models import Q
from django.utils import timezone

from channels.errors import ChannelError, InvalidPeriod, RehearsalTooLong
from channels.exposure import quantity_of
from channels.models import Rehearsal, RuleSetVersion
from channels.models.rehearsals import RehearsalState
from channels.rehearsals.events import Period
from channels.rehearsals.replay import Replay
from channels.rehearsals.rules import digest_of, rules_of
from config.jobs import wake
from inventory.checkpoints import settled_until

log = structlog.get_logger(__name__)

#: A rehearsal whose progress stands still for so long was left by a process that died.
_ABANDONED: Final = timedelta(seconds=150)
#: Seconds of a rehearsal in a job, well before the job's own time limit.
JOB_SECONDS: Final = 100.0

TASK: Final = "channels.tasks.run_rehearsal"


def ask(version: RuleSetVersion, since: datetime, until: datetime, *, asked_by: str = "") -> Rehearsal:
    """Notes that a period is to be rehearsed under a version. Raises `InvalidPeriod`.

    Events of the last minutes may still be unseen, so that a period ends before them at the latest.
    """
    settled = settled_until()
    if until <= since:
        raise InvalidPeriod("until", "must come after the beginning.")
    if until > settled:
        raise InvalidPeriod(
            "until",
            f"must be {settled:%Y-%m-%d %H:%M} UTC at the latest; what comes after is not settled yet.",
        )
    merchant_id = version.rule_set.merchant_id
    return Rehearsal.objects.create(
        merchant_id=merchant_id, version=version, since=since, until=until, asked_by=asked_by
    )


def start(rehearsal: Rehearsal) -> None:
    """Has a worker run it soon."""
    wake(TASK, rehearsal.pk)


def wake_open() -> int:
    """Wakes rehearsals that wait, or that a process left behind; returns how many."""
    ids = list(Rehearsal.objects.filter(_claimable()).values_list("pk", flat=True)[:20])
    for pk in ids:
        wake(TASK, pk)
    return len(ids)


def _claimable() -> Q:
    abandoned = Q(state=RehearsalState.RUNNING, progress_at__lt=timezone.now() - _ABANDONED)
    return Q(state=RehearsalState.WAITING) | abandoned


def run(
    rehearsal_id: int,
    *,
    seconds: float | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> bool:
    """Runs a rehearsal that waits, to its end or for `seconds`; False where somebody else runs or has run it."""
    now = timezone.now()
    claimed = Rehearsal.objects.filter(_claimable(), pk=rehearsal_id).update(
        state=RehearsalState.RUNNING, started_at=now, progress_at=now, events_done=0, error=""
    )
    if not claimed:
        return False
    rehearsal = Rehearsal.objects.select_related("version__rule_set").get(pk=rehearsal_id)
    try:
        _replay(rehearsal, seconds, on_progress)
    except ChannelError as error:
        _fail(rehearsal, str(error))
    except Exception:
        _fail(rehearsal, "It failed; the log says why.")
        raise
    return True


def _replay(rehearsal: Rehearsal, seconds: float | None, on_progress: Callable[[int, int], None]) -> None:
    started = monotonic()

    def progress(done: int, total: int) -> None:
        Rehearsal.objects.filter(pk=rehearsal.pk).update(
            events_done=done, events_total=total, progress_at=timezone.now()
        )
        on_progress(done, total)
        if seconds is not None and done < total and monotonic() - started > seconds:
            raise RehearsalTooLong(
                f"Stopped after {done} of {total} events. Choose a shorter period, or run it without a time limit: "
                f"manage.py rehearse --again {rehearsal.pk}"
            )

    period = Period(rehearsal.merchant_id, rehearsal.since, rehearsal.until)
    digest = digest_of(rehearsal.version)
    tally = Replay(period, rules_of(rehearsal.version, rehearsal.since), quantity_of).run(progress)
    length = int((rehearsal.until - rehearsal.since).total_seconds())
    Rehearsal.objects.filter(pk=rehearsal.pk).update(
        state=RehearsalState.DONE,
        result=tally.result(seconds_replayed=length),
        rules_digest=digest,
        events_done=tally.events,
        events_total=tally.events,
        finished_at=timezone.now(),
    )


def _fail(rehearsal: Rehearsal, error: str) -> None:
    Rehearsal.objects.filter(pk=rehearsal.pk).update(
        state=RehearsalState.FAILED, error=error, finished_at=timezone.now()
    )
    log.warning("rehearsal_failed", rehearsal=rehearsal.pk, error=error)


def again(rehearsal_id: int) -> None:
    """Puts a rehearsal that has ended back to the beginning. Raises `Rehearsal.DoesNotExist`."""
    rehearsal = Rehearsal.objects.get(pk=rehearsal_id)
    Rehearsal.objects.filter(pk=rehearsal.pk, state__in=[RehearsalState.DONE, RehearsalState.FAILED]).update(
        state=RehearsalState.WAITING, result=None, error="", finished_at=None
    )

"""Work that others were in the way of is tried again, with pauses that double and are spread, and counted.

The work itself stands in rows of its own (a delivery, an order that waits to be fetched) or is found anew by the next run of
a job. A row here says how often others were in the way, since when, and whether it was given up for now; it is written only
when that happens, so that work that meets nobody costs nothing.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import structlog
from django.db import DatabaseError, connection
from django.utils import timezone

from channels.models import Channel, Retry, WebhookDelivery
from channels.models.retry_queue import RetryKind, RetryState
from inventory.errors import StockBusy
from inventory.ledger import BUSY_STATES, domain_errors

log = structlog.get_logger(__name__)

#: Attempts after which work is given up for now: about five minutes.
ATTEMPTS: Final = 12
FIRST_PAUSE: Final = 0.15
LONGEST_PAUSE: Final = 60.0
_QUIET: Final = timedelta(hours=1)
#: Attempts of a job in a row, before it is left to its next run.
_RUNS: Final = 4

_POSTPONE: Final = """
INSERT INTO channels_retry AS kept
    (merchant_id, channel_id, kind, key, reason, state, attempts, first_at, last_at, next_attempt_at)
VALUES (%(merchant)s, %(channel)s, %(kind)s, %(key)s, %(reason)s, 'waiting', 1, clock_timestamp(), clock_timestamp(),
        clock_timestamp() + make_interval(secs => %(first)s::float8 * %(jitter)s::float8))
ON CONFLICT (merchant_id, kind, key) WHERE state = 'waiting' DO UPDATE
SET attempts = kept.attempts + 1, reason = excluded.reason, last_at = excluded.last_at,
    next_attempt_at = clock_timestamp() + make_interval(secs => %(jitter)s::float8
        * least(%(first)s::float8 * 2.0 ^ least(kept.attempts, 20), %(longest)s::float8))
RETURNING id, attempts, extract(epoch FROM next_attempt_at - clock_timestamp())::float8
"""


@dataclass(frozen=True, slots=True)
class Work:
    """A piece of work by which it is known when it comes again."""

    kind: RetryKind
    key: str
    merchant_id: int | None = None
    channel_id: int | None = None

    @classmethod
    def of_delivery(cls, delivery: WebhookDelivery) -> "Work":
        """A webhook message."""
        channel = delivery.channel
        return cls(RetryKind.DELIVERY, str(delivery.pk), channel.merchant_id, channel.pk)

    @classmethod
    def of_order(cls, channel: Channel, external_id: str) -> "Work":
        """An order that is to be applied as the platform states it."""
        return cls(RetryKind.ORDER, f"{channel.pk}:{external_id}", channel.merchant_id, channel.pk)


def postpone(work: Work, reason: str) -> timedelta | None:
    """Counts an attempt that others were in the way of; returns the pause until the next, None where it is given up.

    Joins the transaction that it is called in.
    """
    parameters: dict[str, Any] = {
        "merchant": work.merchant_id,
        "channel": work.channel_id,
        "kind": work.kind.value,
        "key": work.key[:250],
        "reason": reason[:40],
        "first": FIRST_PAUSE,
        "longest": LONGEST_PAUSE,
        "jitter": random.uniform(0.75, 1.25),  # noqa: S311
    }
    with connection.cursor() as cursor:
        cursor.execute(_POSTPONE, parameters)
        identity, attempts, pause = cursor.fetchone()
    if attempts < ATTEMPTS:
        return timedelta(seconds=max(pause, 0.0))
    _give_up(identity)
    return None


def _give_up(retry_id: int) -> None:
    log.warning("retries_exhausted", retry=retry_id)
    Retry.objects.filter(pk=retry_id).update(
        state=RetryState.EXHAUSTED, next_attempt_at=None, ended_at=timezone.now()
    )


def settle(work: Work) -> None:
    """Notes that work that had been put off is done."""
    waiting = Retry.objects.filter(merchant=work.merchant_id, kind=work.kind, key=work.key[:250])
    waiting.filter(state=RetryState.WAITING).update(
        state=RetryState.DONE, next_attempt_at=None, ended_at=timezone.now()
    )


def settle_quiet() -> int:
    """Ends what has met nobody since it was due again an hour ago: it was done on another way; returns how many."""
    quiet = Retry.objects.filter(state=RetryState.WAITING, next_attempt_at__lt=timezone.now() - _QUIET)
    return quiet.update(state=RetryState.DONE, next_attempt_at=None, ended_at=timezone.now())


def note_page(path: str, reason: str) -> None:
    """Counts that somebody at the back office was asked to try again."""
    now = timezone.now()
    Retry.objects.create(
        kind=RetryKind.PAGE,
        key=path[:250],
        reason=reason[:40],
        state=RetryState.RETURNED,
        first_at=now,
        last_at=now,
        ended_at=now,
    )


def busy_reason(error: BaseException) -> str:
    """Returns why others were in the way; empty for an error of another kind."""
    if isinstance(error, StockBusy):
        return error.reason
    if isinstance(error, DatabaseError):
        return BUSY_STATES.get(getattr(error.__cause__, "sqlstate", None) or "", "")
    return ""


def insist(name: str, job: Callable[[], int]) -> int:
    """Runs a job, again after a pause while others are in the way; 0 where it is left to its next run.

    Only outside of a transaction: a failed attempt is undone as a whole.
    """
    work = Work(RetryKind.JOB, name)
    for run in range(_RUNS):
        try:
            with domain_errors():
                count = job()
        except StockBusy as error:
            pause = postpone(work, error.reason)
            if run + 1 < _RUNS:
                time.sleep(pause.total_seconds() if pause is not None else FIRST_PAUSE)
        else:
            if run:
                settle(work)
            return count
    _give_up_job(work)
    return 0


def _give_up_job(work: Work) -> None:
    waiting = Retry.objects.filter(merchant=None, kind=work.kind, key=work.key, state=RetryState.WAITING)
    for retry_id in waiting.values_list("pk", flat=True):
        _give_up(retry_id)

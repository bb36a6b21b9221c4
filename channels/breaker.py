"""The breaker of a channel: stops calls while the platform as a whole does not work, and lets probes through.

Failures of the whole channel in a row open it; one success closes it. While it is open nothing of the
channel is parked and nothing counts against a listing. Once its pause is over it is half open: the pusher
then lets one call at a time through, and the first answer decides.

Being throttled is no failure: the limit of one kind of call is used up, and its bucket already says until
when (`channels.limits`). A breaker would hold back the other kinds too, decreases among them.
"""

import random
import time
from datetime import datetime
from enum import Enum
from typing import Any, Final

from django.db import connection
from django.db.models import Model
from django.utils import timezone

from channels import error_log
from channels.errors import (
    ConnectorError,
    Misconfigured,
    PermanentError,
    Throttled,
    TransientError,
    Unauthorised,
)
from channels.models.error_log import ErrorJob

#: Failures in a row after which it opens; those that a person has to mend open it at once.
THRESHOLD: Final = 3
#: Seconds of the first pause; each further failure doubles it.
FIRST_PAUSE: Final = 2.0
FIRST_PAUSE_FOR_A_PERSON: Final = 30.0
LONGEST_PAUSE: Final = 300.0

# Calls that were on their way when it opened say nothing new and are not counted.
_NOTE_FAILURE: Final = """
INSERT INTO channels_channelhealth AS health
    (channel_id, consecutive_failures, last_error_at, last_error, breaker_open_until, breaker_reason,
     subscription_problems)
VALUES (%(channel)s, 1, clock_timestamp(), %(error)s,
        CASE WHEN %(threshold)s <= 1 THEN clock_timestamp() + make_interval(secs => {pause_of_first}) END,
        CASE WHEN %(threshold)s <= 1 THEN %(error)s ELSE '' END, '[]')
ON CONFLICT (channel_id) DO UPDATE
SET consecutive_failures = health.consecutive_failures + {counts},
    last_error_at = clock_timestamp(),
    last_error = excluded.last_error,
    breaker_open_until = CASE WHEN {opens}
        THEN clock_timestamp() + make_interval(secs => {pause}) ELSE health.breaker_open_until END,
    breaker_reason = CASE WHEN {opens} THEN excluded.last_error ELSE health.breaker_reason END
RETURNING consecutive_failures
"""

_NOTE_SUCCESS: Final = """
INSERT INTO channels_channelhealth AS health
    (channel_id, consecutive_failures, last_success_at, last_push_at, last_error, breaker_reason,
     subscription_problems)
VALUES (%(channel)s, 0, clock_timestamp(), CASE WHEN %(is_push)s THEN clock_timestamp() END, '', '', '[]')
ON CONFLICT (channel_id) DO UPDATE
SET consecutive_failures = 0,
    breaker_open_until = NULL,
    breaker_reason = '',
    last_success_at = excluded.last_success_at,
    last_push_at = coalesce(excluded.last_push_at, health.last_push_at)
WHERE health.consecutive_failures > 0
   OR health.breaker_open_until IS NOT NULL
   OR health.last_success_at IS NULL
   OR health.last_success_at < clock_timestamp() - interval '1 second'
   OR %(is_push)s AND coalesce(health.last_push_at < clock_timestamp() - interval '1 second', true)
"""

_OPEN: Final = "coalesce(health.breaker_open_until > clock_timestamp(), false)"
_PAUSE: Final = "greatest(least(%(first)s * 2 ^ {steps}, %(longest)s) * %(jitter)s, %(retry_after)s)"
_NOTE_FAILURE_SQL: Final = _NOTE_FAILURE.format(
    counts=f"CASE WHEN {_OPEN} THEN 0 ELSE 1 END",
    opens=f"(NOT {_OPEN} AND health.consecutive_failures + 1 >= %(threshold)s)",
    pause=_PAUSE.format(steps="least(health.consecutive_failures + 1 - %(threshold)s, 20)"),
    pause_of_first=_PAUSE.format(steps="0"),
)


#: When this process last noted that a channel works, by (channel, push); a failure forgets it.
_noted_at: dict[tuple[int, bool], float] = {}
_RESOLUTION: Final = 1.0


class BreakerState(Enum):
    """What may go out to a channel."""

    CLOSED = "closed"
    #: The pause is over: one call at a time, until one works.
    HALF_OPEN = "half open"
    OPEN = "open"


def state_of(open_until: datetime | None, *, now: datetime | None = None) -> BreakerState:
    """Returns the state that `ChannelHealth.breaker_open_until` stands for."""
    if open_until is None:
        return BreakerState.CLOSED
    return BreakerState.OPEN if open_until > (now or timezone.now()) else BreakerState.HALF_OPEN


def concerns_channel(error: ConnectorError) -> bool:
    """Tells whether a failure says something of the whole channel; a refused item or a used-up limit does not."""
    if isinstance(error, PermanentError):
        return isinstance(error, Unauthorised | Misconfigured)
    return not isinstance(error, Throttled)


def note_failure(
    channel_id: int, error: ConnectorError, *, job: str = ErrorJob.OTHER, about: Model | None = None
) -> int:
    """Counts a failure of the whole channel and opens its breaker after enough of them; logs every failure.

    `job` says what was being done, `about` which row it concerned. Returns how many there were in a row: 1 where
    something worked since the one before. What does not concern the whole channel is not counted, and 0 is returned.
    """
    error_log.note(channel_id, error, job=job, about=about)
    if not concerns_channel(error):
        return 0
    forget_success(channel_id)
    needs_person = isinstance(error, PermanentError)
    retry_after = error.retry_after if isinstance(error, TransientError) else None
    parameters: dict[str, Any] = {
        "channel": channel_id,
        "error": str(error)[:2000],
        "threshold": 1 if needs_person else THRESHOLD,
        "first": FIRST_PAUSE_FOR_A_PERSON if needs_person else FIRST_PAUSE,
        "longest": LONGEST_PAUSE,
        # Channels that failed together do not come back together.
        "jitter": random.uniform(0.75, 1.25),  # noqa: S311
        "retry_after": min(max(retry_after or 0.0, 0.0), LONGEST_PAUSE),
    }
    with connection.cursor() as cursor:
        cursor.execute(_NOTE_FAILURE_SQL, parameters)
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def forget_success(channel_id: int) -> None:
    """Has the next success of the channel written down, however soon it comes."""
    _noted_at.pop((channel_id, False), None)
    _noted_at.pop((channel_id, True), None)


def forget_successes() -> None:
    """Has the next success of every channel written down."""
    _noted_at.clear()


def note_success(channel_id: int, *, is_push: bool = False) -> None:
    """Closes the breaker and notes when the channel last worked, to the second."""
    now = time.monotonic()
    if now - _noted_at.get((channel_id, is_push), -_RESOLUTION) < _RESOLUTION:
        return
    _noted_at[channel_id, is_push] = now
    with connection.cursor() as cursor:
        cursor.execute(_NOTE_SUCCESS, {"channel": channel_id, "is_push": is_push})

"""The breaker of a channel: opened by failures of the whole channel, probed by real decreases, closed by a success."""

import random
from datetime import datetime, timedelta
from typing import Final

from django.db import connection
from django.utils import timezone

from channels.errors import ConnectorError, Throttled, TransientError, Unauthorised
from channels.models import ChannelHealth

#: Failures in a row that open the breaker; bad credentials open it at once.
THRESHOLD: Final = 3
FIRST_PAUSE: Final = timedelta(seconds=2)
LONGEST_PAUSE: Final = timedelta(minutes=2)
#: A platform that asks for more than this is probed sooner all the same.
LONGEST_RETRY_AFTER: Final = timedelta(minutes=5)

_SUCCESS: Final = """
INSERT INTO channels_channelhealth
    (channel_id, last_success_at, last_error, consecutive_failures, breaker_reason, subscription_problems)
VALUES (%s, clock_timestamp(), '', 0, '', '[]')
ON CONFLICT (channel_id) DO UPDATE
SET last_success_at = clock_timestamp(), consecutive_failures = 0, breaker_open_until = NULL, breaker_reason = ''
WHERE channels_channelhealth.consecutive_failures > 0
   OR channels_channelhealth.breaker_open_until IS NOT NULL
   OR channels_channelhealth.last_success_at IS NULL
   OR channels_channelhealth.last_success_at < clock_timestamp() - interval '1 second'
"""

_FAILURE: Final = """
INSERT INTO channels_channelhealth
    (channel_id, last_error_at, last_error, consecutive_failures, breaker_reason, subscription_problems)
VALUES (%s, clock_timestamp(), %s, 1, '', '[]')
ON CONFLICT (channel_id) DO UPDATE
SET last_error_at = clock_timestamp(), last_error = excluded.last_error,
    consecutive_failures = channels_channelhealth.consecutive_failures + 1
RETURNING consecutive_failures
"""


def note_success(channel_id: int) -> None:
    """Notes that the platform answered; closes the breaker. Writes once a second at most."""
    with connection.cursor() as cursor:
        cursor.execute(_SUCCESS, [channel_id])


def note_failure(channel_id: int, error: ConnectorError) -> datetime | None:
    """Notes a failure of the whole channel; returns until when the breaker is open, or None while it is closed."""
    with connection.cursor() as cursor:
        cursor.execute(_FAILURE, [channel_id, str(error)[:2000]])
        (failures,) = cursor.fetchone()
    if failures < THRESHOLD and not isinstance(error, Unauthorised):
        return None
    until = timezone.now() + pause(failures, error)
    ChannelHealth.objects.filter(channel_id=channel_id).update(
        breaker_open_until=until, breaker_reason=str(error)[:2000]
    )
    return until


def pause(failures: int, error: ConnectorError) -> timedelta:
    """Returns how long to stay away: what the platform asks within reason, else doubling, with jitter."""
    if isinstance(error, TransientError) and error.retry_after is not None:
        return min(timedelta(seconds=error.retry_after), LONGEST_RETRY_AFTER)
    if isinstance(error, Unauthorised):
        return LONGEST_PAUSE
    doubled = min(FIRST_PAUSE * (1 << min(max(failures - THRESHOLD, 0), 10)), LONGEST_PAUSE)
    return doubled * random.uniform(0.8, 1.2)  # noqa: S311 - spreads probes, hides nothing


def is_open(channel_id: int) -> bool:
    """Returns whether the channel is left alone now."""
    return ChannelHealth.objects.filter(channel_id=channel_id, breaker_open_until__gt=timezone.now()).exists()


def is_throttle(error: ConnectorError) -> bool:
    """Whether only the frequency was wrong: waiting mends it, and it says nothing against the channel."""
    return isinstance(error, Throttled)

"""What waits for an instant that no wait of ours reaches: the server's clock was put back after it was written.

Pauses, leases, breakers and limits are instants of the database's clock. Put back by hours, it would hold them up for as long.
No wait is longer than is stated here, so that whatever lies beyond is due now; nothing has to have noticed the step.
"""

from typing import Any, Final

from django.db import connection

from channels.limits import LONGEST_BLOCK
from channels.outcomes import FOLLOW_SECONDS

#: Seconds that clocks of several servers may differ, and that a wait may have been lengthened by chance.
SLACK: Final = 60.0
#: The longest pauses of pushes, breakers and limits, in seconds, lengthened by chance.
LONGEST_PAUSE: Final = 375.0
#: The same of polls, fetches and messages, which wait a quarter of an hour at most.
LONGEST_READING_PAUSE: Final = 1125.0
#: A bucket is brought up to date with each call, so that it never lies ahead.
AHEAD: Final = 5.0

_PUSHES: Final = """
WITH late AS (
    SELECT id FROM channels_listinglevel
    WHERE wanted > done AND dead_at IS NULL
      AND (leased_until > clock_timestamp() + make_interval(secs => %(lease)s)
           OR next_attempt_at > clock_timestamp() + make_interval(secs => %(pause)s))
    ORDER BY id
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE channels_listinglevel level
SET leased_until = least(level.leased_until, clock_timestamp()), next_attempt_at = NULL
FROM late
WHERE level.id = late.id
"""

_BREAKERS: Final = """
UPDATE channels_channelhealth SET breaker_open_until = clock_timestamp()
WHERE breaker_open_until > clock_timestamp() + make_interval(secs => %(pause)s)
"""

_BUCKETS: Final = """
UPDATE channels_ratebucket
SET updated_at = clock_timestamp(),
    blocked_until = CASE
        WHEN blocked_until > clock_timestamp() + make_interval(secs => %(block)s) THEN NULL ELSE blocked_until
    END
WHERE updated_at > clock_timestamp() + make_interval(secs => %(ahead)s)
"""

# A channel may be polled as seldom as people like; a feed that was read is due so long after that, and one that was read
# in the future is due now.
_FEEDS: Final = """
UPDATE channels_pollfeed
SET next_poll_at = clock_timestamp(),
    leased_until = least(leased_until, clock_timestamp()),
    covered_until = least(covered_until, clock_timestamp()),
    last_polled_at = least(last_polled_at, clock_timestamp())
WHERE last_polled_at > clock_timestamp() + make_interval(secs => %(slack)s)
   OR leased_until > clock_timestamp() + make_interval(secs => %(reading)s)
"""

_FETCHES: Final = """
UPDATE channels_channelorder SET next_fetch_at = clock_timestamp()
WHERE fetch_wanted > fetched AND next_fetch_at > clock_timestamp() + make_interval(secs => %(reading)s)
"""

_MESSAGES: Final = """
UPDATE channels_webhookdelivery SET next_attempt_at = clock_timestamp()
WHERE state = 'received' AND next_attempt_at > clock_timestamp() + make_interval(secs => %(reading)s)
"""

# A number that a shop showed in the future would stay without a verdict until then, and keep older ones without.
_OBSERVATIONS: Final = """
UPDATE channels_shelfobservation SET received_at = clock_timestamp()
WHERE verdict = 'open' AND received_at > clock_timestamp() + make_interval(secs => %(slack)s)
"""

_STATEMENTS: Final = (_PUSHES, _BREAKERS, _BUCKETS, _FEEDS, _FETCHES, _MESSAGES, _OBSERVATIONS)


def forget_the_future() -> int:
    """Has everything be due that waits longer than anything may; returns how many rows that was. Call it every minute."""
    waits: dict[str, Any] = {
        "lease": FOLLOW_SECONDS + SLACK,
        "pause": LONGEST_PAUSE + SLACK,
        "block": LONGEST_BLOCK + SLACK,
        "reading": LONGEST_READING_PAUSE + SLACK,
        "slack": SLACK,
        "ahead": AHEAD,
    }
    count = 0
    for sql in _STATEMENTS:
        with connection.cursor() as cursor:
            cursor.execute(sql, waits)
            count += int(cursor.rowcount)
    return count

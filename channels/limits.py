"""Token buckets that all processes spend from; the platforms' answers correct them.

One `UPDATE … RETURNING` looks and takes at once: two processes that want the last token queue at the row, and
the second one sees what the first one left. (Reading first and writing then grants the same token to both.)
Time is the database's clock, read once a statement; it never runs backwards for a bucket.
"""

from dataclasses import dataclass
from typing import Final

from django.db import connection

from channels.connectors.base import LimitReading, RateLimit
from config.database import NEED_NOT_LAST

#: The share of each bucket that ordinary callers leave to those with priority: what has waited longest.
PRIORITY_SHARE: Final = 0.1
#: The share that callers in the background leave: what is due to be told must not wait for what is only looked at.
BACKGROUND_SHARE: Final = 0.5
#: The share of its rate that is used of a limit that gives a call a second or more. Calls arrive a little sooner or later
#: one after the other than they were granted; at the full rate some would arrive before the platform has tokens for them.
PACE: Final = 0.96
#: No platform is left alone for longer than this because it asked for it, in seconds: shelves would be wrong meanwhile.
LONGEST_BLOCK: Final = 60.0

#: The shortest wait there is, in seconds: there may be tokens, of a bucket that somebody else has just made.
_AT_ONCE: Final = 0.001

# Costs beyond the capacity count as the capacity, else they would wait for ever. Ordinary callers leave the
# share of the others, as far as their own call still fits into a full bucket.
_TAKE: Final = """
WITH clock AS MATERIALIZED (SELECT clock_timestamp() AS now)
UPDATE channels_ratebucket AS bucket
SET tokens = {level} - least(%(cost)s, capacity),
    updated_at = greatest(updated_at, clock.now)
FROM clock
WHERE channel_id = %(channel)s AND name = %(name)s
  AND coalesce(blocked_until <= clock.now, true)
  AND {level} >= {needed}
  AND {may_be_lost}
RETURNING tokens, capacity, refill_per_second,
    EXISTS (SELECT FROM channels_channel channel WHERE channel.id = bucket.channel_id AND channel.in_shadow)
"""

_INSERT: Final = """
INSERT INTO channels_ratebucket (channel_id, name, capacity, refill_per_second, tokens, updated_at)
VALUES (%(channel)s, %(name)s, %(capacity)s, %(refill)s, %(capacity)s, clock_timestamp())
ON CONFLICT (channel_id, name) DO NOTHING
"""

_WAIT: Final = """
WITH clock AS MATERIALIZED (SELECT clock_timestamp() AS now)
SELECT greatest(
    extract(epoch FROM blocked_until - clock.now)::float,
    ({needed} - {level}) / greatest({refill}, 0.001),
    0.001
)
FROM channels_ratebucket AS bucket, clock
WHERE channel_id = %(channel)s AND name = %(name)s
"""

# The platform's count includes calls of ours that are on their way to us, ours includes those on their way to
# it: the smaller one is safe. A capacity that was only assumed says nothing about what is left.
_LEARN: Final = """
WITH clock AS MATERIALIZED (SELECT clock_timestamp() AS now)
UPDATE channels_ratebucket AS bucket
SET capacity = coalesce(%(capacity)s::float, capacity),
    refill_per_second = coalesce(%(refill)s::float, refill_per_second),
    tokens = greatest(least(
        CASE WHEN %(capacity)s::float <> capacity THEN %(tokens)s::float
             ELSE least({level} + %(refund)s, capacity) END,
        coalesce(%(tokens)s::float, 'infinity'),
        coalesce(%(capacity)s::float, capacity)
    ), 0),
    blocked_until = greatest(blocked_until, clock.now + make_interval(secs => %(blocked_for)s::float)),
    updated_at = greatest(updated_at, clock.now)
FROM clock
WHERE channel_id = %(channel)s AND name = %(name)s AND {may_be_lost}
"""

_REFILL: Final = f"refill_per_second * CASE WHEN refill_per_second >= 1 THEN {PACE} ELSE 1 END"
_EXPRESSIONS: Final = {
    # A crash gives back what was spent in its last moments; the platform's answers correct that as all else.
    "may_be_lost": NEED_NOT_LAST,
    "refill": _REFILL,
    "level": (
        f"least(capacity, tokens + {_REFILL}"
        " * greatest(extract(epoch FROM clock.now - updated_at)::float, 0))"
    ),
    "needed": (
        "(least(%(cost)s, capacity) + least(%(left)s * capacity, capacity - least(%(cost)s, capacity)))"
    ),
}
_TAKE_SQL: Final = _TAKE.format(**_EXPRESSIONS)
_WAIT_SQL: Final = _WAIT.format(**_EXPRESSIONS)
_LEARN_SQL: Final = _LEARN.format(**_EXPRESSIONS)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a bucket answered to a call that wants to go out."""

    #: Seconds until a try is worth it; 0.0: the tokens are taken.
    wait: float = 0.0
    #: The bucket as it is then.
    tokens: float = 0.0
    capacity: float = 0.0
    refill_per_second: float = 0.0
    #: Nothing may be written to the channel (`channels.writing`).
    is_in_shadow: bool = False

    def is_corrected_by(self, reading: LimitReading, *, refund: float) -> bool:
        """Tells whether an answer says anything else of the bucket than it knows."""
        return (
            refund != 0
            or reading.blocked_for is not None
            or reading.capacity not in (None, self.capacity)
            or reading.refill_per_second not in (None, self.refill_per_second)
            or (reading.tokens is not None and reading.tokens < self.tokens)
        )


def spend(
    channel_id: int,
    bucket: str,
    cost: float,
    *,
    declared: RateLimit,
    priority: bool = False,
    is_background: bool = False,
) -> Grant:
    """Takes `cost` tokens, or takes nothing and returns the seconds until a try is worth it.

    A bucket that is new starts full, as `declared`. With `priority` the share that ordinary callers leave may
    be taken as well; in the background more than that is left. Call it outside transactions: the row stays locked
    until the commit.
    """
    parameters: dict[str, float | int | str | None] = {
        "channel": channel_id,
        "name": bucket,
        "cost": max(float(cost), 0.0),
        "left": 0.0 if priority else BACKGROUND_SHARE if is_background else PRIORITY_SHARE,
        "capacity": declared.capacity,
        "refill": declared.refill_per_second,
    }
    has_tried_again = False
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_TAKE_SQL, parameters)
            if taken := cursor.fetchone():
                tokens, capacity, refill, is_in_shadow = taken
                return Grant(0.0, float(tokens), float(capacity), float(refill), bool(is_in_shadow))
            cursor.execute(_WAIT_SQL, parameters)
            row = cursor.fetchone()
            if row is None:
                cursor.execute(_INSERT, parameters)
            elif row[0] > _AT_ONCE or has_tried_again:
                return Grant(float(row[0]))
            else:
                has_tried_again = True


def learn(channel_id: int, bucket: str, reading: LimitReading, *, refund: float = 0.0) -> None:
    """Corrects a bucket by what the platform's answer told; `refund` are tokens that were not needed.

    A capacity, rate or pause that makes no sense is not believed.
    """
    blocked_for = reading.blocked_for
    parameters: dict[str, float | int | str | None] = {
        "channel": channel_id,
        "name": bucket,
        "capacity": _positive(reading.capacity),
        "refill": _positive(reading.refill_per_second),
        "tokens": reading.tokens,
        "refund": refund,
        "blocked_for": None if blocked_for is None else min(max(blocked_for, 0.0), LONGEST_BLOCK),
    }
    with connection.cursor() as cursor:
        cursor.execute(_LEARN_SQL, parameters)


def _positive(value: float | None) -> float | None:
    return value if value is not None and 0 < value < float("inf") else None

"""What is due: two counters on each listing level, raised by changes, leased by whoever sends, settled by outcomes.

Due means `wanted > done`. A change raises `wanted` in the transaction of the movement; a lease copies it and commits; the
quantity is computed later, when it is sent; completion sets `done` to the copy. Ten changes before the next slot are one
push, and a change that comes while one is on its way makes the level due again.
"""

import json
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection

from channels.connectors.base import Address
from channels.models.listings import Lane
from config.notify import notify_after_commit
from inventory.announcements import LevelChange

#: NOTIFY channel of the pusher.
WAKE: Final = "onecount_push"
#: Seconds a call may take in all; less than half a lease.
CALL_DEADLINE: Final = 12.0
LEASE: Final = timedelta(seconds=30)
#: The share of each batch that goes to what has waited longest, so that increases arrive within a bound.
FAIR_SHARE: Final = 10

#: Rows are locked by id, after the level locks of the ledger. What is due already is raised all the same: its number may be
#: on its way without this change. Urgency is the worst direction since the last completion.
_MARK: Final = """
WITH hit AS (
    SELECT level.id, min(change.lane) AS lane
    FROM unnest(%s::bigint[], %s::bigint[], %s::smallint[]) AS change(variant_id, location_id, lane)
    JOIN channels_listing listing ON listing.variant_id = change.variant_id AND listing.is_active
    JOIN channels_listinglevel level ON level.listing_id = listing.id
    JOIN channels_channellocationsource source
      ON source.channel_location_id = level.channel_location_id AND source.location_id = change.location_id
    GROUP BY level.id
), held AS (
    SELECT level.id, hit.lane FROM channels_listinglevel level JOIN hit ON hit.id = level.id
    ORDER BY level.id FOR UPDATE OF level
)
UPDATE channels_listinglevel level
SET wanted = level.wanted + 1,
    lane = CASE WHEN level.wanted > level.done THEN least(level.lane, held.lane) ELSE held.lane END,
    due_since = coalesce(level.due_since, clock_timestamp())
FROM held WHERE level.id = held.id
"""

_MARK_LEVELS: Final = """
WITH held AS (
    SELECT id FROM channels_listinglevel WHERE id = ANY(%s::bigint[]) ORDER BY id FOR UPDATE
)
UPDATE channels_listinglevel level
SET wanted = level.wanted + 1,
    lane = CASE WHEN level.wanted > level.done THEN least(level.lane, %s::smallint) ELSE %s::smallint END,
    due_since = coalesce(level.due_since, clock_timestamp())
FROM held WHERE level.id = held.id
"""

_REPLAY: Final = """
UPDATE channels_listinglevel
SET dead_at = NULL, attempts = 0, next_attempt_at = NULL, last_error = '', wanted = wanted + 1,
    due_since = clock_timestamp()
WHERE id = ANY(%s::bigint[]) AND dead_at IS NOT NULL
"""


def mark_due(merchant_id: int, changes: Sequence[LevelChange]) -> None:
    """Marks every listing level that offers what changed; listens to the ledger, inside its transaction."""
    variants = [change.variant_id for change in changes]
    locations = [change.location_id for change in changes]
    lanes = [lane_of(change).value for change in changes]
    with connection.cursor() as cursor:
        cursor.execute(_MARK, [variants, locations, lanes])
    notify_after_commit(WAKE)


def lane_of(change: LevelChange) -> Lane:
    """Returns how urgent a change is; an order that moved nothing still asks for its own shelf to be looked at."""
    if change.available_delta > 0:
        return Lane.INCREASE
    return Lane.TO_ZERO if change.available_delta < 0 and change.available_after <= 0 else Lane.DECREASE


def mark_listing_levels(ids: Collection[int], *, lane: Lane) -> None:
    """Marks these listing levels due: push now, edited rules, new mappings."""
    if ids:
        with connection.cursor() as cursor:
            cursor.execute(_MARK_LEVELS, [sorted(ids), lane.value, lane.value])
        notify_after_commit(WAKE)


def replay(ids: Collection[int]) -> int:
    """Takes listing levels out of the dead letters and makes them due; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(_REPLAY, [sorted(ids)])
        count: int = cursor.rowcount
    notify_after_commit(WAKE)
    return count


@dataclass(frozen=True, slots=True)
class Leased:
    """One listing level in a lease."""

    address: Address
    #: The copy of `wanted`: every change up to it will be in the number.
    wanted: int
    attempts: int
    is_outcome_unknown: bool
    sent_quantity: int | None

    @property
    def id(self) -> int:
        """The listing level's id."""
        return self.address.listing_level_id


@dataclass(frozen=True, slots=True)
class Lease:
    """Listing levels of one channel that one sender may tell; results are written only under its token."""

    channel_id: int
    token: uuid.UUID
    levels: tuple[Leased, ...] = field(default=())


#: The first part walks the partial index in its own order; the second gives the longest waiting their share.
_LEASE: Final = """
WITH urgent AS (
    SELECT id FROM channels_listinglevel
    WHERE channel_id = %(channel)s AND wanted > done AND dead_at IS NULL
      AND (leased_until IS NULL OR leased_until < clock_timestamp())
      AND (next_attempt_at IS NULL OR next_attempt_at <= clock_timestamp())
    ORDER BY lane, due_since LIMIT %(urgent)s FOR UPDATE SKIP LOCKED
), oldest AS (
    SELECT id FROM channels_listinglevel
    WHERE channel_id = %(channel)s AND wanted > done AND dead_at IS NULL
      AND (leased_until IS NULL OR leased_until < clock_timestamp())
      AND (next_attempt_at IS NULL OR next_attempt_at <= clock_timestamp())
    ORDER BY due_since LIMIT %(oldest)s FOR UPDATE SKIP LOCKED
), chosen AS (
    SELECT id FROM urgent UNION SELECT id FROM oldest
)
UPDATE channels_listinglevel level
SET is_outcome_unknown = level.is_outcome_unknown OR level.lease_token IS NOT NULL,
    lease_token = %(token)s, leased_until = clock_timestamp() + %(lease)s
FROM chosen, channels_listing listing, channels_channellocation place
WHERE level.id = chosen.id AND listing.id = level.listing_id AND place.id = level.channel_location_id
RETURNING level.id, listing.external_id, listing.parent_external_id, place.external_id, listing.data,
          level.wanted, level.attempts, level.is_outcome_unknown, level.sent_quantity, level.lane, level.due_since
"""


def lease(channel_id: int, *, size: int, turn: int = 0) -> Lease:
    """Leases up to `size` due listing levels, most urgent first; commits at once.

    Of each batch a tenth goes to whatever has waited longest; with smaller batches every tenth `turn` does.
    """
    fair = size // FAIR_SHARE if size >= FAIR_SHARE else int(turn % FAIR_SHARE == FAIR_SHARE - 1)
    token = uuid.uuid4()
    parameters: dict[str, Any] = {
        "channel": channel_id,
        "urgent": size - fair,
        "oldest": fair,
        "token": token,
        "lease": LEASE,
    }
    with connection.cursor() as cursor:
        cursor.execute(_LEASE, parameters)
        rows = sorted(cursor.fetchall(), key=lambda row: (row[9], row[10], row[0]))
    return Lease(channel_id, token, tuple(_leased(row) for row in rows))


def _leased(row: tuple[Any, ...]) -> Leased:
    level_id, external_id, parent, place, data, wanted, attempts, is_unknown, sent, _, _ = row
    address = Address(level_id, external_id, parent, place, decoded(data))
    return Leased(address, wanted, attempts, is_unknown, sent)


def decoded(value: Any) -> Any:
    """Returns a JSON column's value, which a raw cursor hands over as text."""
    return json.loads(value) if isinstance(value, str) else value


_GIVE_BACK: Final = """
UPDATE channels_listinglevel SET lease_token = NULL, leased_until = NULL
WHERE lease_token = %s AND id = ANY(%s::bigint[])
"""


def give_back(lease: Lease, ids: Collection[int] | None = None) -> None:
    """Ends the lease of levels for which nothing was sent; they stay due as they were."""
    chosen = [level.id for level in lease.levels] if ids is None else sorted(ids)
    with connection.cursor() as cursor:
        cursor.execute(_GIVE_BACK, [lease.token, chosen])


_CHANNELS_DUE: Final = """
SELECT channel.id, channel.kind, health.breaker_open_until
FROM channels_channel channel
LEFT JOIN channels_channelhealth health ON health.channel_id = channel.id
WHERE channel.is_active AND NOT channel.is_paused
  AND EXISTS (
      SELECT FROM channels_listinglevel level
      WHERE level.channel_id = channel.id AND level.wanted > level.done AND level.dead_at IS NULL
        AND (level.leased_until IS NULL OR level.leased_until < clock_timestamp())
        AND (level.next_attempt_at IS NULL OR level.next_attempt_at <= clock_timestamp()))
ORDER BY channel.id
"""


def channels_due() -> list[tuple[int, str, datetime | None]]:
    """Returns (id, kind, breaker open until) of the channels that have something to be told now."""
    with connection.cursor() as cursor:
        cursor.execute(_CHANNELS_DUE)
        rows: list[tuple[int, str, datetime | None]] = cursor.fetchall()
    return rows

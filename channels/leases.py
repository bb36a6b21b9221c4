"""Leases: who may tell a listing level its number now. Nothing is computed or sent without one.

A lease copies `wanted` and commits; what was marked later stays due. Results are written only under its
token (`channels.outcomes`). A lease that expires belonged to a sender that died: whether its call arrived is
unknown, and by then that call's own deadline is long over.
"""

import json
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection

from channels.connectors.base import Address
from channels.models.listings import Lane
from config.database import NEED_NOT_LAST
from inventory.arrays import array

#: Seconds; more than twice what all calls of one batch may take together.
LEASE_SECONDS: Final = 40.0
#: The share of all slots that goes to whatever has waited longest, so that increases arrive within a bound.
FAIR_SHARE: Final = 10
#: Where a call can only hold listings of one parent, this many of the most urgent are looked at.
_PARENT_WINDOW: Final = 200


@dataclass(frozen=True, slots=True)
class Leased:
    """One listing level in a lease."""

    address: Address
    #: The copy of `wanted`: every change up to it will be in the number.
    wanted: int
    attempts: int
    is_outcome_unknown: bool

    @property
    def id(self) -> int:
        """The listing level's id."""
        return self.address.listing_level_id


@dataclass(frozen=True, slots=True)
class Lease:
    """Listing levels of one channel that one sender may tell; results are written only under its token."""

    channel_id: int
    token: uuid.UUID
    levels: tuple[Leased, ...] = ()
    #: Whether it is as large as it may be, so that more may be due.
    is_full: bool = False


# Each lane is walked in the order of the partial index `listing_level_due`. Rows that somebody else holds are
# skipped, so that two senders never wait for each other. A lease that a crash of the server takes back is held by
# nobody: results are written under its token only. After a failure a listing goes in smaller and
# smaller company, until the one that spoils the others' call is alone.
_LEASE: Final = """
WITH waiting AS MATERIALIZED (
    SELECT candidate.*
    FROM (VALUES (0::smallint), (1::smallint), (2::smallint)) AS urgency (lane)
    CROSS JOIN LATERAL (
        SELECT level.id, level.lane, level.due_since, level.attempts, listing.parent_external_id AS parent
        FROM channels_listinglevel level
        JOIN channels_listing listing ON listing.id = level.listing_id
        JOIN channels_channellocation place ON place.id = level.channel_location_id
        WHERE level.channel_id = %(channel)s AND level.lane = urgency.lane
          AND level.wanted > level.done AND level.dead_at IS NULL
          AND coalesce(level.leased_until < clock_timestamp(), true)
          AND coalesce(level.next_attempt_at <= clock_timestamp(), true)
          AND listing.is_active AND listing.variant_id IS NOT NULL AND place.is_active
        ORDER BY level.due_since
        LIMIT %(window)s
        FOR NO KEY UPDATE OF level SKIP LOCKED
    ) AS candidate
    WHERE urgency.lane >= %(lane)s::smallint AND EXISTS (
        SELECT FROM channels_channel WHERE id = %(channel)s AND is_active AND NOT is_paused
    )
), ordered AS (
    SELECT *, row_number() OVER (
        ORDER BY CASE WHEN %(oldest_first)s THEN 0 ELSE lane END, due_since, id
    ) AS position
    FROM waiting
), head AS (
    SELECT attempts FROM ordered WHERE position = 1
), with_parents AS (
    SELECT ordered.*, dense_rank() OVER (ORDER BY first.position) AS parent_position
    FROM ordered
    JOIN (SELECT parent, min(position) AS position FROM ordered GROUP BY parent) first USING (parent)
), chosen AS (
    SELECT waiting.id
    FROM with_parents waiting, head
    WHERE waiting.attempts = head.attempts AND coalesce(waiting.parent_position <= %(parents)s::int, true)
    ORDER BY waiting.position
    LIMIT (SELECT greatest(1, %(size)s::int >> least(2 * attempts, 30)) FROM head)
)
UPDATE channels_listinglevel level
SET is_outcome_unknown = level.is_outcome_unknown OR level.lease_token IS NOT NULL,
    lease_token = %(token)s,
    leased_until = clock_timestamp() + make_interval(secs => %(seconds)s)
FROM chosen, channels_listing listing, channels_channellocation place
WHERE level.id = chosen.id AND listing.id = level.listing_id AND place.id = level.channel_location_id
  AND {need_not_last}
RETURNING level.id, listing.external_id, listing.parent_external_id, place.external_id, listing.data,
          level.wanted, level.attempts, level.is_outcome_unknown
"""
_LEASE_SQL: Final = _LEASE.format(need_not_last=NEED_NOT_LAST)


def lease(
    channel_id: int,
    *,
    size: int,
    parents: int | None = None,
    oldest_first: bool = False,
    lane: Lane = Lane.TO_ZERO,
    seconds: float = LEASE_SECONDS,
) -> Lease | None:
    """Leases up to `size` due listing levels of this lane and later ones, most urgent first; None when nothing is due.

    Commits at once. With `parents` they belong to so many parent products at most. A channel or place that is paused
    or off, and a listing that is off or not mapped, is told nothing.
    """
    token = uuid.uuid4()
    parameters: dict[str, Any] = {
        "channel": channel_id,
        "size": size,
        "window": size if parents is None else _PARENT_WINDOW,
        "parents": parents,
        "oldest_first": oldest_first,
        "token": token,
        "seconds": seconds,
        "lane": int(lane),
    }
    with connection.cursor() as cursor:
        cursor.execute(_LEASE_SQL, parameters)
        levels = sorted((_leased(row) for row in cursor.fetchall()), key=lambda level: level.id)
    if not levels:
        return None
    named = {level.address.parent_external_id for level in levels}
    return Lease(channel_id, token, tuple(levels), len(levels) >= size or len(named) == parents)


def _leased(row: tuple[Any, ...]) -> Leased:
    level_id, external_id, parent, place, data, wanted, attempts, is_unknown = row
    # A cursor of its own hands JSON over as text.
    details = json.loads(data) if isinstance(data, str) else data
    return Leased(Address(level_id, external_id, parent, place, details), wanted, attempts, is_unknown)


_MANY: Final = """
SELECT count(*) >= %(many)s FROM (
    SELECT FROM channels_listinglevel level
    WHERE level.channel_id = %(channel)s AND level.lane = %(lane)s
      AND level.wanted > level.done AND level.dead_at IS NULL
      AND coalesce(level.leased_until < clock_timestamp(), true)
      AND coalesce(level.next_attempt_at <= clock_timestamp(), true)
    LIMIT %(many)s
) increase
"""


def are_many_increases_due(channel_id: int, many: int) -> bool:
    """Tells whether at least so many increases wait to be told."""
    with connection.cursor() as cursor:
        cursor.execute(_MANY, {"channel": channel_id, "lane": int(Lane.INCREASE), "many": many})
        (is_many,) = cursor.fetchone()
    return bool(is_many)


class Turns:
    """Decides which leases of a channel go to whatever has waited longest, whatever its lane."""

    def __init__(self) -> None:
        self._slots = 0
        self._fair_slots = 0

    def is_oldest_first(self) -> bool:
        """Returns whether those have had less than their share of the slots so far."""
        return self._fair_slots * FAIR_SHARE < self._slots

    def count(self, slots: int, *, oldest_first: bool) -> None:
        """Counts the listing levels of a lease."""
        self._slots += slots
        self._fair_slots += slots if oldest_first else 0


#: Locked by id, as everywhere: orders mark the same rows meanwhile.
_NOTE_SENT: Final = """
WITH held AS (
    SELECT level.id, sent.quantity
    FROM unnest(%s::bigint[], %s::bigint[]) AS sent (id, quantity)
    JOIN channels_listinglevel level ON level.id = sent.id
    WHERE level.lease_token = %s
    ORDER BY level.id
    FOR NO KEY UPDATE OF level
)
UPDATE channels_listinglevel level
SET sent_quantity = held.quantity, sent_at = clock_timestamp()
FROM held
WHERE level.id = held.id AND {need_not_last}
"""
_NOTE_SENT_SQL: Final = _NOTE_SENT.format(need_not_last=NEED_NOT_LAST)


def note_sent(lease: Lease, quantities: dict[int, int]) -> None:
    """Notes numbers before they are sent: the shop may echo them before it answers."""
    with connection.cursor() as cursor:
        cursor.execute(_NOTE_SENT_SQL, [array(quantities), array(quantities.values()), lease.token])


_GIVE_BACK: Final = """
WITH held AS (
    SELECT id FROM channels_listinglevel
    WHERE lease_token = %s AND id = ANY(%s::bigint[])
    ORDER BY id
    FOR NO KEY UPDATE
)
UPDATE channels_listinglevel level
SET lease_token = NULL, leased_until = NULL,
    next_attempt_at = CASE WHEN %s > 0 THEN clock_timestamp() + make_interval(secs => %s) END
FROM held
WHERE level.id = held.id
"""


def give_back(lease: Lease, ids: Collection[int] | None = None, *, pause: float = 0.0) -> None:
    """Ends the lease of levels for which nothing was sent; they stay due as they were."""
    chosen = [level.id for level in lease.levels] if ids is None else sorted(ids)
    with connection.cursor() as cursor:
        cursor.execute(_GIVE_BACK, [lease.token, chosen, float(pause), float(pause)])

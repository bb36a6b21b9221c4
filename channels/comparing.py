"""Compare-and-set: what to send, and which number it should replace.

Each listing level keeps `expected`: last confirmed, less the channel's own orders applied since. Where the
shop shows less, something was sold there that has not been imported: that drop is left out of what is sent.
Importing those orders then lowers `expected` and the target alike, and nothing has to be pushed for them.
Where the shop shows more, nobody knows why, and the rise is not passed on: we write over it, and expect as much less,
until an order that was put back explains it. A difference that nothing explains is looked at again (`look`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection

from channels.leases import Lease


@dataclass(frozen=True, slots=True)
class Decision:
    """What a shop is told; `quantity` None: nothing, it shows the right number."""

    quantity: int | None
    #: None: replace whatever is there.
    compare_with: int | None
    #: What the shop was just read to show.
    shown: int | None = None
    #: Units that are missing in the shop and that no order explains yet.
    drop: int = 0


def decide(target: int, *, expected: int | None, shown: int | None) -> Decision:
    """Decides from what the shop should show, and from what it was just read to show, where it was read."""
    if shown is None:
        return Decision(None if expected == target else target, expected)
    drop = 0 if expected is None else max(expected - shown, 0)
    quantity = max(target - drop, 0)
    return Decision(None if quantity == shown else quantity, shown, shown, drop)


# A call of unknown outcome has arrived or not. Customers only lower a shop's number, so that a shop that shows
# more than the call would have replaced was raised by it, and one that shows more than the call would have
# left was not lowered by it. Below both numbers it cannot be told; the guess that takes fewer units for sales
# is made, which, if wrong, shows as a rise once all orders are imported. So it is looked at again after that.
_ADOPT: Final = """
WITH shelf AS (
    SELECT level.id, read.shown, call.quantity, call.replaced,
        level.is_outcome_unknown AND CASE
            WHEN call.quantity IS NOT NULL THEN read.shown <= least(call.quantity, call.replaced)
            ELSE EXISTS (
                SELECT FROM channels_pollfeed feed
                WHERE feed.channel_id = level.channel_id AND feed.name = 'orders'
                  AND coalesce(feed.last_polled_at < level.confirmed_at, true)
            )
        END AS is_doubtful
    FROM unnest(%s::bigint[], %s::bigint[]) AS read (id, shown)
    JOIN channels_listinglevel level ON level.id = read.id
    LEFT JOIN LATERAL (
        SELECT coalesce(push.quantity, level.sent_quantity) AS quantity,
            coalesce(push.compared_with, level.expected) AS replaced
        FROM (SELECT) AS always
        LEFT JOIN LATERAL (
            SELECT quantity, compared_with FROM channels_push
            WHERE listing_level_id = level.id AND finished_at >= level.sent_at AND outcome = 'unknown'
            ORDER BY id DESC LIMIT 1
        ) push ON true
    ) call ON level.is_outcome_unknown AND coalesce(level.sent_at > level.confirmed_at, true)
    WHERE level.lease_token = %s AND level.expected IS NOT NULL
    ORDER BY level.id
    FOR NO KEY UPDATE OF level
)
UPDATE channels_listinglevel level
SET expected = level.expected + CASE
        WHEN shelf.quantity > shelf.replaced AND shelf.shown > shelf.replaced
          OR shelf.quantity < shelf.replaced AND shelf.shown <= shelf.quantity
        THEN shelf.quantity - shelf.replaced ELSE 0
    END,
    is_outcome_unknown = shelf.is_doubtful
FROM shelf
WHERE level.id = shelf.id
RETURNING CASE WHEN shelf.is_doubtful THEN level.id END
"""

_ADOPT_FIRST: Final = """
WITH held AS (
    SELECT level.id, read.shown
    FROM unnest(%s::bigint[], %s::bigint[]) AS read (id, shown)
    JOIN channels_listinglevel level ON level.id = read.id
    WHERE level.lease_token = %s AND level.expected IS NULL
    ORDER BY level.id
    FOR NO KEY UPDATE OF level
)
UPDATE channels_listinglevel level
SET expected = held.shown, is_outcome_unknown = false
FROM held
WHERE level.id = held.id
"""


def adopt(lease: Lease, shown: Mapping[int, int]) -> set[int]:
    """Settles by what shops show what they should show: first contacts, and calls of unknown outcome.

    Own orders that are applied from then on lower it, so that the numbers to send have to be computed after.
    Returns the ids of those that have to be looked at again once all orders until now are imported.
    """
    parameters: list[Any] = [list(shown), list(shown.values()), lease.token]
    with connection.cursor() as cursor:
        cursor.execute(_ADOPT, parameters)
        doubtful = {identity for (identity,) in cursor.fetchall() if identity is not None}
        cursor.execute(_ADOPT_FIRST, parameters)
    return doubtful


# A difference may be an order on its way to us, which will explain it. It is none when the shop shows the same
# number against the same expectation after everything until then was imported, orders included of which only a hint
# came: somebody wrote it by hand, or our own call went over units that the shop had put back. From then on it is expected,
# and reconciliation tells people of it.
_LOOK: Final = """
WITH seen AS (
    SELECT level.id, level.channel_id, level.expected, level.seen_at, read.shown,
        read.shown <> level.expected AS differs,
        coalesce(level.seen_quantity = read.shown AND level.seen_expected = level.expected, false) AS is_same,
        EXISTS (
            SELECT FROM channels_pollfeed feed
            WHERE feed.channel_id = level.channel_id AND feed.name = 'orders'
              AND feed.covered_until >= level.seen_at + make_interval(secs => %s)
              AND feed.covered_until <= clock_timestamp()
        ) AND NOT EXISTS (
            SELECT FROM channels_channelorder placed
            WHERE placed.channel_id = level.channel_id AND placed.fetch_wanted > placed.fetched
        ) AS is_covered
    FROM unnest(%s::bigint[], %s::bigint[]) AS read (id, shown)
    JOIN channels_listinglevel level ON level.id = read.id
    WHERE level.lease_token = %s AND level.expected IS NOT NULL
    ORDER BY level.id
    FOR NO KEY UPDATE OF level
), judged AS (
    SELECT *, differs AND NOT (is_same AND is_covered) AS is_doubtful FROM seen
), told AS (
    INSERT INTO channels_shelfobservation
        (channel_id, listing_level_id, quantity, expected, verdict, observed_at, received_at, judged_at,
         awaits_reconciliation)
    SELECT channel_id, id, shown, expected, 'foreign', clock_timestamp(), seen_at, clock_timestamp(), true
    FROM judged
    WHERE differs AND NOT is_doubtful
)
UPDATE channels_listinglevel level
SET expected = CASE WHEN differs AND NOT is_doubtful THEN shown ELSE level.expected END,
    seen_quantity = CASE WHEN is_doubtful THEN shown END,
    seen_expected = CASE WHEN is_doubtful THEN level.expected END,
    seen_at = CASE WHEN is_doubtful THEN
        CASE WHEN is_same THEN level.seen_at ELSE clock_timestamp() END END
FROM judged
WHERE level.id = judged.id AND (differs OR level.seen_at IS NOT NULL)
RETURNING CASE WHEN is_doubtful THEN level.id END
"""

#: Seconds by which a platform's list of orders may lag behind its shelves.
_LIST_LAG: Final = 2.0


def look(lease: Lease, shown: Mapping[int, int]) -> set[int]:
    """Notes shelves that show something else than expected, and settles those that do so for good.

    Returns the ids of those that are still in doubt: they have to be looked at again once all orders until now are
    imported. Call it after every reading, and compute the numbers to send after it.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, [_LIST_LAG, list(shown), list(shown.values()), lease.token])
        return {identity for (identity,) in cursor.fetchall() if identity is not None}

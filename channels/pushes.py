"""Marks what channels have to be told: desired state, not a queue of messages.

A listing level is due while `wanted > done`. Each change raises `wanted`, also of a row that is due already:
a push on its way may have computed its number before this change. Rows are locked in id order, after the
locks of the ledger; waking the pusher waits for the commit, because a NOTIFY inside the transaction would
make all commits wait for each other.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

from django.db import connection, transaction

from channels.connectors import CONNECTORS
from channels.connectors.base import Convention
from channels.models.listings import Lane
from channels.preorders import allows_preorders, forget_preorders
from config.notify import notify_after_commit
from inventory.announcements import LevelChange
from inventory.arrays import array

#: Rows locked together by what has no need to be whole.
_AT_ONCE: Final = 1_000
#: Wakes the pusher.
WAKE_UP: Final = "onecount_push"

#: Levels that keep their number are locked all the same: the order that is being applied writes what is expected on them
#: later, and its locks must have been taken in one sequence.
_LOCKED: Final = """
WITH {touched}, locked AS (
    SELECT level.id, touched.lane, touched.is_marked
    FROM channels_listinglevel level
    JOIN touched ON touched.id = level.id
    ORDER BY level.id
    FOR NO KEY UPDATE OF level
)"""

#: A second look may wait; a change does not. A listing that failed keeps its pause.
_RAISE: Final = """
UPDATE channels_listinglevel level
SET wanted = level.wanted + 1,
    lane = CASE WHEN level.wanted > level.done THEN least(level.lane, locked.lane) ELSE locked.lane END,
    due_since = coalesce(level.due_since, clock_timestamp()),
    next_attempt_at = CASE WHEN level.attempts > 0 THEN level.next_attempt_at END
FROM locked
WHERE level.id = locked.id AND locked.is_marked
"""

_MARK: Final = f"{_LOCKED}{_RAISE}"

#: Bundles are marked in a transaction of their own (`channels.fanout`): marked here, every sale of a common part would wait
#: for every other one. The note of what changed commits with it, and no two notes are one row.
_MARK_CHANGES: Final = f"""{_LOCKED}, marked AS ({_RAISE} RETURNING level.id)
SELECT (SELECT count(*) FROM marked) + (SELECT count(*) FROM noted)
""".format(  # noqa: S608  # constants only
    touched="""change AS MATERIALIZED (
    SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::smallint[])
        AS change (variant_id, location_id, delta, after, lane)
), noted AS (
    INSERT INTO channels_bundlechange
        (merchant_id, variant_id, location_id, available_delta, available_after, created_at)
    SELECT %s::bigint, change.variant_id, change.location_id, change.delta, change.after, clock_timestamp()
    FROM change
    WHERE EXISTS (
        SELECT FROM inventory_bundlepart part WHERE part.variant_id = change.variant_id AND part.is_drawn_on)
    RETURNING id
), touched AS (
    SELECT level.id, min(change.lane) AS lane,
        bool_or((change.delta <> 0 OR channel.kind = ANY(%s::text[])) AND listing.is_active AND place.is_active)
            AS is_marked
    FROM change
    JOIN channels_listing listing ON listing.variant_id = change.variant_id
    JOIN channels_listinglevel level ON level.listing_id = listing.id
    JOIN channels_channel channel ON channel.id = level.channel_id
    JOIN channels_channellocation place ON place.id = level.channel_location_id
    JOIN channels_channellocationsource source
        ON source.channel_location_id = level.channel_location_id AND source.location_id = change.location_id
    GROUP BY level.id
)"""
)

_MARK_VARIANTS: Final = _MARK.format(
    touched="""touched AS (
    SELECT level.id, %s::smallint AS lane, true AS is_marked
    FROM channels_listing listing JOIN channels_listinglevel level ON level.listing_id = listing.id
    JOIN channels_channellocation place ON place.id = level.channel_location_id
    WHERE listing.variant_id = ANY(%s::bigint[]) AND listing.is_active AND place.is_active
)"""
)

_MARK_LEVELS: Final = _MARK.format(
    touched="""touched AS (
    SELECT level.id, %s::smallint AS lane, true AS is_marked
    FROM channels_listinglevel level
    JOIN channels_listing listing ON listing.id = level.listing_id
    JOIN channels_channellocation place ON place.id = level.channel_location_id
    WHERE level.id = ANY(%s::bigint[]) AND listing.is_active AND place.is_active
)"""
)

# What a shop sold it has taken off its own number, so that the number we expect moves; and what it shows now may not be
# what it should show, even where the ledger did not move: a restocked return, a test order, a rule.
_SOLD: Final = """
WITH sold AS (
    SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS t (listing_id, place_id, units)
), locked AS (
    SELECT level.id, sold.units, listing.is_active AND place.is_active AS is_marked
    FROM channels_listinglevel level
    JOIN sold ON sold.listing_id = level.listing_id AND sold.place_id = level.channel_location_id
    JOIN channels_listing listing ON listing.id = level.listing_id
    JOIN channels_channellocation place ON place.id = level.channel_location_id
    ORDER BY level.id
    FOR NO KEY UPDATE OF level
)
UPDATE channels_listinglevel level
SET expected = level.expected - locked.units,
    wanted = level.wanted + locked.is_marked::int,
    lane = CASE WHEN NOT locked.is_marked THEN level.lane
        WHEN level.wanted > level.done THEN least(level.lane, {lane}) ELSE {lane} END,
    due_since = CASE WHEN locked.is_marked THEN coalesce(level.due_since, clock_timestamp()) ELSE level.due_since END,
    next_attempt_at = CASE WHEN level.attempts > 0 OR NOT locked.is_marked THEN level.next_attempt_at END
FROM locked
WHERE level.id = locked.id
""".replace("{lane}", str(int(Lane.DECREASE)))

_READ_FIRST: Final = """
WITH locked AS (
    SELECT id FROM channels_listinglevel WHERE id = ANY(%s::bigint[]) ORDER BY id FOR NO KEY UPDATE
)
UPDATE channels_listinglevel level SET is_outcome_unknown = true FROM locked WHERE level.id = locked.id
"""

_REPLAY: Final = """
WITH dead AS (
    SELECT id FROM channels_listinglevel
    WHERE id = ANY(%s::bigint[]) AND dead_at IS NOT NULL
    ORDER BY id
    FOR NO KEY UPDATE
)
UPDATE channels_listinglevel level
SET dead_at = NULL,
    attempts = 0,
    next_attempt_at = NULL,
    last_error = '',
    wanted = greatest(level.wanted, level.done + 1),
    due_since = clock_timestamp()
FROM dead
WHERE level.id = dead.id
"""


def mark_due(merchant_id: int, changes: Sequence[LevelChange]) -> None:
    """Marks every listing level that these changes of the ledger may change; one statement for all.

    Listens to `inventory.announcements`: it runs inside the ledger's transaction, so that the change and
    what has to be told commit together.
    """
    is_inbound_offered = any(change.inbound_delta for change in changes) and _allows_preorders_now(
        merchant_id
    )
    columns: list[Any] = [
        array(change.variant_id for change in changes),
        array(change.location_id for change in changes),
        array(
            change.available_delta or (change.inbound_delta if is_inbound_offered else 0)
            for change in changes
        ),
        array(change.available_after for change in changes),
        array(int(lane_of(change)) for change in changes),
    ]
    with connection.cursor() as cursor:
        cursor.execute(_MARK_CHANGES, [*columns, merchant_id, kinds_told_of_open_orders()])
        marked_or_noted = cursor.fetchone()[0]
    if marked_or_noted:
        notify_after_commit(WAKE_UP)


def _allows_preorders_now(merchant_id: int) -> bool:
    """Tells whether pre-orders are allowed; a remembered no is asked anew, or what a rule made of it stays unmarked."""
    if allows_preorders(merchant_id):
        return True
    forget_preorders()
    return allows_preorders(merchant_id)


def mark_bundles(merchant_id: int, variant_ids: Sequence[int]) -> None:
    """Marks every listing of bundles that are made of something else from now on.

    Listens to `inventory.announcements`, and runs inside the transaction that changes them.
    """
    mark_variants(variant_ids, lane=Lane.DECREASE)


def mark_variants(variant_ids: Collection[int], *, lane: Lane) -> None:
    """Marks every listing level of these variants, for a reason outside the ledger."""
    if variant_ids:
        _execute_and_wake(_MARK_VARIANTS, [int(lane), sorted(variant_ids)])


def kinds_told_of_open_orders() -> list[str]:
    """Returns the kinds of channels whose numbers include their own open orders.

    A change without a delta (a shipment of what was reserved, a place not drawn on) changes no other numbers. (A shop that
    lowered its number by itself has its shelf marked with the order, see `channels.orders`.)
    """
    return [
        kind
        for kind, connector in CONNECTORS.items()
        if connector.capabilities.convention is Convention.INCLUDES_OPEN_ORDERS
    ]


def lane_of(change: LevelChange) -> Lane:
    """Returns how urgent a change is. One without a delta comes from an order: its shop sold something."""
    if change.available_delta > 0:
        return Lane.INCREASE
    if change.available_delta < 0 and change.available_after <= 0:
        return Lane.TO_ZERO
    return Lane.DECREASE


def mark_listing_levels(ids: Sequence[int], *, lane: Lane, read_first: bool = False) -> None:
    """Marks these listing levels, for a reason outside the ledger: a rule, a mapping, "push now".

    Outside a transaction each thousand is one of its own, so that no sale waits for all of them. With `read_first` shops
    that compare are read before they are told, whatever they should show by what we know.
    """
    ordered = sorted(set(ids))
    for start in range(0, len(ordered), _AT_ONCE):
        part = ordered[start : start + _AT_ONCE]
        with transaction.atomic():
            if read_first:
                _execute_and_wake(_READ_FIRST, [part])
            _execute_and_wake(_MARK_LEVELS, [int(lane), part])


def note_own_sales(sold: Sequence[tuple[int, int, int]]) -> None:
    """Takes units that a shop sold by itself off what we expect it to show, and marks those shelves.

    `sold` holds (listing, place, units); units below zero it put back.
    """
    if sold:
        _execute_and_wake(_SOLD, [array(column) for column in zip(*sold, strict=True)])


def replay(ids: Sequence[int]) -> int:
    """Takes dead letters back into the queue, with all their attempts before them; returns how many."""
    return _execute_and_wake(_REPLAY, [list(ids)]) if ids else 0


def _execute_and_wake(sql: str, parameters: Sequence[Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        count = int(cursor.rowcount)
    if count:
        notify_after_commit(WAKE_UP)
    return count

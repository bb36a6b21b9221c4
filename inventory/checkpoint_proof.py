"""The proof that checkpoints are what the movements say; part of `verify_ledger`.

It goes another way than the writing: by versions, not by times. Each level is compared with the movement that it names
and with the one after; what reservations held, with the checkpoint before and the movements between the two versions of
each level, so that all checkpoints together replay the ledger once.
"""

from collections.abc import Iterator
from typing import Any, Final

from django.db import connection

from inventory.models import StockCheckpoint

#: Rows that are wrong, and levels that are missing: those that had moved by then.
_LEVELS: Final = """
WITH stored AS (
    SELECT * FROM inventory_checkpointlevel WHERE merchant_id = %(merchant)s AND checkpoint_id = %(checkpoint)s
), compared AS (
    SELECT s.id AS level_id, stored.version, stored.on_hand, stored.reserved, stored.unavailable,
           m.id AS movement_id, m.on_hand_after, m.reserved_after, m.unavailable_after,
           CASE
               WHEN stored.id IS NULL THEN 'the level is missing from it'
               WHEN m.id IS NULL THEN 'it names a movement that does not exist'
               WHEN m.recorded_at > %(at)s THEN 'it holds a movement that was recorded later'
               WHEN EXISTS (SELECT FROM inventory_stockmovement later
                            WHERE later.level_id = s.id AND later.version = stored.version + 1
                              AND later.recorded_at <= %(at)s) THEN 'it lacks a movement recorded before'
               WHEN (stored.on_hand, stored.reserved, stored.unavailable, stored.location_id)
                    <> (m.on_hand_after, m.reserved_after, m.unavailable_after, s.location_id)
                   THEN 'it differs from the movement that it names'
           END AS problem
    FROM inventory_stocklevel s
    LEFT JOIN stored ON stored.level_id = s.id
    LEFT JOIN inventory_stockmovement m ON m.level_id = s.id AND m.version = stored.version
    WHERE s.merchant_id = %(merchant)s AND (stored.id IS NOT NULL OR EXISTS (
        SELECT FROM inventory_stockmovement first
        WHERE first.level_id = s.id AND first.version = 1 AND first.recorded_at <= %(at)s))
)
SELECT level_id, movement_id, version, problem,
       jsonb_build_object('on_hand', on_hand_after, 'reserved', reserved_after, 'unavailable', unavailable_after)::text,
       jsonb_build_object('on_hand', on_hand, 'reserved', reserved, 'unavailable', unavailable)::text
FROM compared WHERE problem IS NOT NULL ORDER BY level_id LIMIT %(limit)s
"""

_RESERVATIONS: Final = """
WITH span AS (
    SELECT later.level_id, coalesce(earlier.version, 0) AS since, later.version AS until
    FROM inventory_checkpointlevel later
    LEFT JOIN inventory_checkpointlevel earlier
        ON earlier.merchant_id = %(merchant)s AND earlier.checkpoint_id = %(before)s
        AND earlier.location_id = later.location_id AND earlier.level_id = later.level_id
    WHERE later.merchant_id = %(merchant)s AND later.checkpoint_id = %(checkpoint)s
      AND later.version > coalesce(earlier.version, 0)
), change AS (
    SELECT level_id, reservation_id, quantity FROM inventory_checkpointreservation
    WHERE merchant_id = %(merchant)s AND checkpoint_id = %(before)s
    UNION ALL
    SELECT m.level_id, m.reservation_id, m.reserved_delta
    FROM span
    JOIN inventory_stockmovement m
        ON m.level_id = span.level_id AND m.version > span.since AND m.version <= span.until
    WHERE m.reservation_id IS NOT NULL
), expected AS (
    SELECT level_id, reservation_id, sum(quantity) AS quantity FROM change
    GROUP BY level_id, reservation_id HAVING sum(quantity) <> 0
), stored AS (
    SELECT level_id, reservation_id, quantity FROM inventory_checkpointreservation
    WHERE merchant_id = %(merchant)s AND checkpoint_id = %(checkpoint)s
)
SELECT level_id, NULL, NULL, 'reservation ' || reservation_id || ' is not held in it as its movements say',
       jsonb_build_object('quantity', coalesce(expected.quantity, 0))::text,
       jsonb_build_object('quantity', coalesce(stored.quantity, 0))::text
FROM expected FULL JOIN stored USING (level_id, reservation_id)
WHERE expected.quantity IS DISTINCT FROM stored.quantity
ORDER BY level_id, reservation_id LIMIT %(limit)s
"""

#: Level, movement, version, problem, expected and found as JSON.
Finding = tuple[int, int | None, int | None, str, str, str]


def checkpoints_in_order() -> Iterator[tuple[StockCheckpoint, StockCheckpoint | None]]:
    """Yields every checkpoint of every merchant, oldest first, with the one before it."""
    before: StockCheckpoint | None = None
    for checkpoint in list(StockCheckpoint.objects.order_by("merchant_id", "at")):
        is_first = before is None or before.merchant_id != checkpoint.merchant_id
        yield checkpoint, None if is_first else before
        before = checkpoint


def compare_checkpoint(
    checkpoint: StockCheckpoint, before: StockCheckpoint | None, *, at_most: int
) -> list[Finding]:
    """Compares a checkpoint with the movements, and returns what differs."""
    parameters: dict[str, Any] = {
        "merchant": checkpoint.merchant_id,
        "checkpoint": checkpoint.pk,
        "at": checkpoint.at,
        "before": before.pk if before else None,
        "limit": at_most,
    }
    return [
        (level_id, movement_id, version, f"the checkpoint of {checkpoint}: {problem}", *values)
        for sql in (_LEVELS, _RESERVATIONS)
        for level_id, movement_id, version, problem, *values in _rows(sql, parameters)
    ]


def _rows(sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows

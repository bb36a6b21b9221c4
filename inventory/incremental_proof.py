"""The proof from a proven checkpoint on: only what was recorded since is replayed.

What the checkpoint holds stands for everything before it, so that a night's proof costs a day's movements however long
the ledger is. That the live levels are what their last movements left is proven apart, by `prove_levels` or
`prove_live_levels`.
"""

from typing import Any, Final

from django.db import connection

from inventory.models import StockCheckpoint
from inventory.proof import (
    BATCH,
    LEVELS,
    Proof,
    decoded_rows,
    level_divergence,
    movement_divergence,
    note_divergences,
    reservation_divergence,
)

#: Each movement since against the checkpoint and the sum of all since before it.
_MOVEMENTS: Final = """
WITH base AS (
    SELECT level_id, version, on_hand, reserved, unavailable FROM inventory_checkpointlevel
    WHERE merchant_id = %(merchant)s AND checkpoint_id = %(checkpoint)s
), replay AS (
    SELECT m.level_id, m.id, m.version, m.recorded_at,
           m.on_hand_after, m.reserved_after, m.unavailable_after,
           coalesce(base.version, 0) + row_number() OVER w AS expected_version,
           coalesce(base.on_hand, 0) + sum(m.on_hand_delta) OVER w AS on_hand,
           coalesce(base.reserved, 0) + sum(m.reserved_delta) OVER w AS reserved,
           coalesce(base.unavailable, 0) + sum(m.unavailable_delta) OVER w AS unavailable,
           lag(m.recorded_at) OVER w AS before
    FROM inventory_stockmovement m LEFT JOIN base ON base.level_id = m.level_id
    WHERE m.merchant_id = %(merchant)s AND m.recorded_at > %(since)s
    WINDOW w AS (PARTITION BY m.level_id ORDER BY m.version)
)
SELECT count(*) AS movements,
       (SELECT to_jsonb(array_agg(d)) FROM (
           SELECT DISTINCT ON (level_id) level_id, id, version, expected_version,
                  on_hand, reserved, unavailable, on_hand_after, reserved_after, unavailable_after,
                  recorded_at, before
           FROM replay
           WHERE version <> expected_version OR on_hand <> on_hand_after OR reserved <> reserved_after
              OR unavailable <> unavailable_after OR recorded_at < before
           ORDER BY level_id, version LIMIT %(limit)s) d)
FROM replay
"""

#: What reservations hold against what they held then and what moved since.
_RESERVATIONS: Final = """
WITH change AS (
    SELECT level_id, reservation_id, quantity FROM inventory_checkpointreservation
    WHERE merchant_id = %(merchant)s AND checkpoint_id = %(checkpoint)s
    UNION ALL
    SELECT level_id, reservation_id, reserved_delta FROM inventory_stockmovement
    WHERE merchant_id = %(merchant)s AND recorded_at > %(since)s AND reservation_id IS NOT NULL
), told AS (
    SELECT level_id, reservation_id, sum(quantity) AS units FROM change GROUP BY level_id, reservation_id
), compared AS (
    SELECT coalesce(r.id, told.reservation_id) AS id, coalesce(r.level_id, told.level_id) AS level_id,
           coalesce(r.reference, '') AS reference, coalesce(r.open_quantity, 0) AS open_quantity,
           coalesce(told.units, 0) AS units
    FROM told
    FULL JOIN (
        SELECT * FROM inventory_reservation
        WHERE merchant_id = %(merchant)s AND (open_quantity > 0 OR id IN (SELECT reservation_id FROM told))
    ) r ON r.id = told.reservation_id
)
SELECT count(*), (SELECT to_jsonb(array_agg(d)) FROM (
    SELECT * FROM compared WHERE open_quantity <> units ORDER BY level_id, id LIMIT %(limit)s) d)
FROM compared
"""


def prove_since(proof: Proof, base: StockCheckpoint, *, at_most: int) -> None:
    """Replays what a merchant's ledger recorded after a checkpoint, on top of what that checkpoint holds."""
    room = max(at_most - len(proof.divergences), 0)
    parameters: dict[str, Any] = {
        "merchant": base.merchant_id,
        "checkpoint": base.pk,
        "since": base.at,
        "limit": room,
    }
    with connection.cursor() as cursor:
        cursor.execute(_MOVEMENTS, parameters)
        movements, wrong_movements = cursor.fetchone()
        cursor.execute(_RESERVATIONS, parameters)
        reservations, wrong_reservations = cursor.fetchone()
    proof.movements += movements
    proof.reservations += reservations
    found = [
        *(movement_divergence(row) for row in decoded_rows(wrong_movements)),
        *(reservation_divergence(row) for row in decoded_rows(wrong_reservations)),
    ]
    note_divergences(proof, found, at_most)


def prove_live_levels(proof: Proof, first: int, *, at_most: int) -> None:
    """Compares one range of live levels with what their last movements left."""
    room = max(at_most - len(proof.divergences), 0)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM inventory_stocklevel WHERE id BETWEEN %s AND %s", [first, first + BATCH - 1]
        )
        proof.levels += cursor.fetchone()[0]
        cursor.execute(LEVELS, [first, first + BATCH - 1, room])
        wrong_levels = cursor.fetchall()
    note_divergences(proof, [level_divergence(row) for row in wrong_levels], at_most)

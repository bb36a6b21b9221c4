"""Stock as it was: what the ledger knew at an instant, and what had happened by it.

"As of" means recorded time: what OneCount knew then. `levels_effective_at` sums by the reporters' own clocks instead,
includes what was only reported later, and may therefore show negative numbers.

A level's versions have no gap and run with recorded time, so that its version at an instant is found by halving: as many
index probes as the level's history has binary digits, however long ago the instant. A level needs no checkpoint for that.
What reservations held is a sum over movements; it starts from the last checkpoint before the instant
(`inventory.checkpoints`). Whole locations are in `inventory.location_history`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import connection


@dataclass(frozen=True, slots=True)
class PastLevel:
    """One level at an instant, in base units."""

    variant_id: int
    location_id: int
    on_hand: int
    reserved: int
    unavailable: int
    #: Version of the latest movement that counts; 0 before the first.
    version: int
    #: The movement that left the level so; None before the first, and where the reporters' clocks count.
    movement_id: int | None = None
    #: Planning only; the safety stock that was set then.
    safety_stock: int = 0

    @property
    def available(self) -> int:
        """Units that could be promised then."""
        return self.on_hand - self.reserved - self.unavailable


@dataclass(frozen=True, slots=True)
class PastReservation:
    """What a reservation held at an instant."""

    reservation_id: int
    reference: str
    variant_id: int
    location_id: int
    quantity: int


#: The version of the level `s` at an instant, by halving; the live one where nothing was recorded since. The limit has the
#: planner look up one row at a time: joined, it would read the whole history of a level where levels are short on average.
VERSION_AT: Final = """
    WITH RECURSIVE search (low, high) AS (
        SELECT CASE WHEN s.recorded_at <= %(at)s THEN s.version ELSE 0 END, s.version
        UNION ALL
        SELECT CASE WHEN middle.recorded_at <= %(at)s THEN middle.version ELSE search.low END,
               CASE WHEN middle.recorded_at <= %(at)s THEN search.high ELSE middle.version - 1 END
        FROM search
        CROSS JOIN LATERAL (
            SELECT version, recorded_at FROM inventory_stockmovement
            WHERE level_id = s.id AND version = (search.low + search.high + 1) / 2 LIMIT 1
        ) middle
        WHERE search.low < search.high
    )
    SELECT low AS version FROM search WHERE low = high
"""

#: What had been set before the first change after the instant, else what is set now.
SAFETY_STOCK_AT: Final = """
    coalesce((
        SELECT change.before FROM inventory_safetystockchange change
        WHERE change.level_id = s.id AND change.changed_at > %(at)s ORDER BY change.changed_at, change.id LIMIT 1
    ), s.safety_stock)
"""

#: The last checkpoint at or before an instant.
CHECKPOINT: Final = """
checkpoint AS MATERIALIZED (
    SELECT id, at FROM inventory_stockcheckpoint
    WHERE merchant_id = %(merchant)s AND at <= %(at)s
    ORDER BY at DESC LIMIT 1
)"""


def composed(*parts: str) -> str:
    """Returns these parts as one statement, with what is above in the places that name it; doubled braces stay open."""
    return "".join(parts).format(
        version_at=VERSION_AT, safety_stock_at=SAFETY_STOCK_AT, checkpoint=CHECKPOINT
    )


_AS_OF: Final = composed("""
SELECT s.variant_id, s.location_id, coalesce(m.on_hand_after, 0), coalesce(m.reserved_after, 0),
       coalesce(m.unavailable_after, 0), found.version, m.id, {safety_stock_at}
FROM inventory_stocklevel s
CROSS JOIN LATERAL ({version_at}) found
LEFT JOIN inventory_stockmovement m ON m.level_id = s.id AND m.version = found.version
WHERE s.merchant_id = %(merchant)s AND s.variant_id {{variants}}
ORDER BY s.variant_id, s.location_id
""")

_EFFECTIVE_AT: Final = """
SELECT s.variant_id, s.location_id, coalesce(sum(m.on_hand_delta), 0)::bigint, coalesce(sum(m.reserved_delta), 0)::bigint,
       coalesce(sum(m.unavailable_delta), 0)::bigint, coalesce(max(m.version), 0)
FROM inventory_stocklevel s
LEFT JOIN inventory_stockmovement m ON m.level_id = s.id AND m.occurred_at <= %(at)s
WHERE s.merchant_id = %(merchant)s AND s.variant_id {variants}
GROUP BY s.id ORDER BY s.variant_id, s.location_id
"""

#: What the last checkpoint says, and the movements of these levels since; the whole history where there is none.
_RESERVED_AS_OF: Final = composed("""
WITH {checkpoint}, level AS MATERIALIZED (
    SELECT s.id, s.variant_id, s.location_id, checkpoint.id AS checkpoint_id, coalesce(kept.version, 0) AS since,
           found.version AS until
    FROM inventory_stocklevel s
    LEFT JOIN checkpoint ON true
    LEFT JOIN inventory_checkpointlevel kept
        ON kept.merchant_id = s.merchant_id AND kept.checkpoint_id = checkpoint.id
        AND kept.location_id = s.location_id AND kept.level_id = s.id
    CROSS JOIN LATERAL ({version_at}) found
    WHERE s.merchant_id = %(merchant)s AND s.variant_id {{variants}}
), change AS (
    SELECT level.variant_id, level.location_id, kept.reservation_id, kept.quantity
    FROM level
    JOIN inventory_checkpointreservation kept
        ON kept.merchant_id = %(merchant)s AND kept.checkpoint_id = level.checkpoint_id
        AND kept.location_id = level.location_id AND kept.level_id = level.id
    UNION ALL
    SELECT level.variant_id, level.location_id, m.reservation_id, m.reserved_delta
    FROM level
    JOIN inventory_stockmovement m
        ON m.level_id = level.id AND m.version > level.since AND m.version <= level.until
    WHERE m.reservation_id IS NOT NULL
), held AS (
    SELECT reservation_id, variant_id, location_id, sum(quantity)::bigint AS quantity
    FROM change GROUP BY reservation_id, variant_id, location_id HAVING sum(quantity) <> 0
)
SELECT r.id, r.reference, held.variant_id, held.location_id, held.quantity
FROM held JOIN inventory_reservation r ON r.id = held.reservation_id
ORDER BY r.id
""")


def levels_as_of(merchant_id: int, variant_ids: Collection[int], at: datetime) -> list[PastLevel]:
    """Returns these variants' levels as they were recorded at an instant."""
    return [PastLevel(*row) for row in _rows(_AS_OF, merchant_id, variant_ids, at)]


def levels_effective_at(merchant_id: int, variant_ids: Collection[int], at: datetime) -> list[PastLevel]:
    """Returns what had happened by an instant, by the reporters' clocks; may be negative."""
    return [PastLevel(*row) for row in _rows(_EFFECTIVE_AT, merchant_id, variant_ids, at)]


def reservations_as_of(merchant_id: int, variant_ids: Collection[int], at: datetime) -> list[PastReservation]:
    """Returns the reservations of these variants that held units at an instant."""
    return [PastReservation(*row) for row in _rows(_RESERVED_AS_OF, merchant_id, variant_ids, at)]


#: One variant is asked for in words of its own: PostgreSQL then plans the statement once, not each time.
_ONE: Final = "= %(variants)s"
_SOME: Final = "= ANY(%(variants)s::bigint[])"


def _rows(sql: str, merchant_id: int, variant_ids: Collection[int], at: datetime) -> list[tuple[Any, ...]]:
    chosen = sorted(variant_ids)
    is_one = len(chosen) == 1
    parameters = {"merchant": merchant_id, "variants": chosen[0] if is_one else chosen, "at": at}
    with connection.cursor() as cursor:
        cursor.execute(sql.format(variants=_ONE if is_one else _SOME), parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows

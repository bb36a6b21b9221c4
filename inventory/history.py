"""Stock as it was: what the ledger knew at an instant, and what had happened by it.

"As of" means recorded time: what OneCount knew then. `effective_at` sums by the reporters' own clocks instead, includes
what was only reported later, and may therefore show negative numbers.
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


#: The levels' own versions run with recorded time, so each level is one backward step into its history.
_AS_OF: Final = """
SELECT s.variant_id, s.location_id, coalesce(m.on_hand_after, 0), coalesce(m.reserved_after, 0),
       coalesce(m.unavailable_after, 0), coalesce(m.version, 0)
FROM inventory_stocklevel s
LEFT JOIN LATERAL (
    SELECT on_hand_after, reserved_after, unavailable_after, version FROM inventory_stockmovement
    WHERE level_id = s.id AND recorded_at <= %s ORDER BY version DESC LIMIT 1
) m ON true
WHERE s.merchant_id = %s AND s.variant_id = ANY(%s::bigint[])
ORDER BY s.variant_id, s.location_id
"""

_EFFECTIVE_AT: Final = """
SELECT s.variant_id, s.location_id, coalesce(sum(m.on_hand_delta), 0)::bigint, coalesce(sum(m.reserved_delta), 0)::bigint,
       coalesce(sum(m.unavailable_delta), 0)::bigint, coalesce(max(m.version), 0)
FROM inventory_stocklevel s
LEFT JOIN inventory_stockmovement m ON m.level_id = s.id AND m.occurred_at <= %s
WHERE s.merchant_id = %s AND s.variant_id = ANY(%s::bigint[])
GROUP BY s.id ORDER BY s.variant_id, s.location_id
"""

_RESERVED_AS_OF: Final = """
SELECT r.id, r.reference, s.variant_id, s.location_id, sum(m.reserved_delta)::bigint
FROM inventory_stocklevel s
JOIN inventory_stockmovement m ON m.level_id = s.id
JOIN inventory_reservation r ON r.id = m.reservation_id
WHERE m.recorded_at <= %s AND s.merchant_id = %s AND s.variant_id = ANY(%s::bigint[])
GROUP BY r.id, s.id HAVING sum(m.reserved_delta) <> 0
ORDER BY r.id
"""


def levels_as_of(merchant_id: int, variant_ids: Collection[int], at: datetime) -> list[PastLevel]:
    """Returns these variants' levels as they were recorded at an instant."""
    return [PastLevel(*row) for row in _rows(_AS_OF, merchant_id, variant_ids, at)]


def levels_effective_at(merchant_id: int, variant_ids: Collection[int], at: datetime) -> list[PastLevel]:
    """Returns what had happened by an instant, by the reporters' clocks; may be negative."""
    return [PastLevel(*row) for row in _rows(_EFFECTIVE_AT, merchant_id, variant_ids, at)]


def reservations_as_of(merchant_id: int, variant_ids: Collection[int], at: datetime) -> list[PastReservation]:
    """Returns the reservations of these variants that held units at an instant."""
    return [PastReservation(*row) for row in _rows(_RESERVED_AS_OF, merchant_id, variant_ids, at)]


def _rows(sql: str, merchant_id: int, variant_ids: Collection[int], at: datetime) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, [at, merchant_id, sorted(variant_ids)])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows

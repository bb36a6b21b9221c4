"""A whole location as it was: the last checkpoint before the instant, and what was recorded since.

So its cost is bounded by the location's levels and the movements of one interval between checkpoints, however long the
ledger is; the movements are found by their times (BRIN), not level by level.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import connection

from inventory.history import PastLevel, PastReservation, composed

_LEVELS: Final = """
WITH {checkpoint}, latest AS (
    SELECT DISTINCT ON (m.level_id) m.level_id, m.version, m.on_hand_after AS on_hand,
           m.reserved_after AS reserved, m.unavailable_after AS unavailable
    FROM inventory_stockmovement m
    JOIN inventory_stocklevel here ON here.id = m.level_id AND here.location_id = %(location)s
    WHERE m.merchant_id = %(merchant)s AND m.recorded_at <= %(at)s
      AND m.recorded_at > coalesce((SELECT checkpoint.at FROM checkpoint), '-infinity')
    ORDER BY m.level_id, m.version DESC
), kept AS (
    SELECT level_id, version, on_hand, reserved, unavailable FROM inventory_checkpointlevel
    WHERE merchant_id = %(merchant)s AND checkpoint_id = (SELECT id FROM checkpoint) AND location_id = %(location)s
), past AS (
    SELECT coalesce(latest.level_id, kept.level_id) AS level_id,
           coalesce(latest.version, kept.version) AS version,
           coalesce(latest.on_hand, kept.on_hand) AS on_hand,
           coalesce(latest.reserved, kept.reserved) AS reserved,
           coalesce(latest.unavailable, kept.unavailable) AS unavailable
    FROM kept FULL JOIN latest ON latest.level_id = kept.level_id
)
"""

_ALL: Final = composed(
    _LEVELS,
    """
SELECT s.variant_id, s.location_id, past.on_hand, past.reserved, past.unavailable, past.version, m.id, {safety_stock_at}
FROM past
JOIN inventory_stocklevel s ON s.id = past.level_id
JOIN inventory_stockmovement m ON m.level_id = s.id AND m.version = past.version
ORDER BY s.variant_id
""",
)

#: One page by SKU, and what all pages come to. Names and safety stocks are looked up for the page alone.
_PAGE: Final = composed(
    _LEVELS,
    """, found AS (
    SELECT past.*, v.sku FROM past
    JOIN inventory_stocklevel s ON s.id = past.level_id
    JOIN inventory_variant v ON v.id = s.variant_id
    WHERE v.sku ILIKE %(pattern)s AND (past.on_hand > 0 OR %(with_empty)s)
), total AS (
    SELECT count(*), coalesce(sum(on_hand), 0)::bigint, coalesce(sum(reserved), 0)::bigint,
           coalesce(sum(unavailable), 0)::bigint
    FROM found
), page AS (
    SELECT * FROM found ORDER BY sku, level_id LIMIT %(limit)s OFFSET %(offset)s
)
SELECT total.*, page.sku, s.variant_id, s.location_id, page.on_hand, page.reserved, page.unavailable, page.version,
       m.id, {safety_stock_at}
FROM total
LEFT JOIN page ON true
LEFT JOIN inventory_stocklevel s ON s.id = page.level_id
LEFT JOIN inventory_stockmovement m ON m.level_id = s.id AND m.version = page.version
ORDER BY page.sku, page.level_id
""",
)

_RESERVATIONS: Final = composed("""
WITH {checkpoint}, change AS (
    SELECT reservation_id, quantity FROM inventory_checkpointreservation
    WHERE merchant_id = %(merchant)s AND checkpoint_id = (SELECT id FROM checkpoint) AND location_id = %(location)s
    UNION ALL
    SELECT m.reservation_id, m.reserved_delta
    FROM inventory_stockmovement m
    JOIN inventory_stocklevel here ON here.id = m.level_id AND here.location_id = %(location)s
    WHERE m.reservation_id IS NOT NULL AND m.merchant_id = %(merchant)s AND m.recorded_at <= %(at)s
      AND m.recorded_at > coalesce((SELECT checkpoint.at FROM checkpoint), '-infinity')
), held AS (
    SELECT reservation_id, sum(quantity)::bigint AS quantity FROM change
    GROUP BY reservation_id HAVING sum(quantity) <> 0
)
SELECT r.id, r.reference, r.variant_id, %(location)s::bigint, held.quantity
FROM held JOIN inventory_reservation r ON r.id = held.reservation_id
ORDER BY r.id LIMIT %(limit)s
""")


@dataclass(frozen=True, slots=True)
class LocationTotals:
    """What lay at a location at an instant, in base units."""

    levels: int
    on_hand: int
    reserved: int
    unavailable: int

    @property
    def available(self) -> int:
        """Units that could be promised then."""
        return self.on_hand - self.reserved - self.unavailable


@dataclass(frozen=True, slots=True)
class LocationPage:
    """Some of a location's levels at an instant, by SKU, and the sum of all that were asked for."""

    totals: LocationTotals
    levels: tuple[tuple[str, PastLevel], ...]


def location_levels_as_of(merchant_id: int, location_id: int, at: datetime) -> list[PastLevel]:
    """Returns every level of a location as it was recorded at an instant; those without movements until then left out."""
    return [PastLevel(*row) for row in _rows(_ALL, merchant_id, location_id, at)]


def location_page_as_of(
    merchant_id: int,
    location_id: int,
    at: datetime,
    *,
    search: str = "",
    with_empty: bool = False,
    offset: int = 0,
    limit: int = 50,
) -> LocationPage:
    """Returns a page of a location's levels by SKU, and what all that match come to; one statement.

    `search` is a part of the SKU. Levels with nothing on hand are left out unless asked for.
    """
    pattern = "%" + search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    more = {"pattern": pattern, "with_empty": with_empty, "offset": offset, "limit": limit}
    rows = _rows(_PAGE, merchant_id, location_id, at, **more)
    levels = tuple((row[4], PastLevel(*row[5:])) for row in rows if row[4] is not None)
    return LocationPage(LocationTotals(*rows[0][:4]), levels)


def location_reservations_as_of(
    merchant_id: int, location_id: int, at: datetime, *, limit: int | None = None
) -> list[PastReservation]:
    """Returns the reservations that held units of a location at an instant, oldest first."""
    rows = _rows(_RESERVATIONS, merchant_id, location_id, at, limit=limit)
    return [PastReservation(*row) for row in rows]


def _rows(sql: str, merchant_id: int, location_id: int, at: datetime, **more: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, {"merchant": merchant_id, "location": location_id, "at": at, **more})
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows

"""What may be promised by a day: what is available, and confirmed inbound, less what is promised and owed already.

All numbers are in base units, and read for many variants in one statement. Places that a platform draws on alone, and
places that are switched off, do not count unless they are asked for.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from django.db import connection
from django.utils import timezone

from inventory.eta import LeadTime, eta_text
from inventory.holds import OWED_CAUSES
from inventory.models import Variant
from inventory.models.catalogue import LocationKind


@dataclass(frozen=True, slots=True)
class Promisable:
    """What may be promised of one variant by a day, and what it is made of."""

    variant_id: int
    #: Units that may be reserved now.
    available: int = 0
    #: Units confirmed to arrive by the day; those that are overdue do not count.
    confirmed: int = 0
    #: Units of these that are promised to backorders.
    promised: int = 0
    #: Units of open shortages, those of kits that take them included: they get the first goods that come.
    owed: int = 0

    @property
    def inbound(self) -> int:
        """Units of inbound that may be promised; never negative, for what is owed takes nothing from what is in stock."""
        return max(self.confirmed - self.promised - self.owed, 0)

    @property
    def units(self) -> int:
        """Units available to promise."""
        return self.available + self.inbound


@dataclass(frozen=True, slots=True)
class Arrival:
    """A day on which inbound of a variant is confirmed."""

    variant_id: int
    on: date
    confirmed: int
    promised: int


_PLACES: Final = """
place AS MATERIALIZED (
    SELECT id FROM inventory_location
    WHERE merchant_id = %(merchant)s
      AND CASE WHEN %(places)s::bigint[] IS NULL THEN is_active AND kind <> %(channel_owned)s
               ELSE id = ANY(%(places)s::bigint[]) END
)"""

#: What is owed waits at several places; of kits that are owed, their parts.
_OWED: Final = """
owed AS MATERIALIZED (
    SELECT c.variant_id, c.open_quantity AS units, c.location_ids
    FROM inventory_conflict c
    WHERE c.merchant_id = %(merchant)s AND c.variant_id = ANY(%(variants)s::bigint[]) AND c.open_quantity > 0
      AND c.cause = ANY(%(causes)s::text[])
    UNION ALL
    SELECT part.variant_id, c.open_quantity * part.quantity, c.location_ids
    FROM inventory_bundlepart part
    JOIN inventory_conflict c ON c.merchant_id = %(merchant)s AND c.variant_id = part.bundle_variant_id
    WHERE part.is_drawn_on AND part.variant_id = ANY(%(variants)s::bigint[]) AND c.open_quantity > 0
      AND c.cause = ANY(%(causes)s::text[])
)"""

_PROMISABLE: Final = """
WITH wanted AS (SELECT DISTINCT id FROM unnest(%(variants)s::bigint[]) AS given (id)),
{places},
{owed}
SELECT wanted.id, coalesce(stock.units, 0)::bigint, coalesce(coming.confirmed, 0)::bigint,
       coalesce(coming.promised, 0)::bigint, coalesce(debt.units, 0)::bigint
FROM wanted
LEFT JOIN (
    SELECT s.variant_id, sum(s.on_hand - s.reserved - s.unavailable) AS units
    FROM inventory_stocklevel s JOIN place ON place.id = s.location_id
    WHERE s.merchant_id = %(merchant)s AND s.variant_id = ANY(%(variants)s::bigint[])
    GROUP BY s.variant_id
) stock ON stock.variant_id = wanted.id
LEFT JOIN (
    SELECT l.variant_id, sum(l.confirmed_quantity) AS confirmed, sum(l.promised_quantity) AS promised
    FROM inventory_purchaseorderline l JOIN place ON place.id = l.location_id
    WHERE l.merchant_id = %(merchant)s AND l.variant_id = ANY(%(variants)s::bigint[]) AND l.confirmed_quantity > 0
      AND l.confirmed_on BETWEEN %(today)s AND %(by)s
    GROUP BY l.variant_id
) coming ON coming.variant_id = wanted.id
LEFT JOIN (
    SELECT variant_id, sum(units) AS units FROM owed
    WHERE location_ids && ARRAY(SELECT id FROM place)
    GROUP BY variant_id
) debt ON debt.variant_id = wanted.id
""".replace("{places}", _PLACES).replace("{owed}", _OWED)

_BY_LOCATION: Final = """
WITH {places},
{owed}
SELECT part.variant_id, part.location_id, sum(part.available)::bigint, sum(part.confirmed)::bigint,
       sum(part.promised)::bigint, sum(part.owed)::bigint
FROM (
    SELECT s.variant_id, s.location_id, s.on_hand - s.reserved - s.unavailable AS available, 0 AS confirmed,
           0 AS promised, 0 AS owed
    FROM inventory_stocklevel s
    WHERE s.merchant_id = %(merchant)s AND s.variant_id = ANY(%(variants)s::bigint[])
    UNION ALL
    SELECT l.variant_id, l.location_id, 0, l.confirmed_quantity, l.promised_quantity, 0
    FROM inventory_purchaseorderline l
    WHERE l.merchant_id = %(merchant)s AND l.variant_id = ANY(%(variants)s::bigint[]) AND l.confirmed_quantity > 0
      AND l.confirmed_on BETWEEN %(today)s AND %(by)s
    UNION ALL
    SELECT owed.variant_id, served.id, 0, 0, 0, owed.units
    FROM owed, unnest(owed.location_ids) AS served (id)
) part
JOIN place ON place.id = part.location_id
GROUP BY part.variant_id, part.location_id
ORDER BY part.variant_id, part.location_id
""".replace("{places}", _PLACES).replace("{owed}", _OWED)

_ARRIVALS: Final = """
WITH {places}
SELECT l.variant_id, l.confirmed_on, sum(l.confirmed_quantity)::bigint, sum(l.promised_quantity)::bigint
FROM inventory_purchaseorderline l JOIN place ON place.id = l.location_id
WHERE l.merchant_id = %(merchant)s AND l.variant_id = ANY(%(variants)s::bigint[]) AND l.confirmed_quantity > 0
  AND l.confirmed_on BETWEEN %(today)s AND %(by)s
GROUP BY l.variant_id, l.confirmed_on ORDER BY l.variant_id, l.confirmed_on
""".replace("{places}", _PLACES)

#: Later than any goods are confirmed for.
ALWAYS: Final = date.max


def available_to_promise(variant: Variant, by: date, *, location_id: int | None = None) -> int:
    """Returns the units of a variant that may be promised for a day, at one location or at all."""
    places = None if location_id is None else [location_id]
    return promisable(variant.merchant_id, [variant.pk], by, location_ids=places)[variant.pk].units


def promisable(
    merchant_id: int,
    variant_ids: Collection[int],
    by: date,
    *,
    location_ids: Collection[int] | None = None,
) -> dict[int, Promisable]:
    """Returns what may be promised of each of these variants for a day, together at these locations; one statement."""
    rows = _read(_PROMISABLE, merchant_id, variant_ids, by, location_ids)
    return {row[0]: Promisable(*row) for row in rows}


def promisable_by_location(
    merchant_id: int, variant_ids: Collection[int], by: date
) -> dict[tuple[int, int], Promisable]:
    """Returns what may be promised for a day by (variant, location), where there is anything; one statement.

    What is owed and may be served from several places is taken off at each: the numbers must not be added up.
    """
    rows = _read(_BY_LOCATION, merchant_id, variant_ids, by, None)
    return {
        (variant_id, location_id): Promisable(variant_id, *units) for variant_id, location_id, *units in rows
    }


def open_inbound(
    merchant_id: int,
    variant_ids: Collection[int],
    until: date,
    *,
    location_ids: Collection[int] | None = None,
) -> dict[int, int]:
    """Returns, for each variant that has any, the units confirmed to arrive until a day that nobody is promised or owed."""
    found = promisable(merchant_id, variant_ids, until, location_ids=location_ids)
    return {variant_id: each.inbound for variant_id, each in found.items() if each.inbound}


def arrivals(merchant_id: int, variant_ids: Collection[int], by: date = ALWAYS) -> list[Arrival]:
    """Returns the days on which inbound of these variants is confirmed, in order of variant and day; one statement."""
    return [Arrival(*row) for row in _read(_ARRIVALS, merchant_id, variant_ids, by, None)]


def first_arrivals(merchant_id: int, variant_ids: Collection[int]) -> dict[int, date]:
    """Returns, for each variant that has any, the first day for which a unit of inbound may be promised."""
    owed = {v: each.owed for v, each in promisable(merchant_id, variant_ids, ALWAYS).items()}
    first: dict[int, date] = {}
    for arrival in arrivals(merchant_id, variant_ids):
        owed[arrival.variant_id] -= arrival.confirmed - arrival.promised
        if owed[arrival.variant_id] < 0:
            first.setdefault(arrival.variant_id, arrival.on)
    return first


def eta_texts(merchant_id: int, variant_ids: Collection[int], lead_time: LeadTime) -> dict[int, str]:
    """Returns what a listing of each of these variants says of when it arrives, e.g. "within 2 to 4 days"."""
    today = timezone.localdate()
    first = first_arrivals(merchant_id, variant_ids)
    return {
        variant_id: eta_text(each.available, first.get(variant_id), lead_time=lead_time, today=today)
        for variant_id, each in promisable(merchant_id, variant_ids, today).items()
    }


def _read(
    sql: str, merchant_id: int, variant_ids: Collection[int], by: date, location_ids: Collection[int] | None
) -> list[Any]:
    parameters: dict[str, Any] = {
        "merchant": merchant_id,
        "variants": sorted(set(variant_ids)),
        "places": None if location_ids is None else sorted(location_ids),
        "channel_owned": LocationKind.CHANNEL_OWNED.value,
        "today": timezone.localdate(),
        "by": by,
        "causes": list(OWED_CAUSES),
    }
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[Any] = cursor.fetchall()
    return rows

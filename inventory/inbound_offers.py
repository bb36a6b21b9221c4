"""What of the goods still to come may be promised at several sets of places, read for many variants in one statement.

It is what `Inbound.take` would promise to an order that may be served from exactly these places: units confirmed to arrive
there by a day and promised to nobody, less what is owed at any of the places.
"""

from collections.abc import Collection
from datetime import date
from typing import Any, Final

from django.db import connection
from django.utils import timezone

from inventory.holds import OWED_CAUSES

#: Locations that serve together, by id.
Places = tuple[int, ...]

# What is owed of kits takes their parts from what comes.
_OFFERED: Final = """
WITH place AS (
    SELECT number, id FROM unnest(%(numbers)s::int[], %(places)s::bigint[]) AS given (number, id)
), together AS (
    SELECT number, array_agg(id) AS ids FROM place GROUP BY number
), owed AS (
    SELECT c.variant_id, c.location_ids, c.open_quantity AS units FROM inventory_conflict c
    WHERE c.merchant_id = %(merchant)s AND c.variant_id = ANY(%(variants)s::bigint[]) AND c.open_quantity > 0
      AND c.cause = ANY(%(causes)s::text[])
    UNION ALL
    SELECT part.variant_id, c.location_ids, c.open_quantity * part.quantity
    FROM inventory_bundlepart part
    JOIN inventory_conflict c ON c.merchant_id = %(merchant)s AND c.variant_id = part.bundle_variant_id
      AND c.open_quantity > 0 AND c.cause = ANY(%(causes)s::text[])
    WHERE part.is_drawn_on AND part.variant_id = ANY(%(variants)s::bigint[])
)
SELECT coming.variant_id, coming.number, (coming.units - coalesce(debt.units, 0))::bigint
FROM (
    SELECT l.variant_id, place.number, sum(l.confirmed_quantity - l.promised_quantity) AS units
    FROM inventory_purchaseorderline l JOIN place ON place.id = l.location_id
    WHERE l.merchant_id = %(merchant)s AND l.variant_id = ANY(%(variants)s::bigint[]) AND l.confirmed_quantity > 0
      AND l.confirmed_on BETWEEN %(today)s AND %(by)s
    GROUP BY l.variant_id, place.number
) coming
LEFT JOIN (
    SELECT owed.variant_id, together.number, sum(owed.units) AS units
    FROM owed JOIN together ON owed.location_ids && together.ids
    GROUP BY owed.variant_id, together.number
) debt ON debt.variant_id = coming.variant_id AND debt.number = coming.number
"""


def offered_inbound(
    merchant_id: int, variant_ids: Collection[int], by: date, places: Collection[Places]
) -> dict[tuple[int, Places], int]:
    """Returns the units to come by a day that may be promised, by variant and set of places, where there are any."""
    sets = list(dict.fromkeys(places))
    named = [(number, location_id) for number, each in enumerate(sets) for location_id in each]
    parameters: dict[str, Any] = {
        "merchant": merchant_id,
        "variants": sorted(set(variant_ids)),
        "numbers": [number for number, _ in named],
        "places": [location_id for _, location_id in named],
        "today": timezone.localdate(),
        "by": by,
        "causes": list(OWED_CAUSES),
    }
    with connection.cursor() as cursor:
        cursor.execute(_OFFERED, parameters)
        return {(row[0], sets[row[1]]): row[2] for row in cursor.fetchall() if row[2] > 0}

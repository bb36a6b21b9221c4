"""What of the goods still to come may be promised at several sets of places, read for many variants at once.

It is what `Inbound.take` would promise to an order that may be served from exactly these places: units confirmed to arrive
there by a day and promised to nobody, less what is owed at any of the places. Of kits, what `promise_kits` would.
"""

from collections.abc import Collection
from datetime import date
from typing import Any

from django.db import connection
from django.utils import timezone

from inventory.holds import OWED_CAUSES
from inventory.promise_statements import OFFERED
from inventory.promising import kits_offered

#: Locations that serve together, by id.
Places = tuple[int, ...]


def offered_inbound(
    merchant_id: int, variant_ids: Collection[int], by: date, places: Collection[Places]
) -> dict[tuple[int, Places], int]:
    """Returns the units, or kits, to come by a day that may be promised, by variant and set of places, where there are any.

    Two statements, three where kits are among them.
    """
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
        cursor.execute(OFFERED, parameters)
        found = {(row[0], sets[row[1]]): row[2] for row in cursor.fetchall()}
    found |= kits_offered(merchant_id, variant_ids, by, sets)
    return {key: units for key, units in found.items() if units > 0}

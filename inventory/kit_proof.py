"""The proof that kits are what they are said to be: held whole, and without stock of their own."""

from typing import Any, Final

from django.db import connection

from inventory.divergences import Divergence

#: Kits that are held, their time not over, of which a part is missing, lies elsewhere or is for another number of kits.
_NOT_WHOLE: Final = """
SELECT min(r.level_id), kit.sku, min(place.code), r.reference, bundle.part_count, count(*),
       min(r.open_quantity / r.per_bundle), max(r.open_quantity / r.per_bundle)
FROM inventory_reservation r
JOIN inventory_bundle bundle ON bundle.id = r.bundle_id
JOIN inventory_variant kit ON kit.id = bundle.variant_id
JOIN inventory_stocklevel level ON level.id = r.level_id
JOIN inventory_location place ON place.id = level.location_id
LEFT JOIN inventory_bundlepart part ON part.bundle_id = r.bundle_id AND part.variant_id = r.variant_id
WHERE r.open_quantity > 0 AND coalesce(r.expires_at > clock_timestamp(), true)
GROUP BY r.lead_id, r.reference, bundle.id, kit.sku
HAVING count(*) <> bundle.part_count OR min(r.open_quantity / r.per_bundle) <> max(r.open_quantity / r.per_bundle)
    OR bool_or(mod(r.open_quantity, r.per_bundle) <> 0) OR min(level.location_id) <> max(level.location_id)
    OR bool_or(part.quantity IS DISTINCT FROM r.per_bundle)
ORDER BY r.lead_id LIMIT %s
"""

_STOCK_OF_ITS_OWN: Final = """
SELECT level.id, kit.sku, place.code, level.on_hand
FROM inventory_bundle bundle
JOIN inventory_stocklevel level
    ON level.merchant_id = bundle.merchant_id AND level.variant_id = bundle.variant_id AND level.on_hand > 0
JOIN inventory_variant kit ON kit.id = bundle.variant_id
JOIN inventory_location place ON place.id = level.location_id
WHERE bundle.is_current AND bundle.kind = 'kit'
ORDER BY level.id LIMIT %s
"""


def kit_divergences(at_most: int) -> list[Divergence]:
    """Returns up to so many kits that are held in part, or have stock; two statements."""
    with connection.cursor() as cursor:
        cursor.execute(_NOT_WHOLE, [max(at_most, 0)])
        found = [_not_whole(*row) for row in cursor.fetchall()]
        cursor.execute(_STOCK_OF_ITS_OWN, [max(at_most - len(found), 0)])
        return found + [_stock(*row) for row in cursor.fetchall()]


def _not_whole(level_id: int, sku: str, place: str, reference: str, *counts: int) -> Divergence:
    parts, held, fewest, most = counts
    problem = f"kits held for {reference} are not whole, or not what their version is made of"
    expected: dict[str, Any] = {"parts": parts, "kits": most}
    return Divergence(level_id, sku, place, None, None, problem, expected, {"parts": held, "kits": fewest})


def _stock(level_id: int, sku: str, place: str, on_hand: int) -> Divergence:
    problem = "a kit has stock of its own"
    return Divergence(level_id, sku, place, None, None, problem, {"on_hand": 0}, {"on_hand": on_hand})

"""The proof that purchase orders and backorders are what the ledger says: receipts, promises, and what filled them."""

import json
from typing import Any, Final

from django.db import connection

from inventory.divergences import Divergence

#: Each line against what happened to it and whom it is promised to.
_LINES: Final = """
SELECT v.sku, o.number, jsonb_build_object('received', told.received, 'cancelled', told.cancelled, 'promised', told.promised),
       jsonb_build_object('received', l.received_quantity, 'cancelled', l.cancelled_quantity,
                          'promised', l.promised_quantity)
FROM inventory_purchaseorderline l
JOIN inventory_variant v ON v.id = l.variant_id
JOIN inventory_purchaseorder o ON o.id = l.order_id
LEFT JOIN (
    SELECT line_id, sum(quantity) FILTER (WHERE kind = 'receipt') AS received,
           sum(quantity) FILTER (WHERE kind = 'cancellation') AS cancelled
    FROM inventory_inboundevent GROUP BY line_id
) event ON event.line_id = l.id
LEFT JOIN (
    SELECT line_id, sum(open_quantity) AS promised FROM inventory_backorder WHERE open_quantity > 0 GROUP BY line_id
) waiting ON waiting.line_id = l.id
CROSS JOIN LATERAL (
    SELECT coalesce(event.received, 0) AS received, coalesce(event.cancelled, 0) AS cancelled,
           coalesce(waiting.promised, 0) AS promised
) told
WHERE (l.received_quantity, l.cancelled_quantity, l.promised_quantity) <> (told.received, told.cancelled, told.promised)
ORDER BY l.id LIMIT %s
"""

#: What an operation received on lines against the receipts that it moved.
_RECEIPTS: Final = """
SELECT v.sku, p.code, jsonb_build_object('received', coalesce(moved.units, 0)), jsonb_build_object('received', told.units)
FROM (
    SELECT e.operation_id, l.variant_id, l.location_id, sum(e.quantity) AS units
    FROM inventory_inboundevent e JOIN inventory_purchaseorderline l ON l.id = e.line_id
    WHERE e.kind = 'receipt' GROUP BY e.operation_id, l.variant_id, l.location_id
) told
JOIN inventory_variant v ON v.id = told.variant_id
JOIN inventory_location p ON p.id = told.location_id
LEFT JOIN LATERAL (
    SELECT sum(m.on_hand_delta) AS units
    FROM inventory_stockmovement m JOIN inventory_stocklevel s ON s.id = m.level_id
    WHERE m.operation_id = told.operation_id AND m.kind = 'receipt'
      AND s.variant_id = told.variant_id AND s.location_id = told.location_id
) moved ON true
WHERE told.units <> coalesce(moved.units, 0)
ORDER BY told.operation_id LIMIT %s
"""

#: What backorders were filled with against the units that were reserved for it; of promised kits, under their own name.
_FILLED: Final = """
SELECT v.sku, told.reference, jsonb_build_object('filled', coalesce(moved.units, 0)), jsonb_build_object('filled', told.units)
FROM (
    SELECT merchant_id, coalesce('kit-backorder:' || kit_id, reference) AS reference, variant_id,
           sum(filled_quantity) AS units
    FROM inventory_backorder GROUP BY 1, 2, 3
) told
JOIN inventory_variant v ON v.id = told.variant_id
LEFT JOIN LATERAL (
    SELECT sum(m.reserved_delta) AS units
    FROM inventory_reservation r JOIN inventory_stockmovement m ON m.reservation_id = r.id
    WHERE r.merchant_id = told.merchant_id AND r.reference = told.reference AND r.variant_id = told.variant_id
      AND m.reason = 'backorder_filled'
) moved ON true
WHERE told.units <> coalesce(moved.units, 0)
ORDER BY told.variant_id LIMIT %s
"""

#: What promised kits need of each part against what is reserved for them or waited for.
_KITS: Final = """
SELECT v.sku, k.reference, jsonb_build_object('parts', k.open_quantity * part.quantity),
       jsonb_build_object('parts', coalesce(held.units, 0) + coalesce(waiting.units, 0))
FROM inventory_kitbackorder k
JOIN inventory_bundlepart part ON part.bundle_id = k.bundle_id
JOIN inventory_variant v ON v.id = part.variant_id
LEFT JOIN LATERAL (
    SELECT sum(r.open_quantity) AS units
    FROM inventory_reservation r JOIN inventory_stocklevel s ON s.id = r.level_id
    WHERE r.merchant_id = k.merchant_id AND r.reference = 'kit-backorder:' || k.id AND r.variant_id = part.variant_id
      AND s.location_id = k.location_id
) held ON true
LEFT JOIN LATERAL (
    SELECT sum(b.open_quantity) AS units FROM inventory_backorder b
    WHERE b.kit_id = k.id AND b.variant_id = part.variant_id
) waiting ON true
WHERE k.open_quantity * part.quantity <> coalesce(held.units, 0) + coalesce(waiting.units, 0)
ORDER BY k.id, part.variant_id LIMIT %s
"""

_CHECKS: Final = (
    (_LINES, "the line of a purchase order is not what its events and backorders say"),
    (_RECEIPTS, "the goods received on a purchase order are not those that moved"),
    (_FILLED, "the goods that filled backorders are not those that were reserved for them"),
    (_KITS, "kits that are promised do not have all their parts"),
)


def inbound_divergences(at_most: int) -> list[Divergence]:
    """Returns up to so many places where inbound and ledger differ; four statements."""
    found: list[Divergence] = []
    with connection.cursor() as cursor:
        for sql, problem in _CHECKS:
            cursor.execute(sql, [max(at_most - len(found), 0)])
            found += [_divergence(row, problem) for row in cursor.fetchall()]
    return found


def _divergence(row: tuple[Any, ...], problem: str) -> Divergence:
    sku, where, expected, held = row
    return Divergence(0, sku, where, None, None, problem, _decoded(expected), _decoded(held))


def _decoded(value: Any) -> dict[str, Any]:
    """The object of a JSON column, which Django's raw cursor hands over as text."""
    decoded: dict[str, Any] = json.loads(value) if isinstance(value, str) else value
    return decoded

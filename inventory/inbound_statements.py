"""The SQL of goods still to come: locking lines, reading who waits for them, and writing what an operation changed."""

from typing import Final

HAS_BACKORDERS: Final = """
SELECT EXISTS (SELECT FROM inventory_backorder WHERE variant_id = ANY(%s::bigint[]) AND open_quantity > 0)
"""

#: The rows are chosen before the lock and judged by what they hold under it.
LOCK_LINES: Final = """
SELECT id, order_id, variant_id, location_id, quantity, received_quantity, cancelled_quantity, confirmed_quantity,
       confirmed_on, expected_on, promised_quantity
FROM inventory_purchaseorderline
WHERE merchant_id = %s AND location_id IS NOT NULL AND id = ANY(%s::bigint[] || ARRAY(
    SELECT id FROM inventory_purchaseorderline
    WHERE variant_id = ANY(%s::bigint[]) AND quantity > received_quantity + cancelled_quantity))
ORDER BY id FOR NO KEY UPDATE
"""

BACKORDERS: Final = """
SELECT b.id, b.line_id, b.reference, b.location_ids, b.open_quantity, b.promised_on, b.kit_id
FROM inventory_backorder b
"""

OF_REFERENCES: Final = """
WHERE b.merchant_id = %s AND b.reference = ANY(%s::text[]) AND b.variant_id = ANY(%s::bigint[]) AND b.open_quantity > 0
  AND b.kit_id IS NULL
ORDER BY b.id DESC
"""

OF_KITS: Final = """
WHERE b.kit_id = ANY(%s::bigint[]) AND b.open_quantity > 0
ORDER BY b.id DESC
"""

OF_LINES: Final = """
WHERE b.line_id = ANY(%s::bigint[]) AND b.open_quantity > 0
ORDER BY b.id DESC
"""

OF_IDS: Final = """
WHERE b.merchant_id = %s AND b.id = ANY(%s::bigint[])
ORDER BY b.id
"""

#: Each unit fills at most one backorder, so that no more of them need to be read than there are units.
WAITING: Final = """
WHERE b.id IN (
    SELECT next.id
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS level(variant_id, location_id, units)
    CROSS JOIN LATERAL (
        SELECT w.id FROM inventory_backorder w
        WHERE w.variant_id = level.variant_id AND w.open_quantity > 0
          AND w.location_ids @> ARRAY[level.location_id]
        ORDER BY (w.line_id = ANY(%s::bigint[])) DESC, w.id LIMIT level.units
    ) next)
ORDER BY (b.line_id = ANY(%s::bigint[])) DESC, b.id
"""

#: What is promised is written as a difference, so that the database would see a promise made twice.
WRITE: Final = """
WITH backordered AS (
    UPDATE inventory_backorder b
    SET open_quantity = b.open_quantity - c.filled - c.cancelled - c.broken,
        filled_quantity = b.filled_quantity + c.filled,
        cancelled_quantity = b.cancelled_quantity + c.cancelled,
        broken_quantity = b.broken_quantity + c.broken
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[]) AS c(id, filled, cancelled, broken)
    WHERE b.id = c.id
), remembered AS (
    INSERT INTO inventory_inboundevent (merchant_id, operation_id, line_id, kind, quantity, date, recorded_at)
    SELECT %s::bigint, %s::bigint, e.line_id, e.kind, e.quantity, e.date, clock_timestamp()
    FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::date[]) AS e(line_id, kind, quantity, date)
)
UPDATE inventory_purchaseorderline l
SET received_quantity = c.received, cancelled_quantity = c.cancelled, confirmed_quantity = c.confirmed,
    promised_quantity = l.promised_quantity + c.promised, confirmed_on = c.confirmed_on, expected_on = c.expected_on
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::date[], %s::date[])
     AS c(id, received, cancelled, confirmed, promised, confirmed_on, expected_on)
WHERE l.id = c.id
"""

#: An order's state follows from its lines; read in a statement of its own, after they were written.
SETTLE_ORDERS: Final = """
UPDATE inventory_purchaseorder o
SET state = CASE WHEN s.to_come > 0 AND s.received > 0 THEN 'partial'
                 WHEN s.to_come > s.confirmed THEN 'ordered'
                 WHEN s.to_come > 0 THEN 'confirmed'
                 WHEN s.received > 0 THEN 'received'
                 ELSE 'cancelled' END
FROM (
    SELECT order_id, sum(greatest(quantity - received_quantity - cancelled_quantity, 0)) AS to_come,
           sum(received_quantity) AS received, sum(confirmed_quantity) AS confirmed
    FROM inventory_purchaseorderline WHERE order_id = ANY(%s::bigint[]) GROUP BY order_id
) s
WHERE o.id = s.order_id
"""

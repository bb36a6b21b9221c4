"""The ledger against the shops' own order books, which know nothing of it."""

from collections import Counter
from typing import Any, Final

from tests.torture.goods import in_parts
from tests.torture.invariants.evidence import Evidence, rows, unlike
from tests.torture.verdict import Violation, violated

_LINES: Final = """
SELECT placed.external_id, coalesce(v.sku, line.sku), sum(line.applied_demand)::bigint,
       sum(line.applied_fulfilled)::bigint
FROM channels_channelorderline line JOIN channels_channelorder placed ON placed.id = line.order_id
LEFT JOIN inventory_variant v ON v.id = line.variant_id
WHERE placed.channel_id = %s GROUP BY 1, 2
"""

#: What the ledger holds and owes for each line of an order; of kits, how many.
_COVERED: Final = """
SELECT line.id, line.sku, line.applied_demand - line.applied_fulfilled, coalesce(held.units, 0), coalesce(owed.units, 0)
FROM channels_channelorderline line
JOIN channels_channelorder placed ON placed.id = line.order_id AND placed.channel_id = ANY(%s::bigint[])
LEFT JOIN LATERAL (
    SELECT sum(CASE WHEN r.bundle_id IS NULL THEN r.open_quantity
                    WHEN r.lead_id = r.id THEN r.open_quantity / r.per_bundle END)::bigint AS units
    FROM inventory_reservation r WHERE r.merchant_id = %s AND r.reference = 'order-line:' || line.id
) held ON true
LEFT JOIN LATERAL (
    SELECT sum(c.open_quantity)::bigint AS units FROM inventory_conflict c
    WHERE c.merchant_id = %s AND c.reference = 'order-line:' || line.id AND c.cause <> 'beyond_record'
) owed ON true
WHERE line.applied_demand - line.applied_fulfilled <> coalesce(held.units, 0) + coalesce(owed.units, 0)
"""

_ON_HAND: Final = """
SELECT v.sku, sum(s.on_hand)::bigint
FROM inventory_stocklevel s JOIN inventory_variant v ON v.id = s.variant_id
WHERE s.merchant_id = %s GROUP BY 1
"""

_BEYOND_RECORD: Final = """
SELECT v.sku, sum(m.on_hand_delta)::bigint
FROM inventory_stockmovement m
JOIN inventory_stocklevel s ON s.id = m.level_id JOIN inventory_variant v ON v.id = s.variant_id
WHERE s.merchant_id = %s AND m.reason = 'beyond_record' AND m.kind = 'adjustment' GROUP BY 1
"""

#: A sweeper tidies up what has ended every minute.
_STRAYS: Final = """
SELECT r.reference, sum(r.open_quantity)::bigint FROM inventory_reservation r
WHERE r.merchant_id = %s AND r.open_quantity > 0 AND r.reference NOT LIKE 'order-line:%%'
  AND coalesce(r.expires_at < clock_timestamp() - interval '3 minutes', true)
GROUP BY 1
"""


def orders_are_in_the_books(evidence: Evidence) -> list[Violation]:
    """Compares every order with its shop's book, and what is demanded with what is held, shipped and owed."""
    world = evidence.world
    cases: list[str] = []
    for channel, book in zip(world.channels, evidence.books, strict=True):
        applied = {
            (order, sku): (demand, shipped) for order, sku, demand, shipped in rows(_LINES, [channel.pk])
        }
        words = f"{channel.name} order {{key[0]}} {{key[1]}}: sold, shipped {{theirs}} there, {{ours}} here"
        cases += unlike(applied, _booked(book), words, missing=(0, 0))
    found = violated("orders-are-in-the-books", "{count} lines differ from the shops' books", cases)
    merchant = world.merchant.pk
    uncovered = [
        f"line {line} {sku}: {open_} open, {held} held, {owed} owed"
        for line, sku, open_, held, owed in rows(_COVERED, [world.channel_ids, merchant, merchant])
    ]
    what = "{count} lines are neither held nor owed in full"
    return found + violated("orders-are-in-the-books", what, uncovered)


def _booked(book: dict[str, Any]) -> dict[tuple[str, str], tuple[int, int]]:
    """Returns (demanded, shipped) units by order and SKU; a shop that knows no partial shipments tells of none."""
    units: dict[tuple[str, str], tuple[int, int]] = {}
    for order in book["orders"]:
        for line in order["lines"]:
            key = str(order["id"]), line["sku"]
            demand, shipped = units.get(key, (0, 0))
            units[key] = (
                demand + max(line["quantity"] - line["cancelled"], line["fulfilled"]),
                shipped + line["fulfilled"],
            )
    return units


def stock_adds_up(evidence: Evidence) -> list[Violation]:
    """Compares what is on hand with what was there, came, and was shipped by the books."""
    world = evidence.world
    expected: Counter[str] = Counter(world.goods.opening)
    for (sku, _), units in world.clerk.account.received.items():
        expected[sku] += units
    expected.update(dict(rows(_BEYOND_RECORD, [world.merchant.pk])))
    for book in evidence.books:
        for order in book["orders"]:
            for line in order["lines"]:
                expected.subtract(in_parts(line["sku"], line["fulfilled"]))
    there = dict(rows(_ON_HAND, [world.merchant.pk]))
    cases = unlike(there, expected, "{key}: {ours} on hand, {theirs} by the books")
    return violated("stock-is-accounted-for", "{count} SKUs do not add up", cases)


def nothing_is_held_for_nobody(evidence: Evidence) -> list[Violation]:
    """Compares what is held for carts with those that were confirmed."""
    world = evidence.world
    held = dict(rows(_STRAYS, [world.merchant.pk]))
    kept = {
        cart.reference: sum(quantity for _, quantity in cart.lines)
        for cart in world.clerk.account.carts
        if cart.is_kept
    }
    cases = unlike(held, kept, "{key}: {ours} held, {theirs} confirmed")
    return violated("nothing-is-held-for-nobody", "{count} reservations are lost or immortal", cases)

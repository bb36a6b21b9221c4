"""The locks of an operation on lines of purchase orders."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection

from inventory.errors import LineRefused, StockBusy, UnknownStock
from inventory.holds import load_waiting, release_expired
from inventory.inbound import Inbound, lock_inbound
from inventory.inbound_rows import InboundLine
from inventory.models.purchasing import PurchaseOrderState
from inventory.posting import Posting
from inventory.posting_rows import OwedUnits

#: Where the lines' goods will be.
_PLACES: Final = """
SELECT l.id, l.variant_id, l.location_id, o.number, o.state
FROM inventory_purchaseorderline l JOIN inventory_purchaseorder o ON o.id = l.order_id
WHERE l.merchant_id = %s AND l.id = ANY(%s::bigint[])
"""

#: Where those wait to whom they are promised.
_WAITING_PLACES: Final = """
SELECT DISTINCT b.variant_id, place FROM inventory_backorder b, unnest(b.location_ids) AS place
WHERE b.line_id = ANY(%s::bigint[]) AND b.open_quantity > 0
"""

_LOCK_ORDERS: Final = """
SELECT id FROM inventory_purchaseorder WHERE id IN (
    SELECT order_id FROM inventory_purchaseorderline WHERE id = ANY(%s::bigint[]))
ORDER BY id FOR NO KEY UPDATE
"""


@dataclass(frozen=True, slots=True)
class LockedLines:
    """The lines that an operation is about, under lock, with what is owed of their variants and of kits that take them."""

    inbound: Inbound
    lines: list[InboundLine]
    owed: list[OwedUnits]

    def line(self, line_id: int) -> InboundLine:
        """Returns one of them."""
        return self.inbound.lines[line_id]


def lock_lines(posting: Posting, line_ids: Collection[int]) -> LockedLines:
    """Locks levels, conflicts, orders and lines, in this order, and releases what has expired.

    The levels of all places where somebody waits for these lines are among them, so that no goods arrive there unseen
    while a promise becomes a conflict. Raises `UnknownStock`, `LineRefused` for a draft, and `StockBusy` when a line
    was promised elsewhere meanwhile.
    """
    ids = sorted(set(line_ids))
    with connection.cursor() as cursor:
        goods = _places_of_goods(cursor, posting.merchant_id, ids)
        every = goods | _places_of_waiting(cursor, ids)
        posting.lock({v for v, _ in every}, {place for _, place in every}, create=every)
        release_expired(posting)
        owed = load_waiting(posting, {v for v, _ in goods})
        cursor.execute(_LOCK_ORDERS, [ids])
        inbound = lock_inbound(posting, ids)
        if not _places_of_waiting(cursor, ids) <= posting.levels.keys():
            raise StockBusy
    return LockedLines(inbound, [inbound.lines[line_id] for line_id in ids], owed)


def _places_of_goods(cursor: Any, merchant_id: int, line_ids: list[int]) -> set[tuple[int, int]]:
    cursor.execute(_PLACES, [merchant_id, line_ids])
    rows = cursor.fetchall()
    if len(rows) < len(line_ids):
        raise UnknownStock("The merchant has no such line of a purchase order.")
    for line_id, _, location_id, number, state in rows:
        if location_id is None:
            is_draft = state == PurchaseOrderState.DRAFT
            remedy = (
                "is still a draft. Place it first." if is_draft else "was cancelled before it was placed."
            )
            raise LineRefused(line_id, f"{number} {remedy}")
    return {(variant_id, location_id) for _, variant_id, location_id, _, _ in rows}


def _places_of_waiting(cursor: Any, line_ids: list[int]) -> set[tuple[int, int]]:
    cursor.execute(_WAITING_PLACES, [line_ids])
    return set(cursor.fetchall())

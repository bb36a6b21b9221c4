"""What we can deliver of an order, by what the ledger holds, owes and has promised for each of its lines."""

from datetime import date
from typing import Any, Final

from django.db import connection

from channels.connectors.base import PromisedLine
from channels.models import ChannelOrder
from channels.models.orders import LINE_REFERENCE

# What is owed of the parts of a kit makes as many kits short, at most.
_PROMISED: Final = """
SELECT line.external_id, line.listing_external_id, line.sku,
       greatest(line.quantity - line.cancelled - line.fulfilled, 0),
       line.applied_demand - line.applied_fulfilled,
       line.variant_id IS NOT NULL, coalesce(variant.is_active, true),
       coalesce(owed.units, 0), coalesce(later.units, 0), later.expected_on
FROM channels_channelorderline line
LEFT JOIN inventory_variant variant ON variant.id = line.variant_id
LEFT JOIN LATERAL (
    SELECT sum(debt.open_quantity)::bigint AS units
    FROM inventory_conflict debt
    WHERE debt.merchant_id = %(merchant)s AND debt.reference = %(prefix)s || line.id AND debt.open_quantity > 0
) owed ON true
LEFT JOIN LATERAL (
    SELECT sum(promise.open_quantity)::bigint AS units, max(promise.promised_on) AS expected_on
    FROM (
        SELECT open_quantity, promised_on FROM inventory_backorder
        WHERE merchant_id = %(merchant)s AND reference = %(prefix)s || line.id AND kit_id IS NULL
        UNION ALL
        SELECT open_quantity, promised_on FROM inventory_kitbackorder
        WHERE merchant_id = %(merchant)s AND reference = %(prefix)s || line.id
    ) promise
    WHERE promise.open_quantity > 0
) later ON true
WHERE line.order_id = %(order)s AND line.is_named
ORDER BY line.id
"""


def promised_lines(order: ChannelOrder) -> list[PromisedLine]:
    """Returns what is held, owed and promised for each line that the order's kept state names; one statement."""
    parameters: dict[str, Any] = {
        "merchant": order.channel.merchant_id,
        "order": order.pk,
        "prefix": LINE_REFERENCE,
    }
    with connection.cursor() as cursor:
        cursor.execute(_PROMISED, parameters)
        return [_promised(row) for row in cursor.fetchall()]


def _promised(row: tuple[Any, ...]) -> PromisedLine:
    external_id, listing_id, sku, wanted, applied, is_known, is_sold, owed, later, expected_on = row
    held = min(max(applied - owed - later, 0), wanted)
    return PromisedLine(
        external_id,
        listing_id,
        sku,
        wanted,
        held,
        min(later, wanted - held),
        expected_on if isinstance(expected_on, date) else None,
        is_known,
        is_sold,
    )

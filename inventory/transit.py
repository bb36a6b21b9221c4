"""Goods between two places: kept on hand, all of them unavailable, at a place of their own.

Nothing leaves the ledger on the way. What left one place is on hand *in transit* until it arrives, is given up or is taken
back, so that the sum over all places stays, the replay covers it, and any past instant shows it. The open lines of
transfers say where each unit is going; `divergences` proves that they and the levels agree.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Final

from django.db import IntegrityError, connection, transaction

from inventory.models import Location
from inventory.models.catalogue import LocationKind


@dataclass(frozen=True, slots=True)
class InboundUnits:
    """Units of a variant on their way to a place, in base units."""

    transfer_id: int
    variant_id: int
    location_id: int
    units: int
    expected_on: date | None


@dataclass(frozen=True, slots=True)
class TransitDivergence:
    """A variant of which the transfers say something else than the ledger."""

    level_id: int
    variant_id: int
    expected: int
    on_hand: int
    reserved: int
    unavailable: int


def place_in_transit(merchant_id: int) -> int:
    """Returns the id of the merchant's place in transit, which is made when it is first needed."""
    rows = Location.objects.filter(merchant_id=merchant_id, kind=LocationKind.IN_TRANSIT)
    found = rows.values_list("pk", flat=True).first()
    while found is None:
        try:
            with transaction.atomic():
                found = _make_place(merchant_id)
        except IntegrityError:
            # Somebody else was first.
            found = rows.values_list("pk", flat=True).first()
    return found


def _make_place(merchant_id: int) -> int:
    is_taken = Location.objects.filter(merchant_id=merchant_id, code="IN-TRANSIT").exists()
    place = Location.objects.create(
        merchant_id=merchant_id,
        code="IN-TRANSIT (OneCount)" if is_taken else "IN-TRANSIT",
        name="In transit",
        kind=LocationKind.IN_TRANSIT,
        is_active=False,
    )
    return place.pk


_INBOUND: Final = """
SELECT t.id, l.variant_id, t.destination_id,
       l.sent_quantity - l.received_quantity - l.missing_quantity - l.recalled_quantity, t.expected_on
FROM inventory_transfer t JOIN inventory_transferline l ON l.transfer_id = t.id
WHERE t.merchant_id = %s AND t.state = 'sent' AND l.variant_id = ANY(%s::bigint[])
  AND l.sent_quantity > l.received_quantity + l.missing_quantity + l.recalled_quantity
ORDER BY t.expected_on NULLS LAST, t.id, l.id
"""


def inbound_transfers(merchant_id: int, variant_ids: Collection[int]) -> list[InboundUnits]:
    """Returns what is on its way of these variants, by place and expected day; days not known come last."""
    with connection.cursor() as cursor:
        cursor.execute(_INBOUND, [merchant_id, sorted(variant_ids)])
        return [InboundUnits(*row) for row in cursor.fetchall()]


_DIVERGENCES: Final = """
WITH documents AS (
    SELECT t.merchant_id, l.variant_id,
           sum(l.sent_quantity - l.received_quantity - l.missing_quantity - l.recalled_quantity)::bigint AS units
    FROM inventory_transfer t JOIN inventory_transferline l ON l.transfer_id = t.id
    WHERE t.state = 'sent'
    GROUP BY t.merchant_id, l.variant_id
), levels AS (
    SELECT s.* FROM inventory_stocklevel s JOIN inventory_location p ON p.id = s.location_id
    WHERE p.kind = 'in_transit'
)
SELECT coalesce(s.id, 0), coalesce(s.variant_id, d.variant_id), coalesce(d.units, 0),
       coalesce(s.on_hand, 0), coalesce(s.reserved, 0), coalesce(s.unavailable, 0)
FROM documents d FULL JOIN levels s ON s.merchant_id = d.merchant_id AND s.variant_id = d.variant_id
WHERE coalesce(d.units, 0) <> coalesce(s.on_hand, 0) OR coalesce(d.units, 0) <> coalesce(s.unavailable, 0)
   OR s.reserved > 0
ORDER BY 1, 2 LIMIT %s
"""


def divergences(*, at_most: int) -> list[TransitDivergence]:
    """Returns variants whose units in transit are not exactly what the open transfers say."""
    with connection.cursor() as cursor:
        cursor.execute(_DIVERGENCES, [at_most])
        return [TransitDivergence(*row) for row in cursor.fetchall()]

"""Purchase orders that come as a whole: written, placed and confirmed at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from django.db import transaction

from inventory.errors import UnknownStock
from inventory.ledger import Context
from inventory.locking import check_known
from inventory.models import Location, PurchaseOrder, PurchaseOrderLine, Supplier
from inventory.purchasing import LineConfirmation, confirm_lines, place
from inventory.validation import check_quantities


@dataclass(frozen=True, slots=True)
class OrderedLine:
    """Units of a variant; a day in `confirmed_on` confirms all of them for it."""

    variant_id: int
    quantity: int
    expected_on: date | None = None
    confirmed_on: date | None = None


def order_goods(
    context: Context,
    number: str,
    supplier: Supplier,
    location: Location,
    lines: Sequence[OrderedLine],
    *,
    ordered_on: date | None = None,
) -> PurchaseOrder:
    """Orders goods at a supplier for a location; the key of the context is that of the confirmation.

    Raises `UnknownStock` for what belongs to another merchant, and what `place` and `confirm_lines` raise; nothing was
    written then.
    """
    check_quantities("quantity", [line.quantity for line in lines], smallest=1)
    check_known(context.merchant_id, {line.variant_id for line in lines}, [location.pk])
    if supplier.merchant_id != context.merchant_id:
        raise UnknownStock("The merchant has no such supplier.")
    with transaction.atomic():
        order = PurchaseOrder.objects.create(
            merchant_id=context.merchant_id,
            supplier=supplier,
            number=number,
            location=location,
            ordered_on=ordered_on,
        )
        written = PurchaseOrderLine.objects.bulk_create(
            PurchaseOrderLine(
                merchant_id=context.merchant_id,
                order=order,
                variant_id=line.variant_id,
                quantity=line.quantity,
                expected_on=line.expected_on,
            )
            for line in lines
        )
        place(context.merchant_id, order.pk)
        confirmed = [
            LineConfirmation(new.pk, line.quantity, line.confirmed_on)
            for new, line in zip(written, lines, strict=True)
            if line.confirmed_on
        ]
        if confirmed:
            confirm_lines(context, confirmed)
        return order

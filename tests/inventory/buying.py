"""What tests of inbound do all the time: order goods, have them confirmed, promise them."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.utils import timezone

from inventory.backorders import promise
from inventory.holds import OWED_CAUSES
from inventory.inbound_rows import PromiseTerms
from inventory.ledger import Context, Outcome
from inventory.models import (
    Backorder,
    Conflict,
    Location,
    PurchaseOrder,
    PurchaseOrderLine,
    StockLevel,
    Supplier,
    Variant,
)
from inventory.purchasing import (
    LineCancellation,
    LineConfirmation,
    LineReceipt,
    cancel_lines,
    confirm_lines,
    place,
    receive_lines,
    slip_lines,
)
from inventory.reservations import Demand
from tests.inventory.cast import Cast

_serial = itertools.count(1)


def in_days(days: int) -> date:
    """Returns the day that many days from today."""
    return timezone.localdate() + timedelta(days=days)


def terms(days: int = 365, allowed_by: str = "a rule of this test") -> PromiseTerms:
    """Returns terms that allow goods confirmed within so many days."""
    return PromiseTerms(in_days(days), allowed_by)


def draft(merchant_id: int, location: Location, lines: Sequence[tuple[Variant, int]]) -> PurchaseOrder:
    """Writes a draft of an order at the merchant's one supplier."""
    supplier, _ = Supplier.objects.get_or_create(merchant_id=merchant_id, code="ACME", name="Acme")
    order = PurchaseOrder.objects.create(
        merchant_id=merchant_id, supplier=supplier, number=f"PO-{next(_serial)}", location=location
    )
    for variant, quantity in lines:
        PurchaseOrderLine.objects.create(order=order, variant=variant, quantity=quantity)
    return order


@dataclass
class Buying:
    """A merchant's purchasing, by ids of lines."""

    cast: Cast

    def context(self, key: str = "") -> Context:
        """Returns a context under this key, or under one that nobody used."""
        return self.cast.context(key)

    def order(
        self,
        quantity: int,
        *,
        days: int | None = None,
        variant: Variant | None = None,
        place_at: Location | None = None,
    ) -> int:
        """Orders mugs for the warehouse, unless told otherwise, confirmed for so many days from now; returns the line's id."""
        location = place_at or self.cast.warehouse
        order = draft(self.cast.merchant.pk, location, [(variant or self.cast.mug, quantity)])
        place(self.cast.merchant.pk, order.pk)
        line_id = order.lines.get().pk
        if days is not None:
            self.confirm(line_id, quantity, days)
        return line_id

    def confirm(self, line_id: int, quantity: int, days: int | None) -> Outcome:
        """Has the supplier confirm units still to come."""
        on = None if days is None else in_days(days)
        return confirm_lines(self.context(), [LineConfirmation(line_id, quantity, on)])

    def receive(self, line_id: int, quantity: int, *, is_last: bool = False, key: str = "") -> Outcome:
        """Receives units of a line."""
        return receive_lines(self.context(key), [LineReceipt(line_id, quantity, is_last)])

    def slip(self, line_id: int, days: int) -> Outcome:
        """Moves what is to come of a line to another day."""
        return slip_lines(self.context(), [line_id], in_days(days))

    def cancel(self, line_id: int, quantity: int | None = None) -> Outcome:
        """Cancels units of a line."""
        return cancel_lines(self.context(), [LineCancellation(line_id, quantity)])

    def promise(
        self,
        reference: str,
        quantity: int,
        *,
        days: int = 365,
        variant: Variant | None = None,
        places: Sequence[int] = (),
        **more: Any,
    ) -> Outcome:
        """Promises mugs from either place."""
        demand = Demand(reference, (variant or self.cast.mug).pk, quantity, tuple(places) or self.cast.places)
        return promise(self.context(), [demand], terms(days), **more)

    def line(self, line_id: int) -> PurchaseOrderLine:
        """Returns a line as it is now."""
        return PurchaseOrderLine.objects.get(pk=line_id)


def waiting() -> dict[str, int]:
    """Returns the units that wait for inbound, by reference."""
    units: dict[str, int] = {}
    for backorder in Backorder.objects.filter(open_quantity__gt=0):
        units[backorder.reference] = units.get(backorder.reference, 0) + backorder.open_quantity
    return units


def assert_promises_hold() -> None:
    """Compares what lines promise with who waits, and looks for anybody who waits beside goods."""
    for line in PurchaseOrderLine.objects.all():
        rows = Backorder.objects.filter(line=line, open_quantity__gt=0)
        assert line.promised_quantity == sum(row.open_quantity for row in rows) <= line.confirmed_quantity
    waits = Backorder.objects.filter(open_quantity__gt=0).values_list("variant_id", "location_ids")
    owed = Conflict.objects.filter(open_quantity__gt=0, cause__in=OWED_CAUSES)
    for variant_id, location_ids in [*waits, *owed.values_list("variant_id", "location_ids")]:
        for level in StockLevel.objects.filter(variant=variant_id, location__in=location_ids):
            assert level.available == 0

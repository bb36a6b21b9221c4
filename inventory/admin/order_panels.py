"""What the page of a purchase order shows below its form: lines, promises, what happened."""

from config.admin_panels import Panel, list_of, page_of
from inventory.admin.inbound import line_badge
from inventory.admin.references import linked
from inventory.models import Backorder, InboundEvent, PurchaseOrder


def lines_of(order: PurchaseOrder) -> Panel:
    """Shows how each line stands."""
    lines = order.lines.select_related("variant").order_by("id")[:500]
    rows = [
        (
            page_of(line.variant),
            line.quantity,
            line.received_quantity,
            line.cancelled_quantity,
            line.outstanding,
            line.expected_on and str(line.expected_on),
            line.confirmed_quantity,
            line.confirmed_on and str(line.confirmed_on),
            line.promised_quantity,
            line_badge(line),
        )
        for line in lines
    ]
    headers = (
        "SKU", "Ordered", "Received", "Cancelled", "To come", "Expected", "Confirmed", "For", "Promised", "State",
    )  # fmt: skip
    return Panel("Lines", headers, rows, empty="No line yet: add at least one, then place the order.")


def promised_of(order: PurchaseOrder) -> Panel:
    """Shows whom its goods are promised to."""
    found = (
        Backorder.objects.filter(line__order=order, open_quantity__gt=0)
        .select_related("variant")
        .order_by("id")
    )
    rows = list(found[:100])
    references = linked(each.reference for each in rows)
    shown = [
        (page_of(each, each.pk), page_of(each.variant), references[each.reference], each.open_quantity,
         str(each.promised_on))
        for each in rows
    ]  # fmt: skip
    every = list_of("inventory.backorder", f"line__order__id__exact={order.pk}")
    return Panel(
        "Promised to",
        ("Backorder", "SKU", "For", "Units", "By"),
        shown,
        empty="Nobody.",
        links=[(every, "All")],
    )


def events_of(order: PurchaseOrder) -> Panel:
    """Shows what happened to its lines, the latest first."""
    events = InboundEvent.objects.filter(line__order=order).select_related("line__variant", "operation")
    rows = [
        (
            each.recorded_at,
            page_of(each.line.variant),
            each.get_kind_display(),
            each.quantity,
            each.date and str(each.date),
            each.operation.actor,
            page_of(each.operation, each.operation.verb),
        )
        for each in events.order_by("-id")[:100]
    ]
    headers = ("Recorded", "SKU", "What", "Units", "For", "Who", "Operation")
    return Panel("What happened", headers, rows)

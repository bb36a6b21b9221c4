"""What is still to come, line by line, and what happened to it; read-only: an order is changed on its own page."""

from typing import Any, ClassVar, Final

from django.contrib import admin
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone

from config.admin_panels import badge
from config.admin_site import FactsAdmin, StateFilter
from inventory.models import InboundEvent, PurchaseOrderLine

#: Lines of which something is still to come.
OPEN: Final = Q(quantity__gt=F("received_quantity") + F("cancelled_quantity"))


def line_badge(line: PurchaseOrderLine) -> str:
    """Says how a line stands in a word or two."""
    if line.cancelled_quantity == line.quantity:
        return badge("cancelled")
    if line.over_delivered:
        return badge(f"{line.over_delivered} too many", "warning")
    if not line.outstanding:
        return badge("closed short", "warning") if line.cancelled_quantity else badge("received", "good")
    due_on = line.confirmed_on or line.expected_on
    if due_on is not None and due_on < timezone.localdate():
        return badge("overdue", "bad")
    return badge("confirmed", "good") if line.confirmed_quantity else badge("not confirmed", "warning")


class LineFilter(StateFilter):
    """How a line stands."""

    states = (
        ("open", "To come", lambda q: q.filter(OPEN)),
        ("overdue", "Overdue", lambda q: q.filter(OPEN, due_on__lt=timezone.localdate())),
        ("unconfirmed", "Not confirmed", lambda q: q.filter(OPEN, confirmed_quantity=0)),
        ("promised", "Promised to somebody", lambda q: q.filter(promised_quantity__gt=0)),
        (
            "over",
            "Over-delivered",
            lambda q: q.filter(quantity__lt=F("received_quantity") + F("cancelled_quantity")),
        ),
    )


@admin.register(PurchaseOrderLine)
class PurchaseOrderLineAdmin(FactsAdmin):
    """What is still to come, line by line; changed on the order."""

    list_display = (
        "variant", "order", "supplier", "location", "to_come", "confirmed_quantity", "due", "promised_quantity",
        "received_quantity", "standing",
    )  # fmt: skip
    list_filter = (LineFilter, "location", "merchant")
    list_select_related = ("variant", "order__supplier", "location")
    search_fields = ("variant__sku__exact", "order__number__exact")
    search_help_text = "SKU or the order's number, in full"
    ordering = ("-id",)
    readonly_fields: ClassVar[tuple[str, ...]] = ("standing",)
    fields = (
        "order", "variant", "location", "standing", "quantity", ("received_quantity", "cancelled_quantity"),
        "expected_on", ("confirmed_quantity", "confirmed_on"), "promised_quantity",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[PurchaseOrderLine]:
        """Adds when the line is due, and brings along what it is shown with."""
        queryset: QuerySet[PurchaseOrderLine] = super().get_queryset(request)
        return queryset.select_related("variant", "order__supplier", "location").annotate(
            due_on=Coalesce("confirmed_on", "expected_on")
        )

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Allows the link that leads here from a variant."""
        return lookup == "variant__id__exact" or bool(super().lookup_allowed(lookup, value, request))

    @admin.display(description="supplier")
    def supplier(self, line: PurchaseOrderLine) -> str:
        """Returns the supplier's code."""
        return line.order.supplier.code

    @admin.display(description="to come")
    def to_come(self, line: PurchaseOrderLine) -> int:
        """Returns the units still to come."""
        return line.outstanding

    @admin.display(description="due", ordering="due_on")
    def due(self, line: Any) -> str:
        """Returns when it is due: as confirmed, else as expected."""
        return str(line.due_on or "")

    @admin.display(description="state")
    def standing(self, line: PurchaseOrderLine) -> str:
        """Says how the line stands."""
        return line_badge(line)


@admin.register(InboundEvent)
class InboundEventAdmin(FactsAdmin):
    """What happened to the lines of purchase orders."""

    list_display = ("recorded_at", "variant", "order", "kind", "quantity", "date", "operation")
    list_filter = ("kind", "merchant")
    list_select_related = ("line__variant", "line__order", "operation")
    search_fields = ("line__variant__sku__exact", "line__order__number__exact")
    search_help_text = "SKU or the order's number, in full"
    ordering = ("-id",)
    fields = ("line", "kind", "quantity", "date", "operation", "recorded_at")

    @admin.display(description="SKU")
    def variant(self, event: InboundEvent) -> str:
        """Returns the variant's SKU."""
        return event.line.variant.sku

    @admin.display(description="order")
    def order(self, event: InboundEvent) -> str:
        """Returns the order's number."""
        return event.line.order.number

"""Backorders: who was promised goods that are still to come."""

import uuid
from collections import Counter, defaultdict
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from config.admin_panels import badge, page_of
from config.admin_site import StateFilter
from inventory.admin.demands import LinkedReferences
from inventory.backorders import BackorderUnits, cancel_backorders
from inventory.errors import InvalidStockRequest, StockBusy
from inventory.ledger import Context
from inventory.models import Backorder


class BackorderFilter(StateFilter):
    """What has become of a promise."""

    states = (
        ("open", "Waiting", lambda rows: rows.filter(open_quantity__gt=0)),
        (
            "late",
            "Waiting, the day is over",
            lambda rows: rows.filter(open_quantity__gt=0, promised_on__lt=timezone.localdate()),
        ),
        ("filled", "Filled", lambda rows: rows.filter(open_quantity=0, filled_quantity__gt=0)),
        ("broken", "Broken", lambda rows: rows.filter(broken_quantity__gt=0)),
    )


@admin.register(Backorder)
class BackorderAdmin(LinkedReferences):
    """Units promised against inbound."""

    list_display = (
        "id", "variant", "reference_link", "standing", "quantity", "open_quantity", "filled_quantity",
        "broken_quantity", "promised_on", "order",
    )  # fmt: skip
    list_filter = (BackorderFilter, "merchant")
    list_select_related = ("variant", "line__order")
    search_fields = ("variant__sku__exact", "reference__exact", "line__order__number__exact")
    search_help_text = "SKU, reference or the order's number, in full"
    ordering = ("-id",)
    actions = ("cancel_promises",)
    detail_actions = ("cancel_promises",)
    readonly_fields: ClassVar[tuple[str, ...]] = ("reference_link", "standing", "order")
    fields = (
        "variant", "reference_link", "order", "standing", ("quantity", "open_quantity"),
        ("filled_quantity", "cancelled_quantity", "broken_quantity"), "promised_on", "allowed_by", "created_at",
        "operation",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Backorder]:
        """Brings along what a backorder is shown with."""
        queryset: QuerySet[Backorder] = super().get_queryset(request)
        return queryset.select_related("variant", "line__order", "operation")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Allows the links that lead here from a variant and from an order."""
        return lookup in {"variant__id__exact", "line__order__id__exact"} or bool(
            super().lookup_allowed(lookup, value, request)
        )

    @admin.display(description="order")
    def order(self, backorder: Backorder) -> str:
        """Leads to the order whose goods are promised."""
        return page_of(backorder.line.order)

    @admin.display(description="state")
    def standing(self, backorder: Backorder) -> str:
        """Says what has become of the promise."""
        if backorder.open_quantity:
            is_late = backorder.promised_on < timezone.localdate()
            return badge("late", "bad") if is_late else badge("waiting", "warning")
        if backorder.broken_quantity:
            return badge("broken", "bad")
        return badge("filled", "good") if backorder.filled_quantity else badge("cancelled")

    def offers(self, action: str, instance: Backorder) -> bool:
        """Offers to cancel what still waits."""
        return instance.open_quantity > 0

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may take promises back."""
        return request.user.has_perm("inventory.promise_inbound")

    @admin.action(description="Cancel what still waits", permissions=["cancel"])
    def cancel_promises(self, request: HttpRequest, queryset: QuerySet[Backorder]) -> None:
        """Takes back the units that still wait, one operation a merchant; the inbound may be promised to others."""
        skipped: Counter[str] = Counter()
        by_merchant: dict[int, list[int]] = defaultdict(list)
        for backorder in queryset:
            if backorder.open_quantity:
                by_merchant[backorder.merchant_id].append(backorder.pk)
            else:
                skipped["waiting no more"] += 1
        done = 0
        for merchant_id, ids in by_merchant.items():
            done += self._cancel(request, merchant_id, ids, skipped)
        self.report(request, done, "backorder{s} cancelled", skipped)

    def _cancel(self, request: HttpRequest, merchant_id: int, ids: list[int], skipped: Counter[str]) -> int:
        context = Context(
            merchant_id, f"admin:{uuid.uuid4()}", actor=request.user.get_username(), source="back office"
        )
        try:
            cancel_backorders(context, [BackorderUnits(identity) for identity in ids])
        except (InvalidStockRequest, StockBusy) as error:
            messages.error(request, str(error))
            skipped["changed meanwhile"] += len(ids)
            return 0
        return len(ids)

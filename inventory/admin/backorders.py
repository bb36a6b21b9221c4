"""Backorders: who was promised goods that are still to come."""

import uuid
from collections import Counter, defaultdict
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from config.admin_panels import Panel, address_of, badge, list_of, page_of
from config.admin_site import StateFilter
from inventory.admin.demands import LinkedReferences
from inventory.admin.references import register
from inventory.backorders import BackorderUnits, cancel_backorders
from inventory.errors import InvalidStockRequest, StockBusy
from inventory.ledger import Context
from inventory.models import Backorder, KitBackorder, Reservation
from inventory.references import PROMISED_KITS, kits_named, reference_of_kits


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


def standing_of(promise: Backorder | KitBackorder) -> str:
    """Says what has become of a promise."""
    if promise.open_quantity:
        is_late = promise.promised_on < timezone.localdate()
        return badge("late", "bad") if is_late else badge("waiting", "warning")
    if promise.broken_quantity:
        return badge("broken", "bad")
    return badge("filled", "good") if promise.filled_quantity else badge("cancelled")


class KitFilter(StateFilter):
    """Whether units are promised by themselves or as a part of kits."""

    title = "promised as"
    parameter_name = "as"
    states = (
        ("units", "Units", lambda rows: rows.filter(kit__isnull=True)),
        ("parts", "Parts of kits", lambda rows: rows.filter(kit__isnull=False)),
    )


@admin.register(Backorder)
class BackorderAdmin(LinkedReferences):
    """Units promised against inbound."""

    list_display = (
        "id", "variant", "reference_link", "standing", "quantity", "open_quantity", "filled_quantity",
        "broken_quantity", "promised_on", "order", "part_of",
    )  # fmt: skip
    list_filter = (BackorderFilter, KitFilter, "merchant")
    list_select_related = ("variant", "line__order", "kit__variant")
    search_fields = ("variant__sku__exact", "reference__exact", "line__order__number__exact")
    search_help_text = "SKU, reference or the order's number, in full"
    ordering = ("-id",)
    actions = ("cancel_promises",)
    detail_actions = ("cancel_promises",)
    readonly_fields: ClassVar[tuple[str, ...]] = ("reference_link", "standing", "order", "part_of")
    fields = (
        "variant", "reference_link", "order", "part_of", "standing", ("quantity", "open_quantity"),
        ("filled_quantity", "cancelled_quantity", "broken_quantity"), "promised_on", "allowed_by", "created_at",
        "operation",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Backorder]:
        """Brings along what a backorder is shown with."""
        queryset: QuerySet[Backorder] = super().get_queryset(request)
        return queryset.select_related("variant", "line__order", "operation", "kit__variant")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Allows the links that lead here from a variant and from an order."""
        return lookup in {"variant__id__exact", "line__order__id__exact", "kit__id__exact"} or bool(
            super().lookup_allowed(lookup, value, request)
        )

    @admin.display(description="order")
    def order(self, backorder: Backorder) -> str:
        """Leads to the order whose goods are promised."""
        return page_of(backorder.line.order)

    @admin.display(description="state")
    def standing(self, backorder: Backorder) -> str:
        """Says what has become of the promise."""
        return standing_of(backorder)

    @admin.display(description="part of")
    def part_of(self, backorder: Backorder) -> str:
        """Leads to the kits that the units are a part of."""
        return page_of(backorder.kit, str(backorder.kit.variant)) if backorder.kit else ""

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


@admin.register(KitBackorder)
class KitBackorderAdmin(LinkedReferences):
    """Whole kits promised against inbound of their parts."""

    list_display = (
        "id", "variant", "reference_link", "standing", "quantity", "open_quantity", "filled_quantity",
        "broken_quantity", "promised_on", "location",
    )  # fmt: skip
    list_filter = (BackorderFilter, "location", "merchant")
    list_select_related = ("variant", "location")
    search_fields = ("variant__sku__exact", "reference__exact")
    search_help_text = "SKU of the kit, or reference, in full"
    ordering = ("-id",)
    readonly_fields: ClassVar[tuple[str, ...]] = ("reference_link", "standing")
    fields = (
        "variant", "reference_link", "location", "standing", ("quantity", "open_quantity"),
        ("filled_quantity", "cancelled_quantity", "broken_quantity"), "promised_on", "allowed_by", "created_at",
        "operation",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[KitBackorder]:
        """Brings along what it is shown with."""
        queryset: QuerySet[KitBackorder] = super().get_queryset(request)
        return queryset.select_related("variant", "location", "operation")

    @admin.display(description="state")
    def standing(self, promise: KitBackorder) -> str:
        """Says what has become of the promise."""
        return standing_of(promise)

    def panels(self, request: HttpRequest, instance: KitBackorder) -> list[Panel]:
        """Shows what it has of each part: reserved, and still to come."""
        held = Reservation.objects.filter(
            merchant=instance.merchant_id, reference=reference_of_kits(instance.pk), open_quantity__gt=0
        )
        units = Counter[int]()
        for variant_id, open_quantity in held.values_list("variant_id", "open_quantity"):
            units[variant_id] += open_quantity
        coming = Counter[int]()
        for variant_id, open_quantity in instance.parts.values_list("variant_id", "open_quantity"):
            coming[variant_id] += open_quantity
        rows = [
            (page_of(part.variant), part.quantity, units[part.variant_id], coming[part.variant_id])
            for part in instance.bundle.parts.select_related("variant")
        ]
        headers = ("Part", "In one kit", "Reserved", "Still to come")
        links = [(list_of("inventory.backorder", f"kit__id__exact={instance.pk}"), "Parts to come")]
        note = "The kits are reserved for whom they are promised to once all parts are there."
        return [Panel("Parts", headers, rows, note=note, links=links)]


def _pages(references: list[str]) -> dict[str, tuple[str, str]]:
    """Returns address and text of the promises for which parts are held; one query."""
    ids = [kits_named(reference) for reference in references]
    rows = KitBackorder.objects.filter(pk__in=ids).select_related("variant")
    return {
        reference_of_kits(row.pk): (
            address_of("inventory.kitbackorder", row.pk),
            f"{row.variant} promised to {row.reference}",
        )
        for row in rows
    }


register(PROMISED_KITS, _pages)

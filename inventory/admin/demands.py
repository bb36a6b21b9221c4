"""Reservations and conflicts: who holds units, and who is owed some."""

import uuid
from collections import Counter, defaultdict
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from config.admin_panels import Panel, badge, page_of
from config.admin_site import FactsAdmin, StateFilter
from inventory.admin.backorder_form import backorder_page
from inventory.admin.movements import movement_row
from inventory.admin.references import linked
from inventory.errors import ReservationClosed, StockBusy
from inventory.holds import OWED_CAUSES
from inventory.ledger import Context
from inventory.models import Conflict, Reservation
from inventory.reservations import ReservedUnits, release


class ReservationFilter(StateFilter):
    """What has become of a reservation."""

    states = (
        ("open", "Holds units", lambda rows: rows.filter(open_quantity__gt=0)),
        (
            "expiring",
            "Ends by itself",
            lambda rows: rows.filter(open_quantity__gt=0, expires_at__isnull=False),
        ),
        (
            "expired",
            "Ended, not tidied yet",
            lambda rows: rows.filter(open_quantity__gt=0, expires_at__lte=timezone.now()),
        ),
        ("closed", "Holds none any more", lambda rows: rows.filter(open_quantity=0)),
    )


class LinkedReferences(FactsAdmin):
    """A list whose references lead to what is behind them, found for a whole page at once."""

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Looks up the references of the rows that the page shows."""
        changelist = super().get_changelist_instance(request)
        rows = list(changelist.result_list)
        shown = linked(row.reference for row in rows)
        for row in rows:
            row.shown_reference = shown[row.reference]
        changelist.result_list = rows
        return changelist

    @admin.display(description="for")
    def reference_link(self, row: Any) -> str:
        """Leads to whose demand it is."""
        if hasattr(row, "shown_reference"):
            return str(row.shown_reference)
        return linked([row.reference]).get(row.reference, str(row.reference))


@admin.register(Reservation)
class ReservationAdmin(LinkedReferences):
    """Units held for somebody."""

    list_display = (
        "id", "sku", "location", "reference_link", "quantity", "open_quantity", "fulfilled_quantity",
        "released_quantity", "expires_at", "created_at",
    )  # fmt: skip
    list_filter = (ReservationFilter, "level__location", "merchant")
    list_select_related = ("variant", "level__location")
    search_fields = ("variant__sku__exact", "reference__exact")
    search_help_text = "SKU or reference, in full"
    ordering = ("-id",)
    actions = ("release_units",)
    detail_actions = ("release_units",)
    readonly_fields: ClassVar[tuple[str, ...]] = ("reference_link", "place")
    fields = (
        "place", "reference_link", ("quantity", "open_quantity"), ("fulfilled_quantity", "released_quantity"),
        ("bundle", "per_bundle"), "expires_at", "confirmed_at", "created_at", "operation",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Reservation]:
        """Brings along what a reservation is shown with."""
        queryset: QuerySet[Reservation] = super().get_queryset(request)
        return queryset.select_related(
            "variant", "level__variant", "level__location", "operation", "bundle__variant"
        )

    @admin.display(description="SKU")
    def sku(self, reservation: Reservation) -> str:
        """Returns the variant's SKU."""
        return reservation.variant.sku

    @admin.display(description="location")
    def location(self, reservation: Reservation) -> str:
        """Returns the location's code."""
        return reservation.level.location.code

    @admin.display(description="level")
    def place(self, reservation: Reservation) -> str:
        """Leads to the level whose units it holds."""
        return page_of(reservation.level)

    def offers(self, action: str, instance: Reservation) -> bool:
        """Offers to release what is held."""
        return instance.open_quantity > 0

    def has_release_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may release reservations."""
        return request.user.has_perm("inventory.release_reservation")

    @admin.action(description="Release the units", permissions=["release"])
    def release_units(self, request: HttpRequest, queryset: QuerySet[Reservation]) -> None:
        """Gives the units that are still held back to what is available, one operation a merchant."""
        skipped: Counter[str] = Counter()
        by_merchant: dict[int, list[int]] = defaultdict(list)
        for reservation in queryset:
            if reservation.open_quantity:
                by_merchant[reservation.merchant_id].append(reservation.pk)
            else:
                skipped["holding none any more"] += 1
        done = 0
        for merchant_id, ids in by_merchant.items():
            done += self._release(request, merchant_id, ids, skipped)
        self.report(request, done, "reservation{s} released", skipped)

    def _release(self, request: HttpRequest, merchant_id: int, ids: list[int], skipped: Counter[str]) -> int:
        context = Context(
            merchant_id, f"admin:{uuid.uuid4()}", actor=request.user.get_username(), source="back office"
        )
        try:
            release(context, [ReservedUnits(identity) for identity in ids])
        except ReservationClosed:
            skipped["changed meanwhile"] += len(ids)
            return 0
        except StockBusy as error:
            messages.error(request, str(error))
            skipped["busy"] += len(ids)
            return 0
        return len(ids)

    def panels(self, request: HttpRequest, instance: Reservation) -> list[Panel]:
        """Shows every movement that held or gave up its units."""
        movements = instance.movements.select_related("level__location", "operation", "reservation").order_by(
            "id"
        )
        rows = []
        for each in movements[:200]:
            recorded, location, kind, reason, on_hand, reserved, *_, operation = movement_row(each, {})
            rows.append((recorded, location, kind, reason, on_hand, reserved, operation))
        headers = ("Recorded", "Location", "What", "Why", "On hand", "Reserved", "Operation")
        return [Panel("Movements", headers, rows)]


class ConflictFilter(StateFilter):
    """Whether units are still owed."""

    states = (
        ("open", "Open", lambda rows: rows.filter(open_quantity__gt=0)),
        ("resolved", "Resolved", lambda rows: rows.filter(open_quantity=0)),
    )


@admin.register(Conflict)
class ConflictAdmin(LinkedReferences):
    """Units that are owed but not there."""

    list_display: tuple[str, ...] = (
        "id", "state", "sku", "cause", "reference_link", "quantity", "open_quantity", "opened_at", "resolved_at",
    )  # fmt: skip
    list_filter: tuple[Any, ...] = (ConflictFilter, "cause", "merchant")
    list_select_related: tuple[str, ...] = ("variant",)
    search_fields = ("variant__sku__exact", "reference__exact")
    search_help_text = "SKU or reference, in full"
    ordering = ("-id",)
    readonly_fields: ClassVar[tuple[str, ...]] = ("reference_link", "state")
    fields: tuple[Any, ...] = (
        "state", "variant", "cause", "reference_link", ("quantity", "open_quantity"), "opened_at", "resolved_at",
        "operation",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conflict]:
        """Brings along what a conflict is shown with."""
        queryset: QuerySet[Conflict] = super().get_queryset(request)
        return queryset.select_related("variant", "operation")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Allows the link that leads here from a variant."""
        return lookup == "variant__id__exact" or bool(super().lookup_allowed(lookup, value, request))

    @admin.display(description="SKU")
    def sku(self, conflict: Conflict) -> str:
        """Returns the variant's SKU."""
        return conflict.variant.sku

    @admin.display(description="state")
    def state(self, conflict: Conflict) -> str:
        """Says whether units are still owed."""
        return badge("open", "bad") if conflict.open_quantity else badge("resolved", "good")

    def get_urls(self) -> list[URLPattern]:
        """Adds the form that promises what is owed from inbound."""
        view = self.admin_site.admin_view(backorder_page)
        return [
            path("<int:conflict_id>/backorder/", view, name="inventory_conflict_backorder"),
            *super().get_urls(),
        ]

    def object_links(self, request: HttpRequest, instance: Conflict) -> list[tuple[str, str]]:
        """Leads to what happened, and to what ends it: stock that arrives fills it, oldest first."""
        links = [(reverse("admin:inventory_variant_movements", args=[instance.variant_id]), "Movements")]
        if instance.open_quantity and request.user.has_perm("inventory.move_stock"):
            address = f"{reverse('admin:inventory_receive')}?variant={instance.variant_id}"
            links.append((address, "Receive stock for it"))
        waits_for_goods = instance.open_quantity and instance.cause in OWED_CAUSES
        if waits_for_goods and request.user.has_perm("inventory.promise_inbound"):
            links.append((reverse("admin:inventory_conflict_backorder", args=[instance.pk]), "Backorder"))
        return links
